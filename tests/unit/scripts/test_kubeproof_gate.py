# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: the exit status of each kind of certificate, and never 0 by accident."""

from __future__ import annotations

import ast
import copy
import datetime
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import load_settings, report_seal
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

PROGRAM = pathlib.Path(__file__).parents[3] / "scripts" / "kubeproof_gate.py"
NOW = datetime.datetime(2026, 12, 1, tzinfo=datetime.timezone.utc)
QUICK = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _gate():
    spec = importlib.util.spec_from_file_location("kubeproof_gate", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gate = _gate()


@pytest.fixture(name="ask")
def fixture_ask(tmp_path, capsys):
    """Return a function that writes a certificate and returns (exit status, what was said)."""

    def ask(document, *arguments, now=NOW):
        path = tmp_path / "certificate.json"
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        status = gate.main([*arguments, str(path)], now)
        return status, capsys.readouterr().out

    return ask


def test_good(ask):
    status, said = ask(fake.certificate())
    assert status == 0 and "exit 0: PASS" in said


def bad(**more):
    return {"etcd": [fake.finding("etcd"), fake.finding("etcd", 1, **more)]}


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        (bad(result="CONDITIONAL", value=0.03, reason="0.03 misses the target"), 10),
        (bad(result="FAIL", value=0.3, reason="0.3 is beyond critical"), 20),
        (bad(result="INCONCLUSIVE", value=None, reason="Not measured."), 30),
        ({"etcd": []}, 30),
        (bad(result="NOT_APPLICABLE", value=None, reason="No disk."), 0),
        (bad(judged=False, result="FAIL", value=0.3), 0),
    ],
)
def test_verdicts(ask, findings, expected):
    assert ask(fake.certificate(findings))[0] == expected


def test_a_finding_on_the_certificate_itself_counts(ask):
    waivers = {"etcd_0": {"reason": "ordered", "owner": "ops", "expires": "2026-01-01"}}
    found = {layer: [fake.finding(layer)] for layer in fake.engine.LAYERS}
    document = fake.engine.certificate(fake.run(), fake.plan(waivers=waivers), found)
    assert document["findings"][0]["layer"] == "certify"
    assert ask(report_seal.sealed(document, {}, [], 90))[0] == 10


def test_conditional_may_be_allowed_and_nothing_worse(ask):
    allowed = {"CONDITIONAL": 0, "FAIL": 20, "INCONCLUSIVE": 30}
    for result, expected in allowed.items():
        assert ask(fake.certificate(bad(result=result, value=0.03, reason="x")), "--allow-conditional")[0] == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"value": 99}, 50),
        ({"value": None}, 50),
        ({"value": [0.03, 0.06]}, 50),
        ({"value": [0.03, 0.04]}, 0),
        ({"value": 99, "waiver": {"reason": "x", "owner": "ops", "expires": "2027-01-01"}}, 0),
    ],
)
def test_a_conditional_is_borne_out_by_its_number_or_a_waiver(ask, more, expected):
    given = {"result": "CONDITIONAL", "target": "< 0.025", "critical": "< 0.05", "reason": "x", **more}
    assert ask(fake.certificate(bad(**given)), "--allow-conditional")[0] == expected


WAIVED = {"result": "CONDITIONAL", "value": 99, "reason": "x"}


@pytest.mark.parametrize("expires", ["2026-11-30", "2026-01-01", "soon", "", None, 20270101, "20270101", "2027-1-1", "2027-02-30", "2027-W05-1"])
@pytest.mark.parametrize("rest", [{}, {"result": "INCONCLUSIVE", "value": None, "reason": "Not measured."}])
def test_a_waiver_that_does_not_hold_any_more_waives_nothing(ask, expires, rest):
    waiver = {"reason": "ordered", "owner": "ops", "expires": expires}
    findings = {"etcd": [fake.finding("etcd", **rest), fake.finding("etcd", 1, **WAIVED, waiver=waiver)]}
    for options in ([], ["--allow-conditional"]):
        status, said = ask(fake.certificate(findings), *options)
        assert status == 20 and "exit 20: FAIL" in said and "etcd_1: its waiver " in said


