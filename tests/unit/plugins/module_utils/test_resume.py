# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was interrupted goes on: what had ended stays, unless anything of it or around it is not as it was."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import fingerprint, report_seal, resume
from ansible_collections.kubeproof.certify.plugins.modules import record as record_module
from ansible_collections.kubeproof.certify.plugins.modules import resume as module
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

NOW = "2026-11-22T02:00:00Z"
LOADED = {"apiserver_load": {"load": {}}, "certify_generators": 1, "certify_reboot_nodes": []}
PLACE = {"etcd_clusters": [{"name": "etcd", "group": "etcd"}, {"name": "events", "group": "events"}], "hosts": {"events": ["e1"]}}


def print_of(kubernetes="v1.36.3", **settings):
    """Return the fingerprint of a run, with settings of where its load goes and of what it is loaded by."""
    place, loaded = ({name: settings.get(name, value) for name, value in given.items()} for given in (PLACE, LOADED))
    identity = {"kubernetes": kubernetes, "nodes": 5}
    return fingerprint.of_run(identity, {"version": "0.1.0", "profile": "load", "means": {"apiserver": loaded}, "targets": {"etcd": place}})


def asked_of(**settings):
    """Return the change of a run of which settings are others."""
    return {"run": {"fingerprint": print_of(**settings)}}


RUN = {**fake.run(), "time_scale": 1.0, "fingerprint": print_of()}
PLAN = fake.plan(("etcd", "apiserver", "dns"), beside=["tuning"])
CHECKS = {"catalogue": {"etcd_0": {"title": "x"}}, "settings": {"thresholds": {}, "today": "2026-11-21"}}
RECORD = {"clusters": ["prod"], "seconds": 60.0, "load_seconds": 50.0, "tools": {}, "verdict": {"verdict": "PASS"}, "error": ""}


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def ended(top, layer, **more):
    """Write what a layer leaves when it has ended."""
    write(top / "facts" / layer / "cluster" / "prod.json", {"p99": 0.01})
    write(top / "findings" / f"{layer}.json", [fake.finding(layer)])
    write(top / "raw" / layer / "host" / "write.stdout", "raw")
    resume.keep(str(top), layer, {**RECORD, **more}, "2026-11-21T03:00:00Z")


@pytest.fixture(name="run")
def fixture_run(tmp_path):
    """Return the directory of a run that was interrupted in its second layer."""
    top = tmp_path / RUN["id"]
    write(top / "run.json", {**RUN, "plan": PLAN})
    write(top / "checks.json", CHECKS)
    write(top / "certificate.json", engine.interrupted(RUN, PLAN))
    ended(top, "etcd")
    write(top / "raw" / "apiserver" / "host" / "objects.csv", "half")
    write(top / "facts" / "apiserver" / "host.json", {})
    return top


def go_on(top, run=None, plan=None, checks=None, days=7, now=NOW):
    return resume.resume(str(top), RUN if run is None else run, PLAN if plan is None else plan, CHECKS if checks is None else checks, days, now)


def test_what_had_ended_stays(run):
    found = go_on(run)
    assert found["kept"] == {"etcd": ["prod"]} and list(found["done"]) == ["etcd"]
    assert found["done"]["etcd"] == {**RECORD, "at": "2026-11-21T03:00:00Z"} and found["found"] == {"etcd": [fake.finding("etcd")]}
    assert found["run"] == {"id": RUN["id"], "started": RUN["started"], "resumed": [{"at": NOW, "kept": {"etcd": "2026-11-21T03:00:00Z"}}]}


def test_the_certificate_tells_it(run):
    went = {**RUN, **go_on(run)["run"]}
    found = {layer: [fake.finding(layer)] for layer in PLAN["layers"]}
    made = engine.certificate(went, PLAN, found, go_on(run)["done"])
    assert "It was interrupted and went on at 2026-11-22T02:00:00Z: etcd had been measured before, apiserver, dns then." in made["message"]
    assert made["run"]["resumed"] == went["resumed"] and made["layer_verdicts"]["etcd"]["at"] == "2026-11-21T03:00:00Z"
    assert "at" not in made["layer_verdicts"]["dns"]


@pytest.mark.parametrize(
    ("record", "stays"),
    [
        ({"error": "the connection was lost"}, False),
        # Who asks again must not get another answer.
        ({"error": "aborted: an alarm", "verdict": {"verdict": "FAIL"}}, True),
        ({"verdict": {"verdict": "FAIL"}}, True),
        ({"verdict": {"verdict": "INCONCLUSIVE"}}, True),
        ({"error": "blocked by etcd", "verdict": {"verdict": "INCONCLUSIVE"}}, False),
    ],
)
def test_which_layers_are_measured_again(run, record, stays):
    ended(run, "apiserver", **record)
    assert ("apiserver" in go_on(run)["done"]) is stays


def test_what_is_measured_again_is_moved_away(run):
    ended(run, "apiserver", error="the connection was lost")
    moved = resume.set_aside(str(run), ["etcd"], "20261122t020000z")
    assert moved == ["facts/apiserver", "findings/apiserver.json", "raw/apiserver", "done/apiserver.json"]
    assert (run / "interrupted" / "20261122t020000z" / "raw" / "apiserver" / "host" / "objects.csv").is_file()
    assert sorted(report_seal.hashes(str(run))) == ["checks.json", "done/etcd.json", "facts/etcd/cluster/prod.json", "findings/etcd.json",
                                                    "raw/etcd/host/write.stdout", "run.json"]  # fmt: skip
    assert list(go_on(run)["done"]) == ["etcd"]


