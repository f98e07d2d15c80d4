# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the servers of the network and of the ingress start with on a node with and without IPv6, what leaves the host network out, and second tries."""

from __future__ import annotations

import pathlib
import re
import subprocess

import jinja2
import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import ingress_runs
from ansible_collections.kubeproof.certify.plugins.module_utils.cluster import ClusterError
from ansible_collections.kubeproof.certify.plugins.module_utils.job_pods import JobError
from ansible_collections.kubeproof.certify.plugins.module_utils.pod_group import Group

ROLES = pathlib.Path(__file__).parents[2] / "roles"
SERVE = (ROLES / "network/files/serve.sh").read_text(encoding="utf-8")
# nginx that tests its configuration, or serves; both say what it was told to include.
NGINX = """#!/bin/sh
echo "$@" $(cat {place}/listen-*.conf 2>/dev/null) >>{place}/said
case "$1" in -t) [ ! -e {place}/broken ] || {{ echo 'nginx: [emerg] bind() failed' >&2; exit 1; }} ;; esac
exec sleep 0.05
"""


@pytest.fixture(name="start")
def fixture_start(tmp_path):
    """Return a function that runs a script of a pod beside tools that only say how they were started: (exit code, stderr, what nginx was told)."""

    def start(script, *arguments, has_ipv6=True):
        for tool in ("iperf3", "sockperf"):
            (tmp_path / tool).write_text("#!/bin/sh\nexec sleep 0.05\n")
        (tmp_path / "nginx").write_text(NGINX.format(place=tmp_path))
        for tool in tmp_path.glob("*"):
            tool.chmod(0o755)
        if has_ipv6:
            (tmp_path / "if_inet6").touch()
        # One round of each tool is enough.
        text = script.replace("/tmp/", f"{tmp_path}/").replace("/proc/net/if_inet6", str(tmp_path / "if_inet6")).replace("while :; do", "for once in 1; do")
        done = subprocess.run(["sh", "-c", text, "sh", *arguments], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False)
        said = tmp_path / "said"
        return done.returncode, done.stderr, said.read_text().splitlines() if said.exists() else []

    return start


@pytest.mark.parametrize(("has_ipv6", "listens"), [(True, " listen [::]:8080;"), (False, "")])
def test_the_network_listens_at_ipv6_where_a_node_has_it(start, has_ipv6, listens):
    code, dummy, said = start(SERVE, "1", "2", "3", "conf", has_ipv6=has_ipv6)
    assert code == 0 and said == [f"-t -q -c conf -e stderr{listens}", f"-c conf -e stderr{listens}"]


@pytest.mark.parametrize(("has_ipv6", "listens"), [(True, " listen [::]:8080 backlog=4096;"), (False, "")])
def test_the_backends_listen_at_ipv6_where_a_node_has_it(start, has_ipv6, listens):
    code, dummy, said = start(ingress_runs.SERVE, "conf", has_ipv6=has_ipv6)
    assert code == 0 and said == [f"-e stderr -c conf{listens}"]


@pytest.mark.parametrize("role", ["network", "ingress"])
def test_what_was_written_is_included(role):
    text = (ROLES / role / "files/nginx.conf").read_text(encoding="utf-8")
    assert "include /tmp/listen-*.conf;" in text and "listen 8080" in text and "[::]" not in text
    assert "/tmp/listen-ipv6.conf" in SERVE and "/tmp/listen-ipv6.conf" in ingress_runs.SERVE


def test_a_server_that_does_not_start_ends_the_pod_with_its_own_words(start, tmp_path):
    """The pod's message is then what it said last."""
    (tmp_path / "broken").touch()
    code, stderr, said = start(SERVE, "1", "2", "3", "conf")
    assert code == 1 and stderr == "nginx: [emerg] bind() failed\n" and len(said) == 1


def test_a_host_network_alone_has_no_nginx(start):
    assert start(SERVE, "1", "2", "3") == (0, "", [])


# Whether the run goes on without the host network -------------------------------------------------------------------------------

PATTERN = yaml.safe_load((ROLES / "network/vars/main/main.yml").read_text(encoding="utf-8"))["__network_without_hosts"]
GROUP = {"name": "all", "namespace": "n", "run_id": "r", "pods": {}}