def test_a_waiver_holds_on_its_last_day_and_counts_where_it_decides(ask):
    waiver = {"reason": "ordered", "owner": "ops", "expires": "2026-12-01"}
    assert ask(fake.certificate(bad(**WAIVED, waiver=waiver)))[0] == 10
    assert ask(fake.certificate(bad(**WAIVED, waiver=["2027-01-01"])))[0] == 20
    assert ask(fake.certificate(bad(**{**WAIVED, "judged": False}, waiver={**waiver, "expires": "2026-01-01"})))[0] == 0
    # It may not be believed for other reasons first.
    assert ask(fake.certificate(bad(**WAIVED, waiver=waiver), sealed=False), now=NOW + datetime.timedelta(days=5))[0] == 50


STEPS = '{"seconds": 300, "share": 0.7}, {"seconds": 900, "share": 1.0}'


@pytest.mark.parametrize(
    ("value", "default", "less"),
    [
        ("1", "300", True),
        ("301", "300", False),
        ("8,388,607", "8,388,608", True),
        ("10,000,000", "8,388,608", False),
        ("1.5", "1", False),
        (None, "300", True),
        ("", "s", True),
        ("s", "m", True),
        ("xl", "s", False),
        ("s", "", False),
        ("5", None, False),
        ("true", "false", False),
        ("false", "true", True),
        ("1", "true", True),
        ("many", "300", True),
        ("nan", "300", True),
        ("> 300", "300", True),
        ("128Mi", "20Gi", True),
        ("20G", "20Gi", True),
        ("21Gi", "20Gi", False),
        ("30", "20Gi", True),
        ("8", "1-8", True),
        ("1-8", "8", False),
        ("1, 4, 8", "1-8", False),
        ("1-4", "1-8", True),
        ('{"pods": 100, "seconds": 10}', '{"pods": 100, "seconds": 120}', True),
        ('{"pods": 100, "seconds": 240}', '{"pods": 100, "seconds": 120}', False),
        ('{"pods": 100}', '{"pods": 100, "seconds": 120}', True),
        ("", STEPS, True),
        ("900", STEPS, True),
        ('{"seconds": 900, "share": 1.0}', STEPS, True),
        ('{"seconds": 1, "share": 0.7}, {"seconds": 900, "share": 1.0}', STEPS, True),
        ('{"seconds": 300, "share": 0.7}, {"seconds": 900, "share": 0.9}', STEPS, True),
        ('{"seconds": 300, "share": 0.7}, {"seconds": 300, "share": 0.9}, {"seconds": 1800, "share": 1.2}', STEPS, False),
        ("[" * 5000, STEPS, True),
    ],
)
def test_a_load_that_was_cut_is_lacking_and_one_that_was_raised_is_said(ask, value, default, less):
    document = fake.certificate(sealed=False)
    document["loads"] = [{"layer": "dns", "setting": "dns_load.load.it", "default": default, "value": value}]
    document = report_seal.sealed(document, {}, [], 90)
    status, said = ask(document)
    assert status == (30 if less else 0) and ("its load was cut: dns_load.load.it is " if less else "load changed: dns_load.load.it is ") in said
    assert ("(--allow-changed-load)" in said) is less
    status, said = ask(document, "--allow-changed-load")
    assert status == 0 and "load changed: dns_load.load.it is " in said


def test_a_cut_load_names_its_run_and_nothing_else_is_forgotten(ask):
    document = fake.certificate(bad(result="FAIL", value=0.3, reason="x"), profile="smoke", sealed=False)
    rows = [{"layer": "dns", "setting": "dns_load.smoke.pods", "default": "4", "value": None, "run": "20261121t020000z-1a2b"},
            {"layer": "dns", "setting": "dns_load.smoke.external", "default": "5", "value": "60", "run": "20261121t020000z-1a2b"}]  # fmt: skip
    document["loads"] = rows
    assert "dns_load.smoke.pods is left out, not 4, in 20261121t020000z-1a2b" in ask(document, "--profile", "smoke")[1]
    document = report_seal.sealed({**fake.certificate(profile="smoke", sealed=False), "loads": rows}, {}, [], 90)
    status, said = ask(document, "--profile", "smoke")
    assert status == 30 and "its load was cut: dns_load.smoke.pods" in said and "load changed: dns_load.smoke.external is 60, not 5" in said


