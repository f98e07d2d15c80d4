# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sealed soak run: its recordings are read by the modules that a run reads them with; then they are changed, sealed anew, and each change is seen."""

from __future__ import annotations

import gzip
import json
import pathlib
import shutil

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import checks, etcd_plan, fingerprint, join_runs, report_seal, report_verify_raw, resume
from ansible_collections.kubeproof.certify.plugins.module_utils import soak_file, soak_raw
from ansible_collections.kubeproof.certify.plugins.module_utils.files import read_json, write_json
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify
from ansible_collections.kubeproof.certify.plugins.modules import soak_result
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_report_verify_raw import planned
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_soak_facts import HOSTS, SECONDS
from ansible_collections.kubeproof.certify.tests.unit.plugins.modules.test_soak_modules import ask, play, prometheus, recordings

__all__ = ["prometheus", "recordings"]
ROOT = pathlib.Path(__file__).parents[4]
EVERY = yaml.safe_load((ROOT / "roles/etcd/defaults/main/checks.yml").read_text(encoding="utf-8"))["etcd_checks"]
CATALOGUE = {name: check for name, check in EVERY.items() if name.startswith("etcd_soak_")}
ITEMS = {"leader": {"title": "No election in 24 h", "layer": "etcd", "checks": ["etcd_soak_elections"], "profiles": ["soak"]}}
SETTINGS = {"today": "2026-11-21", "thresholds": {}, "tiers": {}, "waivers": {}}
TIMES = {"id": "20261121t020000z-1a2b", "started": fake.STARTED, "finished": fake.FINISHED}
NOTHING = {"missing": {"soak": "the watchers were not reached"}}
REMEDY = f"{report_verify_raw.WITHOUT_RECORDINGS}."


def plain(value):
    return json.loads(json.dumps(value))


def sealed(top, clusters, profile="soak", times=None):
    """Write a run of the layer etcd and return `top`; its clusters: {name: (prefix of its hosts' names, the facts that the module of the soak returned)}."""
    times = times or TIMES
    plan = planned(etcd_plan, "etcd", etcd_rate_factor={"smoke": 1.1}, latency="")
    inputs = {}
    for name, (prefix, found) in clusters.items():
        inputs[f"cluster/{name}"] = {"plan": plan, "host_access": True, "hosts": {host: {} for host in HOSTS}, "soak": found["cluster"]}
        for host in HOSTS:
            inputs[f"{prefix}{host}"] = {"cluster": name, "info": {}, "plan": plan, "extra": {}, "soak": found["hosts"].get(host, NOTHING)}
    inputs = {f"etcd/{path}": plain(one) for path, one in inputs.items()}
    facts = {path: plain(report_verify_raw.FACTS[f"etcd/{'cluster' if '/cluster/' in path else 'host'}"](one)) for path, one in inputs.items()}
    scopes = {"host": {path[len("etcd/") :]: one for path, one in facts.items() if "/cluster/" not in path},
              "cluster": {path[len("etcd/cluster/") :]: one for path, one in facts.items() if "/cluster/" in path}}  # fmt: skip
    found = checks.judge(CATALOGUE, scopes, "etcd", profile, {scope: sorted(known) for scope, known in scopes.items()}, SETTINGS)
    whole = fake.plan(("etcd",), checklist=ITEMS, valid_days=90, expected={}, loads=[])
    document = {**fake.run(profile), **times, "plan": whole, "fingerprint": fingerprint.fingerprint({"cluster uid": fake.UID, "nodes": 5})}
    record = {"clusters": list(clusters), "seconds": 60, "load_seconds": 9000.0, "tools": document["tools"], "error": ""}
    write_json(str(top / "run.json"), {key: value for key, value in document.items() if key not in ("finished", "seconds", "load_seconds", "tools")})
    write_json(str(top / "checks.json"), {"catalogue": CATALOGUE, "settings": SETTINGS})
    write_json(str(top / "findings/etcd.json"), found)
    for path, one in inputs.items():
        write_json(str(top / "inputs" / f"{path}.json.gz"), one)
        write_json(str(top / "facts" / f"{path}.json"), facts[path])
    resume.keep(str(top), "etcd", record, times["finished"])
    told = {key: record[key] for key in ("seconds", "load_seconds")}
    write_json(str(top / "certificate.json"), engine.certificate(document, whole, {"etcd": found}, {"etcd": told}))
    report_seal.seal(str(top), 90)
    return top


