# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json
import pathlib
import re
import shlex
import subprocess

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import network_pairs, network_runs, parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.network_layout import MOST, layout
from ansible_collections.kubeproof.certify.plugins.module_utils.network_plan import PlanError, plan

ROOT = pathlib.Path(__file__).parents[4]
DEFAULTS = yaml.safe_load((ROOT / "roles/network/defaults/main/settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROOT / "roles/network/defaults/main/checks.yml").read_text(encoding="utf-8"))["network_checks"]
PROFILES = ("smoke", "load", "stress", "soak")
NODES = [{"name": f"worker{number}", "zone": "", "aside": "", "trouble": ""} for number in (1, 2)]


def planned(profile="smoke", nodes=3, capacity=None, engine="auto", found=False, live=False, **settings):
    return plan(profile, {**DEFAULTS, "nodes": nodes, "capacity": capacity or {}, "engine": engine, "found": found, "live": live, **settings})


def load(**more):
    return {"network_load": {"smoke": {"tcp": 1, "streams": [1, 8], **more}}}


def places(address="10.0.0.1", **more):
    pods = {name: {"pod": f"net-{name}", "ip": address} for name in ("pod-0", "pod-1", "host-0", "host-1", "peer-0")}
    return {"pods": pods, "services": {"pod-1": "10.96.0.9"}, "host_port": 25201, "looks": {}, "pairs": {}, **more}


def bound(text):
    return float(text.split()[1])


def runs(kind, plan_of=None, **more):
    return {run["name"]: run for run in network_runs.runs([kind], layout(NODES), plan_of or planned(), places(**more))}


def test_smoke_touches_every_path_once_and_is_short():
    found = planned(nodes=3)
    assert [step["tests"] for step in found["steps"]] == [["throughput", "latency", "loss"], ["programming"]]
    assert found["seconds"] - found["again"] <= 90 and found["again"] <= 30 and found["pairs"] == 3


def test_load_has_the_samples_of_the_catalogue():
    found = planned("load")
    assert found["load"]["samples"] == 5 and found["load"]["connections"] * 5 >= 10_000
    assert [step["tests"] for step in found["steps"]] == [["throughput", "latency", "loss"], ["loaded"], ["programming"]]
    assert 900 <= found["seconds"] <= 3600
    # As many datagrams as prove a loss below the target; see the check.
    assert found["udp_rate"] * found["load"]["udp"] / (8 * 1448) >= 6000


@pytest.mark.parametrize("profile", ["load", "soak"])
def test_every_number_of_streams_is_measured_both_ways(profile):
    found = planned(profile)
    assert found["load"]["streams"] == found["load"]["reverse"] == [1, 8]
    ran = {(one["network"], one["streams"], one["way"]) for one in network_runs.tests("throughput", layout(NODES), found["load"])}
    assert {(streams, way) for network, streams, way in ran if network == "pod"} == {(streams, way) for streams in (1, 8) for way in ("forward", "reverse")}
    assert {(streams, way) for network, streams, way in ran if network == "host"} >= {(8, "forward"), (8, "reverse")}


def test_the_seconds_are_those_of_the_runs():
    """What a run takes beside what its tool is told was measured on the lab."""
    load, pairs = planned("load", 2), layout(NODES)
    beside = {"tcp": 0.5, "rtt": 2.8}
    every = [one for kind in ("throughput", "latency") for one in network_runs.tests(kind, pairs, load["load"])]
    seconds = sum(load["load"][one["test"]] + beside[one["test"]] for one in every if one["test"] in beside)
    whole = next(step["seconds"] for step in load["steps"] if step["name"] == "pairs")
    connections, loss = 5 * (2 + 0.5), 2 * (10 + 1 + 1)
    assert whole == pytest.approx(seconds + connections + loss, abs=1)
    # What only informs is measured once.
    assert len([one for one in every if one["test"] == "rtt" and one["network"] != "pod"]) == 2


@pytest.mark.parametrize(("nodes", "pairs"), [(0, 0), (1, 0), (2, 1), (3, 3), (20, 20), (21, 20), (500, 20)])
def test_pairs(nodes, pairs):
    found = planned(nodes=nodes)
    assert (found["pairs"], found["nodes"]) == (pairs, min(nodes, 20)) and found["sampled"] == (nodes if nodes > 20 else 0)
    assert DEFAULTS["network_most_nodes"] == MOST


@pytest.mark.parametrize("profile", ["load", "soak"])
@pytest.mark.parametrize("nodes", range(3, 31))
def test_every_node_up_to_twenty_is_measured_within_an_hour(profile, nodes):
    """However many pairs there are, a test has as many samples, and as many observations as its percentile or its proof needs."""
    found, usual = planned(profile, nodes), planned(profile, 3)
    assert 900 <= found["seconds"] - found["again"] <= 3600
    load = found["load"]
    for name in ("samples", "connections", "probes", "streams", "reverse", "host"):
        assert load[name] == usual["load"][name]
    # Round trips as long as critical in each repeat, and as long as the target in all of them: the catalogue's 10,000.
    pod = CHECKS["network_pod_latency_p99"]
    assert load["rtt"] / bound(pod["critical"]) >= pod["min_samples"] and load["samples"] * load["rtt"] / bound(pod["target"]) >= 10_000
    # Datagrams as large as jumbo frames, when the client sent as few as count.
    assert network_pairs.SENT * found["udp_rate"] * load["udp"] / (8 * 8948) >= CHECKS["network_udp_loss"]["min_samples"]
    assert load["tcp"] >= 2 and load["loaded"] >= 2


def test_what_many_pairs_shorten_is_said_and_is_no_setting():
    settings = copy.deepcopy(DEFAULTS["network_load"])
    assert planned("load", 9)["shortened"] == {}
    found = planned("load", 20)
    assert found["shortened"] == {"tcp": 6, "rtt": 6, "udp": 10, "loaded": 10} and found["load"]["tcp"] < 6
    assert found["load"]["within"] == 3600 and DEFAULTS["network_load"] == settings
    longer = planned("load", 20, network_load={"load": {**settings["load"], "within": 0}})
    assert longer["shortened"] == {} and longer["load"]["tcp"] == 6 and longer["seconds"] > 7000


def test_pairs_between_many_zones_count():
    """Eight nodes in as many zones are 28 pairs, which is known when the nodes were asked."""
    zones = layout([{**NODES[0], "name": f"n{number}", "zone": f"z{number}"} for number in range(8)])
    pairs = len([pair for pair in zones["pairs"] if pair["kind"] != "same"])
    found = planned("load", 8, pairs=pairs)
    assert found["pairs"] == pairs == 28 and found["load"]["tcp"] == 2 and found["nodes"] == 8
    assert planned("load", 8, pairs=0)["pairs"] == 8


@pytest.mark.parametrize("more", [{"engine": "k8s_netperf"}, {"found": True}, {"live": True}])
def test_the_hour_holds_with_every_engine(more):
    found = planned("load", 20, **more)
    assert found["seconds"] - found["again"] <= 3600
    # The one pair of k8s-netperf is no reason to shorten it.
    assert found["netperf"]["seconds"] == 6


def test_a_shortened_run_is_not_said_to_have_been_shortened_by_its_pairs():
    found = planned("load", 20, time_scale=0.02)
    assert found["load"]["tcp"] == 1 and found["shortened"] == {}


def test_a_slow_rate_of_datagrams_keeps_its_seconds():
    assert planned("load", 20, network_udp_rate=10_000_000)["load"]["udp"] == 10


def test_a_cluster_that_serves_keeps_its_network():
    found = planned("load", live=True)
    assert [step["tests"] for step in found["steps"]] == [["latency", "loss"], ["programming"]] and found["live"]
    assert not [test for test in found["netperf"]["tests"] if test["profile"] == "TCP_STREAM"]


@pytest.mark.parametrize(
    ("engine", "named", "engines", "steps"),
    [
        ("auto", False, ["builtin"], {"pairs": ["throughput", "latency", "loss"], "programming": ["programming"]}),
        ("auto", True, ["builtin", "k8s_netperf"], {"pairs": ["throughput", "latency", "loss"], "programming": ["programming"], "k8s-netperf": []}),
        ("builtin", True, ["builtin"], {"pairs": ["throughput", "latency", "loss"], "programming": ["programming"]}),
        ("k8s_netperf", False, ["k8s_netperf"], {"pairs": ["latency", "loss"], "programming": ["programming"], "k8s-netperf": []}),
    ],
)
def test_engines(engine, named, engines, steps):
    found = planned(engine=engine, found=named)
    assert found["engines"] == engines and {step["name"]: step["tests"] for step in found["steps"]} == steps


def test_k8s_netperf_decides_and_ours_asks_once_whether_it_works():
    found = planned("load", engine="k8s_netperf")
    assert [found["load"][name] for name in ("tcp", "rtt", "samples", "loaded", "connections", "udp")] == [0, 1, 1, 0, 2000, 10]
    # Of several samples it tells the mean, of percentiles too.
    tests = found["netperf"]["tests"]
    assert [(test["parallelism"], test["samples"]) for test in tests if test["profile"] == "TCP_STREAM"] == [(1, 5), (8, 5)]
    requests = [(test["profile"], test["service"]) for test in tests if test["samples"] == 1]
    assert requests == [("TCP_RR", False)] * 5 + [("TCP_RR", True)] * 5 + [("TCP_CRR", True)] * 5
    assert [test["name"] for test in tests] == [f"Test{number}" for number in range(17)] and found["netperf"]["seconds"] == 6


def test_the_configuration_of_k8s_netperf():
    asked = planned("load", engine="k8s_netperf")["netperf"]
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters["to_json"] = json.dumps
    template = environment.from_string((ROOT / "roles/network/templates/netperf.yml.j2").read_text(encoding="utf-8"))
    written = yaml.safe_load(template.render(__network_netperf_tests=asked["tests"], __network_netperf_seconds=asked["seconds"]))["tests"]
    keys = ("profile", "parallelism", "service", "samples")
    assert [[one[key] for key in keys] for one in written] == [[one[key] for key in keys] for one in asked["tests"]]
    assert {one["duration"] for one in written} == {6} and {one["samples"] for one in written if one["profile"] != "TCP_STREAM"} == {1}


@pytest.mark.parametrize("engine", ["auto", "k8s_netperf"])
def test_k8s_netperf_has_no_rate_so_the_ramp_is_ours(engine):
    found = planned("stress", engine=engine, found=True)
    assert found["stress"]["expected"] == 1e9 and [step["share"] for step in found["steps"] if "phase" in step][:2] == [1.0, 1.25]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"network_load": {}}, "network_load is {}. Write a map"),
        (load(tpc=1), "network_load.smoke has 'tpc'. Write some of tcp, "),
        (load(tcp=-1), "network_load.smoke.tcp is -1. Write a number from 0"),
        (load(rtt=0.5), "network_load.smoke.rtt is 0.5. Write a whole number."),
        (load(samples=0), "network_load.smoke.samples is 0. Write a number from 1"),
        (load(within=-1), "network_load.smoke.within is -1. Write a number from 0"),
        (load(udp=True), "network_load.smoke.udp is True. "),
        (load(streams=[]), "network_load.smoke.streams is empty. "),
        (load(streams=[8, 8]), "network_load.smoke.streams is [8, 8]. Write a list of numbers of streams from 1 to 128, each once"),
        (load(reverse=[2]), "network_load.smoke.reverse has 2, which network_load.smoke.streams has not."),
        (load(tcp=0, loaded=5), "network_load.smoke.loaded needs network_load.smoke.tcp"),
        ({"network_load": {"smoke": {}}}, "network_load.smoke asks for nothing."),
        ({"capacity": {"interzone_rate": 0}}, "certify_capacity.interzone_rate is 0. "),
        ({"network_udp_rate": "1G"}, "network_udp_rate is '1G'. Write a number"),
        ({"engine": "iperf"}, "certify_network_engine is 'iperf'. Write one of auto, builtin, k8s_netperf."),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(settings, said):
    with pytest.raises(PlanError) as error:
        planned(**settings)
    assert said in str(error.value)


