# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math
import pathlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ansible_collections.kubeproof.certify.plugins.module_utils import dns_job, dns_plan, job_spec, storage_plan, stress_plan
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_job import JobError, endpoints, job, queries
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_plan import INPUTS, PlanError, plan

ROLE = pathlib.Path(__file__).parents[4] / "roles/dns/defaults/main"
DEFAULTS = yaml.safe_load((ROLE / "settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROLE / "checks.yml").read_text(encoding="utf-8"))["dns_checks"]
PROFILES = ("smoke", "load", "stress", "soak")
INFO = {
    "nodes": {"names": ["w1", "w2", "w3"]},
    "service": {"address": "10.96.0.10", "name": "kube-dns", "namespace": "kube-system"},
    "pods": {"b": {"ip": "10.0.0.2", "ready": True, "port": 53}, "a": {"ip": "10.0.0.1", "ready": True, "port": 53}, "c": {"ip": "10.0.0.3", "ready": False}},
    "ready": 2,
    "domain": "cluster.local",
    "scraped": {"coredns": {"a": "a:9153", "b": "b:9153"}, "node_local": {"n1": "n1:9253", "n2": "n2:9253"}},
    "node_local": {"pods": {"n1": {"node": "w1"}, "n2": {"node": "w9"}}},
}
SETTINGS = {"namespace": "ns", "services": ["s0", "s1"], "clients": 10, "generators": 1, "external_names": ["www.example.com."], "grace": 60}


def planned(profile="smoke", nodes=3, capacity=None, live=False, **settings):
    return plan(profile, {**DEFAULTS, "nodes": nodes, "capacity": capacity or {}, "live": live, **settings})


def steps(profile="smoke", **more):
    return {step["name"]: step for step in planned(profile, **more)["steps"]}


# Sizing ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "capacity", "qps"),
    [(3, {}, 180), (100, {}, 6000), (3, {"nodes": 50}, 3000), (3, {"pods_per_node": 100}, 600), (3, {"dns_qps": 2500}, 2500)],
)
def test_the_expected_rate(nodes, capacity, qps):
    found = planned(nodes=nodes, capacity=capacity)
    assert found["expected"] == {"qps": qps}
    assert [one["name"] for one in found["inputs"]] == list(INPUTS)
    assert {one["name"] for one in found["inputs"] if one["source"] == "declared"} == set(capacity)


def test_smoke_asks_a_tenth_but_enough_for_a_percentile():
    found = steps(nodes=1000)
    assert found["service-1-10"]["rate"] == 6000 and found["service-1-10"]["window"]
    few = steps(nodes=1)["service-1-10"]
    assert few["rate"] * few["seconds"] >= 10000
    assert list(found) == ["pods", "service-1-10", "node-local"]


def test_load_asks_what_is_declared_and_more_than_the_bound():
    found = steps("load", capacity={"dns_qps": 2000}, dns_external_names=["a.example"])
    assert list(found) == ["pods", "service-1-70", "service-2-85", "service-3-100", "qps", "node-local", "external"]
    assert found["service-3-100"]["rate"] == 2000 and found["qps"]["rate"] == 2200 and found["external"]["rate"] == 200
    assert [name for name, step in found.items() if step["kind"] == "service" and step["window"]] == ["service-3-100", "qps"]
    assert steps("load")["qps"]["rate"] == 11000 and found["qps"]["seconds"] >= 300


@pytest.mark.parametrize("profile", ["smoke", "load", "soak"])
@pytest.mark.parametrize("pods", [1, 2, 30, 300])
@pytest.mark.parametrize("more", [{}, {"live": True, "capacity": {"dns_qps": 400}}, {"time_scale": 0.02}])
def test_the_plan_has_the_time_that_so_many_coredns_pods_take(profile, pods, more):
    found = planned(profile, coredns=pods, **more)
    ran = dns_job.steps(found["steps"], {**many(pods), "node_local": {"address": "169.254.20.10"}})
    assert [step["seconds"] for step in found["steps"]] == [step["seconds"] for step in ran]
    assert found["seconds"] == sum(step["seconds"] for step in ran)
    assert pods < 300 or more or found["seconds"] > planned(profile)["seconds"]


def test_thirty_coredns_pods_that_are_asked_alone_take_longer():
    """1,000 queries to each, and a little more, at the least rate for all together."""
    [alone] = [step for step in planned("load", nodes=1, coredns=30, dns_least_rate=300)["steps"] if step["kind"] == "pods"]
    assert alone["seconds"] == math.ceil(stress_plan.MARGIN * 1000 / math.ceil(alone["rate"] / 30))
    assert alone["seconds"] > [step for step in planned("load", nodes=1, dns_least_rate=300)["steps"] if step["kind"] == "pods"][0]["seconds"]


@pytest.mark.parametrize("declared", [1, 2, 4, 5, 8, 9, 10, 15, 20, 2000])
@pytest.mark.parametrize("clients", [1, 3])
def test_a_declared_rate_is_asked_for_as_long_as_it_takes_to_decide(declared, clients):
    """By its share of errors, by its P99, and by a rate that is more than what is to be proven."""
    asked = steps("load", capacity={"dns_qps": declared})["qps"]
    made = job(asked, INFO, {**SETTINGS, "clients": clients})
    needed = max(check["min_samples"] for name, check in CHECKS.items() if name in ("dns_qps_errors", "dns_qps_latency_p99"))
    assert asked["rate"] > declared and made["rate"] * made["count"] * made["seconds"] >= needed
    # Where it is asked often enough in its time nothing is longer.
    assert asked["seconds"] == (300 if declared >= 10 else math.ceil(round(stress_plan.MARGIN * needed / asked["rate"], 6)))


def test_what_is_left_out_is_not_made_longer():
    assert "qps" not in steps("smoke", capacity={"dns_qps": 5}) and "qps" not in steps("load", live=True, capacity={"dns_qps": 5})


def test_stress_goes_beyond_and_looks_for_recovery():
    found = steps("stress", capacity={"dns_qps": 2000})
    assert [(step["name"], step["rate"]) for step in found.values() if step["share"] and step["phase"] != "probe"] == [
        ("ramp-100", 2000), ("ramp-125", 2500), ("ramp-150", 3000), ("ramp-175", 3500), ("ramp-200", 4000), ("recovery-1", 1400),
    ]  # fmt: skip
    assert planned("stress")["stress"]["expected"] == planned("stress")["expected"]["qps"]


def test_a_live_cluster_is_not_asked_for_more_than_it_carries():
    assert "qps" not in steps("load", live=True, capacity={"dns_qps": 5000})
    assert planned("load", live=True, capacity={"dns_qps": 5000})["missing"] == {"qps": dns_plan.BEYOND} and planned("load")["missing"] == {}
    with pytest.raises(PlanError, match="no step that can run"):
        planned("stress", live=True, capacity={"dns_qps": 5000})


@pytest.mark.parametrize("profile", ["smoke", "load", "soak"])
def test_a_live_cluster_that_declares_no_rate_is_not_asked(profile):
    found = planned(profile, nodes=1000, live=True, capacity={"nodes": 2000})
    assert (found["steps"], found["seconds"], found["rate"]) == ([], 0, 0)
    assert set(found["missing"].values()) == {dns_plan.UNDECLARED} and "set certify_capacity.dns_qps" in dns_plan.UNDECLARED


@given(
    profile=st.sampled_from(["smoke", "load", "soak"]),
    declared=st.one_of(st.integers(1, 3000), st.floats(1, 3000)),
    pods=st.integers(1, 40),
    settings=st.fixed_dictionaries({"clients": st.integers(1, 100), "generators": st.integers(1, 60)}),
    least=st.integers(1, 2000),
)
def test_no_job_goes_beyond_what_a_live_cluster_declares(profile, declared, pods, settings, least):
    found = planned(profile, live=True, capacity={"dns_qps": declared}, dns_least_rate=least, dns_external_names=["a.example"])
    info = many(pods)
    assert found["rate"] <= declared and found["steps"]
    for step in dns_job.steps(found["steps"], info):
        try:
            made = job(step, info, {**SETTINGS, **settings})
        except JobError as error:
            assert step["kind"] == "pods" and step["rate"] < pods and "declare more in certify_capacity.dns_qps" in str(error)
        else:
            assert 1 <= made["rate"] and made["rate"] * made["count"] <= declared
            # What is lost by rounding costs no samples.
            assert step["kind"] == "pods" or made["rate"] * made["count"] * dns_plan.stress_plan.MARGIN >= int(step["rate"])
            assert step["kind"] != "pods" or made["rate"] * made["seconds"] >= step["samples"]


@pytest.mark.parametrize(
    ("profile", "declared", "name", "seconds"),
    [
        ("smoke", 1000, "service-1-10", 20),
        ("smoke", 100, "service-1-10", 100),
        ("smoke", 100, "node-local", 50),
        ("smoke", 100, "external", 11),
        ("load", 100, "service-3-100", 900),
        ("load", 10, "service-3-100", 1100),
        ("load", 10, "service-1-70", 300),
        ("load", 20, "node-local", 550),
    ],
)
def test_a_live_cluster_that_carries_little_is_asked_for_longer(profile, declared, name, seconds):
    assert steps(profile, live=True, capacity={"dns_qps": declared}, dns_external_names=["a.example"])[name]["seconds"] == seconds


def test_where_nobody_is_served_the_least_rate_holds():
    found = steps("load", capacity={"dns_qps": 100})
    assert {found[name]["rate"] for name in ("pods", "service-1-70", "service-3-100", "node-local")} == {500} and not any(
        step["limited"] for step in found.values()
    )


def asks(*starts):
    """Return the checks that ask for samples of these facts."""
    return [check for check in CHECKS.values() if "samples" in check and f"{check.get('each', '')}.{check['samples']}".strip(".").startswith(starts)]


@pytest.mark.parametrize("profile", PROFILES)
def test_each_pod_is_asked_as_often_as_its_checks_need(profile):
    assert dns_plan.EACH.get(profile, 0) == max((check["min_samples"] for check in asks("pods.") if profile in check["profiles"]), default=0)


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("service", ("lookups.", "errors.", "servfail.", "balance.", "cache.")),
        ("node_local", ("lookups.", "node_cache.")),
        ("external", ("external.", "external_cache.")),
    ],
)
def test_a_longer_step_has_what_its_checks_need(kind, facts):
    assert dns_plan.NEEDED[kind] == max(check["min_samples"] for check in asks(*facts))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_whole_is_the_sum_of_its_steps(profile):
    found = planned(profile)
    assert found["seconds"] == sum(step["seconds"] for step in found["steps"]) and found["rate"] == max(step["rate"] for step in found["steps"])
    assert len({step["name"] for step in found["steps"]}) == len(found["steps"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dns_load": []}, "dns_load is []. Write a map"),
        ({"dns_load": {"load": {}}}, "Write a map with an entry for each profile"),
        ({"dns_load": {"smoke": {"servce": []}}}, "dns_load.smoke has 'servce'. Write some of service, pods"),
        ({"dns_load": {"smoke": {"service": [{"share": 1}]}}}, "dns_load.smoke.service is"),
        ({"dns_load": {"smoke": {"service": [{"share": 0, "seconds": 5}]}}}, "dns_load.smoke.service[0].share is 0. Write a number from 0.001"),
        ({"dns_load": {"smoke": {"service": [{"share": 1, "seconds": "5"}]}}}, "dns_load.smoke.service[0].seconds is '5'"),
        ({"dns_load": {"smoke": {"service": []}}}, "dns_load.smoke.service has no step that can run"),
        ({"dns_load": {"smoke": {"service": [{"share": 1, "seconds": 5}], "pods": -1}}}, "dns_load.smoke.pods is -1"),
        ({"dns_load": {"smoke": {"service": [{"share": 2, "seconds": 5}]}}, "live": True}, "dns_load.smoke.service has no step that can run"),
        ({"dns_least_rate": 0}, "dns_least_rate is 0"),
        ({"dns_external_names": "a"}, "dns_external_names is 'a'. Write a list"),
        ({"dns_external_names": ["."]}, "dns_external_names is"),
        ({"capacity": {"dns_qps": True}}, "certify_capacity.dns_qps is True"),
    ],
)
def test_a_bad_setting_is_named(settings, said):
    with pytest.raises(PlanError) as error:
        planned(**settings)
    assert said in str(error.value)