def test_a_verdict_says_what_it_stands_on(ask):
    """Bounds that were relaxed are the owner's right, and so are waivers; whoever reads the pipeline's log has to see them."""
    change = {"id": "etcd_0", "bound": "target", "direction": "relaxed", "from": "< 0.025", "to": "< 10", "reason": "x"}
    waiver = {"id": "etcd_1", "owner": "anna", "expires": "2027-01-01", "reason": "x", "state": "used"}
    granted = {"changes": [change, {**change, "id": "etcd_2", "direction": "tightened"}], "waivers": [waiver, {**waiver, "id": "etcd_3", "state": "unused"}]}
    status, said = ask(report_seal.sealed({**fake.certificate(sealed=False), **granted}, {}, [], 90))
    assert status == 0 and "bound relaxed: etcd_0 target < 0.025 to < 10" in said and "waived: etcd_1 by anna until 2027-01-01" in said
    assert "etcd_2" not in said and "etcd_3" not in said
    for key in granted:
        assert ask(report_seal.sealed({**fake.certificate(sealed=False), key: [1]}, {}, [], 90))[0] == 50


@pytest.mark.parametrize("rows", [{}, "x", None, [1], [{}], [{"setting": "x", "value": "1"}], [{"setting": "x", "value": 1, "default": "1"}]])
def test_loads_that_do_not_say_what_was_changed_are_damage(ask, rows):
    document = report_seal.sealed({**fake.certificate(sealed=False), "loads": rows}, {}, [], 90)
    assert ask(document, "--allow-changed-load")[0] == 50


def test_it_reads_what_the_certificate_writes_of_a_load():
    """Of every default of a role, the text of which the gate compares with texts of the same form."""
    roles = PROGRAM.parents[1] / "roles"
    for layer in fake.engine.LAYERS:
        defaults = yaml.safe_load((roles / layer / "defaults" / "main" / "settings.yml").read_text(encoding="utf-8"))[f"{layer}_load"]
        for profile in defaults:
            rows = load_settings.changed({layer: {f"{layer}_load": {profile: {}}}}, {layer: {f"{layer}_load": defaults}}, profile)
            assert rows and gate.loads({"loads": rows}) == ([load_settings.told(row) for row in rows], [])
            assert all(gate._covers(gate._told(row["default"]), gate._told(row["default"])) for row in rows)


def test_a_layer_that_proved_nothing_is_no_part_of_a_pass(ask):
    found = {layer: [fake.finding(layer)] for layer in fake.engine.LAYERS}
    found["dns"] = [fake.finding("dns", result="NOT_APPLICABLE", value=None, reason="No DNS.")]
    document = fake.engine.certificate(fake.run(), fake.plan(), found)
    assert document["verdict"] == "INCONCLUSIVE" and "none of its checks applies" in json.dumps(document)
    assert ask(report_seal.sealed(document, {}, [], 90))[0] == 30
    # Whatever wrote it otherwise.
    document["findings"] = [one for one in document["findings"] if one["id"] != "dns_measured"]
    document["verdict"] = "PASS"
    assert ask(report_seal.sealed(document, {}, [], 90))[0] == 50


def test_without_an_expiry_nobody_knows_how_long_it_holds(ask):
    document = report_seal.sealed(fake.certificate(sealed=False), {}, [], 90)
    del document["valid_until"]
    document["digest"] = report_seal.digest(document)
    assert ask(document)[0] == 50


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"profile": "smoke"}, "its profile is smoke"),
        ({"profile": "soak"}, "its profile is soak"),
        ({"layers": ("etcd", "dns")}, "it is partial: apiserver, network, storage, ingress did not run"),
    ],
)
def test_what_is_lacking_is_said(ask, of, said):
    status, text = ask(fake.certificate(**of))
    assert status == 30 and said in text and "PASS, but it proves less" in text