@pytest.mark.parametrize(
    ("pod", "status", "said", "goes_on"),
    [
        ("host-0", 403, 'pods "all-host-0" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)', True),
        ("host-0", 403, 'admission webhook "validation.gatekeeper.sh" denied the request: [no-host] hostNetwork is not allowed', True),
        ("host-3", 400, 'admission webhook "validate.kyverno.svc-fail" denied the request: disallow-host-namespaces', True),
        ("host-1", 403, "ValidatingAdmissionPolicy 'hosts' with binding 'all' denied request: no host network", True),
        # Without pods in the pod network there is nothing to go on with.
        ("pod-0", 403, 'admission webhook "validate.kyverno.svc-fail" denied the request: require-labels', False),
        ("peer-0", 403, 'User "load" cannot create resource "pods"', False),
    ],
)
def test_pods_that_a_policy_refuses(pod, status, said, goes_on):
    class Server:
        def request(self, *dummy):
            raise ClusterError(f"{status} {said}", status)

    with pytest.raises(JobError) as refused:
        Group(Server(), GROUP).post("pods", {"kind": "Pod", "metadata": {"name": f"all-{pod}"}})
    assert bool(re.search(PATTERN, str(refused.value))) is goes_on and said in str(refused.value)


@pytest.mark.parametrize(
    ("said", "goes_on"),
    [
        ("pod all-host-0 on a runs, but was not ready within 30 s: nothing listens at port 25201 or 25202 or 25203.", True),
        # It takes two minutes to see, and is the same in the pod network.
        ("pod all-host-0 on a did not start within 120 s after it was scheduled: ImagePullBackOff", False),
        ("3 of 5 pods were not scheduled within 30 s: the scheduler says nothing", False),
    ],
)
def test_pods_that_do_not_become_ready(said, goes_on):
    assert bool(re.search(PATTERN, said)) is goes_on


def test_the_run_asks_for_it_where_it_starts_the_pods():
    [block] = [one for one in yaml.safe_load((ROLES / "network/tasks/pods.yml").read_text(encoding="utf-8")) if "block" in one]
    first, second = block["block"]
    assert first["kubeproof.certify.pod_group"]["name"] == "all" and "is not search(__network_without_hosts)" in first["failed_when"]
    assert second["when"] == "__network_all.pods is not defined"


# k8s-netperf beside it -------------------------------------------------------------------------------------------------------


def test_what_k8s_netperf_fails_by_is_kept_and_the_layer_goes_on():
    [block] = yaml.safe_load((ROLES / "network/tasks/k8s_netperf.yml").read_text(encoding="utf-8"))
    assert [task["ansible.builtin.include_tasks"] for task in block["block"]] == ["k8s_netperf_run.yml"]
    look, keep = block["rescue"]
    assert look["kubeproof.certify.network_info"]["netperf"] is True and look["failed_when"] is False
    text = keep["ansible.builtin.set_fact"]["__network_run"]["msg"]
    failed, troubles = {"msg": "It did not end within 198 s."}, {"facts": {"netperf_troubles": ["pod a: ErrImagePull"]}}
    for found, said in ((troubles, " pod a: ErrImagePull"), ({"facts": {}}, ""), ({"msg": "no answer"}, "")):
        assert jinja2.Template(text).render(ansible_failed_result=failed, __network_netperf=found) == f"{failed['msg']}{said}"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"netperf_namespace": True, "problems": []}, "exists already. Delete it when nobody needs it"),
        ({"problems": ["The namespace netperf cannot be read: 403 no rights."]}, "It is not known whether there is a namespace netperf"),
    ],
)
def test_a_namespace_that_is_there_is_told_from_one_that_cannot_be_read(facts, said):
    tasks = yaml.safe_load((ROLES / "network/tasks/k8s_netperf_run.yml").read_text(encoding="utf-8"))
    [task] = [task for task in tasks if task["name"].endswith("Leave a namespace alone that is not ours")]
    text = jinja2.Template(task["ansible.builtin.fail"]["msg"]).render(__network_info={"facts": facts})
    assert said in text and all(problem in text for problem in facts["problems"])
    assert jinja2.Environment().compile_expression(task["when"])(__network_info={"facts": facts}) is True


# What failed is tried once more ------------------------------------------------------------------------------------------------


def test_a_second_try_is_the_first_one_again_and_no_step_has_that_of_another():
    first, second = yaml.safe_load((ROLES / "network/tasks/pairs.yml").read_text(encoding="utf-8"))
    module = "kubeproof.certify.pod_exec"
    # Beside the first one's output, under names of its own: see network_pairs.again.
    assert {**second[module], "runs": first[module]["runs"]} == first[module] and second[module]["runs"] == "{{ __network_again }}"
    assert second["when"] == "__network_again | length > 0" and second["failed_when"] is False
    registered = {first["register"], second["register"]}
    forgotten = yaml.safe_load((ROLES / "network/tasks/step.yml").read_text(encoding="utf-8"))[0]["ansible.builtin.set_fact"]
    assert set(forgotten) == registered == {"__network_run", "__network_second"}
    kept = yaml.safe_load((ROLES / "network/vars/main/main.yml").read_text(encoding="utf-8"))["__network_measured"]
    assert all(name in kept[key] for name in registered for key in ("runs", "took"))
