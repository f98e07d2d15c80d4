# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run is made of real code and recorded output; then everything in it is changed in turn, and each change is seen."""

from __future__ import annotations

import copy
import datetime
import json
import pathlib
import shutil

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import checks, parsers, report_formats, report_seal, report_verify, report_verify_raw, resume
from ansible_collections.kubeproof.certify.plugins.module_utils.files import write_json
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify
from ansible_collections.kubeproof.certify.plugins.modules import verify as module
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

TEMPLATES = str(pathlib.Path(__file__).parents[4] / "roles/report/templates")
OUTPUT = pathlib.Path(__file__).parents[3] / "fixtures" / "etcd_benchmark" / "put-3.6.out"
BOUNDED = {"title": "P99", "query": "write.latency.p99", "scope": "cluster", "samples": "write.latency.count", "min_samples": 10, "unit": "s",
           "target": "< 0.025", "critical": "< 0.5", "profiles": ["smoke", "load", "soak"], "fix": "Give etcd a disk of its own, please.",
           "reference": "https://etcd.io/docs/"}  # fmt: skip
CATALOGUE = {"etcd_p99": BOUNDED, "etcd_host": {**BOUNDED, "title": "Own", "scope": "host", "query": "own", "target": "< 2", "critical": "< 3"},
             "etcd_gone": {**BOUNDED, "title": "Gone", "query": "no.such.fact"}}  # fmt: skip
for own in ("etcd_host", "etcd_gone"):
    CATALOGUE[own] = {key: value for key, value in CATALOGUE[own].items() if "samples" not in key}


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")


@pytest.fixture(name="run")
def fixture_run(tmp_path, monkeypatch):
    """Return the directory of a sealed run of the layer etcd, whose facts are what was measured."""
    monkeypatch.setattr(report_verify_raw, "FACTS", {"etcd/cluster": lambda inputs: inputs["steps"], "etcd/host": lambda inputs: inputs["info"]})
    text = OUTPUT.read_text(encoding="utf-8")
    facts = {"cluster": {"etcd": {"write": parsers.parse("etcd_benchmark", text)}}, "host": {"etcd1": {"own": 1}, "etcd2": {"own": 2.5}}}
    settings = {"today": "2026-11-21", "thresholds": {"etcd_p99": {"critical": "< 1", "reason": "slow"}}, "tiers": {}}
    found = checks.judge(CATALOGUE, facts, "etcd", "load", {"host": ["etcd1", "etcd2"], "cluster": ["etcd"]}, settings, {"*": "the tool broke"})
    items = {name: {"title": name, "layer": "etcd", "checks": ["etcd_p99"]} for name in ("write", "alpha")}
    plan = fake.plan(("etcd",), checklist=items, beside=["tuning"], valid_days=90)
    document = {**fake.run(load_seconds=40.0), "plan": plan, "directory": "elsewhere"}
    record = {"clusters": ["etcd"], "seconds": 60, "load_seconds": 40.0, "tools": document["tools"], "error": "the tool broke"}
    told = {key: record[key] for key in ("seconds", "load_seconds", "error")}
    # The end of the run found more.
    certificate = engine.certificate(document, plan, {"etcd": found}, {"etcd": {**told, "error": "the tool broke; Clean up: it stays"}})
    top = tmp_path / "run"
    write(top / "run.json", {key: value for key, value in document.items() if key not in ("finished", "seconds", "load_seconds", "tools")})
    write(top / "checks.json", {"catalogue": CATALOGUE, "settings": settings})
    write(top / "facts" / "etcd" / "cluster" / "etcd.json", facts["cluster"]["etcd"])
    for name, own in facts["host"].items():
        write(top / "facts" / "etcd" / f"{name}.json", own)
        write_json(str(top / "inputs" / "etcd" / f"{name}.json.gz"), {"info": own})
    write_json(str(top / "inputs" / "etcd" / "cluster" / "etcd.json.gz"), {"steps": facts["cluster"]["etcd"]})
    write(top / "findings" / "etcd.json", found)
    write(top / "raw" / "etcd" / "etcd1" / "write.stdout", text)
    said = {"argv": ["/usr/bin/benchmark", "put"], "rc": 0, "parser": "etcd_benchmark", "files": ["write.stdout"]}
    write(top / "raw" / "etcd" / "etcd1" / "write.json", said)
    resume.keep(str(top), "etcd", record, "2026-11-21T04:59:00Z")
    write(top / "certificate.json", certificate)
    report_seal.seal(str(top), 90)
    write(top / "certificate.html", "rendered")
    return top


