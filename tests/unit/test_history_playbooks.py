# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks verify and compare, called from the checkout as a user does."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import report_seal
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

ROOT = pathlib.Path(__file__).parents[2]


def write(directory, **documents):
    directory.mkdir(parents=True)
    for name, document in documents.items():
        (directory / f"{name}.json").write_text(json.dumps(document, sort_keys=True), encoding="utf-8")
    report_seal.seal(str(directory), 90)


def play(name, directory, *options):
    """Return (exit status, output) of a playbook."""
    inventory = directory / "hosts"
    inventory.write_text("localhost ansible_connection=local ansible_python_interpreter=" + sys.executable, encoding="utf-8")
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), f"playbooks/{name}.yml", "-i", str(inventory),
               "-e", f"certify_results={directory} certify_cluster_name=prod", *options]  # fmt: skip
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(name="results")
def fixture_results(tmp_path):
    """Return a directory of results with two runs, the newer one worse, and one that was interrupted."""
    for number, value in enumerate((0.009, 0.02)):
        certificate = fake.certificate({"etcd": [fake.finding("etcd", value=value)]}, sealed=False)
        certificate["run"].update(id=f"run{number}", started=f"2026-11-0{number + 1}T00:00:00Z")
        write(tmp_path / "prod" / f"run{number}", certificate=certificate)
    run = {**fake.run(), "plan": fake.plan()}
    del run["finished"], run["seconds"], run["load_seconds"], run["tools"]
    write(tmp_path / "prod" / "run9", run=run, certificate=engine.interrupted(run, run["plan"]))
    return tmp_path


def test_compare_shows_what_changed_and_may_fail(results):
    status, said = play("compare", results)
    assert status == 0 and "COMPARISON: 1 regression" in said and "+122%" in said, said
    status, said = play("compare", results, "-e", "certify_baseline=run0 certify_regression=fail")
    assert status != 0 and "certify_regression is fail, and 1 became worse. Worse than in run0" in said, said
    # Nothing to compare with is no comparison that found nothing.
    status, said = play("compare", results, "-e", "compare_after=run0 certify_regression=fail")
    assert status != 0 and "Nothing was compared" in said, said
    status, said = play("compare", results, "-e", "compare_before=run7")
    assert status != 0 and "There is no run run7" in said, said


@pytest.mark.parametrize("mode", ["warn", "fail"])
def test_two_equal_runs_are_no_reason_to_fail(results, mode):
    """And a directory that was skipped makes no task one that was skipped: only the three that would fail are."""
    certificate = fake.certificate({"etcd": [fake.finding("etcd")]}, sealed=False)
    certificate["run"].update(id="run2", started="2026-11-03T00:00:00Z")
    write(results / "prod" / "run2", certificate=certificate)
    (results / "prod" / "nothing").mkdir()
    status, said = play("compare", results, "-e", f"compare_before=run0 certify_regression={mode} certify_cluster_uid={fake.UID}")
    assert status == 0 and "COMPARISON: 0 regressions" in said and "failed=0" in said and "skipped=3 " in said, said


def test_verify_reads_the_checks_that_a_run_records():
    """Else a check that only one of them reads would be a difference in every run."""
    tasks = {task["name"]: task for task in yaml.safe_load((ROOT / "playbooks/verify.yml").read_text(encoding="utf-8"))[-1]["tasks"]}
    roles = next(task["loop"] for name, task in tasks.items() if name.startswith("Read the checks"))
    recorded = yaml.safe_load((ROOT / "roles/certify/vars/main.yml").read_text(encoding="utf-8"))["__certify_sources"]
    assert roles == [one["layer"] for one in recorded]
    assert all(f"{role}_checks" in tasks["Verify the run"]["kubeproof.certify.verify"]["catalogue"] for role in roles)


def test_verify_takes_the_newest_run_and_fails_on_any_difference(results):
    status, said = play("verify", results)
    assert status == 0 and "VERIFIED: the certificate follows from what the run left." in said, said
    # Nobody named it, and a FAIL can follow from its run as well.
    assert f"{results}/prod/run9: INCONCLUSIVE, without an end, so valid for no time" in said, said
    path = results / "prod" / "run9" / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace("bastion", "another"), encoding="utf-8")
    status, said = play("verify", results, "-e", f"verify_directory={path.parent}")
    assert status != 0 and "run.json was changed after the certificate was sealed." in said, said


def test_verify_without_a_run_is_a_clear_error(tmp_path):
    status, said = play("verify", tmp_path)
    assert status != 0 and f"Cannot read {tmp_path}/prod/certificate.json" in said, said
