# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs are written by the real code and joined: what decides, what is refused, and that no run that is left out or damaged makes it better."""

from __future__ import annotations

import datetime
import importlib.util
import itertools
import json
import pathlib
import shutil
import types

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import checks, fingerprint, history_runs, join, join_runs
from ansible_collections.kubeproof.certify.plugins.module_utils import report_formats, report_seal, report_verify_raw, report_words
from ansible_collections.kubeproof.certify.plugins.module_utils.files import write_json
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify
from ansible_collections.kubeproof.certify.plugins.modules import join as module
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

ROOT = pathlib.Path(__file__).parents[4]
CHECK = {"title": "P99", "query": "p99", "scope": "cluster", "unit": "s", "target": "< 0.025", "critical": "< 0.5", "profiles": ["load", "stress", "soak"],
         "fix": "Give it a disk of its own, please.", "reference": "https://etcd.io/docs/"}  # fmt: skip
CATALOGUE = {f"{layer}_p99": CHECK for layer in engine.LAYERS}
# A layer that only a playbook of its own runs.
CATALOGUE["scale_p99"] = CHECK
CATALOGUE["etcd_soak"] = {**CHECK, "title": "Elections", "query": "elections", "unit": "count", "target": "== 0", "critical": "== 0", "profiles": ["soak"]}
ITEMS = {"write": {"title": "Write", "layer": "etcd", "checks": ["etcd_p99"]},
         "leader": {"title": "No election", "layer": "etcd", "checks": ["etcd_soak"], "profiles": ["soak"]},
         "dns": {"title": "DNS", "layer": "dns", "checks": ["dns_p99"]}}  # fmt: skip
VALUES = {"cluster uid": fake.UID, "Kubernetes": "v1.36.3", "nodes": 5, "kube-apiserver --max-requests-inflight": "400"}
GOOD, FAIR, BAD = {"p99": 0.01}, {"p99": 0.1}, {"p99": 1}
AT = {"id": "20261130t000000z-join", "at": "2026-11-30T00:00:00Z", "user": "ops", "controller": "bastion"}


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")


class Results:
    """The results of a cluster in a directory."""

    def __init__(self, top):
        self.top = top

    def run(self, day, profile="load", layers=engine.LAYERS, facts=None, values=None, settings=None, loads=(), items=(), **of_run):
        """Write a sealed run that ended on a day of November; `facts` {layer: facts}, good where left out; return its id."""
        name = f"202611{day:02d}t020000z-{profile}"
        known = {layer: (facts or {}).get(layer, {**GOOD, **({"elections": 0} if profile == "soak" else {})}) for layer in layers}
        settings = {"today": f"2026-11-{day:02d}", "thresholds": {}, "tiers": {}, "waivers": {}, **(settings or {})}
        found = {layer: checks.judge(CATALOGUE, {"cluster": {"prod": known[layer]}}, layer, profile, {"cluster": ["prod"]}, settings) for layer in layers}
        expected = {layer: [{"name": "rate", "value": day, "source": "declared", "text": "requests a second"}] for layer in layers}
        plan = fake.plan(layers, checklist=ITEMS, waivers=settings["waivers"], expected=expected, loads=list(loads), checklist_changes=list(items))
        taken = fingerprint.fingerprint({**VALUES, **(values or {})})
        times = {"started": f"2026-11-{day:02d}T02:00:00Z", "finished": f"2026-11-{day:02d}T05:00:00Z"}
        document = {**fake.run(profile), **times, "id": name, "plan": plan, "fingerprint": taken, **of_run}
        certificate = engine.certificate(document, plan, found, {layer: {"seconds": 60} for layer in layers})
        path = self.top / name
        write(path / "run.json", {key: value for key, value in document.items() if key not in ("finished", "seconds", "load_seconds", "tools")})
        write(path / "checks.json", {"catalogue": CATALOGUE, "settings": settings})
        for layer in layers:
            write(path / "facts" / layer / "cluster" / "prod.json", known[layer])
            write_json(str(path / "inputs" / layer / "cluster" / "prod.json.gz"), known[layer])
            write(path / "findings" / f"{layer}.json", found[layer])
        write(path / "certificate.json", certificate)
        report_seal.seal(str(path), 90)
        return name

    def choose(self, *names, days=7, check=verify):
        return join_runs.choose(str(self.top), names, days, check)

    def join(self, *names, at=None, **more):
        """Return the joined certificate, which is not written."""
        choice = self.choose(*names, **more)
        return join.join(at or AT, choice.members, choice.left_out)

    def write(self, *names, at=None):
        """Write the joined certificate; return (its directory, the certificate)."""
        directory, certificate = join_runs.write(str(self.top), at or AT, self.choose(*names))
        return pathlib.Path(directory), certificate


