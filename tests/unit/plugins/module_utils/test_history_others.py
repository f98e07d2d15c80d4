# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no improvement, since it was not measured, and what a change may be attributed to."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import fingerprint, history_compare, history_text
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_history import run, setting


@pytest.mark.parametrize("result", ["PASS", "FAIL"])
def test_a_member_that_is_not_measured_any_more_makes_nothing_better(result):
    """The worst member fails at 300 ms, and then is not seen: what the others say is no improvement."""
    seen, other_one = fake.finding("etcd", entry="etcd1", value=0.3, result="FAIL"), fake.finding("etcd", entry="etcd2", result=result, value=0.02)
    unseen = {**seen, "value": None, "result": "INCONCLUSIVE"}
    for before, after, worse in (([seen, other_one], [unseen, other_one], True), ([unseen, other_one], [unseen, other_one], False)):
        made = history_compare.compare(*(run(number, findings={"etcd": one}) for number, one in enumerate((before, after))))
        row = next(row for row in made["rows"] if row["id"] == "etcd_0")
        assert (row["direction"], row["regression"]) == (("worse", True) if worse else ("", False))
        assert row["noise"] == "it was measured at more places" or not worse


FLAGS = {"kernels": "6.12.0 (3)", "etcd versions": "3.6.8 (3)", "tier of fast": "ssd", "load of dns in load": "{}"}


@pytest.mark.parametrize(
    ("change", "text", "others"),
    [
        ({}, "and nothing else that both runs recorded: a change beyond noise can be attributed to it.", []),
        ({"kernels": "7.1.0 (3)"}, "and so have others (kernels): a change cannot be attributed", [("kernels", "6.12.0 (3)", "7.1.0 (3)")]),
        ({"etcd versions": None}, "(etcd versions): a change cannot", [("etcd versions", "3.6.8 (3)", None)]),
        ({"tier of fast": "nvme"}, "(tier of fast): a change cannot", [("tier of fast", "ssd", "nvme")]),
        ({"kube-apiserver --max": "50"}, "(kube-apiserver --max): a change cannot", [("kube-apiserver --max", None, "50")]),
        # Another layer was loaded beside; which ones, the certificates say.
        ({"load of dns in load": None}, "a change beyond noise can be attributed to it.", []),
        (None, "Not both runs recorded their versions and flags (fingerprint), so more may have changed", []),
    ],
)
def test_a_change_is_attributed_to_a_setting_only_when_nothing_else_is_different(change, text, others):
    first, second = (run(number, findings={"tuning": [setting(0, number)]}) for number in (1, 2))
    first["fingerprint"] = fingerprint.fingerprint(FLAGS)
    if change is not None:
        second["fingerprint"] = fingerprint.fingerprint({name: value for name, value in {**FLAGS, **change}.items() if value is not None})
    made = history_compare.compare(first, second)
    assert text in made["attribution"] and ("can be attributed" in made["attribution"]) is (not others and change is not None)
    assert [tuple(one.values()) for one in made["others"]] == others
    assert all(f"  {what}: " in history_text.comparison(made) for what, *dummy in others)


@pytest.mark.parametrize(
    ("key", "rows", "told"),
    [
        ("waivers", [{"id": "etcd_0", "expires": "2027-01-31", "owner": "x", "reason": "y", "state": "used"}], ("waivers", "", "etcd_0 until 2027-01-31")),
        ("not_applicable", [{"id": "etcd_1", "reason": "x"}, {"id": "tuning_x", "reason": "y"}], ("not applicable", "", "etcd_1")),
    ],
)
def test_what_was_waived_or_left_out_in_one_run_only_is_different(key, rows, told):
    made = history_compare.compare(run(1), {**run(2), key: rows})
    assert [tuple(one.values()) for one in made["others"]] == [told]
    assert f"  {told[0]}: none to {told[2]}\n" in history_text.comparison(made)
    assert history_compare.compare({**run(1), key: rows}, {**run(2), key: rows})["others"] == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ([("quota", "etcd1", 1, 2), ("quota", "etcd2", 1, 2), ("quota", "etcd3", 1, 2)], "One setting has changed (A quota, at 3 places)"),
        ([("quota", "etcd1", 1, 2), ("quota", "etcd2", 1, 3)], "2 settings have changed"),
        ([("quota", "etcd1", 1, 2), ("notify", "etcd1", 1, 2)], "2 settings have changed"),
        # Two checks of one setting: not too low, and not too high.
        ([("quota", "etcd1", 1, 2), ("quota_most", "etcd1", 1, 2)], "One setting has changed (A quota)"),
        ([("quota", "etcd1", 1, 2), ("quota_memory", "etcd1", 0.1, 0.2)], "2 settings have changed"),
        # Measured, though there are lines to write.
        ([("used", "etcd1", 0.1, 0.2), ("in_use", "etcd1", 0.9, 0.8), ("alarms", "etcd1", 0, 1)], "No setting that both runs read has changed."),
        ([("used", "etcd1", 0.1, 0.2), ("quota", "etcd1", [1], [2])], "One setting has changed (A quota)"),
    ],
)
def test_what_changed_alike_is_one_setting_and_what_was_measured_is_none(changes, text):
    tuning = [[setting(0, values[side], id=f"tuning_etcd_{name}", title=f"A {name}", entry=at) for name, at, *values in changes] for side in (0, 1)]
    assert text in history_compare.compare(*(run(number, findings={"tuning": one}) for number, one in enumerate(tuning)))["attribution"]
