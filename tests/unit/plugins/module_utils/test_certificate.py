# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate: nothing that is lost improves it; the schema."""

from __future__ import annotations

import copy
import json
import pathlib

import jsonschema
import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as subject

ROOT = pathlib.Path(__file__).parents[4]
FIXTURES = ROOT / "tests" / "fixtures" / "certificates"
CASES = sorted(path.name[: -len(".input.json")] for path in FIXTURES.glob("*.input.json"))
SCHEMA = json.loads((ROOT / "docs" / "certificate.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
RANK = {"PASS": 0, "CONDITIONAL": 1, "INCONCLUSIVE": 2, "FAIL": 3}

RUN = {"id": "20261121t034915z-load", "started": "2026-11-21T03:49:15Z", "user": "ops", "controller": "bastion", "version": "0.1.0", "profile": "load",
       "cluster": {"name": "lab"}}  # fmt: skip
PLAN = {"layers": list(subject.LAYERS)}


def finding(layer, result="PASS", **more):
    """Return a finding as the judge writes it."""
    return {"id": f"{layer}_latency", "layer": layer, "title": "Latency", "scope": "host", "host": "node1", "value": 1, "target": "< 5", "critical": "< 9",
            "bounds": "default", "result": result, "judged": True, "reason": "", "fix": "Do it.", "reference": "https://example.org", **more}  # fmt: skip


def all_good():
    """Return findings that PASS for all six layers."""
    return {layer: [finding(layer, host=host) for host in ("node1", "node2")] for layer in subject.LAYERS}


def load(name):
    """Return a fixture."""
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_fixtures_are_what_their_input_gives(case):
    given = load(f"{case}.input")
    before = copy.deepcopy(given)
    built = subject.certificate(**given) if "findings_by_layer" in given else subject.interrupted(**given)
    assert given == before
    assert built == load(case)
    VALIDATOR.validate(built)


@pytest.mark.parametrize("scale", [None, 1, 1.0])
def test_a_whole_run_fills_the_checklist(scale):
    items = {"one": {"title": "One", "layer": "dns", "checks": ["dns_latency"]}}
    built = subject.certificate({**RUN, "time_scale": scale}, {**PLAN, "checklist": items, "slas": items}, all_good())
    VALIDATOR.validate(built)
    assert built["heading"] == "LOAD" and [row["status"] for row in built["checklist"] + built["slas"]] == ["filled", "filled"]


@pytest.mark.parametrize("profile", ["load", "soak"])
def test_a_scaled_run_says_so_and_fills_nothing(profile):
    items = {"one": {"title": "One", "layer": "dns", "checks": ["dns_latency"]}}
    run = {**RUN, "profile": profile, "time_scale": 0.02}
    built = subject.certificate(run, {**PLAN, "checklist": items, "slas": items}, all_good())
    VALIDATOR.validate(built)
    assert (built["heading"], built["verdict"], built["run"]["time_scale"]) == (f"{profile.upper()}, SCALED 0.02", "PASS", 0.02)
    assert {(row["status"], row.get("result"), row["reason"]) for row in built["checklist"] + built["slas"]} == {
        ("indicative", None, "The run is scaled: it was shortened.")
    }
    assert built["message"].endswith("certify without certify_time_scale.")
    short = subject.certificate(run, PLAN, {**all_good(), "dns": [finding("dns", "INCONCLUSIVE", reason="Too few samples.")]})
    assert short["message"] == (
        "Nothing is proven: remove the reasons for the 1 INCONCLUSIVE check and certify again. Then certify without certify_time_scale."
    )
    partial = subject.interrupted(run, {"layers": ["etcd"]})
    VALIDATOR.validate(partial)
    assert partial["heading"] == f"{profile.upper()}, SCALED 0.02, PARTIAL: etcd, INTERRUPTED"


@pytest.mark.parametrize("scale", ["1", True, 0.5, 2])
def test_only_a_record_of_one_is_a_whole_run(scale):
    built = subject.certificate({**RUN, "time_scale": scale}, PLAN, all_good())
    assert "SCALED" in built["heading"]


def test_the_schema_wants_what_a_scaled_run_must_say():
    items = {"one": {"title": "One", "layer": "dns", "checks": ["dns_latency"]}}
    built = subject.certificate({**RUN, "time_scale": 0.5}, {**PLAN, "checklist": items}, all_good())
    whole = subject.certificate(RUN, {**PLAN, "checklist": items}, all_good())
    assert not VALIDATOR.is_valid({**built, "heading": "LOAD"})
    assert not VALIDATOR.is_valid({**built, "checklist": whole["checklist"]})
    assert not VALIDATOR.is_valid({**whole, "heading": "LOAD, SCALED 0.5"})


def test_all_good_is_pass_and_complete():
    built = subject.certificate(RUN, PLAN, all_good())
    VALIDATOR.validate(built)
    assert (built["heading"], built["verdict"], built["partial"], built["counts"]["PASS"]) == ("LOAD", "PASS", False, 12)


@pytest.mark.parametrize("layer", subject.LAYERS)
@pytest.mark.parametrize(
    "lost",
    [
        lambda findings, layer: findings.pop(layer),
        lambda findings, layer: findings.update({layer: []}),
        lambda findings, layer: findings.update({layer: None}),
        lambda findings, layer: findings.update({layer: "ok"}),
        lambda findings, layer: findings.update({layer: {"result": "PASS"}}),
        lambda findings, layer: findings[layer].append("PASS"),
        lambda findings, layer: findings[layer].append({}),
        lambda findings, layer: findings[layer][0].update(result="FINE"),
        lambda findings, layer: [one.update(judged=False) for one in findings[layer]],
    ],
)
def test_a_layer_that_is_lost_or_damaged_is_inconclusive(layer, lost):
    findings = all_good()
    lost(findings, layer)
    built = subject.certificate(RUN, PLAN, findings)
    VALIDATOR.validate(built)
    assert built["verdict"] == built["layer_verdicts"][layer]["verdict"] == "INCONCLUSIVE"
    assert layer in next(one for one in built["findings"] if one["layer"] == layer)["reason"]


@pytest.mark.parametrize("result", ["PASS", "CONDITIONAL", "FAIL", "INCONCLUSIVE"])
def test_nothing_that_is_removed_from_a_finding_improves_the_verdict(result):
    whole = {**all_good(), "dns": [finding("dns", result)]}
    verdict = subject.certificate(RUN, PLAN, whole)["verdict"]
    for key in whole["dns"][0]:
        damaged = copy.deepcopy(whole)
        del damaged["dns"][0][key]
        built = subject.certificate(RUN, PLAN, damaged)
        VALIDATOR.validate(built)
        least = "INCONCLUSIVE" if key == "result" else verdict
        assert RANK[built["verdict"]] >= RANK[least], key


def test_a_layer_that_ended_with_an_error_is_inconclusive_and_a_fail_stays_a_fail():
    records = {"etcd": {"error": "fio: No space left on device", "seconds": 3}}
    built = subject.certificate(RUN, PLAN, all_good(), records)
    assert built["layer_verdicts"]["etcd"] == {"verdict": "INCONCLUSIVE", **records["etcd"]}
    assert "No space left" in built["findings"][0]["reason"]
    failed = {**all_good(), "etcd": [finding("etcd", "FAIL")]}
    assert subject.certificate(RUN, PLAN, failed, records)["verdict"] == "FAIL"


def test_interrupted_says_so_everywhere():
    built = subject.interrupted(RUN, {"layers": ["etcd", "dns"], "inventory": "prod"})
    VALIDATOR.validate(built)
    assert (built["heading"], built["verdict"], built["state"]) == ("LOAD, PARTIAL: etcd, dns, INTERRUPTED", "INCONCLUSIVE", "interrupted")
    assert "playbooks/cleanup.yml -i prod" in built["message"]
    assert {layer: record["verdict"] for layer, record in built["layer_verdicts"].items()} == {"etcd": "INCONCLUSIVE", "dns": "INCONCLUSIVE"}
    assert all("not measured" in one["reason"] for one in built["findings"])


def test_findings_stand_the_worst_first_whatever_their_order():
    rows = [
        finding("etcd", "PASS", id="etcd_b", host="node1"),
        finding("etcd", "PASS", id="etcd_a", host="node10", value=2),
        finding("etcd", "PASS", id="etcd_a", host="node2", value=2),
        finding("etcd", "PASS", id="etcd_a", host="node3", value=[3, None]),
        finding("etcd", "FAIL", id="etcd_a", host="node4", value=0, critical="> 2", target=None),
        finding("etcd", "FAIL", id="etcd_c", judged=False),
    ]
    built = subject.certificate(RUN, {"layers": ["etcd"]}, {"etcd": rows})["findings"]
    assert [(one["id"], one["host"]) for one in built] == [
        ("etcd_a", "node4"), ("etcd_b", "node1"), ("etcd_a", "node3"), ("etcd_a", "node2"), ("etcd_a", "node10"), ("etcd_c", "node1")]  # fmt: skip


@pytest.mark.parametrize("key", ["id", "started", "user", "controller", "version", "profile", "cluster"])
def test_a_run_without_a_key_is_a_clear_error(key):
    with pytest.raises(subject.CertificateError, match=key):
        subject.certificate({name: value for name, value in RUN.items() if name != key}, PLAN, all_good())


@pytest.mark.parametrize("plan, text", [({}, "layers"), ({"layers": []}, "certify_layers"), ({**PLAN, "changes": {"etcd_latency": {}}}, "changes")])
def test_a_plan_that_cannot_be_used_is_a_clear_error(plan, text):
    with pytest.raises(subject.CertificateError, match=text):
        subject.certificate(RUN, plan, all_good())


def test_waivers_say_whether_they_were_used():
    about = {"reason": "r", "owner": "o"}
    ends = {"dns_latency": "2026-12-31", "etcd_latency": "2026-11-21", "network_latency": "2026-11-20"}
    plan = {**PLAN, "waivers": {name: {**about, "expires": day} for name, day in ends.items()}}
    findings = {**all_good(), "dns": [finding("dns", "CONDITIONAL", waiver=plan["waivers"]["dns_latency"])]}
    built = subject.certificate(RUN, plan, findings)
    VALIDATOR.validate(built)
    assert {row["id"]: row["state"] for row in built["waivers"]} == {"dns_latency": "used", "etcd_latency": "unused", "network_latency": "expired"}
    assert {one["entry"] for one in built["findings"] if one["id"] == "certify_waivers"} == {"etcd_latency", "network_latency"}


@pytest.mark.parametrize("lost", [{}, {"tuning": []}, {"tuning": "ok"}, {"tuning": ["damaged"]}])
def test_what_was_planned_beside_the_layers_and_is_lost_is_inconclusive(lost):
    beside = {**PLAN, "beside": ["tuning"]}
    assert subject.certificate(RUN, beside, {**all_good(), "tuning": [finding("tuning", "PASS")]})["verdict"] == "PASS"
    built = subject.certificate(RUN, beside, {**all_good(), **lost})
    VALIDATOR.validate(built)
    assert built["verdict"] == built["layer_verdicts"]["tuning"]["verdict"] == "INCONCLUSIVE"
    assert subject.interrupted(RUN, beside)["layer_verdicts"]["tuning"]["verdict"] == "INCONCLUSIVE"


def test_of_a_layer_beside_only_what_blocks_is_judged():
    tuning = [finding("tuning", "FAIL"), finding("tuning", "PASS", id="tuning_data", blocking=True)]
    built = subject.certificate(RUN, PLAN, {**all_good(), "tuning": tuning})
    VALIDATOR.validate(built)
    assert (built["verdict"], built["layer_verdicts"]["tuning"]["verdict"], built["counts"]["INFO"]) == ("PASS", "FAIL", 1)
    assert subject.certificate(RUN, PLAN, {**all_good(), "tuning": [finding("tuning", "FAIL", blocking=True)]})["verdict"] == "FAIL"


def test_a_whole_load_run_fills_the_checklist_and_a_partial_one_does_not():
    plan = {**PLAN, "checklist": {"dns": {"title": "DNS", "layer": "dns", "checks": ["dns_latency"]}}, "slas": {}}
    assert subject.certificate(RUN, plan, all_good())["checklist"][0]["status"] == "filled"
    part = {"dns": all_good()["dns"]}
    assert subject.certificate(RUN, {**plan, "layers": ["dns"]}, part)["checklist"][0]["status"] == "indicative"
    assert subject.interrupted(RUN, plan)["checklist"][0]["status"] == "not measured"


@pytest.mark.parametrize(
    "path, value",
    [
        (["verdict"], "CONDITIONAL PASS"), (["verdict"], "PASS"), (["schema"], 2), (["state"], "done"), (["extra"], 1), (["counts", "PASS"], -1),
        (["heading"], "SMOKE"), (["findings"], []), (["findings", 0, "result"], "OK"), (["findings", 0, "extra"], 1), (["findings", 0, "target"], "25 ms"),
        (["layers"], []), (["cluster"], {}), (["run", "started"], 5), (["checklist", 0, "status"], "done"),
    ],
)  # fmt: skip
def test_the_schema_refuses_damage(path, value):
    damaged = load("smoke_partial_etcd")
    place = damaged
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not VALIDATOR.is_valid(damaged)


def test_the_schema_requires_every_key():
    whole = load("smoke_partial_etcd")
    assert all(not VALIDATOR.is_valid({name: value for name, value in whole.items() if name != key}) for key in whole)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_load_that_is_not_the_default_is_told_where_it_counts():
    rows = [{"layer": "dns", "setting": "dns_load.load.service", "default": "900", "value": "9"},
            {"layer": "dns", "setting": "dns_load.load.qps", "default": "300", "value": None}]  # fmt: skip
    items = {name: {"title": name, "layer": name, "checks": [f"{name}_latency"]} for name in ("dns", "etcd")}
    built = subject.certificate(RUN, {**PLAN, "checklist": items, "slas": items, "loads": rows}, all_good())
    VALIDATOR.validate(built)
    assert built["loads"] == rows
    for name in ("checklist", "slas"):
        first, second = built[name]
        assert (first["status"], first["reason"]) == (
            "filled", "The load was changed: dns_load.load.service is 9, not 900; dns_load.load.qps is left out, not 300."
        )  # fmt: skip
        assert second["status"] == "filled" and "reason" not in second
    # What was not measured was not loaded either.
    [row, dummy] = subject.certificate(RUN, {**PLAN, "checklist": items, "loads": rows}, {**all_good(), "dns": []})["checklist"]
    assert row["status"] == "not measured" and "load" not in row["reason"]
    assert "loads" not in subject.certificate(RUN, {**PLAN, "loads": []}, all_good())


def test_what_sized_the_load_is_shown_with_its_source():
    inputs = {
        "etcd": [{"name": "etcd_put_rate", "value": 160.3, "source": "the writes of the API with 100 nodes", "text": "writes a second"}],
        "ingress": [{"name": "ingress_rps", "value": None, "source": "not declared"}],
    }
    built = subject.certificate(RUN, {**PLAN, "expected": inputs}, all_good())
    VALIDATOR.validate(built)
    assert [(row["layer"], row["name"], row["value"]) for row in built["expected"]] == [("etcd", "etcd_put_rate", 160.3), ("ingress", "ingress_rps", None)]
    assert "expected" not in subject.certificate(RUN, PLAN, all_good())