# Jobs -----------------------------------------------------------------------------------------------------------------------


def step(kind="service", rate=1000, seconds=20):
    return {"name": kind, "kind": kind, "rate": rate, "seconds": seconds, "share": 1, "window": True, "limited": False}


def many(count):
    """Return what dns_info found of a cluster with so many CoreDNS pods."""
    pods = {f"c{number:03d}": {"ip": f"10.0.0.{number}", "ready": True, "port": 53} for number in range(count)}
    return {**INFO, "pods": pods, "ready": count, "node_local": {"address": "169.254.20.10", "pods": {}}}


def argument(found, name):
    return found["argv"][found["argv"].index(name) + 1]


def test_clients_ask_the_service_from_many_sockets():
    found = job(step(), INFO, SETTINGS)
    assert found["count"] == 3 and found["nodes"] == ["w1", "w2", "w3"] and found["names"] == ["service"]
    assert found["argv"][:4] == ["sh", dns_job.SCRIPT, "{index}", "10.96.0.10"]
    assert int(argument(found, "-Q")) * 3 >= 1000 and argument(found, "-l") == "20"
    assert found["sockets"] * 3 >= dns_job.SOCKETS_PER_POD * 2 and argument(found, "-c") == str(found["sockets"])
    # What is sent until the first query is given up may wait.
    assert int(argument(found, "-q")) >= int(argument(found, "-Q")) * int(argument(found, "-t"))
    assert found["timeout"] > 20 + int(argument(found, "-t"))


