# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: what a person reads first, where it is, and what to write."""

from __future__ import annotations

from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_page import WIDTH, groups, page
from ansible_collections.kubeproof.certify.tests.unit.plugins.tuning_fake import flag, judged, kubeadm, on_hosts


def bad():
    measured = kubeadm()
    flag("apiserver", watch_cache="false")(measured)
    flag("etcd", log_level="debug")(measured)
    return judged(measured)


def test_what_is_judged_stands_with_value_place_and_lines():
    text = page(bad(), "prod")
    assert text.splitlines()[0].startswith("TUNING OF prod: FAIL (3 FAIL, ")
    assert "FAIL           Watch cache is on\n               cp1, cp2, cp3 in /etc/kubernetes/manifests/kube-apiserver.yaml: false, wanted == true\n" in text
    assert "                 remove --watch-cache=false\n" in text
    assert "CONDITIONAL    Log level of etcd\n               cp1, cp2, cp3 in /etc/kubernetes/manifests/etcd.yaml: debug, wanted !=" in text


def test_information_is_short_and_last():
    text = page(judged(kubeadm()), "prod")
    judged_part, dummy, rest = text.partition("FOR YOUR INFORMATION (not judged)\n")
    assert "Manager Requests/s of the manager: 20/s, and 2 more. It costs something above 500 nodes. Advice: --kube-api-qps=100" in " ".join(rest.split())
    assert "Requests/s of the manager" not in judged_part and len(text.splitlines()) < 120


def test_a_page_is_100_columns_wide_and_has_no_control_characters():
    measured = kubeadm()
    on_hosts("versions/containerd", "2.1.1\x1b[31m" + "x" * 200)(measured)
    lines = page(judged(measured), "pr\x1b[1mod", ["what\x07 ever " * 30]).splitlines()
    # Lines to write are never cut.
    assert all(len(line) <= WIDTH or line.startswith(" " * 17) for line in lines) and not any("\x1b" in line or "\x07" in line for line in lines)


def test_what_meets_its_target_is_not_shown_and_what_fails_stands_first():
    found = groups(bad())
    assert [group["component"] for group in found][0] == "API server"
    for group in found:
        order = [(not fix["judged"], {"FAIL": 0, "INCONCLUSIVE": 1, "CONDITIONAL": 2}[fix["result"]]) for fix in group["fixes"]]
        assert order == sorted(order)
        assert all(row["result"] != "PASS" for fix in group["fixes"] for row in fix["seen"])


def test_what_could_not_be_read_is_said_once():
    assert page(judged(kubeadm()), "a", ["cp1: no openssl.", "cp1: no openssl."]).count("no openssl") == 1
