# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_plan import CLASSES, INPUTS, REQUESTS, SAMPLES, PlanError, plan

ROLE = pathlib.Path(__file__).parents[4] / "roles/ingress/defaults/main"
DEFAULTS = yaml.safe_load((ROLE / "settings.yml").read_text(encoding="utf-8"))
CHECKS = yaml.safe_load((ROLE / "checks.yml").read_text(encoding="utf-8"))["ingress_checks"]


def planned(profile="smoke", tier="small", capacity=None, live=False, **settings):
    return plan(profile, {**DEFAULTS, "tier": tier, "capacity": capacity or {}, "live": live, "checks": CHECKS, "thresholds": {}, **settings})


def steps(profile="smoke", **more):
    return {step["name"]: step for step in planned(profile, **more)["steps"]}


@pytest.mark.parametrize(
    ("tier", "capacity", "rps", "peak"),
    [
        ("small", {}, 10_000, None),
        ("large", {}, 50_000, None),
        ("", {}, None, None),
        ("large", {"ingress_rps": 700}, 700, None),
        ("", {"ingress_rps": 700, "ingress_peak_rps": 900}, 700, 900),
    ],
)
def test_a_declared_rate_wins_over_the_size_class(tier, capacity, rps, peak):
    found = planned(tier=tier, capacity=capacity)
    assert found["expected"] == {"rps": rps, "peak": peak, "tier": tier or None}
    assert {one["name"]: one["value"] for one in found["inputs"]} == {"ingress_rps": rps, "ingress_peak_rps": peak}
    assert {one["name"] for one in found["inputs"] if one["source"] == "declared"} == set(capacity)
    assert list(INPUTS) == [one["name"] for one in found["inputs"]]


def test_smoke_touches_every_path_once():
    found = steps(capacity={"ingress_rps": 5000})
    assert [(name, step["kind"], step["to"]) for name, step in found.items()] == [
        ("straight", "wrk", "straight"),
        ("rps", "wrk", "main"),
        ("connections", "wrk", "plain"),
        ("handshakes", "handshakes", "tls"),
        ("latency-1-10", "k6", "main"),
    ]
    assert {name for name, step in found.items() if step.get("keep_alive")} == {"straight", "rps"}
    assert found["latency-1-10"]["rate"] == 500
    # Enough requests to say that fewer than one in a thousand fails.
    low = steps(capacity={"ingress_rps": 10})["latency-1-10"]
    assert low["rate"] * low["seconds"] >= 3000


def requests(found):
    return sum(step["rate"] * step["seconds"] for step in found["steps"] if "rate" in step)


def test_a_size_class_has_the_samples_that_its_check_asks():
    assert CHECKS["ingress_errors"]["min_samples"] == REQUESTS and set(REQUESTS) == set(CLASSES)
    assert CHECKS["ingress_latency_p99"]["min_samples"] == SAMPLES


@pytest.mark.parametrize("more", [{}, {"ingress_url": "https://shop.example.com/"}, {"live": True}])
@pytest.mark.parametrize("rate", [6, 60, 300, 1000, None])
@pytest.mark.parametrize("tier", CLASSES)
def test_smoke_offers_enough_to_judge_what_fails(tier, rate, more):
    """Nobody waits for a day; what is not offered is named."""
    capacity = {"ingress_rps": rate} if rate else {}
    found = planned(tier=tier, capacity=capacity, **more)
    said = [one for one in found["missing"] if f"{REQUESTS[tier]:,} that it takes to judge how many fail" in one]
    assert said == [] if requests(found) >= REQUESTS[tier] else len(said) == 1 and "certify_capacity.ingress_rps" in said[0]
    # A step is longer for that, and no longer than that.
    step = found["steps"][-1]
    assert 16 <= step["seconds"] <= 616 and (step["seconds"] == 16 or requests(found) - step["rate"] < 1.05 * REQUESTS[tier])
    assert bool(said) is (bool(more) and (tier, rate) in {("large", 6)})