def watched(capsys, recordings, top, name="etcd", **more):
    """Return what the module makes of recordings that it keeps in the run, as the role soak has it do."""
    asked = {"recordings": {host: str(path) for host, path in recordings.items()}, "members": HOSTS, "needed": SECONDS, "seconds": SECONDS, "since": 1.7e9}
    return play(soak_result, capsys, **{**asked, "cluster": "c", "raw": str(top / f"raw/etcd/{name}/soak"), **more})["facts"]


@pytest.fixture
def run(recordings, capsys, tmp_path):
    top = tmp_path / "results" / TIMES["id"]
    return sealed(top, {"etcd": ("", watched(capsys, recordings, top, put_rate=50))})


def reseal(top):
    """Hash everything anew, as one does who changed it: the layer's end and the seal."""
    document = read_json(str(top / "done/etcd.json"))
    resume.keep(str(top), "etcd", document["record"], document["at"])
    report_seal.seal(str(top), 90)


def problems(top):
    made = verify(str(top), CATALOGUE, SETTINGS, "0.1.0")
    assert made["valid"] is (not made["problems"])
    return made["problems"]


def change(path, edit):
    path.write_bytes(gzip.compress(edit(gzip.decompress(path.read_bytes()))))


def chained(edit):
    """Return a function that edits the records of a recording, and chains them anew."""

    def edited(data):
        records, digest, made = [json.loads(line[soak_file.DIGEST + 1 :]) for line in data.splitlines()], soak_file.NO_DIGEST, b""
        for record in records:
            edit(record)
            line, digest = soak_file.encode(record, digest)
            made += line
        return made

    return edited


def at(moment, **values):
    """Return a function that changes the sample of this moment, in s."""
    return chained(lambda record: record.update(values) if record["kind"] == "sample" and int(record["at"]) == moment else None)


def test_an_untouched_soak_run_verifies(run):
    made = verify(str(run), CATALOGUE, SETTINGS, "0.1.0")
    assert made["problems"] == [] and (made["done"]["facts"], made["done"]["raw outputs"]) == (4, 3)
    certificate = read_json(str(run / "certificate.json"))
    assert [row["result"] for row in certificate["findings"] if row["id"] == "etcd_soak_elections"] == ["PASS"]
    # Also at another place.
    shutil.move(run, run.parent / "moved")
    assert problems(run.parent / "moved") == []


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        # A byte of a sample, of the first line, of the last one.
        (lambda data: data.replace(b'"memory":100000000', b'"memory":100000001', 1), "of: soak, missing, soak.elections: "),
        (lambda data: data.replace(b'"seconds":1000', b'"seconds":1001', 1), "of: soak, missing, soak.elections: "),
        (lambda data: data[:-3] + b"X" + data[-2:], 'of: soak of etcd2, soak, state: "finished" instead of "torn".'),
        (lambda data: data[:-20000], "of: soak, missing, soak.elections: "),
        # One sample, by who chains the recording anew.
        (at(500, healthy=False), "of: soak of etcd2, soak, unhealthy: 0 instead of 1."),
        (at(500, leader="b2"), "of: soak, missing, soak.elections: "),
        (at(1000, committed=200000), "of: soak, soak, load_share: 2.0 instead of 4.0."),
        # No fact depends on it.
        (at(500, memory=10**8 + 50000), "(soak): etcd2.gz is not what was read then, by its SHA-256 in raw/etcd/etcd/soak.json. Put back"),
    ],
)
def test_a_recording_that_was_changed_and_hashed_anew_is_named(run, edit, says):
    change(run / "raw/etcd/etcd/soak/etcd2.gz", edit)
    assert "raw/etcd/etcd/soak/etcd2.gz was changed after the certificate was sealed." in problems(run)
    reseal(run)
    told = problems(run)
    assert all(one.startswith("raw/etcd/etcd/soak ") for one in told), told
    assert any(says in one for one in told), told