@pytest.fixture(name="results")
def fixture_results(tmp_path, monkeypatch):
    # Made-up facts are made of themselves.
    monkeypatch.setattr(report_verify_raw, "FACTS", {f"{layer}/cluster": lambda inputs: inputs for layer in (*engine.LAYERS, "scale")})
    monkeypatch.setattr(report_verify_raw, "PARTS", {})
    return Results(tmp_path)


def by_id(rows):
    return {row["id"]: row for row in rows}


def test_what_became_worse_in_one_profile_stays_worse():
    def member(name, profile, *layers):
        return join.Member({"profile": profile, "run": {"id": name, "finished": name}, "layer_verdicts": dict.fromkeys(layers)}, {})

    load, soak = member("1", "load", "regression", "tuning"), member("2", "soak", "regression", "tuning")
    assert join.parts([load, soak]) == {("load", "regression"): load, ("soak", "regression"): soak, ("", "tuning"): soak}


def test_load_and_soak_fill_the_checklist(results):
    load, soak = results.run(20), results.run(22, "soak", ["etcd"])
    made = results.join()
    assert (made["verdict"], made["heading"], made["profile"], made["partial"]) == ("PASS", "LOAD, JOINED", "load", False)
    rows = by_id(made["checklist"])
    assert list(rows) == list(ITEMS)
    assert {name: (row["status"], row["run"]) for name, row in rows.items()} == {"write": ("filled", load), "leader": ("filled", soak), "dns": ("filled", load)}
    assert f"By {soak} (soak)." in rows["leader"]["reason"]
    assert made["run"] == {"id": AT["id"], "user": "ops", "controller": "bastion", "version": "0.1.0", "started": "2026-11-20T02:00:00Z",
                           "finished": "2026-11-20T05:00:00Z", "seconds": 21600.0, "load_seconds": 18000.0}  # fmt: skip
    assert [(one["id"], one["layers"]) for one in made["joined"]["runs"]] == [(load, list(engine.LAYERS)), (soak, ["etcd"])]
    # What only informs in one run says nothing beside the run that judged it.
    assert [(one["run"], one["result"]) for one in made["findings"] if one["id"] == "etcd_soak"] == [(soak, "PASS")]
    assert made["message"].endswith(f"Joined from {load} (load), {soak} (soak); of a layer in a profile the newest of them decides.")


def test_layers_of_several_runs_make_a_whole(results):
    for day, layer in enumerate(engine.LAYERS, 20):
        results.run(day, layers=[layer])
    made = results.join()
    assert [(one["layer"], one["value"]) for one in made["expected"]] == list(zip(engine.LAYERS, range(20, 26)))
    assert (made["partial"], made["heading"], made["layers"]) == (False, "LOAD, JOINED", list(engine.LAYERS))
    assert results.join("20261120t020000z-load", "20261121t020000z-load")["heading"] == "LOAD, JOINED, PARTIAL: etcd, apiserver"


def test_the_newest_of_a_layer_in_a_profile_decides(results):
    results.run(20, facts={"etcd": BAD})
    newest = results.run(21)
    made = results.join()
    assert made["verdict"] == "PASS" and {one["run"] for one in made["findings"]} == {newest}
    results.run(22, "soak", ["etcd"], {"etcd": {**FAIR, "elections": 0}})
    made = results.join()
    assert made["verdict"] == "CONDITIONAL"
    assert made["layer_verdicts"]["etcd"] == {"verdict": "CONDITIONAL", "seconds": 120}
    # Both fill the item: the worse of them does.
    assert by_id(made["checklist"])["write"]["result"] == "CONDITIONAL" and by_id(made["checklist"])["write"]["run"].endswith("-soak")