def test_each_coredns_pod_has_a_client_of_its_own():
    found = job(step("pods"), INFO, SETTINGS)
    assert (found["count"], found["names"], found["argv"][3]) == (2, ["a", "b"], "10.0.0.1,10.0.0.2") and found["rate"] == 500


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("nodes", [5, 20, 1000])
@pytest.mark.parametrize("pods", [1, 2, 7, 10, 20, 100])
@pytest.mark.parametrize("profile", ["smoke", "load", "soak"])
def test_each_of_many_coredns_pods_gets_its_samples(profile, pods, nodes, live):
    found = planned(profile, nodes=nodes, live=live, capacity={"dns_qps": 60 * nodes})["steps"]
    [planned_step], [fitted] = ([one for one in steps if one["kind"] == "pods"] for steps in (found, dns_job.steps(found, many(pods))))
    made = job(fitted, many(pods), SETTINGS)
    assert made["count"] == pods and made["rate"] * made["seconds"] >= planned_step["samples"]
    # In that time, and not by a higher rate; where they are few it stays as planned.
    assert fitted["rate"] == planned_step["rate"] and made["rate"] * pods < fitted["rate"] + pods
    assert argument(made, "-l") == str(fitted["seconds"]) and made["timeout"] > fitted["seconds"]
    assert pods > 2 or live or fitted == planned_step


