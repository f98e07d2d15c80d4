# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: what a person reads first, where it is, and what to write."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.certificate import certificate
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import CheckError
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_audit import audit
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_page import WIDTH, groups, page
from ansible_collections.kubeproof.certify.tests.unit.plugins.tuning_fake import flag, judged, kubeadm, on_hosts, rules
from ansible_collections.kubeproof.certify.tests.unit.test_report import render

RUN = {"id": "r", "started": "2026-11-21T03:49:15Z", "user": "ops", "controller": "bastion", "version": "0.1.0", "profile": "load", "cluster": {"name": "prod"}}


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
        order = [(fix["informs"], {"FAIL": 0, "INCONCLUSIVE": 1, "CONDITIONAL": 2}[fix["result"]]) for fix in group["fixes"]]
        assert order == sorted(order)
        assert all(row["result"] != "PASS" for fix in group["fixes"] for row in fix["seen"])


def test_what_could_not_be_read_is_said_once():
    assert page(judged(kubeadm()), "a", ["cp1: no openssl.", "cp1: no openssl."]).count("no openssl") == 1


def test_hosts_that_were_lost_are_a_line_each_and_no_wall():
    measured = kubeadm()
    for name in ("cp1", "cp2", "cp3"):
        del measured["hosts"][name]
    measured["errors"] = {name: f"ssh: {name} refused" for name in ("cp1", "cp2", "cp3")}
    text = page(judged(measured), "prod")
    assert len(text.splitlines()) < 120
    told = " ".join(text.partition("\nNOT MEASURED\n")[2].split())
    for name in ("cp1", "cp2", "cp3"):
        assert text.count(f"ssh: {name} refused") == 1 and f"rules: {name}: Not measured: ssh: {name} refused. Watch cache is on; " in told


def test_what_is_not_known_has_no_advice():
    measured = kubeadm()
    del measured["cluster"]["dns"]
    flag("apiserver", event_ttl="soon")(measured)
    text = page(judged(measured), "prod")
    words = " ".join(text.split())
    where = "cp1, cp2, cp3 in /etc/kubernetes/manifests/kube-apiserver.yaml"
    assert f"INCONCLUSIVE Events are kept for {where}: Not measured: --event-ttl=soon is no value" in words
    assert "--event-ttl=1h0m0s" not in text
    assert "rules: Not measured: CoreDNS was not asked." in text and "create poddisruptionbudget" not in text


def certified(measured):
    """Return the certificate of a run in which only etcd was a layer, and the tuning stood beside it."""
    good = {"id": "etcd_x", "layer": "etcd", "title": "x", "scope": "cluster", "host": "prod", "value": 1, "target": "< 2", "critical": None,
            "bounds": "default", "result": "PASS", "judged": True, "reason": ""}  # fmt: skip
    return certificate(RUN, {"layers": ["etcd"], "beside": ["tuning"]}, {"etcd": [good], "tuning": judged(measured)})


def test_the_certificate_has_it_by_component_with_value_place_and_lines():
    measured = kubeadm()
    flag("apiserver", watch_cache="false")(measured)
    flag("etcd", log_level="debug")(measured)
    made = certified(measured)
    markdown = render("md", made)
    dummy, title, section = markdown.partition("## Configuration (tuning): FAIL\n")
    assert title and section.index("### API server") < section.index("### etcd")
    own = section.partition("### API server")[2].partition("### ")[0]
    assert "**FAIL**: Watch cache is on (tuning&#95;apiserver&#95;watch&#95;cache)" in own
    assert "- cp1, cp2, cp3 in /etc/kubernetes/manifests/kube-apiserver.yaml: false, wanted == true\n" in own
    assert "- Write:\n  - remove --watch-cache=false\n" in own
    # Once: not in the table of what is indicative as well.
    assert markdown.count("tuning&#95;apiserver&#95;watch&#95;cache)") == 1
    text = render("txt", made)
    assert "CONFIGURATION (what to write: certificate.md)" in text
    assert "\nAPI server   Watch cache is on                 false        -           == true" in text


def test_lines_to_write_keep_their_indents():
    measured = kubeadm()
    on_hosts("containerd/systemd_cgroup", False)(measured)
    assert "\n  - &#160;&#160;SystemdCgroup = true\n" in render("md", certified(measured))


def test_a_certificate_without_a_tuning_has_no_section_of_it():
    made = certified(kubeadm())
    made["findings"] = [one for one in made["findings"] if one["layer"] != "tuning"]
    assert "Configuration (tuning)" not in render("md", made) and "CONFIGURATION" not in render("txt", made)


# The audit alone ------------------------------------------------------------------------------------------------------------

WAIVER = {"reason": "planned", "owner": "ops", "expires": "2027-01-31"}


def alone(**settings):
    measured = kubeadm()
    flag("apiserver", watch_cache="false")(measured)
    return audit(measured, rules(), "prod", {"today": "2026-11-21", **settings})


def test_the_audit_has_a_verdict_facts_and_a_page():
    outcome = alone()
    assert outcome["verdict"] == "FAIL" and outcome["page"].startswith("TUNING OF prod: FAIL (3 FAIL, ")
    assert outcome["facts"]["apiserver"]["cp1"]["settings"]["watch_cache"] is False and len({one["id"] for one in outcome["findings"]}) == len(rules())


def test_waivers_as_everywhere():
    outcome = alone(waivers={"tuning_apiserver_watch_cache": WAIVER})
    assert outcome["verdict"] == "CONDITIONAL" and "waived by ops until 2027-01-31: planned" in " ".join(outcome["page"].split())
    expired = alone(waivers={"tuning_apiserver_watch_cache": {**WAIVER, "expires": "2026-11-20"}})
    assert expired["verdict"] == "FAIL" and "The waiver by ops expired on 2026-11-20." in " ".join(expired["page"].split())
    unused = alone(waivers={"tuning_etcd_fsync": WAIVER})
    assert "Nothing failed for the waiver by ops until 2027-01-31." in " ".join(unused["page"].split())


@pytest.mark.parametrize("settings", [
    {"waivers": {"tuning_apiserver_watch_cash": WAIVER}},
    {"thresholds": {"tuning_apiserver_watch_cash": {"target": "> 1", "reason": "r"}}},
    {"not_applicable": {"tuning_apiserver_watch_cash": "none"}},
])  # fmt: skip
def test_a_rule_that_there_is_not_is_an_error(settings):
    with pytest.raises(CheckError, match="tuning_apiserver_watch_cash: there is no such check; write tuning_apiserver_watch_cache"):
        alone(**settings)