@pytest.mark.parametrize("page", ["README.md", "inventories/example/group_vars/all/certify.yml", "inventories/lab/group_vars/all/certify.yml"])
def test_the_rate_between_zones_that_is_shown_can_be_taken_and_held(page):
    """10e9 is a text in YAML; and of 10 GbE a pair of nodes has 9.41 Gbit/s, which are to be 1.3 times what it needs."""
    shown = re.findall(r"interzone_rate: ([^\s,}]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert shown
    for text in shown:
        [told] = [one for one in planned(capacity={"interzone_rate": yaml.safe_load(text)})["inputs"] if one["name"] == "interzone_rate"]
        assert told["value"] * 1.3 <= 9.41e9 and "one node" in told["text"]


# The tests of a pair ---------------------------------------------------------------------------------------------------------


def test_throughput_of_both_ways_and_networks():
    found = runs("throughput", planned("load"))
    assert sum("pod-tcp-8-reverse" in name for name in found) == 2 * 5
    one = found["0-host-tcp-8-reverse-4"]
    assert one["pod"] == "net-host-0" and one["parser"] == "iperf3"
    assert one["argv"] == shlex.split("timeout -k 1 14 iperf3 -c 10.0.0.1 -p 25201 -J --connect-timeout 3000 -t 6 -P 8 -R")
    assert one["timeout"] > 14
    # Two pods of one node have no wire between them, so nothing to compare with.
    assert not [name for name in found if name.startswith("1-host")] and found["1-pod-tcp-1-forward-0"]["pod"] == "net-peer-0"


def test_latency_through_a_service_goes_to_its_address():
    found = runs("latency", planned("load"))
    assert "10.96.0.9" in found["0-service-rtt-0"]["argv"] and "10.0.0.1" in found["0-pod-rtt-0"]["argv"]
    assert found["0-service-connect-4"]["argv"][-1] == "http://10.96.0.9:8080/?[1-2000]"


@pytest.mark.parametrize(
    ("tables", "connections"),
    [([], 2000), ([{"count": 0, "max": 262144}], 2000), ([{"count": 0, "max": 262144}, {"count": 50_000, "max": 60_000}], 166), ([{"count": 9, "max": 9}], 1)],
)
def test_connections_leave_room_in_the_tables(tables, connections):
    found = runs("latency", planned("load"), looks={f"host-{number}": {"conntrack": one} for number, one in enumerate(tables)})
    assert found["0-service-connect-0"]["argv"][-1].endswith(f"[1-{connections}]")


def test_half_of_what_was_measured_is_the_load():
    rate = {"worker1 -> worker2 (nodes)": {"tcp": {"rate": 10e9}}}
    found = runs("loaded", planned("load"), pairs=rate)
    assert found["0-pod-loaded-0"]["argv"][4:] == ["10.0.0.1", "5202", "11111", "5000000000", "10"]
    assert runs("loaded", planned("load")) == {}


@pytest.mark.parametrize(("address", "headers", "fragment"), [("10.0.0.1", "28", True), ("fd00::1", "48", False)])
def test_full_size_packets(address, headers, fragment):
    argv = runs("loss", address=address)["0-pod-full_size-0"]["argv"]
    assert argv[4:] == [address, "5201", headers, "10000000", "--dont-fragment" if fragment else ""]


@pytest.fixture(name="full_size")
def fixture_full_size(tmp_path):
    """Return a function that runs the script beside an `ip` and an `iperf3` that say what is given: (exit code, stderr, arguments of iperf3)."""

    def run(route, afterwards, address="10.2.0.2", headers="28", option="--dont-fragment", tool="exit 0"):
        (tmp_path / "eth0").mkdir()
        (tmp_path / "eth0/mtu").write_text("1500\n")
        (tmp_path / "ip").write_text(f"#!/bin/sh\n[ -n '{route}' ] || exit 2\n[ \"$4\" = fibmatch ] && echo '{route}' || echo '{afterwards}'\n")
        (tmp_path / "iperf3").write_text(f"#!/bin/sh\necho \"$@\" >{tmp_path}/said\necho 'warning: UDP block size' >&2\n{tool}\n")
        for name in ("ip", "iperf3"):
            (tmp_path / name).chmod(0o755)
        script = network_runs.FULL_SIZE.replace("/sys/class/net", str(tmp_path))
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(
            ["sh", "-c", script, "sh", address, "5201", headers, "10000000", option], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        said = tmp_path / "said"
        return done.returncode, done.stderr, said.read_text() if said.exists() else ""

    return run


# As iproute2 6.1 writes them. Cilium sets the MTU on the route of a device with 1500.
CILIUM = "default via 10.0.0.7 dev eth0 mtu 1450 "
PLAIN = "default via 10.1.0.1 dev eth0 "
NEW = "default via fd01::1 dev eth0 metric 1024 mtu 1450 pref medium"
NEW_PLAIN = "default via fd01::1 dev eth0 metric 1024 pref medium"
GOT = "10.2.0.2 via 10.1.0.1 dev eth0 src 10.1.0.2 uid 0 \\    cache"
NEW_GOT = "fd02::2 from :: via fd01::1 dev eth0 src fd01::2 metric 1024"


@pytest.mark.parametrize(
    ("route", "afterwards", "headers", "length"),
    [
        (CILIUM, f"{GOT} mtu 1450 ", "28", 1422),
        ("10.2.0.0/24 via 10.1.0.1 dev eth0 mtu lock 1400 ", f"{GOT} mtu lock 1400 ", "28", 1372),
        (PLAIN, f"{GOT} ", "28", 1472),
        (NEW, f"{NEW_GOT} mtu 1450 pref medium", "48", 1402),
        (NEW_PLAIN, f"{NEW_GOT} pref medium", "48", 1452),
        # More than the route lets pass is no news.
        (CILIUM, f"{GOT} expires 590sec mtu 1450 ", "28", 1422),
    ],
)
def test_a_full_size_packet_is_as_large_as_the_route_else_the_device_lets_it_be(full_size, route, afterwards, headers, length):
    code, stderr, said = full_size(route, afterwards, headers=headers)
    assert (code, stderr) == (0, "") and f" -l {length} --dont-fragment " in said


@pytest.mark.parametrize("route", [PLAIN, NEW_PLAIN])
def test_a_path_that_carries_less_than_the_route_fails_although_the_sender_fragments(full_size, route):
    code, stderr, said = full_size(route, f"{NEW_GOT} expires 598sec mtu 1400 pref medium", address="fd02::2", headers="48", option="")
    assert code == 1 and stderr == "packets of 1500 bytes were sent, and the way to fd02::2 carries 1400\n"
    assert " -l 1452 -J " in said


@pytest.mark.parametrize(("route", "tool", "ends"), [(PLAIN, "exit 1", 1), (PLAIN, "exit 124", 124), ("", "exit 0", 125), ("default dev eth9 ", "exit 0", 125)])
def test_what_iperf3_ends_with_is_kept_and_without_a_route_nothing_is_known(full_size, route, tool, ends):
    code, dummy, said = full_size(route, GOT, tool=tool)
    assert code == ends and bool(said) is (ends != 125)


def test_ipv6_stands_in_brackets_in_a_url():
    found = runs("latency", services={"pod-1": "fd00::9"})
    assert found["0-service-connect-0"]["argv"][-1].startswith("http://[fd00::9]:8080/")


BOTH = {"pod": "x", "ip": "fd00::1", "ips": ["fd00::1", "10.0.0.7"]}


def test_sockperf_is_given_the_ipv4_address_of_a_pod_whose_first_is_ipv6():
    """Of sockperf 3.7 an IPv6 address is an argument that it does not know."""
    rate = {"worker1 -> worker2 (nodes)": {"tcp": {"rate": 1e9}}}
    pods = dict.fromkeys(places()["pods"], BOTH)
    found = {name: run for kind in ("throughput", "latency", "loaded") for name, run in runs(kind, planned("load"), pods=pods, pairs=rate).items()}
    assert found["0-pod-rtt-0"]["argv"][7:9] == found["0-host-rtt-0"]["argv"][7:9] == ["-i", "10.0.0.7"] and found["0-pod-loaded-0"]["argv"][4] == "10.0.0.7"
    # Other tools use the family that the cluster prefers.
    assert "fd00::1" in found["0-pod-tcp-1-forward-0"]["argv"]


def test_without_ipv4_sockperf_does_not_run():
    pods = {name: {"pod": name, "ip": "fd00::1", "ips": ["fd00::1"]} for name in places()["pods"]}
    given = {"pods": pods, "services": {"pod-1": "fd00::9"}}
    found = runs("latency", planned("load"), **given)
    assert {run["parser"] for run in found.values()} == {"curl"}
    why = {test["name"]: network_runs.unable(test, given) for test in network_runs.tests("latency", layout(NODES), planned("load")["load"])}
    assert {name for name, text in why.items() if not text} == set(found) and set(why) > set(found)
    unknown = "sockperf of a version that is not known has no IPv6 (3.8 and later have), and "
    assert why["0-pod-rtt-0"] == f"{unknown}the pod pod-1 has no IPv4 address"
    assert why["0-service-rtt-0"] == f"{unknown}the Service before the pod pod-1 has no IPv4 address"


@pytest.mark.parametrize(
    ("client", "server", "said"),
    [
        ({"sockperf": "3.8"}, {"sockperf": "3.10"}, ""),
        ({"sockperf": "4.0"}, {"sockperf": "3.8"}, ""),
        ({"sockperf": "3.10"}, {"sockperf": "3.7"}, "sockperf 3.7 has no IPv6"),
        ({"sockperf": "3.10"}, {}, "sockperf of a version that is not known has no IPv6"),
        ({"error": "gone"}, {"sockperf": "3.10"}, "sockperf of a version that is not known has no IPv6"),
    ],
)
def test_sockperf_of_both_pods_is_asked_whether_it_knows_ipv6(client, server, said):
    pods = {name: {"pod": name, "ip": "fd00::1", "ips": ["fd00::1"]} for name in places()["pods"]}
    given = {"pods": pods, "services": {"pod-1": "fd00::9"}, "looks": {"pod-0": client, "pod-1": server}}
    found = runs("latency", planned("load"), **given)
    assert ("0-pod-rtt-0" in found) is not bool(said) and ("0-service-rtt-0" in found) is not bool(said)
    assert said or found["0-pod-rtt-0"]["argv"][7:9] == ["-i", "fd00::1"]
    test = next(test for test in network_runs.tests("latency", layout(NODES), planned("load")["load"]) if test["name"] == "0-pod-rtt-0")
    assert network_runs.unable(test, given).startswith(said) and bool(network_runs.unable(test, given)) is bool(said)


def test_without_an_address_nothing_runs():
    found = runs("latency", pods={"pod-0": {"pod": "net-pod-0", "ip": "10.0.0.1"}}, services={})
    assert found == {}


@pytest.mark.parametrize("profile", PROFILES)
def test_results_are_found_by_name(profile):
    found = planned(profile)
    for kind in network_runs.OF_KIND:
        tests = network_runs.tests(kind, layout(NODES), found["load"])
        assert len({test["name"] for test in tests}) == len(tests)
        step = {"rates": {"nodes": 1e9}, "streams": 8, "each": 5}
        made = network_runs.runs([kind], layout(NODES), dict(found, step=step), places(pairs={"worker1 -> worker2 (nodes)": {"tcp": {"rate": 1e9}}}))
        assert [run["name"] for run in made] == [test["name"] for test in tests]
        assert all(run["parser"] in parsers.PARSERS for run in made)


# Second tries ------------------------------------------------------------------------------------------------------------------

FAILED = {"exit_code": 1, "seconds": 1.0, "error": "iperf3 ended with exit code 1: unable to connect"}


def tried_again(results, profile="smoke", name="pairs", **changed):
    """Return the names of what a step tries once more when its runs had these results; all others were good."""
    found = planned(profile)
    step = {**next(step for step in found["steps"] if step["name"] == name), **changed}
    given = dict(found, step=step)
    every = network_runs.runs(step["tests"], layout(NODES), given, places(pairs={"worker1 -> worker2 (nodes)": {"tcp": {"rate": 1e9}}}))
    good = {run["name"]: {"exit_code": 0, "error": "", "facts": {key: {} for keys in network_pairs.FACTS.values() for key in keys}} for run in every}
    again = network_pairs.again(every, given, layout(NODES), {**good, **results})
    by_name = {run["name"]: run for run in every}
    # The same command in the same pod, whose output has a place of its own.
    assert all({**run, "name": run["name"][: -len(network_runs.AGAIN)]} == by_name[run["name"][: -len(network_runs.AGAIN)]] for run in again)
    assert not {run["name"] for run in again} & set(by_name)
    return [run["name"] for run in again]


@pytest.mark.parametrize("name", ["0-pod-rtt-0", "1-pod-tcp-8-forward-0", "0-pod-udp-0", "0-pod-full_size-0", "0-service-rtt-0", "0-service-connect-0"])
def test_what_failed_is_tried_once_more(name):
    for outcome in (FAILED, {**FAILED, "exit_code": 124}):
        assert tried_again({name: outcome}) == [f"{name}-again"]


def test_connections_of_which_one_failed_are_tried_once_more():
    some = {"exit_code": 0, "error": "", "facts": {"count": 300, "failed": 1, "latency": {}}}
    assert tried_again({"0-service-connect-0": some}) == ["0-service-connect-0-again"]


def test_under_load_too():
    assert tried_again({"0-pod-loaded-0": FAILED}, "load", "loaded") == ["0-pod-loaded-0-again"]


@pytest.mark.parametrize(
    "results",
    [
        {},
        # Of the host network nothing is said but a baseline.
        {"0-host-rtt-0": FAILED, "0-host-tcp-8-forward-0": FAILED},
        # Nobody knows that these failed.
        {"0-pod-rtt-0": {"error": "the pod net-pod-1 was lost"}, "0-pod-udp-0": None, "0-pod-full_size-0": {"exit_code": 137, "error": "killed"}},
    ],
)
def test_what_did_not_fail_is_not_tried_again(results):
    assert tried_again(results) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_second_tries_end_within_the_seconds_that_are_planned(profile):
    found = planned(profile)
    names = {test["name"] for kind in ("throughput", "latency", "loss") for test in network_runs.tests(kind, layout(NODES), found["load"])}
    again = tried_again(dict.fromkeys(names, FAILED), profile)
    step = found["steps"][0]
    made = {run["name"]: run for kind in step["tests"] for run in network_runs.runs([kind], layout(NODES), found, places())}
    took = sum(made[name[: -len("-again")]]["timeout"] - network_runs.GRACE for name in again)
    assert 2 < len(again) < len(names) and took <= step["again"] <= found["again"] and step["again"] < 60
    assert tried_again(dict.fromkeys(names, FAILED), profile, again=0) == []


def test_a_ramp_goes_on_without_second_tries():
    found = planned("stress", stress={"shares": [1.0], "bisect": False})
    assert not [step for step in found["steps"] if "phase" in step and "again" in step]


@pytest.mark.parametrize("script", [network_runs.CONNECT, network_runs.FULL_SIZE, network_runs.LOADED, network_runs.RAMP])
def test_scripts_are_shell(script):
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_pods():
    pods = network_runs.pods(layout(NODES), "pod")
    hosts = network_runs.pods(layout(NODES), "host", 25201)
    assert {name: pod["node"] for name, pod in {**pods, **hosts}.items()} == {
        "pod-0": "worker1", "pod-1": "worker2", "peer-0": "worker1", "host-0": "worker1", "host-1": "worker2"
    }  # fmt: skip
    assert pods["pod-1"]["labels"] == {network_runs.SERVER_LABEL: "pod-1"} and hosts["host-1"]["ports"] == [25201, 25202, 25203]
    assert hosts["host-0"]["host_network"] and not pods["pod-0"]["host_network"] and "argv" not in pods["peer-0"]


@given(st.sampled_from(PROFILES), st.integers(0, 10**5))
def test_any_number_of_nodes_gives_a_plan(profile, nodes):
    found = planned(profile, nodes)
    assert all(step["seconds"] > 0 for step in found["steps"])
    assert found["seconds"] == sum(step["seconds"] + step.get("again", 0) for step in found["steps"])
