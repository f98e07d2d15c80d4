# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each layer had left when it ended, and which checks the version of a run has."""

from __future__ import annotations

import json
import shutil

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.files import write_json
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_report_verify import BOUNDED, CATALOGUE, fixture_run, problems, reseal, write

__all__ = ["fixture_run"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("raw/etcd/etcd1/write.stdout", None, "raw/etcd/etcd1/write.stdout is missing, and was there when etcd had ended (done/etcd.json)."),
        ("raw/etcd/etcd1/write.json", "{}", "raw/etcd/etcd1/write.json is not what it was when etcd had ended (done/etcd.json)."),
        ("raw/etcd/etcd9/write.stdout", "x", "raw/etcd/etcd9/write.stdout was not there when etcd had ended (done/etcd.json)."),
        ("facts/etcd/etcd1.json", '{"own": 1, "more": 2}', "facts/etcd/etcd1.json is not what it was when etcd had ended (done/etcd.json)."),
    ],
)
def test_what_a_layer_left_is_what_it_had_left_when_it_ended(run, name, text, said):
    if text is None:
        (run / name).unlink()
    else:
        write(run / name, text)
    reseal(run, ended=False)
    assert said in problems(run)


def test_raw_output_that_is_taken_away(run):
    """With it, whoever does that takes away what says that it was there, and so no hash is wrong."""
    for name in ("write.stdout", "write.json"):
        (run / "raw" / "etcd" / "etcd1" / name).unlink()
    reseal(run)
    assert problems(run) == ["steps.write is among what the facts of etcd were made of, and there is no raw output of it."]


@pytest.mark.parametrize("name", ["cluster/etcd", "etcd1"])
def test_inputs_that_are_taken_away(run, name):
    """A run without them is one whose facts nothing vouches for, and never verifies: nobody can say that they were not taken away."""
    (run / "inputs" / "etcd" / f"{name}.json.gz").unlink()
    reseal(run)
    assert problems(run) == [f"inputs/etcd/{name}.json.gz is missing, so that facts/etcd/{name}.json cannot be made again."]
    shutil.rmtree(run / "inputs")
    reseal(run)
    assert len(problems(run)) == 3


def test_facts_that_are_changed_with_what_they_were_made_of(run):
    facts = json.loads((run / "facts/etcd/cluster/etcd.json").read_text(encoding="utf-8"))
    p99, facts["write"]["latency"]["p99"] = facts["write"]["latency"]["p99"], 0.001
    write(run / "facts/etcd/cluster/etcd.json", facts)
    reseal(run)
    told = f"facts/etcd/cluster/etcd.json does not follow from inputs/etcd/cluster/etcd.json.gz, write, latency, p99: 0.001 instead of {p99}."
    assert told in problems(run)
    write_json(str(run / "inputs/etcd/cluster/etcd.json.gz"), {"steps": facts})
    reseal(run)
    told = f"raw/etcd/etcd1/write says something else than what the facts of etcd were made of: steps.write, latency, p99: 0.001 instead of {p99}."
    assert told in problems(run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"etcd_p99": {**BOUNDED, "target": "< 10"}}, 'checks.json: etcd_p99 is not the check of 0.1.0, target: "< 10" instead of "< 0.025".'),
        ({"etcd_p99": None}, "checks.json: etcd_p99 is missing, a check of 0.1.0."),
        ({"etcd_more": BOUNDED}, "checks.json: etcd_more is no check of 0.1.0."),
    ],
)
def test_the_checks_of_a_run_are_those_of_its_version(run, change, said):
    """Whoever changes the checks, and judges, assembles and seals anew, changes what only the collection says."""
    document = json.loads((run / "checks.json").read_text(encoding="utf-8"))
    document["catalogue"] = {name: check for name, check in {**document["catalogue"], **change}.items() if check}
    write(run / "checks.json", document)
    reseal(run)
    assert said in problems(run, catalogue=CATALOGUE, version="0.1.0")
    # Which checks another version has is not known here.
    made = verify(str(run), CATALOGUE, {}, "0.2.0")
    assert said not in made["problems"] and "checks" not in made["done"]
    assert any("The run was made by the version 0.1.0, and this is 0.2.0: its checks were not compared" in one for one in made["notes"])


def test_raw_output_that_does_not_make_the_facts(run):
    path = run / "raw" / "etcd" / "etcd1" / "write.stdout"
    path.write_text(path.read_text(encoding="utf-8").replace("99%", "98%"), encoding="utf-8")
    reseal(run)
    assert any(one.startswith("raw/etcd/etcd1/write ") for one in problems(run))
    path.write_text("garbage", encoding="utf-8")
    reseal(run)
    assert any("is not the output of etcd_benchmark" in one for one in problems(run))


def test_facts_that_another_version_would_make_otherwise(run):
    write(run / "facts/etcd/etcd1.json", {"own": 1, "more": 2})
    reseal(run)
    made = verify(str(run), CATALOGUE, {}, "0.2.0")
    assert len(made["problems"]) == 1 and any("and this is 0.2.0, which may make other facts. Verify it with its own." in one for one in made["notes"])
    assert "may make other facts" not in str(verify(str(run), CATALOGUE, {}, "0.1.0")["notes"])