@pytest.mark.parametrize("part", ["facts/etcd/cluster/prod.json", "findings/etcd.json", "raw/etcd/host/write.stdout", "done/etcd.json"])
@pytest.mark.parametrize("how", ["cut", "gone", "added"])
def test_what_was_changed_is_refused(run, part, how):
    path = run / part
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.with_name("more.json").write_text("{}", encoding="utf-8")
    if how == "added":
        # Of a second cluster that was cut off: it goes out of the way.
        assert go_on(run)["done"] and any(one.endswith("more.json") for one in resume.set_aside(str(run), ["etcd"], "x"))
        assert not path.with_name("more.json").exists() and go_on(run)["done"]
    elif part.startswith("done") and how == "gone":
        assert not go_on(run)["done"]  # It is measured again.
    else:
        with pytest.raises(resume.ResumeError, match="changed|cannot be continued"):
            go_on(run)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run": {"profile": "soak"}}, "certify_profile"),
        ({"run": {"time_scale": 0.1}}, "certify_time_scale"),
        ({"run": {"hosts": {"etcd": ["etcd1", "etcd2"]}}}, "the inventory's hosts"),
        (asked_of(kubernetes="v1.37.0"), "Kubernetes was v1.36.3, is v1.37.0"),
        ({"plan": {"layers": ["etcd", "apiserver"]}}, "certify_layers"),
        (asked_of(**{"certify_reboot_nodes": ["worker1"]}), r'means of apiserver in load was {"certify_reboot_nodes": \[\]}, is .*"worker1"'),
        (asked_of(certify_generators=2), r'"certify_generators": 1}, is {"certify_generators": 2}'),
        (asked_of(etcd_clusters=[]), r'target of etcd was {"etcd_clusters": \[.*"events".*}, is {"etcd_clusters": \[\]}'),
        (asked_of(hosts={"events": ["e2"]}), r'target of etcd was {"hosts": {"events": \["e1"\]}}, is {"hosts": {"events": \["e2"\]}}'),
        ({"plan": {"capacity": {"nodes": 9}}}, "certify_capacity"),
        ({"plan": {"expected": {"storage": [{"name": "fast.required_iops", "value": 20000}]}}}, "storage_classes"),
        ({"plan": {"waivers": {"etcd_0": {}}}}, "certify_waivers"),
        ({"checks": {"catalogue": {}}}, "the checks"),
        ({"checks": {"settings": {"thresholds": {"etcd_0": {"target": "< 1"}}}}}, "the settings of the checks"),
        ({"days": 0.1}, "more than certify_join_days"),
    ],
)
def test_what_was_begun_otherwise_is_refused(run, changes, said):
    given = {"run": copy.deepcopy(RUN), "plan": copy.deepcopy(PLAN), "checks": copy.deepcopy(CHECKS)}
    for name, change in changes.items():
        given[name] = {**given[name], **change} if isinstance(change, dict) else change
    with pytest.raises(resume.ResumeError, match=said):
        go_on(run, **given)


def test_a_run_that_still_runs(run, tmp_path):
    """Its guard does, which waits for its end and then cleans up."""
    script = tmp_path / "guard.py"
    script.write_text("import time\nprint(flush=True)\ntime.sleep(30)\n", encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script), str(run), "1"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        try:
            with pytest.raises(resume.ResumeError, match=rf"still runs, or is being cleaned up \(process {process.pid}\)"):
                go_on(run)
        finally:
            process.kill()
    assert go_on(run)


def test_the_day_is_no_difference(run):
    assert go_on(run, checks={**CHECKS, "settings": {"thresholds": {}, "today": "2026-11-22"}})


def test_a_run_that_has_ended(run):
    found = {layer: [fake.finding(layer)] for layer in PLAN["layers"]}
    write(run / "certificate.json", engine.certificate(RUN, PLAN, found))
    # The connection was lost: the run ended, and a layer of it broke.
    ended(run, "apiserver"), ended(run, "dns", error="the connection was lost")
    assert list(go_on(run)["done"]) == ["etcd", "apiserver"]
    ended(run, "dns")
    with pytest.raises(resume.ResumeError, match="nothing to continue"):
        go_on(run)


def call(capsys, which, **options):
    with patch_module_args(options), pytest.raises(SystemExit):
        which.main()
    return json.loads(capsys.readouterr().out)


def test_the_modules(run, capsys, monkeypatch):
    monkeypatch.setattr(module.time, "gmtime", lambda: (2026, 11, 22, 2, 0, 0, 0, 0, 0))
    ended = {"layer": "dns", "documents": {"facts/dns/cluster/prod.json": {}}, "findings": [fake.finding("dns")], "record": RECORD}
    assert call(capsys, record_module, directory=str(run), ended=ended)["changed"]
    options = {"directory": str(run), "run": RUN, "plan": PLAN, "checks": CHECKS}
    found = call(capsys, module, **options)
    assert list(found["done"]) == ["etcd", "dns"] and found["moved"] == ["facts/apiserver", "raw/apiserver"]
    (run / "checks.json").write_text("[]", encoding="utf-8")
    refused = call(capsys, module, **options)
    assert refused["failed"] and "Begin anew" in refused["msg"] and "exception" not in refused
    refused = call(capsys, module, **{**options, "directory": str(run.parent / "none")})
    assert refused["failed"] and "certify_resume" in refused["msg"]