@pytest.mark.parametrize(
    ("profile", "rate", "tier", "seconds", "said"),
    [
        ("load", 12, "small", 900, False),
        # 9,900 and 6,300 requests in 900 s.
        ("load", 11, "small", 955, False),
        ("load", 7, "large", 1500, False),
        ("load", 6, "small", 900, True),
        # Neither is a P99 judged there.
        ("load", 6, "", 900, False),
        ("soak", 12, "small", 900, False),
    ],
)
def test_the_last_step_of_latency_has_the_samples_of_its_p99(profile, rate, tier, seconds, said):
    found = planned(profile, tier=tier, live=True, capacity={"ingress_rps": rate})
    step = [step for step in found["steps"] if step["of"] == "latency"][-1]
    assert step["seconds"] == seconds
    sentences = [one for one in found["missing"] if "the 10,000 that it takes to judge the P99" in one]
    assert len(sentences) == said and all("certify_capacity.ingress_rps" in one for one in sentences)


def test_a_run_in_less_time_is_judged_by_its_samples():
    known = {"tier": "large", "capacity": {"ingress_rps": 1000}}
    assert [steps(time_scale=scale, **known)["latency-1-10"]["seconds"] for scale in (1, 0.1, 0.001)] == [158, 16, 1]


def test_the_last_step_is_the_longer_one():
    load = {"smoke": {"latency": [{"share": 0.1, "seconds": 5}, {"share": 0.5, "seconds": 5}]}}
    found = steps(capacity={"ingress_rps": 100}, ingress_load=load, live=True)
    assert {name: step["seconds"] for name, step in found.items()} == {"latency-1-10": 5, "latency-2-50": 27}
    # A profile that offers nothing at a fixed rate offers no more for that.
    assert [step["seconds"] for step in planned(ingress_load={"smoke": {"rps": 1}})["steps"]] == [1]


@pytest.mark.parametrize(("tier", "least"), [("small", 10_000), ("large", 30_000), ("", 10_000)])
def test_a_step_of_the_ramp_has_the_samples_of_its_size_class(tier, least):
    found = planned("stress", tier=tier, capacity={"ingress_rps": 100}, ingress_load={"stress": {"ramp": 8}})
    assert all(step["rate"] * step["seconds"] >= least for step in found["steps"] if step["phase"] != "probe")
    assert found["steps"][0]["rate"] * (found["steps"][0]["seconds"] - 1) < 1.1 * least


def test_load_offers_what_is_expected_and_the_peak_with_room():
    found = steps("load", capacity={"ingress_rps": 1000, "ingress_peak_rps": 1001})
    assert {name: step["rate"] for name, step in found.items() if "rate" in step} == {
        "latency-1-70": 700,
        "latency-2-85": 850,
        "latency-3-100": 1000,
        "peak-1-100": 1001,
        "peak-2-130": 1302,
    }


@given(st.integers(min_value=1000, max_value=10**6))
def test_a_share_of_the_peak_is_reached(peak):
    found = steps("load", capacity={"ingress_peak_rps": peak})
    assert found["peak-1-100"]["rate"] == peak and found["peak-2-130"]["rate"] / peak >= 1.3


def test_without_a_declared_peak_none_is_offered():
    found = planned("load")
    assert not [step for step in found["steps"] if step["name"].startswith("peak")]
    assert any("certify_capacity.ingress_peak_rps" in one for one in found["missing"])


def test_without_a_size_class_the_variable_is_named():
    found = planned(tier="")
    assert any("certify_tiers.ingress" in one for one in found["missing"])
    assert steps(tier="")["latency-1-10"]["rate"] == DEFAULTS["ingress_least_rate"]
    assert planned(capacity={"ingress_peak_rps": 9})["missing"] == []