def test_a_layer_of_its_own_decides_as_well(results):
    results.run(20, layers=["scale"])
    results.run(21, layers=["scale"], facts={"scale": FAIR})
    with pytest.raises(join.JoinError, match="measured one of the layers"):
        results.join()
    results.run(22, "soak")
    made = results.join()
    assert (made["verdict"], made["heading"], made["layer_verdicts"]["scale"]["verdict"]) == ("CONDITIONAL", "SOAK, JOINED", "CONDITIONAL")
    assert [one["layers"] for one in made["joined"]["runs"]] == [[], ["scale"], list(engine.LAYERS)]


VERDICTS = {"good": GOOD, "fair": FAIR, "bad": BAD, "none": {}}


@pytest.mark.parametrize("kinds", list(itertools.product(VERDICTS, repeat=3))[::5])
def test_no_run_that_is_left_out_makes_it_better(results, kinds):
    """Three runs of which the first two are of one layer and profile; each subset of two is at best as good as all."""
    shapes = [(20, "load", ["etcd"]), (21, "load", ["etcd"]), (22, "soak", ["etcd"])]
    names = [results.run(*shape, facts={"etcd": {**VERDICTS[kind], "elections": 0}}) for shape, kind in zip(shapes, kinds)]

    def valid(dummy):
        return {"valid": True, "problems": []}

    worst = checks.DECIDING.index(results.join(check=valid)["verdict"])
    for subset in itertools.combinations(names, 2):
        made = results.join(*subset, check=valid)
        assert checks.DECIDING.index(made["verdict"]) <= worst, (kinds, subset)
        assert [one["id"] for one in made["joined"]["left_out"]] == [name for name in names if name not in subset]


@pytest.mark.parametrize("part", ["run.json", "checks.json", "facts/etcd/cluster/prod.json", "findings/etcd.json", "certificate.json"])
@pytest.mark.parametrize("how", ["cut", "gone", "other"])
def test_a_damaged_run_is_refused_by_name(results, part, how):
    load, soak = results.run(20), results.run(22, "soak", ["etcd"])
    path = results.top / load / part
    text = path.read_text(encoding="utf-8")
    if how == "gone":
        path.unlink()
    else:
        path.write_text(text[:-20] if how == "cut" else text.replace("0.01", "0.02").replace("v1.36.3", "v1.36.4").replace("PASS", "FAIL"), encoding="utf-8")
    if how == "other" and text == path.read_text(encoding="utf-8"):
        path.write_text(text + " ", encoding="utf-8")
    for names in ((), (load, soak)):
        with pytest.raises(join.JoinError, match=load):
            results.join(*names)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ({"profile": "smoke"}, "its profile is smoke"),
        ({"time_scale": 0.02}, "it is scaled"),
        ({"cluster": {"name": "prod"}}, "does not identify its cluster"),
        ({"cluster": {"name": "prod", "uid": "other"}}, "another cluster"),
        ({"day": 12}, "more than 7 days"),
    ],
)
def test_what_never_joins(results, kind, reason):
    day, profile = kind.pop("day", 21), kind.pop("profile", "load")
    results.run(20), results.run(22, "soak", ["etcd"])
    # Good or bad, it is not asked.
    other = results.run(day, profile, facts={"etcd": BAD}, **kind)
    choice = results.choose()
    assert [one["id"] for one in choice.ignored] == [other] and reason in choice.ignored[0]["reason"]
    with pytest.raises(join.JoinError, match=reason):
        results.join("20261122t020000z-soak", other)


def test_an_interrupted_run_and_a_joined_one_never_join(results):
    results.run(20), results.run(22, "soak", ["etcd"])
    directory, certificate = results.write()
    assert join.unfit(certificate).startswith("it is joined itself")
    # It lies among the runs, and is none.
    assert results.choose().ignored == [] and len(history_runs.runs(str(results.top), keep=False)[0]) == 2
    assert directory.name.endswith("-join")
    cut = results.top / "20261121t020000z-cut"
    plan = fake.plan()
    write(cut / "run.json", {**fake.run(), "plan": plan})
    write(cut / "certificate.json", engine.interrupted({**fake.run(), "id": cut.name}, plan))
    assert results.choose().ignored == [{"id": cut.name, "reason": "it was interrupted"}]