@pytest.mark.parametrize("key", ["time_scale", "scale"])
@pytest.mark.parametrize("value", [0.1, 2, None, True, "1"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_scaled_run_is_lacking(ask, key, value, inside):
    document = fake.certificate(sealed=False)
    (document["run"] if inside else document)[key] = value
    assert ask(report_seal.sealed(document, {}, [], 90))[0] == 30
    (document["run"] if inside else document)[key] = 1
    assert ask(report_seal.sealed(document, {}, [], 90))[0] == 0


def test_an_unknown_heading_is_lacking(ask):
    document = fake.certificate(sealed=False)
    document["heading"] = "LOAD, SCALED 0.1"
    status, said = ask(report_seal.sealed(document, {}, [], 90))
    assert status == 30 and "its heading is" in said


def test_what_is_wanted_may_be_less(ask):
    assert ask(fake.certificate(profile="smoke"), "--profile", "smoke")[0] == 0
    assert ask(fake.certificate(layers=("etcd",)), "--allow-partial")[0] == 0


def test_cluster(ask):
    assert ask(fake.certificate(), "--cluster", fake.UID)[0] == 0
    status, said = ask(fake.certificate(), "--cluster", "another")
    assert status == 50 and "of another cluster" in said
    assert ask(fake.certificate(cluster={"name": "prod"}), "--cluster", fake.UID)[0] == 50
    # Also where it says FAIL: it says nothing of the cluster that is meant.
    assert ask(fake.certificate(bad(result="FAIL", value=0.3)), "--cluster", "another")[0] == 50


@pytest.mark.parametrize(
    ("now", "arguments", "expected", "said"),
    [
        ("2026-11-21T05:00:00Z", [], 0, "PASS"),
        ("2026-12-01T00:00:00Z", ["--max-age", "7"], 50, "is stale"),
        ("2026-12-01T00:00:00Z", ["--max-age", "10"], 0, "PASS"),
        ("2027-02-20T00:00:00Z", ["--max-age", "500"], 50, "has expired"),
        ("2026-11-20T00:00:00Z", [], 50, "from the future"),
    ],
)
def test_age(ask, now, arguments, expected, said):
    moment = datetime.datetime.strptime(now, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    status, text = ask(fake.certificate(), *arguments, now=moment)
    assert (status, said in text) == (expected, True)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"1", b'"PASS"', b"\xff\xfe", b"{}", b'{"verdict": "PASS"}', b"[" * 100000, b"NaN"])
def test_no_certificate(ask, data):
    assert ask(data)[0] == 50


def test_a_file_that_is_missing_or_a_directory(tmp_path, capsys):
    assert gate.main([str(tmp_path / "none.json")], NOW) == gate.main([str(tmp_path)], NOW) == 50
    assert "cannot be read" in capsys.readouterr().out


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    """A pipe to which nobody writes would never end."""
    fifo, good = tmp_path / "fifo", tmp_path / "good.json"
    os.mkfifo(fifo)
    good.write_text(json.dumps(fake.certificate()), encoding="utf-8")

    def call(*arguments):
        done = subprocess.run([sys.executable, "-I", str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=30)
        return done.returncode, done.stdout

    status, said = call(fifo)
    assert status == 50 and "fifo cannot be read: it is no plain file; - reads standard input" in said
    status, said = call("--public-key", fifo, good)
    assert status == 50 and f"the public key {fifo} cannot be read: it is no plain file" in said
    os.mkfifo(f"{fifo}.minisig")
    status, said = call("--public-key", "RW" + "a" * 54, "--signature", f"{fifo}.minisig", good)
    assert status == 50 and f"the signature {fifo}.minisig cannot be read: it is no plain file" in said
    (tmp_path / "link").symlink_to(good)
    assert "no plain file" not in call(tmp_path / "link")[1]


def test_a_good_verdict_needs_a_seal(ask):
    status, said = ask(fake.certificate(sealed=False))
    assert status == 50 and "not sealed" in said
    # What is bad needs none: an interrupted run never got one.
    assert ask(fake.load("interrupted"))[0] == 30
    assert ask(fake.load("load_blocked_by_gate"))[0] == 20


def paths(value, path=()):
    """Yield the path of everything in a document."""
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(one, (*path, key))


def at(document, path):
    for key in path[:-1]:
        document = document[key]
    return document, path[-1]


GOOD = fake.certificate()
PATHS = list(paths(GOOD))


def test_each_removal_is_50(ask):
    for path in PATHS:
        document = copy.deepcopy(GOOD)
        place, key = at(document, path)
        del place[key]
        assert ask(document)[0] == 50, path


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
                        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)  # fmt: skip


@QUICK
@given(path=st.sampled_from(PATHS), value=ANYTHING)
def test_whatever_is_put_anywhere_is_never_0(ask, path, value):
    document = copy.deepcopy(GOOD)
    place, key = at(document, path)
    if json.dumps(place[key]) == json.dumps(value):
        return
    place[key] = value
    # A mutilation may make it a FAIL or INCONCLUSIVE that is consistent in itself, but nothing better.
    assert ask(document)[0] in (20, 30, 50)


@QUICK
@given(data=st.data())
def test_bytes_that_are_cut_flipped_or_doubled_are_never_0(ask, data):
    whole = json.dumps(GOOD, indent=1).encode()
    begin = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(begin, min(len(whole), begin + 200)))
    how = data.draw(st.sampled_from(["cut", "flip", "double", "truncate"]))
    if how == "cut":
        changed = whole[:begin] + whole[end:]
    elif how == "flip":
        changed = whole[:begin] + bytes([whole[begin] ^ data.draw(st.integers(1, 255))]) + whole[begin + 1 :]
    elif how == "double":
        changed = whole[:end] + whole[begin:]
    else:
        changed = whole[:begin]
    try:
        same = json.loads(changed) == GOOD
    except (ValueError, RecursionError):
        same = False
    status = ask(changed)[0]
    assert status in (20, 30, 50) or (same and status == 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", 2),
        ("schema", True),
        ("verdict", "FAIL"),
        ("verdict", "CONDITIONAL"),
        ("verdict", "pass"),
        ("verdict", None),
        ("state", "interrupted"),
        ("state", "ended"),
        ("partial", True),
        ("partial", 0),
        ("layers", ["etcd"]),
        ("layers", [*GOOD["layers"], "etcd"]),
        ("layers", [*GOOD["layers"], "gpu"]),
        ("layers", [[]]),
        ("layers", []),
        ("layer_verdicts", {**GOOD["layer_verdicts"], "dns": {"verdict": "FAIL"}}),
        ("layer_verdicts", {**GOOD["layer_verdicts"], "dns": "PASS"}),
        ("layer_verdicts", {key: value for key, value in GOOD["layer_verdicts"].items() if key != "dns"}),
        ("counts", {**GOOD["counts"], "PASS": 11}),
        ("counts", {**GOOD["counts"], "FAIL": 1}),
        ("counts", {}),
        ("findings", GOOD["findings"][1:]),
        ("findings", [*GOOD["findings"], GOOD["findings"][0]]),
        ("findings", [*GOOD["findings"][1:], {**GOOD["findings"][0], "judged": 1}]),
        ("findings", [*GOOD["findings"][1:], {**GOOD["findings"][0], "result": "INFO"}]),
        ("findings", [*GOOD["findings"][1:], {**GOOD["findings"][0], "layer": "gpu"}]),
        ("findings", [*GOOD["findings"][1:], {**GOOD["findings"][0], "value": 0.06}]),
        ("findings", []),
        ("run", {key: value for key, value in GOOD["run"].items() if key != "finished"}),
        ("run", {**GOOD["run"], "finished": "yesterday"}),
        ("valid_until", None),
        ("valid_until", "2027-01-01"),
    ],
)
def test_a_sealed_contradiction_is_50(ask, key, value):
    """Also where a faulty writer sealed what it wrote."""
    document = {**copy.deepcopy(GOOD), key: value}
    document["digest"] = report_seal.digest(document)
    assert ask(document)[0] == 50