def reseal(top, ended=True, **changes):
    """Seal the run anew, as who changed it would; with what the layer had left when it ended, unless `ended` is false."""
    path = top / "done" / "etcd.json"
    if ended and path.is_file():
        document = json.loads(path.read_text(encoding="utf-8"))
        again = resume.keep(str(top), "etcd", document["record"], document["at"])
        # One that was written by hand stays so.
        write(path, again if document["digest"] == report_seal.digest(document) else {**again, "digest": document["digest"]})
    write(top / "certificate.json", {**certificate_of(top), **changes})
    report_seal.seal(str(top), 90)


def problems(run, **more):
    made = verify(str(run), **more)
    assert made["valid"] is (not made["problems"])
    return made["problems"]


def test_a_whole_run_is_valid(run):
    made = verify(str(run), CATALOGUE, {}, "0.1.0")
    assert made["problems"] == []
    assert made["done"] == {"hashes": 12, "left by layers": 9, "facts": 3, "raw outputs": 1, "checks": 3, "findings": 4, "certificate": 21}
    assert made["notes"] == [f"These files of raw output were read again, and facts made of them: etcd 1 of 2. {report_verify.HASHED}"]
    # What was rendered from it is no part of it.
    (run / "certificate.html").unlink()
    assert problems(run) == []


@pytest.mark.parametrize(
    "name",
    ["run.json", "checks.json", "done/etcd.json", "facts/etcd/etcd1.json", "findings/etcd.json", "inputs/etcd/etcd1.json.gz", "raw/etcd/etcd1/write.stdout",
     "raw/etcd/etcd1/write.json"],
)  # fmt: skip
def test_a_file_that_is_changed_missing_or_added(run, name):
    whole = (run / name).read_bytes()
    (run / name).write_bytes(whole + b" ")
    assert f"{name} was changed after the certificate was sealed." in problems(run)
    (run / name).unlink()
    assert f"{name} is missing." in problems(run)
    (run / name).write_bytes(whole)
    if "/" in name:  # Beside the certificate stands also what is rendered from it.
        (run / f"{name}.new").write_bytes(b"{}")
        assert problems(run) == [f"{name}.new was added after the certificate was sealed."]


def test_the_certificate_is_changed(run):
    certificate = json.loads((run / "certificate.json").read_text(encoding="utf-8"))
    for key in certificate:
        changed = copy.deepcopy(certificate)
        changed[key] = {"x": 1} if isinstance(changed[key], dict) else ["x"] if isinstance(changed[key], list) else "x"
        write(run / "certificate.json", changed)
        assert problems(run), key
        del changed[key]
        write(run / "certificate.json", changed)
        assert problems(run), key
    write(run / "certificate.json", certificate)
    assert problems(run) == []


# Whoever seals anew what he changed is seen by the steps between the files -----------------------------------------------------


def test_facts_that_do_not_make_the_findings(run):
    other_facts(run, "etcd2", {"own": 1})
    reseal(run)
    assert problems(run) == ['etcd: the finding etcd_host etcd2 has value 2.5 instead of 1, result "CONDITIONAL" instead of "PASS".']
    (run / "facts" / "etcd" / "etcd2.json").unlink()
    reseal(run)
    assert any("value 2.5 instead of null" in one for one in problems(run))


def other_facts(run, name, facts):
    """Write other facts of a host, and what they would be made of."""
    write(run / "facts" / "etcd" / f"{name}.json", facts)
    write_json(str(run / "inputs" / "etcd" / f"{name}.json.gz"), {"info": facts})


def test_findings_that_do_not_make_the_certificate(run):
    found = json.loads((run / "findings" / "etcd.json").read_text(encoding="utf-8"))
    write(run / "findings" / "etcd.json", [one for one in found if one["id"] != "etcd_host"])
    reseal(run)
    told = problems(run)
    assert any("etcd_host etcd2 follows from the facts, and is not among the findings" in one for one in told)
    assert any("certificate.json: findings is not what follows from the findings: 5 instead of 3 entries." in one for one in told)


