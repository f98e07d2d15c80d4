# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose an object of the cluster is."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import owned


@pytest.mark.parametrize(
    ("labels", "run_id", "ours"),
    [
        (owned.labels("a"), "a", True),
        (owned.labels("a"), "b", False),
        (owned.labels("a"), owned.EVERY_RUN, True),
        # It outlives every run, and goes by its own name alone.
        (owned.labels(owned.MONITORING), owned.EVERY_RUN, False),
        (owned.labels(owned.MONITORING), owned.MONITORING, True),
        ({owned.RUN_LABEL: "a"}, owned.EVERY_RUN, False),
        ({owned.MANAGED_LABEL: owned.MANAGER}, owned.EVERY_RUN, False),
        (None, owned.EVERY_RUN, False),
    ],
)
def test_whose_it_is(labels, run_id, ours):
    assert owned.is_of({"metadata": {"labels": labels}}, run_id) is ours