ITEM = {**GOOD["checklist"][0], "status": "filled"}


@pytest.mark.parametrize("name", ["checklist", "slas"])
@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({"result": "PASS"}, True),
        ({"result": "FAIL"}, False),
        ({"result": "CONDITIONAL"}, False),
        ({"result": None}, False),
        ({"checks": ["etcd_none"], "result": "PASS"}, False),
        ({"checks": ["etcd_0", "etcd_none"], "result": "PASS"}, False),
        ({"checks": [], "result": "PASS"}, False),
        ({"checks": None}, False),
        ({"checks": [[]]}, False),
        # By a run of which there is no finding.
        ({"run": "20261121t020000z-1a2b"}, False),
        # Of what is not filled nothing is claimed.
        ({"status": "not measured", "result": "INCONCLUSIVE"}, True),
        ({"status": "indicative", "result": None}, True),
    ],
)
def test_a_filled_item_has_the_result_of_its_findings(ask, name, change, good):
    document = {**fake.certificate(sealed=False), name: [{**ITEM, **change}]}
    status, said = ask(report_seal.sealed(document, {}, [], 90))
    assert status == (0 if good else 50), said
    assert good or "is filled with" in said or "names no checks" in said


def test_the_item_of_a_waived_finding_is_borne_out(ask):
    waiver = {"reason": "ordered", "owner": "ops", "expires": "2027-01-01"}
    document = fake.certificate({"etcd": [fake.finding("etcd", **WAIVED, waiver=waiver), fake.finding("etcd", 1)]})
    assert document["checklist"][0]["result"] == "CONDITIONAL" and ask(document)[0] == 10