@pytest.mark.parametrize("key", ["catalogue", "settings"])
def test_other_checks_and_settings(run, key):
    document = json.loads((run / "checks.json").read_text(encoding="utf-8"))
    if key == "catalogue":
        document[key]["etcd_host"]["target"] = "< 3"
    else:
        document[key]["thresholds"] = {}
    write(run / "checks.json", document)
    reseal(run)
    assert problems(run) and all("the finding etcd_" in one for one in problems(run))


def test_a_better_verdict(run):
    reseal(run, verdict="PASS")
    assert 'certificate.json: verdict is not what follows from the findings: "PASS" instead of "INCONCLUSIVE".' in problems(run)


def ended(run, digest=True, **changes):
    """Change what the layer recorded when it had ended."""
    path = run / "done" / "etcd.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document.update({key: value for key, value in changes.items() if key in document})
    document["record"].update({key: value for key, value in changes.items() if key not in document})
    write(path, {**document, "digest": report_seal.digest(document) if digest else document["digest"]})


def certificate_of(run):
    return json.loads((run / "certificate.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("error", [None, "", "the tool", "another tool broke"])
def test_an_error_of_a_layer_that_is_not_on_the_certificate(run, error):
    told = certificate_of(run)["layer_verdicts"]
    told["etcd"].pop("error")
    told["etcd"].update({"error": error} if error is not None else {})
    reseal(run, layer_verdicts=told)
    (said,) = [one for one in problems(run) if "layer_verdicts" in one]
    assert "layer_verdicts is not what follows from the findings, etcd, error: " in said and said.endswith('instead of "the tool broke".')


def test_a_layer_that_hides_its_error_and_what_follows_from_it(run):
    """As who assembles the certificate anew would, from findings that say nothing of it."""
    found = [{**one, "result": "PASS", "judged": True, "reason": ""} for one in json.loads((run / "findings" / "etcd.json").read_text(encoding="utf-8"))]
    document = json.loads((run / "run.json").read_text(encoding="utf-8"))
    whole = {**document, "finished": fake.FINISHED, "seconds": 10800.0, "load_seconds": 40.0, "tools": fake.run()["tools"]}
    write(run / "certificate.json", engine.certificate(whole, document["plan"], {"etcd": found}, {"etcd": {"seconds": 60, "load_seconds": 40.0}}))
    report_seal.seal(str(run), 90)
    assert any('etcd, error: null instead of "the tool broke".' in one for one in problems(run))
    # Nor does it help to take away what the layer recorded, or to write it anew.
    (run / "done" / "etcd.json").unlink()
    reseal(run)
    assert "done/etcd.json is missing, so nothing says whether etcd ended with an error." in problems(run)


def test_what_a_layer_recorded_is_changed(run):
    ended(run, digest=False, error="")
    reseal(run)
    assert problems(run) == ["done/etcd.json was changed after etcd had ended."]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seconds": 61}, "layer_verdicts is not what follows from the findings, etcd, seconds: 60 instead of 61."),
        ({"load_seconds": 41}, "run is not what follows from the findings, load_seconds: 40.0 instead of 41."),
        ({"tools": {"etcd1": {"etcdctl": {"version": "3.5.0"}}}}, "tools is not what follows from the findings, etcd1, etcdctl, path: "),
        ({"tools": {}}, "tools is not what follows from the findings, etcd1: "),
        ({"at": "2026-11-21T05:00:01Z"}, "run.finished is 2026-11-21T05:00:00Z, and etcd ended later, at 2026-11-21T05:00:01Z."),
    ],
)
def test_what_the_certificate_says_of_a_layer_and_its_end(run, changes, said):
    ended(run, **changes)
    reseal(run)
    assert any(f"certificate.json: {said}" in one for one in problems(run)), problems(run)


def test_the_end_is_as_long_after_the_beginning_as_the_run_took(run):
    told = certificate_of(run)["run"]
    reseal(run, run={**told, "finished": "2026-11-22T05:00:00Z"})
    assert problems(run) == [
        "certificate.json: run.finished is 2026-11-22T05:00:00Z, which is not 10800 s (run.seconds) after 2026-11-21T02:00:00Z."
    ]