def test_without_a_cache_on_the_nodes_no_step_asks_there():
    found = planned("load")["steps"]
    assert [one["name"] for one in dns_job.steps(found, many(2))] == [one["name"] for one in found]
    assert "node-local" not in [one["name"] for one in dns_job.steps(found, INFO)] and dns_job.steps(found, {}) == dns_job.steps(found, {"pods": {}})


@pytest.mark.parametrize(("clients", "generators", "count"), [(10, 1, 3), (2, 1, 2), (10, 7, 7), (0, 1, 1)])
def test_how_many_ask(clients, generators, count):
    assert job(step(), INFO, {**SETTINGS, "clients": clients, "generators": generators})["count"] == count


@pytest.mark.parametrize("nodes", [1, 3, 40])
@pytest.mark.parametrize("declared", [2000, 20000, 50000, 400000])
@pytest.mark.parametrize("profile", ["smoke", "load", "stress", "soak"])
def test_a_line_for_each_answer_has_room_in_the_volume_of_its_pod(profile, declared, nodes):
    """Of 81.4 bytes, as the lab had them, dnsperf printed 3.4 GiB in a pod that may write 2."""
    found, info = planned(profile, capacity={"dns_qps": declared}), {**INFO, "nodes": {"names": [f"w{number}" for number in range(nodes)]}}
    made = {step["name"]: job(step, info, SETTINGS) for step in dns_job.steps(found["steps"], info) if step["kind"] != "pods"}
    assert all(one["rate"] * one["seconds"] * 81.4 < storage_plan.quantity(job_spec.ARGUMENTS["results_limit"]["default"]) for one in made.values())
    # No more pods than that takes, and as many as the plan says.
    usual = min(SETTINGS["clients"], nodes)
    assert all(one["count"] in (usual, dns_plan.fewest(step)) for step in found["steps"] for name, one in made.items() if step["name"] == name)
    assert max(one["count"] for one in made.values()) == max(usual, found["clients"]) and found["bytes"] >= sum(
        step["rate"] * step["seconds"] * 81.4 for step in found["steps"]
    )