def test_another_configuration_is_refused_with_what_changed(results):
    old = results.run(20, values={"Kubernetes": "v1.35.9", "nodes": 4})
    new = results.run(22, "soak", ["etcd"])
    with pytest.raises(join.JoinError) as error:
        results.join(old, new)
    assert f"{old} cannot be joined with {new}" in str(error.value) and "Kubernetes was v1.35.9, is v1.36.3; nodes was 4, is 5" in str(error.value)
    with pytest.raises(join.JoinError, match="is alone"):
        results.join()
    results.run(23)
    assert "Kubernetes was v1.35.9" in results.choose().ignored[0]["reason"] and results.join()["verdict"] == "PASS"


def test_versions_of_etcd_are_compared_where_they_are_known(results):
    """The middle run, which knows none, does not hide that the others differ."""
    old, new = ({fingerprint.ETCD: "3.5.9 (3)"}, {fingerprint.ETCD: "3.6.8 (3)"})
    names = [results.run(20, values=old), results.run(21, layers=["dns"]), results.run(22, "soak", values=new)]
    assert results.join(*names[:2]) and results.join(*names[1:])
    for chosen in (names, (names[0], names[2])):
        with pytest.raises(join.JoinError, match=r"etcd versions was 3.5.9 \(3\), is 3.6.8 \(3\)"):
            results.join(*chosen)


def test_a_waiver_that_has_expired_since_waives_nothing(results):
    waivers = {"etcd_p99": {"reason": "old disks", "owner": "ops", "expires": "2026-11-25"}}
    load, soak = results.run(20, facts={"etcd": BAD}, settings={"waivers": waivers}), results.run(22, "soak", ["dns"])
    assert results.join(at={**AT, "at": "2026-11-24T00:00:00Z"})["verdict"] == "CONDITIONAL"
    assert results.join()["verdict"] == "FAIL"
    assert results.run(23, "soak", ["dns"]) and results.join(soak, "20261123t020000z-soak")["verdict"] == "FAIL", load


def test_names_that_cannot_be_used(results):
    with pytest.raises(join.JoinError, match="no run at all"):
        results.join()
    results.run(20)
    with pytest.raises(join.JoinError, match="names 20261101t020000z-load, and .* has no such run"):
        results.join("20261101t020000z-load")
    with pytest.raises(join.JoinError, match="Cannot read"):
        join_runs.choose(str(results.top / "none"), [], 7, verify)


# On disk --------------------------------------------------------------------------------------------------------------------