@pytest.mark.parametrize(
    ("kept", "at", "good"),
    [
        ("2026-11-21T04:59:00Z", "2026-11-21T04:59:00Z", True),
        ("2026-11-21T04:59:00Z", "2026-11-20T04:59:00Z", False),
        ("2026-11-21T04:59:00Z", None, False),
        # Its second cluster was measured after it was kept.
        ("2026-11-21T03:00:00Z", None, True),
    ],
)
def test_a_layer_that_was_kept_says_since_when(run, kept, at, good):
    document = json.loads((run / "run.json").read_text(encoding="utf-8"))
    document["resumed"] = [{"at": "2026-11-21T04:59:30Z", "kept": {"etcd": kept}}]
    write(run / "run.json", document)
    # It was at work for less than from its beginning to its end.
    whole = {**document, "finished": fake.FINISHED, "seconds": 30.0, "load_seconds": 40.0, "tools": fake.run()["tools"]}
    found = {"etcd": json.loads((run / "findings" / "etcd.json").read_text(encoding="utf-8"))}
    record = {"seconds": 60, "load_seconds": 40.0, "error": "the tool broke", "at": at}
    write(run / "certificate.json", engine.certificate(whole, document["plan"], found, {"etcd": record}))
    report_seal.seal(str(run), 90)
    assert problems(run) == [] if good else any("etcd, at: " in one for one in problems(run))


def test_a_run_that_did_not_record_how_its_layers_ended_says_so(run):
    shutil.rmtree(run / "done")
    document = json.loads((run / "run.json").read_text(encoding="utf-8"))
    del document["plan"]["valid_days"]
    write(run / "run.json", document)
    reseal(run)
    made = verify(str(run))
    assert made["problems"] == [] and "their errors were not compared" in str(made["notes"]) and "certify_valid_days" in str(made["notes"])


@pytest.mark.parametrize("days", [91, 36500])
def test_it_is_valid_for_no_longer_than_was_asked_for(run, days):
    report_seal.seal(str(run), days)
    (said,) = problems(run)
    assert said.startswith("certificate.json: valid_until is not what follows from run.json and the facts: ") and '"2027-02-19T05:00:00Z"' in said


@pytest.mark.parametrize("change", [{"nodes": 6}, {"configuration": "ab" * 32}, None])
def test_what_voids_it_follows_from_the_run(run, change):
    certificate = certificate_of(run)
    certificate["voided_by"] = {**certificate["voided_by"], **change} if change else {}
    certificate["digest"] = report_seal.digest(certificate)
    write(run / "certificate.json", certificate)
    (said,) = problems(run)
    assert said.startswith("certificate.json: voided_by is not what follows from run.json and the facts, ")


@pytest.mark.parametrize(("said_of_it", "expected"), [("ab" * 32, ["certificate.json: history is not what follows"]), (None, [])])
def test_what_a_list_says_of_it_follows_from_the_run(run, said_of_it, expected):
    """One that was sealed before there was such a thing has none."""
    certificate = {key: value for key, value in certificate_of(run).items() if key != "history"}
    certificate.update({"history": said_of_it} if said_of_it else {})
    certificate["digest"] = report_seal.digest(certificate)
    write(run / "certificate.json", certificate)
    assert [one[: len(expected[0])] if expected else one for one in problems(run)] == expected


def test_a_run_that_did_not_record_its_checks(run):
    document = json.loads((run / "checks.json").read_text(encoding="utf-8"))
    (run / "checks.json").unlink()
    reseal(run)
    made = verify(str(run))
    assert made["valid"] and "not judged again" in " ".join(made["notes"]) and "findings" not in made["done"]
    made = verify(str(run), document["catalogue"], document["settings"])
    assert made["valid"] and made["done"]["findings"] == 4 and "those of today were used" in " ".join(made["notes"])


def test_an_interrupted_run(run):
    document = json.loads((run / "run.json").read_text(encoding="utf-8"))
    shutil.rmtree(run / "findings")
    shutil.rmtree(run / "facts")
    write(run / "certificate.json", {**engine.interrupted(document, document["plan"]), "message": "The cleanup has run."})
    reseal(run)
    assert problems(run) == []


def test_without_a_seal_nothing_is_vouched_for(run):
    certificate = json.loads((run / "certificate.json").read_text(encoding="utf-8"))
    write(run / "certificate.json", {key: value for key, value in certificate.items() if key not in report_seal.KEYS})
    assert problems(run) == ["The certificate is not sealed, so nothing vouches for the files of the run."]