@pytest.mark.parametrize(("layer", "verdict", "good"), [("dns", "PASS", False), ("tuning", "CONDITIONAL", False), ("tuning", "FAIL", True)])
def test_a_layer_that_ended_with_an_error_is_not_good(ask, layer, verdict, good):
    document = fake.certificate(sealed=False)
    document["layer_verdicts"][layer] = {"verdict": verdict, "error": "etcd2 was lost"}
    status, said = ask(report_seal.sealed(document, {}, [], 90))
    assert status == (0 if good else 50) and (good or f"the layer {layer} is {verdict} and ended with an error: etcd2 was lost" in said)
    document["layer_verdicts"][layer]["error"] = ""
    assert ask(report_seal.sealed(document, {}, [], 90))[0] == 0


# What the checklist is --------------------------------------------------------------------------------------------------------


GONE = {"list": "checklist", "id": "dns", "value": None, "default": "DNS P99 < 10 ms (dns: dns_latency_p99)"}


def with_items(rows, items=None, profile="load"):
    """Return a sealed certificate with rows of what its checklist was changed in, and other items."""
    document = {**fake.certificate(profile=profile, sealed=False), "checklist_changes": rows}
    return report_seal.sealed({**document, **({} if items is None else {"checklist": items})}, {}, [], 90)


def test_a_checklist_that_is_not_the_default_is_said(ask):
    added = {"list": "slas", "id": "mine", "value": "Mine (etcd: etcd_0)", "default": None}
    status, said = ask(with_items([GONE, added]))
    assert status == 0 and "checklist changed: dns is left out, by default DNS P99 < 10 ms (dns: dns_latency_p99)" in said
    assert "slas changed: mine is Mine (etcd: etcd_0), by default not there" in said
    assert "checklist changed" not in ask(fake.certificate())[1]


@pytest.mark.parametrize("profile", ["load", "soak"])
def test_a_load_without_a_checklist_is_lacking(ask, profile):
    status, said = ask(with_items([GONE], [], profile), "--profile", profile)
    assert status == 30 and "its checklist is empty, without DNS P99 < 10 ms (dns: dns_latency_p99) (--allow-partial)" in said
    document = report_seal.sealed({**fake.certificate(profile=profile, sealed=False), "checklist": []}, {}, [], 90)
    assert "its checklist is empty (--allow-partial)" in ask(document, "--profile", profile)[1]
    assert ask(document, "--profile", profile, "--allow-partial")[0] == 0
    # Nobody else fills one.
    assert ask(with_items([GONE], [], "smoke"), "--profile", "smoke")[0] == 0


@pytest.mark.parametrize("rows", [{}, "x", None, [1], [{}], [{**GONE, "id": 1}], [{**GONE, "value": 1}], [{key: GONE[key] for key in ("id", "value")}]])
def test_a_checklist_that_does_not_say_what_was_changed_is_damage(ask, rows):
    assert ask(with_items(rows))[0] == 50


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({"value": 0.024999}, True),
        ({"value": 0.025}, False),
        ({"value": True}, False),
        ({"value": None}, False),
        ({"value": "0.001"}, False),
        ({"value": [0.01, 0.02]}, True),
        ({"value": [0.02, 0.025]}, True),
        ({"value": [0.02, 0.03]}, False),
        ({"value": [0.02, None]}, False),
        ({"value": [0.02, 0.01]}, False),
        ({"value": 200, "target": "> 100", "critical": None}, True),
        ({"value": [100, None], "target": "> 100", "critical": None}, True),
        ({"value": [99, None], "target": "> 100", "critical": None}, False),
        ({"value": True, "target": None, "critical": "== true"}, True),
        ({"value": 1, "target": None, "critical": "== true"}, False),
        ({"value": 1.0, "target": None, "critical": "== 1"}, True),
        ({"value": "b", "target": None, "critical": 'in ["a", "b"]'}, True),
        ({"value": "c", "target": None, "critical": 'in ["a", "b"]'}, False),
        ({"value": 0, "target": None, "critical": None}, False),
        ({"samples": 298}, False),
        ({"samples": None}, False),
        ({"target": "no bound"}, False),
    ],
)
def test_a_pass_is_borne_out_by_its_number(ask, change, good):
    document = fake.certificate({"etcd": [fake.finding("etcd", **change)]})
    assert ask(document)[0] == (0 if good else 50)