@pytest.mark.parametrize(("name", "value"), [("needed", 100000), ("put_rate", 100), ("cluster", "d"), ("since", 1.9e9), ("members", HOSTS[:2])])
def test_what_was_asked_of_the_recordings_is_changed(run, name, value):
    path = run / "raw/etcd/etcd/soak.json"
    write_json(str(path), {**read_json(str(path)), name: value})
    reseal(run)
    told = problems(run)
    assert told and "raw/etcd/etcd/soak says something else than what the facts of etcd were made of: soak" in told[0], told


def test_facts_that_other_recordings_would_make_are_found(run):
    """Who changes the inputs and the facts as well has nothing that he can say of the recordings."""
    for path in ("inputs/etcd/cluster/etcd.json.gz", "facts/etcd/cluster/etcd.json"):
        document = read_json(str(run / path))
        (document["soak"] if "facts" in path else document["soak"]["soak"])["coverage"] = 0.991
        write_json(str(run / path), document)
    reseal(run)
    told = problems(run)
    assert told[0] == "raw/etcd/etcd/soak says something else than what the facts of etcd were made of: soak, soak, coverage: 0.991 instead of 1.0.", told


@pytest.mark.parametrize("names", [["etcd2.gz"], ["etcd1.gz", "etcd2.gz", "etcd3.gz"]])
def test_recordings_that_are_gone_do_not_verify_and_it_is_said_what_to_do(run, names):
    for name in names:
        (run / "raw/etcd/etcd/soak" / name).unlink()
    reseal(run)
    told = problems(run)
    assert told[0] == f"raw/etcd/etcd/soak cannot be read again (soak): raw/etcd/etcd/soak/{names[0]} is not there. {REMEDY}"
    assert told[1:] == [f"soak of {host} is among what the facts of etcd were made of, and there is no raw output of it." for host in HOSTS]


@pytest.mark.parametrize("path", ["raw/etcd/etcd/soak.json", "raw/etcd"])
def test_a_run_without_its_recordings_or_what_was_asked_of_them(run, path):
    (shutil.rmtree if (run / path).is_dir() else pathlib.Path.unlink)(run / path)
    reseal(run)
    assert problems(run)[0] == f"raw/etcd/etcd/soak cannot be read again (soak): raw/etcd/etcd/soak.json is not there. {REMEDY}"


@pytest.mark.parametrize(
    "more",
    [{"of": ["etcd1"]}, {"of": 1}, {"members": 5}, {"source": "x"}, {"needed": "long"}, {"source": "prometheus"}, {"source": ["watcher"]},
     {"source": "prometheus", "members": {"etcd1": ["10.0.0.1"]}, "seconds": 60}, {"files": ["../../../run.json"] * 3}, {"sha256": []},
     {"sha256": None}],
)  # fmt: skip
def test_what_is_said_beside_the_recordings_is_of_no_use(run, more):
    path = run / "raw/etcd/etcd/soak.json"
    write_json(str(path), {**read_json(str(path)), **more})
    reseal(run)
    told = problems(run)
    assert told[0].startswith("raw/etcd/etcd/soak cannot be read again (soak): ") and "Put back the files" in told[0], told


def test_what_another_tool_printed_is_no_recording(run):
    shutil.copy(ROOT / "tests/fixtures/etcd_benchmark/put-3.6.out", run / "raw/etcd/etcd/soak/stdout")
    write_json(str(run / "raw/etcd/etcd/soak.json"), {"parser": "etcd_benchmark", "files": ["soak/stdout"]})
    reseal(run)
    assert problems(run)[0] == f"raw/etcd/etcd/soak cannot be read again (soak): raw/etcd/etcd/soak.json is not of a soak. {REMEDY}"