@pytest.mark.parametrize(
    ("profile", "capacity", "settings", "said"),
    [
        # 2,850 for each of two processors, of which 80 % are the most.
        ("load", {"ingress_rps": 4560}, {}, None),
        ("load", {"ingress_rps": 4561}, {}, ("latency-3-100 asks for", 2, "4,561", 1)),
        ("load", {}, {}, ("latency-1-70, latency-2-85, latency-3-100 ask for", 3, "10,000", 1)),
        ("load", {}, {"generators": 3}, None),
        ("load", {"ingress_rps": 8000, "ingress_peak_rps": 12000}, {"generators": 2}, ("peak-1-100, peak-2-130 ask for", 4, "15,600", 2)),
        ("load", {"ingress_rps": 8000}, {"ingress_client_cpus": 4}, None),
        ("smoke", {}, {}, None),
        ("stress", {"ingress_rps": 4000}, {"stress": {"shares": [1.0, 1.25], "bisect": False}}, ("probe-125, ramp-125 ask for", 2, "5,000", 1)),
    ],
)
def test_the_plan_says_what_the_generators_cannot_send(profile, capacity, settings, said):
    found = [one for one in planned(profile, capacity=capacity, **settings)["missing"] if "the generators cannot send" in one]
    assert bool(found) is (said is not None)
    if said:
        names, wanted, rate, there = said
        assert f"cannot send what {names}" in found[0] and f"set certify_generators to {wanted} for {rate} requests a second (it is {there};" in found[0]


RATE = {"ingress_connection_rate": {"target": {"small": "> 1000"}, "critical": {"small": "> 500"}}}


@pytest.mark.parametrize(
    ("tier", "settings", "said"),
    [
        # 800 handshakes for each of two processors, of which 80 % are the most.
        ("small", {}, {"handshakes": (4, "5,000 new connections", 1, "1,280")}),
        ("small", {"generators": 3}, {"handshakes": (4, "5,000 new connections", 3, "1,280")}),
        ("small", {"generators": 4}, {}),
        ("small", {"ingress_client_cpus": 8}, {}),
        ("small", {"thresholds": RATE}, {}),
        ("small", {"ingress_tls": "none"}, {}),
        ("large", {}, {"rps": (2, "50,000 requests", 1, "25,600"), "handshakes": (16, "20,000 new connections", 1, "1,280")}),
        ("large", {"ingress_tls": "none"}, {"connections": (2, "20,000 new connections", 1, "14,400")}),
        # Nothing goes beyond what is declared; nothing is judged.
        ("small", {"live": True}, {}),
        ("small", {"profile": "smoke"}, {}),
        ("", {}, {}),
    ],
)  # fmt: skip
def test_the_plan_says_how_many_generators_a_judged_rate_takes(tier, settings, said):
    found = planned(**{"profile": "load", "tier": tier, "capacity": {"ingress_rps": 500, "ingress_peak_rps": 800}, **settings})
    sentences = {one.split(" is judged by")[0]: one for one in found["missing"] if " is judged by " in one}
    assert set(sentences) == set(said)
    for name, (wanted, rate, there, each) in said.items():
        assert f" is judged by {rate} a second" in sentences[name]
        assert f"set certify_generators to {wanted} (it is {there}; one makes about {each})" in sentences[name]


@pytest.mark.parametrize(
    ("profile", "tier", "settings", "requests", "new"),
    [
        # 64 connections, and answers that take 1 / ln 100 of what their P99 may: 100 and 20 ms.
        ("load", "small", {}, [2947.3, 10_000], [2947.3, 5_000]),
        ("load", "large", {}, [14736.5, 50_000], [14736.5, 20_000]),
        ("load", "small", {"ingress_connections": 218}, [10039.3, 10_000], [10039.3, 5_000]),
        ("load", "small", {"thresholds": RATE}, [2947.3, 10_000], [2947.3, 1_000]),
        ("load", "small", {"thresholds": {"ingress_latency_p99": {"target": {"small": "< 0.05"}}}}, [5894.6, 10_000], [5894.6, 5_000]),
        # No rate is judged there.
        ("smoke", "small", {}, None, None),
        ("load", "", {}, None, None),
    ],
)
def test_a_rate_that_quick_answers_on_few_connections_leave_open(profile, tier, settings, requests, new):
    found = steps(profile, tier=tier, **settings)
    assert {found[name]["connections"] for name in ("straight", "rps", "connections", "handshakes")} == {settings.get("ingress_connections", 64)}
    assert [found[name].get("open") for name in ("straight", "rps", "connections", "handshakes")] == [None, requests, new, new]


@pytest.mark.parametrize("value", [0, -1, 6.5, "64", True, None])
def test_connections_are_a_whole_number(value):
    with pytest.raises(PlanError) as refused:
        planned("load", ingress_connections=value)
    assert str(refused.value).startswith(f"ingress_connections is {value!r}. Write a whole number from 1 to ")