@pytest.mark.parametrize(
    ("rate", "seconds", "nodes", "count", "named"), [(50000, 900, 1, 4, 1), (50000, 900, 3, 4, 3), (50000, 900, 40, 10, 10), (50000, 20, 1, 1, 1)]
)
def test_several_pods_on_a_node_where_one_has_no_room(rate, seconds, nodes, count, named):
    info = {**INFO, "nodes": {"names": [f"w{number}" for number in range(nodes)]}}
    made = job(step(rate=rate, seconds=seconds), info, SETTINGS)
    assert (made["count"], len(made["nodes"])) == (count, named) and made["rate"] * count >= rate
    # Together they have the sockets that the balance is judged by.
    assert made["sockets"] * count >= dns_job.SOCKETS_PER_POD * INFO["ready"]


def test_the_volume_is_that_of_a_job():
    assert dns_plan.RESULTS == storage_plan.quantity(job_spec.ARGUMENTS["results_limit"]["default"])


@pytest.mark.parametrize(("pods", "sockets", "threads"), [(1, 67, 2), (2, 134, 2), (9, 600, 3), (100, 960, 4)])
def test_sockets_grow_with_the_pods(pods, sockets, threads):
    found = job(step(), {**INFO, "ready": pods}, SETTINGS)
    assert (found["sockets"], found["threads"], argument(found, "-T")) == (sockets, threads, str(threads))
    # No thread has more than dnsperf gives it, and no process more than 1,024 files.
    assert sockets / threads <= 256 and sockets < 1000


def test_fifty_coredns_pods_get_sockets_enough_from_the_default_number_of_clients():
    found = job(step(), {**many(48), "nodes": {"names": [f"w{number}" for number in range(48)]}}, {**SETTINGS, "clients": DEFAULTS["dns_clients"]})
    assert found["sockets"] * found["count"] >= 48 * dns_job.SOCKETS_PER_POD


def test_no_thread_is_without_a_rate():
    assert job(step(rate=3), INFO, SETTINGS)["threads"] == 1


def ports(*found):
    """Return what dns_info found of CoreDNS pods that are asked at these ports, None where that is not known."""
    return {**INFO, "pods": {f"c{at}": {"ip": f"10.0.0.{at}", "ready": True, **({"port": port} if port else {})} for at, port in enumerate(found)}}


def test_each_pod_is_asked_at_its_own_port():
    """OpenShift's Corefile has .:5353, and its Service 53 -> 5353."""
    assert argument(job(step("pods"), ports(5353, 5353), SETTINGS), "-p") == "5353"
    assert argument(job(step("service"), ports(5353, 5353), SETTINGS), "-p") == "53"