@pytest.mark.parametrize("arguments", [[], ["--max-age", "x", "a"], ["--max-age", "0", "a"], ["--max-age", "nan", "a"], ["--no-such", "a"],
                                       ["--profile", "all", "a"], ["--allow", "a"], ["a", "b"], ["a", "--help"]])  # fmt: skip
def test_a_wrong_command_line_is_50(arguments, capsys):
    assert gate.main(arguments, NOW) == 50
    assert "exit 50" in capsys.readouterr().out


def test_as_a_program(tmp_path):
    path = tmp_path / "certificate.json"
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text(json.dumps(fake.certificate(started=now, finished=now)), encoding="utf-8")

    def call(*arguments, **more):
        return subprocess.run([sys.executable, "-I", str(PROGRAM), *arguments], capture_output=True, check=False, timeout=60, **more)

    assert call(str(path)).returncode == 0
    assert call("-", input=path.read_bytes()).returncode == 0
    assert call("-", input=b"").returncode == 50
    assert call().returncode == 50
    assert b"0 PASS, 10 CONDITIONAL" in call("--help").stdout
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([sys.executable, str(PROGRAM), str(tmp_path / "none")], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 50 and b"Traceback" not in done.stderr


def test_an_unexpected_exception_is_50(monkeypatch, capsys, tmp_path):
    for error in (MemoryError, RecursionError, KeyError, ZeroDivisionError):
        monkeypatch.setattr(gate, "read", lambda path, error=error: (dummy for dummy in ()).throw(error("x")))
        assert gate.main(["a"], NOW) == 50
    assert "unlike any certificate" in capsys.readouterr().out


def test_what_it_says_is_one_line_of_ascii_for_each_sentence(ask):
    document = fake.certificate(sealed=False)
    document["message"] = "\x1b[31mé\n\u202eexit 0: PASS" + "x" * 5000
    said = ask(report_seal.sealed(document, {}, [], 90))[1]
    assert said.isascii() and "\x1b" not in said and max(map(len, said.splitlines())) < 1100


def test_it_is_one_file_of_the_standard_library_for_old_pythons():
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"), feature_version=(3, 8))
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_its_digest_is_that_of_the_seal():
    for document in (GOOD, fake.load("smoke_partial_etcd"), {"a": [1, 1.5, "é\ud800", None]}):
        assert gate.digest(document) == report_seal.digest(document)


def test_every_recorded_certificate_is_consistent():
    for case in fake.CASES:
        assert gate.check(fake.load(case)) == fake.load(case)["verdict"]


def test_standard_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(GOOD).encode())))
    assert gate.main(["-"], NOW) == 0
    capsys.readouterr()