def gate(path, *options):
    spec = importlib.util.spec_from_file_location("gate", ROOT / "scripts" / "kubeproof_gate.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.main([str(path), *options], datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc))


def test_it_is_sealed_verified_rendered_and_passes_the_gate(results):
    load, soak = results.run(20), results.run(22, "soak", ["etcd"])
    directory, certificate = results.write()
    assert certificate["valid_until"] == "2027-02-18T05:00:00Z" and certificate["fingerprint"] == fingerprint.fingerprint(VALUES)
    made = verify(str(directory))
    assert made == {"valid": True, "problems": [], "notes": [], "done": {"hashes": 1, "runs": 2, "certificate": len(certificate)}}
    assert gate(directory / "certificate.json", "--cluster", fake.UID) == 0
    templates = str(ROOT / "roles" / "report" / "templates")
    for path in report_formats.write(str(directory), report_formats.NAMES, templates):
        text = pathlib.Path(path).read_text(encoding="utf-8")
        assert "JOINED" in text and (load in text and soak in text or path.endswith((".prom", ".xml"))), path
        assert "decides etcd" in text or path.endswith((".prom", ".xml", "summary.md")), path
    for name in (load, soak):
        kept = results.top / "kept"
        shutil.move(results.top / name, kept)
        assert verify(str(directory))["problems"] == [f"The run {name}, which was joined, is missing beside {directory.name}."]
        shutil.move(kept, results.top / name)
        facts = results.top / name / "facts" / "etcd" / "cluster" / "prod.json"
        whole = facts.read_text(encoding="utf-8")
        facts.write_text(whole + " ", encoding="utf-8")
        assert any(one.startswith(f"{name}: facts/etcd") for one in verify(str(directory))["problems"])
        facts.write_text(whole, encoding="utf-8")
    assert verify(str(directory))["valid"]


def test_a_joined_certificate_that_was_changed(results):
    results.run(20), results.run(22, "soak", ["etcd"], {"etcd": {**FAIR, "elections": 0}})
    directory, certificate = results.write()
    for key, value in {"heading": "LOAD", "verdict": "PASS", "message": "x", "checklist": [], "joined": {**certificate["joined"], "left_out": []}}.items():
        changed = {**certificate, key: value}
        if changed == certificate:
            continue
        changed["digest"] = report_seal.digest(changed)
        write(directory / "certificate.json", changed)
        assert f"certificate.json: {key} is not what follows from the runs that were joined." in verify(str(directory))["problems"]
    run = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    write(directory / "certificate.json", certificate)
    del run["joined"]["runs"][0]
    write(directory / "run.json", run)
    report_seal.seal(str(directory), 0)
    assert not verify(str(directory))["valid"]


def test_the_gate_refuses_what_is_not_joined_well(results):
    results.run(20), results.run(22, "soak", ["etcd"])
    directory, certificate = results.write()
    for changes in ({"joined": None}, {"joined": {**certificate["joined"], "runs": certificate["joined"]["runs"][:1]}}, {"heading": "LOAD"}):
        changed = {key: value for key, value in {**certificate, **changes}.items() if value is not None}
        changed["digest"] = report_seal.digest(changed)
        write(directory / "other.json", changed)
        assert gate(directory / "other.json") != 0, changes


@pytest.mark.parametrize("joined", [None, [], {}, {"runs": [], "left_out": None}, {"runs": [{}], "left_out": []}, {"runs": [{"id": 1}], "left_out": []},
                                    {"runs": [{"id": "a", "profile": "load", "verdict": "PASS"}], "left_out": []}])  # fmt: skip
def test_what_does_not_say_of_which_runs_it_is_is_not_shown(joined):
    with pytest.raises(report_words.ReportError, match="which runs it was joined from"):
        report_words.require({**fake.certificate(), "joined": joined})


def test_the_certificate_follows_its_schema(results):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs" / "certificate.schema.json").read_text(encoding="utf-8"))
    results.run(20), results.run(22, "soak", ["etcd"]), results.run(23, "stress", ["dns"])
    for names in ((), ("20261120t020000z-load", "20261122t020000z-soak")):
        certificate = results.write(*names, at={**AT, "id": f"20261130t00000{len(names)}z-join"})[1]
        jsonschema.validate(certificate, schema)


def call(capsys, **options):
    with patch_module_args(options), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def test_the_module(results, capsys):
    refused = call(capsys, results=str(results.top), days=0)
    assert refused["failed"] and "certify_join_days is 0" in refused["msg"]
    load, soak = results.run(20), results.run(22, "soak", ["etcd"])
    planned = call(capsys, results=str(results.top), _ansible_check_mode=True)
    assert planned["verdict"] == "PASS" and not planned["changed"] and not list(results.top.glob("*-join"))
    made = types.SimpleNamespace(**call(capsys, results=str(results.top)))
    assert made.changed and made.verdict == "PASS" and made.runs == [load, soak] and made.left_out == made.ignored == []
    assert verify(made.directory)["valid"]


@pytest.mark.parametrize("part", ["certificate.json", "run.json"])
def test_no_damage_is_more_than_a_sentence(results, part):
    """Every key of a document is another thing in turn; nothing is checked twice, so that this takes no minute."""
    load = results.run(20, layers=["etcd", "dns"])
    results.run(22, "soak", ["etcd"])
    path = results.top / load / part
    whole = json.loads(path.read_text(encoding="utf-8"))
    known = {name: verify(str(results.top / name)) for name in (load, "20261122t020000z-soak")}

    def check(directory):
        return known[pathlib.Path(directory).name] if part == "certificate.json" else verify(directory)

    for key, wrong in itertools.product(whole, (None, [], {}, "x")):
        if whole[key] != wrong:
            write(path, {**whole, key: wrong})
            with pytest.raises(join.JoinError, match=load):
                results.choose(check=check)
    for document in (None, [], "x", 1):
        write(path, document)
        with pytest.raises(join.JoinError, match=load):
            results.choose(check=check)
