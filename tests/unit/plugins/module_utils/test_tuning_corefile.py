# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import tuning_corefile

COREFILE = """.:53 {{
  errors
  {log}
  health {{
    {health}
  }}
  ready
  kubernetes cluster.local in-addr.arpa {{
    pods insecure
  }}
  prometheus :9153
  forward . {upstream} {{
    {forward}
  }}
  cache {cache}
  loop
  reload
  loadbalance
  {more}
}}
"""
PLAIN = {"log": "log", "health": "lameduck 5s", "upstream": "/etc/resolv.conf", "forward": "max_concurrent 1000", "cache": "30", "more": "hosts"}


def facts(**changes):
    return tuning_corefile.facts(COREFILE.format(**{**PLAIN, **changes}))


@pytest.mark.parametrize("change", [{}, {"log": "log {$WHAT}"}, {"upstream": "{$UPSTREAM}"}], ids=str)
def test_what_changes_nothing_that_is_asked_hides_nothing(change):
    found = facts(**change)
    assert found["unknown"] == "" and found["lacks"] == [] and (found["concurrent"], found["lameduck"], found["cached"]) == (1000, True, True)


@pytest.mark.parametrize(
    "change", [{"forward": "max_concurrent {$MOST}"}, {"health": "{$HOW} 5s"}, {"cache": "{$LONG}"}, {"more": "import custom/*.override"}], ids=str
)
def test_what_may_change_an_answer_leaves_it_open(change):
    found = facts(**change)
    assert "which is not known" in found["unknown"] and not {"lacks", "concurrent", "cached", "lameduck"} & set(found)


def test_a_corefile_with_which_no_coredns_starts():
    assert "error" in tuning_corefile.facts(".:53 {")