def test_a_day_that_was_seen_cannot_be_said_to_be_unknown(recordings, capsys, tmp_path):
    """It would be INCONCLUSIVE in place of FAIL."""
    for host, path in recordings.items():
        change(path, chained(lambda record: record.update(term=8, changes=2, leader="b2") if record.get("at", 0) > 500 and "term" in record else None))
    found = watched(capsys, recordings, tmp_path / "run")
    assert found["cluster"]["soak"]["elections"] == 1
    assert problems(sealed(tmp_path / "run", {"etcd": ("", found)})) == []
    hidden = sealed(tmp_path / "run", {"etcd": ("", {"cluster": NOTHING, "hosts": found["hosts"]})})
    assert problems(hidden)[0].startswith("raw/etcd/etcd/soak says something else than what the facts of etcd were made of: soak, missing, soak: ")


@pytest.mark.parametrize("name", ["etcd2", "all"])
def test_a_recording_that_was_never_there_is_no_difference(recordings, capsys, tmp_path, name):
    for host, path in recordings.items():
        if name in (host, "all"):
            path.unlink()
    found = watched(capsys, recordings, tmp_path / "run")
    assert "elections" not in found["cluster"].get("soak", {})
    assert problems(sealed(tmp_path / "run", {"etcd": ("", found)})) == []


@pytest.mark.parametrize("host", ["etcd2", None])
def test_what_a_run_or_a_host_had_not_taken_when_it_broke_is_no_difference(recordings, capsys, tmp_path, host):
    """A host that is lost keeps what it had handed over before; a run that broke may have recordings that it never asked."""
    found = watched(capsys, recordings, tmp_path / "run")
    if host:
        del found["hosts"][host]
    else:
        found = {"cluster": NOTHING, "hosts": {}}
        (tmp_path / "run/raw/etcd/etcd/soak.json").unlink()
    assert problems(sealed(tmp_path / "run", {"etcd": ("", found)})) == []


def test_each_of_several_clusters_has_recordings_of_its_own(recordings, capsys, tmp_path):
    top = tmp_path / "run"
    first = watched(capsys, recordings, top)
    for path in recordings.values():
        change(path, chained(lambda record: record.update(cluster="e", memory=record["at"]) if record["kind"] == "sample" else None))
    second = watched(capsys, recordings, top, "events", cluster="e")
    assert first["hosts"]["etcd1"] != second["hosts"]["etcd1"]
    sealed(top, {"etcd": ("", first), "events": ("events/", second)})
    made = verify(str(top), CATALOGUE, SETTINGS, "0.1.0")
    assert made["problems"] == [] and (made["done"]["facts"], made["done"]["raw outputs"]) == (8, 6)
    # Hosts of the same name are told apart.
    change(top / "raw/etcd/events/soak/etcd1.gz", at(500, healthy=False))
    reseal(top)
    says = "raw/etcd/events/soak says something else than what the facts of etcd were made of: soak of events/etcd1, soak, unhealthy: 0 instead of 1."
    assert problems(top)[1:] == [says] and "raw/etcd/events/soak cannot be read again (soak): etcd1.gz is not what was read then" in problems(top)[0]
    # Those of one cluster are none of the other.
    shutil.rmtree(top / "raw/etcd/events")
    shutil.copytree(top / "raw/etcd/etcd", top / "raw/etcd/events")
    reseal(top)
    told = problems(top)
    assert len(told) == 4 and all(one.startswith("raw/etcd/events/soak says something else than ") for one in told), told


def answered(prometheus, capsys, top):
    return ask(prometheus, capsys, raw=str(top / "raw/etcd/etcd/soak"), put_rate=2)["facts"]


