# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run is made of real code and recorded output; then everything in it is changed in turn, and each change is seen."""

from __future__ import annotations

import copy
import json
import pathlib
import shutil

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import checks, parsers, report_seal
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify
from ansible_collections.kubeproof.certify.plugins.modules import verify as module
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

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
def fixture_run(tmp_path):
    """Return the directory of a sealed run of the layer etcd."""
    text = OUTPUT.read_text(encoding="utf-8")
    facts = {"cluster": {"etcd": {"write": parsers.parse("etcd_benchmark", text)}}, "host": {"etcd1": {"own": 1}, "etcd2": {"own": 2.5}}}
    settings = {"today": "2026-11-21", "thresholds": {"etcd_p99": {"critical": "< 1", "reason": "slow"}}, "tiers": {}}
    found = checks.judge(CATALOGUE, facts, "etcd", "load", {"host": ["etcd1", "etcd2"], "cluster": ["etcd"]}, settings, {"*": "the tool broke"})
    items = {name: {"title": name, "layer": "etcd", "checks": ["etcd_p99"]} for name in ("write", "alpha")}
    plan = fake.plan(("etcd",), checklist=items, beside=["tuning"])
    document = {**fake.run(), "plan": plan, "directory": "elsewhere"}
    certificate = engine.certificate(document, plan, {"etcd": found}, {"etcd": {"seconds": 60, "error": "the tool broke"}})
    top = tmp_path / "run"
    write(top / "run.json", {key: value for key, value in document.items() if key not in ("finished", "seconds", "load_seconds", "tools")})
    write(top / "checks.json", {"catalogue": CATALOGUE, "settings": settings})
    write(top / "facts" / "etcd" / "cluster" / "etcd.json", facts["cluster"]["etcd"])
    for name, own in facts["host"].items():
        write(top / "facts" / "etcd" / f"{name}.json", own)
    write(top / "findings" / "etcd.json", found)
    write(top / "raw" / "etcd" / "etcd1" / "write.stdout", text)
    write(top / "raw" / "etcd" / "etcd1" / "write.json", {"argv": ["/usr/bin/benchmark", "put"], "rc": 0})
    write(top / "certificate.json", certificate)
    report_seal.seal(str(top), 90)
    write(top / "certificate.html", "rendered")
    return top


def reseal(run, **changes):
    """Seal the run anew, as who changed it would."""
    certificate = json.loads((run / "certificate.json").read_text(encoding="utf-8"))
    write(run / "certificate.json", {**certificate, **changes})
    report_seal.seal(str(run), 90)


def problems(run, **more):
    made = verify(str(run), **more)
    assert made["valid"] is (not made["problems"])
    return made["problems"]


def test_a_whole_run_is_valid(run):
    made = verify(str(run))
    assert made["problems"] == [] and made["done"] == {"hashes": 8, "raw outputs": 1, "findings": 4, "certificate": 21}
    # What was rendered from it is no part of it.
    (run / "certificate.html").unlink()
    assert problems(run) == []


@pytest.mark.parametrize(
    "name", ["run.json", "checks.json", "facts/etcd/etcd1.json", "findings/etcd.json", "raw/etcd/etcd1/write.stdout", "raw/etcd/etcd1/write.json"]
)
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


def test_raw_output_that_does_not_make_the_facts(run):
    path = run / "raw" / "etcd" / "etcd1" / "write.stdout"
    path.write_text(path.read_text(encoding="utf-8").replace("99%", "98%"), encoding="utf-8")
    reseal(run)
    assert any("raw/etcd/etcd1/write.stdout" in one for one in problems(run))
    path.write_text("garbage", encoding="utf-8")
    reseal(run)
    assert any("is not the output of etcd_benchmark" in one for one in problems(run))


def test_facts_that_do_not_make_the_findings(run):
    write(run / "facts" / "etcd" / "etcd2.json", {"own": 1})
    reseal(run)
    assert problems(run) == ['etcd: the finding etcd_host etcd2 has value 2.5 instead of 1, result "CONDITIONAL" instead of "PASS".']
    (run / "facts" / "etcd" / "etcd2.json").unlink()
    reseal(run)
    assert any("value 2.5 instead of null" in one for one in problems(run))


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


def test_the_module(run, capsys):
    def call(**arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    answer = call(directory=str(run))
    assert answer["changed"] is False and answer["done"]["hashes"] == 8
    (run / "run.json").write_text("{}", encoding="utf-8")
    answer = call(directory=str(run))
    assert answer["failed"] and "run.json was changed" in answer["msg"] and answer["problems"]
    (run / "certificate.json").unlink()
    assert "Cannot read" in call(directory=str(run))["msg"]