@pytest.mark.parametrize("name", ["run.json", "checks.json", "findings/etcd.json", "facts/etcd/etcd1.json"])
@pytest.mark.parametrize("text", ["", "[", "null", "[]", "{}", "7", '{"plan": 1}', "[[]]", '[{"id": 1}]'])
def test_damage_is_a_problem_and_never_an_exception(run, name, text):
    (run / name).write_text(text, encoding="utf-8")
    reseal_quietly(run)
    assert problems(run)


def reseal_quietly(run):
    try:
        reseal(run)
    except report_seal.DataFileError:
        pass


@pytest.fixture(name="call")
def fixture_call(run, capsys, monkeypatch):
    """Return a function that verifies the run as the module does, on a day."""

    def call(day="2026-12-01", **arguments):
        monkeypatch.setattr(module, "now", lambda: datetime.datetime.fromisoformat(day))
        with patch_module_args({"directory": str(run), **arguments}), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_the_module(run, call):
    answer = call()
    assert answer["changed"] is False and answer["done"]["hashes"] == 12 and "rendered" not in answer["done"]
    told = json.loads((run / "certificate.json").read_text(encoding="utf-8"))
    assert [answer[key] for key in ("directory", "verdict", "valid_until")] == [str(run), told["verdict"], told["valid_until"]] and told["valid_until"]
    (run / "run.json").write_text("{}", encoding="utf-8")
    answer = call()
    assert answer["failed"] and "run.json was changed" in answer["msg"] and answer["problems"]
    (run / "certificate.json").unlink()
    assert "Cannot read" in call()["msg"]


LIVE = {"cluster": {"uid": fake.UID, "kubernetes": "v1.36.3", "nodes": 5}, "hosts": 2}


def test_a_certificate_that_has_expired(call):
    assert "expired" not in str(call("2027-02-19") | call("2027-02-19", live=LIVE))
    after = call("2027-02-20")
    assert not after.get("failed") and after["notes"][-1] == "It expired at 2027-02-19T05:00:00Z. Certify again."
    assert call("2027-02-20", live=LIVE)["problems"] == ["Void: it expired at 2027-02-19T05:00:00Z. Certify again."]


def rendered(run, name, text):
    path = run / name
    path.write_text(path.read_text(encoding="utf-8").replace(*text), encoding="utf-8")


def test_what_was_rendered_says_what_the_certificate_says(run, call):
    report_formats.write(str(run), ["html", "summary", "openmetrics", "txt"], TEMPLATES)
    answer = call(templates=TEMPLATES)
    assert answer["changed"] is False and answer["done"]["rendered"] == 4
    (run / "certificate.prom").unlink()
    rendered(run, "certificate.html", ("INCONCLUSIVE", "PASS"))
    rendered(run, "certificate.txt", ("INCONCLUSIVE", "PASS"))
    (run / "summary.md").unlink()
    (run / "summary.md").mkdir()
    said = call(templates=TEMPLATES, version="0.1.0")
    assert [one.partition(" ")[0] for one in said["problems"]] == ["certificate.html", "summary.md", "certificate.txt"]
    assert "cannot be relied on: certificate.html is not what is rendered of certificate.json. Render it again with playbooks/report.yml." in said["msg"]
    # Another version may render it otherwise.
    other = call(templates=TEMPLATES, version="0.2.0")
    assert other["changed"] is False and len([one for one in other["notes"] if "the version 0.1.0, and this is 0.2.0" in one]) == 3
    assert call()["changed"] is False


@pytest.mark.parametrize("plots", [[], None, [7], "x", [{"kind": "percentiles", "layer": "etcd", "rows": []}]])
def test_what_is_drawn_follows_from_the_facts(run, call, plots):
    (run / "certificate.html").unlink()
    assert call(templates=TEMPLATES)["problems"] == []
    certificate = certificate_of(run)
    assert certificate["plots"]
    certificate["plots"] = plots
    certificate["digest"] = report_seal.digest(certificate)
    write(run / "certificate.json", certificate)
    assert "plots is not what follows" in str(call(templates=TEMPLATES)["problems"]) or "cannot be rendered" in str(call(templates=TEMPLATES)["problems"])


def test_a_trend_is_no_fact_of_the_run(run, call):
    certificate = certificate_of(run)
    certificate["plots"].append({"kind": "trend", "layer": "etcd", "rows": []})
    certificate["digest"] = report_seal.digest(certificate)
    write(run / "certificate.json", certificate)
    (run / "certificate.html").unlink()
    assert call(templates=TEMPLATES)["problems"] == []