def test_without_tls_there_are_no_handshakes():
    found = planned(ingress_tls="none")
    assert not found["tls"] and "handshakes" not in steps(ingress_tls="none") and "connections" in steps(ingress_tls="none")


@pytest.mark.parametrize("limit", [{"live": True}, {"ingress_url": "https://shop.example.com/"}])
def test_nothing_goes_beyond_what_is_declared(limit):
    capacity = {"ingress_rps": 50, "ingress_peak_rps": 60}
    for profile in DEFAULTS["ingress_load"]:
        found = planned(profile, capacity=capacity, **limit)
        assert found["limited"] and bool(found["steps"]) is (profile != "stress")
        assert all(step["kind"] == "k6" and step["rate"] <= (60 if step["of"] == "peak" else 50) for step in found["steps"])
    assert any(next(iter(limit)).replace("live", "certify_live") in one for one in found["missing"])
    # Nothing is declared: the size class is no promise of the owner, so only its share is offered on a cluster of its own.
    assert planned(tier="", **limit)["steps"] == []


@pytest.mark.parametrize(("url", "tls"), [("https://a.example.com/x", True), ("http://a.example.com/x", False), ("HTTPS://a.example.com/x", True)])
def test_the_owners_url_says_whether_there_is_tls(url, tls):
    assert planned(ingress_url=url)["tls"] is tls


@pytest.mark.parametrize(("settings", "said"), [({}, True), ({"ingress_marker": "Cart"}, False), ({"ingress_url": ""}, False)])
def test_a_url_without_a_marker_takes_every_page_for_the_expected_one(settings, said):
    found = planned(**{"ingress_url": "https://a.example.com/x", **settings})["missing"]
    assert any("set ingress_marker" in one for one in found) is said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ingress_load": {}}, "ingress_load is {}. Write a map"),
        ({"ingress_load": {"smoke": {"rpm": 1}}}, "ingress_load.smoke has 'rpm'. Write one of straight, rps"),
        ({"ingress_load": {"smoke": {"rps": -1}}}, "ingress_load.smoke.rps is -1. Write a number from 0"),
        ({"ingress_load": {"smoke": {"rps": True}}}, "ingress_load.smoke.rps is True. "),
        ({"ingress_load": {"smoke": {"latency": [{"share": 1}]}}}, "ingress_load.smoke.latency is "),
        ({"ingress_load": {"smoke": {"peak": [{"share": 0, "seconds": 5}]}}}, "ingress_load.smoke.peak[0].share is 0. Write a number from 0.001"),
        ({"ingress_url": "shop.example.com/health"}, "ingress_url is 'shop.example.com/health'. Write a whole URL, such as https://"),
        ({"ingress_url": "ftp://shop.example.com/"}, "ingress_url is "),
        ({"ingress_url": "https:///health"}, "ingress_url is "),
        ({"ingress_url": "https://shop:many/"}, "ingress_url is "),
        ({"ingress_url": "https://[::1/"}, "ingress_url is "),
        ({"ingress_client_cpus": "two"}, "ingress_client_cpus is 'two'. "),
        ({"ingress_tls": "yes"}, "ingress_tls is 'yes'. Write one of run, own, default, none."),
        ({"ingress_tls": "own", "ingress_certificate": "/c.pem"}, "ingress_tls is own, and ingress_key is empty. "),
        ({"ingress_least_rate": "fast"}, "ingress_least_rate is 'fast'. "),
        ({"capacity": {"ingress_rps": -1}}, "certify_capacity.ingress_rps is -1. "),
        ({"capacity": {"ingress_peak_rps": "many"}}, "certify_capacity.ingress_peak_rps is 'many'. "),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(settings, said):
    with pytest.raises(PlanError) as refused:
        planned(**settings)
    assert str(refused.value).startswith(said)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    )
)
def test_a_hostile_load_is_planned_or_refused(load):
    try:
        found = planned(ingress_load={"smoke": {"rps": load, "latency": load}})
    except PlanError:
        return
    assert found["seconds"] >= 0