def test_what_a_prometheus_answered_is_read_again(prometheus, capsys, tmp_path):
    top = sealed(tmp_path / "run", {"etcd": ("", answered(prometheus, capsys, tmp_path / "run"))})
    made = verify(str(top), CATALOGUE, SETTINGS, "0.1.0")
    assert made["problems"] == [] and (made["done"]["facts"], made["done"]["raw outputs"]) == (4, 1)
    path, whole = top / "raw/etcd/etcd/soak/prometheus.gz", (top / "raw/etcd/etcd/soak/prometheus.gz").read_bytes()

    def other(metric, value):
        def edit(data):
            answers = json.loads(data)
            answers[metric][1]["values"][100][1] = value
            return json.dumps(answers).encode()

        return edit

    # One without a leader, and one that changes no fact.
    leaderless = "says something else than what the facts of etcd were made of: soak of etcd2, soak, leaderless: 0 instead of 1."
    hashed = "cannot be read again (soak): prometheus.gz is not what was read then"
    for metric, value, says in (("etcd_server_has_leader", "0", leaderless), ("process_resident_memory_bytes", "9", hashed)):
        change(path, other(metric, value))
        reseal(top)
        told = problems(top)
        assert any(one.startswith(f"raw/etcd/etcd/soak {says}") for one in told), told
        path.write_bytes(whole)
    cut, holed = whole[:-200], whole[:1000] + bytes(100) + whole[1100:]
    for data in (cut, holed, b"", *(gzip.compress(text) for text in (b"[]", b"[" * 10**5, b'{"end": "x"}'))):
        path.write_bytes(data)
        reseal(top)
        told = problems(top)
        assert told[0].startswith("raw/etcd/etcd/soak "), (data[:20], told)
    path.unlink()
    reseal(top)
    assert problems(top)[0] == f"raw/etcd/etcd/soak cannot be read again (soak): raw/etcd/etcd/soak/prometheus.gz is not there. {REMEDY}"
    path.write_bytes(whole)
    reseal(top)
    assert problems(top) == []


def test_a_small_archive_of_very_much_is_not_unpacked(run, prometheus, capsys, tmp_path, monkeypatch):
    """Memory stays bounded by what a recording may have, whatever stands in the file."""
    (run / "raw/etcd/etcd/soak/etcd2.gz").write_bytes(gzip.compress(b" " * (soak_file.MOST + 1)))
    reseal(run)
    assert "etcd2: the file is damaged: it cannot be unpacked (it is larger than" in problems(run)[0]
    top = sealed(tmp_path / "run", {"etcd": ("", answered(prometheus, capsys, tmp_path / "run"))})
    monkeypatch.setattr(soak_raw, "MOST_ANSWERS", 2**20)
    (top / "raw/etcd/etcd/soak/prometheus.gz").write_bytes(gzip.compress(b" " * (2**20 + 1)))
    reseal(top)
    assert "it has more than 1 MiB" in problems(top)[0]


def test_a_certificate_that_was_joined_of_a_load_and_a_soak(run):
    top = run.parent
    load = {"id": "20261120t020000z-1a2b", "started": "2026-11-20T02:00:00Z", "finished": "2026-11-20T05:00:00Z"}
    sealed(top / load["id"], {"etcd": ("", {"cluster": NOTHING, "hosts": {}})}, "load", load)
    joined = {"id": "20261130t000000z-join", "at": "2026-11-30T00:00:00Z", "user": "ops", "controller": "bastion"}
    directory, certificate = join_runs.write(str(top), joined, join_runs.choose(str(top), (), 7, verify))
    assert [(row["run"], row["result"]) for row in certificate["findings"] if row["id"] == "etcd_soak_elections"] == [(run.name, "PASS")]
    assert verify(directory)["problems"] == [] and verify(directory)["done"]["runs"] == 2
    change(run / "raw/etcd/etcd/soak/etcd2.gz", at(500, healthy=False))
    reseal(run)
    told = verify(directory)["problems"]
    assert f"{run.name}: raw/etcd/etcd/soak says something else than " in told[1] and f"{run.name} was sealed anew after it was joined." in told, told