KUBECTL = """#!/bin/sh
[ "$1 $2" = "--kubeconfig prod" ] || exit 3
case "$6" in
/version) echo '{"gitVersion": "%(kubernetes)s"}' ;;
*labelSelector=component%%3Detcd) echo '{"items": [%(etcd)s]}' ; echo 'Error from server (%(refused)s)' >&2 ; exit %(pods)s ;;
/api/v1/nodes*) echo '{"metadata": {"remainingItemCount": %(more)s}, "items": [{}]}' ;;
*) echo '{"metadata": {"uid": "%(uid)s"}}' ;;
esac
echo 'Warning: on standard error' >&2
exit %(code)s
"""
MEMBER = '{"spec": {"containers": [{"name": "etcd", "image": "%s"}]}}'
ANSWERS = {"kubernetes": "v1.36.3", "more": 4, "uid": fake.UID, "code": 0, "pods": 0, "refused": "none", "etcd": MEMBER % "etcd:3.6.8-0"}


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({}, 0, "PASS"),
        ({"kubernetes": "v1.37.0"}, 50, "is void: kubernetes was 'v1.36.3' and is 'v1.37.0'"),
        ({"more": 5}, 50, "is void: nodes was 5 and is 6"),
        ({"more": "null"}, 50, "is void: nodes was 5 and is 1"),
        ({"more": '"4"'}, 50, "cannot be compared"),
        ({"uid": "another"}, 50, "is void: uid"),
        ({"code": 1}, 50, "cannot be compared with the cluster of prod: kubectl ended with 1: Warning"),
        ({"kubernetes": '"'}, 50, "cannot be compared"),
        ({"etcd": MEMBER % "k8s.example.org/etcd:3.6.8-0"}, 0, "PASS"),
        ({"etcd": f"{MEMBER % 'etcd:v3.6.8'}, {MEMBER % 'etcd:3.6.8-0@sha256:ab'}"}, 0, "PASS"),
        ({"etcd": f"{MEMBER % 'etcd:3.6.8-0'}, {MEMBER % 'etcd:3.6.9-0'}"}, 50, "is void: etcd was '3.6.8' and is '3.6.8, 3.6.9'"),
        ({"etcd": MEMBER % "etcd@sha256:ab"}, 0, "not compared: the version of etcd (3.6.8), which the cluster does not tell"),
        ({"etcd": ""}, 0, "not compared: the version of etcd (3.6.8)"),
        ({"pods": 1, "refused": "Forbidden"}, 0, "not compared: the version of etcd (3.6.8)"),
        ({"pods": 1, "refused": "NotFound"}, 50, "cannot be compared"),
        ({"etcd": "{}"}, 50, "cannot be compared"),
    ],
)
def test_a_cluster_that_changed_voids_it(ask, monkeypatch, tmp_path, change, status, text):
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL % {**ANSWERS, **change})
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    document = fake.certificate()
    document["voided_by"]["etcd"] = "3.6.8"
    document["digest"] = gate.digest(document)
    found = ask(document, "--live", "prod")
    assert found[0] == status and text in found[1]
    told = [line for line in found[1].splitlines() if line.startswith("not compared: ")]
    # Only the inventory tells the hosts, so that they are never compared here.
    assert [line for line in told if "the version of etcd" in line] == [line for line in told if text in line]
    assert any("the number of hosts in the inventory (2)" in line for line in told) or status


@pytest.mark.parametrize("partial", [False, True])
def test_what_was_not_compared_with_the_cluster_is_named(ask, monkeypatch, tmp_path, partial):
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL % ANSWERS)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    document = fake.certificate(layers=("etcd",) if partial else engine.LAYERS)
    document["voided_by"].update(configuration="sha256:ab", etcd="3.6.8", hosts=7, zone="north")
    document["digest"] = gate.digest(document)
    status, said = ask(document, "--live", "prod")
    # Also where something else is lacking.
    assert status == (30 if partial else 0)
    assert "not compared: the configuration of hosts and cluster (sha256:ab); playbooks/verify.yml" in said
    assert "not compared: the number of hosts in the inventory (7)" in said and "not compared: zone (north), which this gate does not know" in said
    assert said.count("not compared") == 3


def test_what_does_not_say_what_it_stands_on_is_void(ask, monkeypatch, tmp_path):
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL % ANSWERS)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for told in (None, [], {}, {"uid": fake.UID, "kubernetes": "v1.36.3"}, {"uid": fake.UID, "kubernetes": "v1.36.3", "nodes": True}):
        document = {**fake.certificate(), "voided_by": told}
        document["digest"] = gate.digest(document)
        assert ask(document, "--live", "prod")[0] == 50
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    status, said = ask(fake.certificate(), "--live", "prod")
    assert status == 50 and "kubectl is not installed here" in said


def test_without_the_signature_that_was_asked_for_it_is_50(ask, tmp_path, monkeypatch):
    key = "RW" + "a" * 54
    status, said = ask(fake.certificate(), "--public-key", key)
    assert status == 50 and "certificate.json.minisig cannot be read" in said
    status, said = ask(fake.certificate(), "--public-key", str(tmp_path / "none.pub"))
    assert status == 50 and "none.pub cannot be read" in said
    assert ask(fake.certificate(), "--public-key", "")[0] == 50
    (tmp_path / "other.minisig").write_bytes(b"signature")
    seen = []
    monkeypatch.setattr(gate, "_ask", lambda argv: (seen.append(argv), (0, "Signature and comment signature verified\n", ""))[1])
    assert ask(fake.certificate(), "--public-key", key)[0] == 50 and not seen
    assert ask(fake.certificate(), "--public-key", key, "--signature", str(tmp_path / "other.minisig"))[0] == 0
    assert seen[0][:4] == ["minisign", "-V", "-P", key]
    # Signed does not mean good.
    assert ask(fake.certificate(bad(result="FAIL", value=1)), "--public-key", key, "--signature", str(tmp_path / "other.minisig"))[0] == 20