@pytest.mark.parametrize(
    ("kind", "info", "said"),
    [
        ("pods", ports(5353, None), "do not say at which UDP port the pod c1 answers"),
        ("pods", ports(53, 5353), "answer at several ports (53, 5353)"),
        ("pods", ports(53, "dns"), "do not say at which UDP port the pod c1 answers"),
        ("node_local", {**INFO, "missing": {"node_local.address": "no address"}}, "no address"),
        ("service", {**many(2), "node_local": {"address": "10.96.0.10", "takes_service": True}}, "answers for the DNS Service"),
        (
            "external",
            {**many(2), "node_local": {"takes_service": True, "upstream": ""}, "missing": {"node_local.upstream": "no Service x besides"}},
            "no Service x besides",
        ),
    ],
)
def test_what_is_not_known_is_not_asked(kind, info, said):
    planned_steps = planned("load", dns_external_names=["a.example"])["steps"]
    assert kind in {one["kind"] for one in planned_steps} and kind not in {one["kind"] for one in dns_job.steps(planned_steps, info)}
    assert said in dns_job.left_out(info)[kind]
    with pytest.raises(JobError) as error:
        job(step(kind), info, SETTINGS)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("kind", "node_local", "address"),
    [
        ("service", {}, "10.96.0.10"),
        ("service", {"address": "169.254.20.10", "upstream": "10.96.0.99"}, "10.96.0.99"),
        ("node_local", {"address": "169.254.20.10", "upstream": ""}, "169.254.20.10"),
        ("external", {"address": "169.254.20.10", "upstream": ""}, "10.96.0.10"),
    ],
)
def test_whom_a_step_asks(kind, node_local, address):
    assert job(step(kind), {**INFO, "node_local": node_local}, SETTINGS)["argv"][3] == address


@pytest.mark.parametrize(
    ("kind", "info", "said"),
    [
        ("service", {**INFO, "nodes": {}}, "no node takes pods"),
        ("service", {**INFO, "service": {}}, "no address to ask in a step of the kind service"),
        ("node_local", INFO, "the address of NodeLocal DNSCache is not known"),
        ("pods", {**INFO, "pods": {}}, "no address to ask in a step of the kind pods"),
        ("service", {**INFO, "domain": None}, "name it in dns_domain"),
    ],
)
def test_without_what_it_needs_there_is_no_job(kind, info, said):
    with pytest.raises(JobError, match=said):
        job(step(kind), info, SETTINGS)


def test_the_mix_within_the_cluster():
    lines = queries(INFO, SETTINGS)
    searched = [line for line in lines if ".ns.svc." in line and line.count(".") == 5]
    found = job(step(), INFO, SETTINGS)
    assert len(searched) * 10 == len(lines) and (found["searched"], found["lines"]) == (len(searched), len(lines))
    assert {line.split()[1] for line in lines} == {"A", "AAAA"}
    existing = {line.split()[0] for line in lines if line not in searched}
    assert existing == {f"{name}.svc.cluster.local" for name in ("kubernetes.default", "kube-dns.kube-system", "s0.ns", "s1.ns")}
    # Each name as often as every other.
    assert len({lines.count(line) for line in lines if line not in searched}) == 1
    assert {line.split()[0] for line in searched} == {name.replace(".svc.", ".ns.svc.") for name in existing}


def test_where_coredns_finds_names_of_a_search_path_itself_none_is_asked_for_in_vain():
    found = job(step(), {**INFO, "corefile": {"plugins": ["autopath", "cache"]}}, SETTINGS)
    assert found["searched"] == 0 and ".ns.svc." in found["queries"] and not [line for line in found["queries"].splitlines() if line.count(".") == 5]


def test_names_outside():
    found = job(step("external"), INFO, SETTINGS)
    assert found["queries"] == "www.example.com A\nwww.example.com AAAA\n" and found["searched"] == 0


@pytest.mark.parametrize(
    ("kind", "names"),
    [("service", ["a:9153", "b:9153"]), ("external", ["a:9153", "b:9153"]), ("node_local", ["n1:9253"])],
)
def test_metrics_are_read_through_the_api_server(kind, names):
    found = endpoints(INFO, kind, ["w1"], {"server": "https://api/", "ca": "/ca"}, "secret")
    assert [one["url"] for one in found.values()] == [f"https://api/api/v1/namespaces/kube-system/pods/{name}/proxy/metrics" for name in names]
    assert all(one["token"] == "secret" and one["ca"] == "/ca" for one in found.values())


def test_caches_are_read_in_their_own_namespace():
    info = {**INFO, "node_local": {**INFO["node_local"], "namespace": "dns"}}
    [found] = endpoints(info, "node_local", ["w1"], {"server": "https://api"}, "secret").values()
    assert found["url"] == "https://api/api/v1/namespaces/dns/pods/n1:9253/proxy/metrics"


def test_without_metrics_nothing_is_read():
    assert endpoints({**INFO, "scraped": {}}, "service", [], {"server": "https://api"}, "secret") == {}
