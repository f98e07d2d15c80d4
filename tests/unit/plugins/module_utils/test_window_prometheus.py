# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A window out of a Prometheus: its scrapes are what is compared, and what it does not have is said."""

from __future__ import annotations

import re

import pytest

from ansible.errors import AnsibleFilterError
from ansible_collections.kubeproof.certify.plugins.filter.monitoring_server import host_of, monitoring_server
from ansible_collections.kubeproof.certify.plugins.module_utils import window, window_prometheus
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint, HttpError
from ansible_collections.kubeproof.certify.plugins.module_utils.window_prometheus import Stored

FSYNC = "fsync_seconds"
REQUESTS = [{"name": name, "as": name, "by": [], "where": {}, "except": {}} for name in (FSYNC, "changes_total", "pending")]
TYPES = {FSYNC: "histogram", "changes_total": "counter", "pending": "gauge"}
MATCHERS = 'job="etcd",instance="one"'


class Prometheus:
    """Scrapes {time: (start, {series: value})}, asked through the two functions that the module asks with."""

    def __init__(self, scrapes, now=0.0, types=None):
        self.scrapes, self.now, self.types, self.servers = scrapes, now, TYPES if types is None else types, 1

    def query(self, endpoint, expr, moment, kind):
        if kind == "scalar":
            return [self.now, str(self.now)]
        if kind == "matrix":
            self.now += 1
            values = [[time, str(start)] for time, (start, dummy) in sorted(self.scrapes.items()) if time <= self.now]
            return [{"metric": {"instance": "one"}, "values": values}] * self.servers if values else []
        pattern = re.search('__name__=~"([^"]*)"', expr).group(1).replace("\\\\", "\\")
        assert MATCHERS in expr
        return [{"metric": {"__name__": name, "job": "etcd", **labels}, "value": [moment, value]}
                for name, labels, value in self.scrapes[moment][1] if re.fullmatch(pattern, name)]  # fmt: skip

    def metadata(self, endpoint, path):
        name = path.rpartition("=")[2]
        return {"status": "success", "data": {name: [{"type": self.types[name]}]} if name in self.types else {}}


def scrape(low, high, changes, pending="0"):
    buckets = [(f"{FSYNC}_bucket", {"le": bound}, str(count)) for bound, count in (("0.001", low), ("1.0", high), ("+Inf", high))]
    return [*buckets, (f"{FSYNC}_sum", {}, "1"), (f"{FSYNC}_count", {}, str(high)), ("changes_total", {}, str(changes)), ("pending", {}, pending)]


@pytest.fixture
def asked(monkeypatch):
    def use(prometheus):
        monkeypatch.setattr(window_prometheus, "query", prometheus.query)
        monkeypatch.setattr(window_prometheus, "fetch_json", prometheus.metadata)
        monkeypatch.setattr(window_prometheus, "POLL", 0)
        return {"etcd": Stored(Endpoint("http://prometheus:9090"), MATCHERS)}

    return use


def facts(prometheus, asked, close=20.0, requests=REQUESTS):
    endpoints = asked(prometheus)
    document, failed, dummy = window.open_window(endpoints, requests)
    assert failed == {}
    prometheus.now = close
    return window.close_window(document, endpoints, requests)[0]["etcd"]


SCRAPES = {10.0: (5.0, scrape(50, 100, 1)), 25.0: (5.0, scrape(90, 200, 1)), 40.0: (5.0, scrape(900, 1000, 3, "7"))}


def test_a_window_goes_from_the_scrape_before_to_the_one_after(asked):
    found = facts(Prometheus(SCRAPES, now=12.0), asked, close=30.0)
    assert found["seconds"] == 30.0 and "problems" not in found
    assert found["changes_total"]["increase"] == 2 and found["pending"] == {"first": 0, "last": 7}
    assert found[FSYNC]["count"] == 900 and found[FSYNC]["p50"] == [0.0, 0.001] and found[FSYNC]["p99"] == [0.001, 1.0]


def test_types_are_told_by_names_where_the_prometheus_does_not_keep_them(asked):
    assert facts(Prometheus(SCRAPES, now=12.0, types={}), asked, close=30.0)[FSYNC]["count"] == 900


def test_a_restart_is_seen(asked):
    found = facts(Prometheus({10.0: SCRAPES[10.0], 40.0: (39.0, scrape(1, 2, 0))}, now=12.0), asked, close=30.0)
    assert "restarted" in found["problems"][0] and FSYNC not in found


def test_a_family_that_is_gone_is_a_problem(asked):
    found = facts(Prometheus({10.0: SCRAPES[10.0], 40.0: (5.0, [])}, now=12.0), asked, close=30.0)
    assert f"Family {FSYNC} is not exposed." in found["problems"] and FSYNC not in found


def test_a_server_that_is_not_scraped_is_named(asked, monkeypatch):
    endpoints = asked(Prometheus({}, now=12.0))
    assert "no scrape in the last 300 s" in window.open_window(endpoints, REQUESTS)[1]["etcd"]
    endpoints = asked(Prometheus({10.0: SCRAPES[10.0]}, now=12.0))
    document = window.open_window(endpoints, REQUESTS)[0]
    monkeypatch.setattr(window_prometheus, "PATIENCE", 0)
    assert "no scrape within" in window.close_window(document, endpoints, REQUESTS)[1]["etcd"]


def test_two_servers_are_never_one(asked):
    prometheus = Prometheus(SCRAPES, now=12.0)
    prometheus.servers = 2
    assert "Narrow the selector to one" in window.open_window(asked(prometheus), REQUESTS)[1]["etcd"]


HOSTILE = [None, [], [{}], [{"metric": {}, "values": 5}], [{"values": [[1]]}], [{"values": [["a", "b"]]}], "text", {"a": 1}]


@pytest.mark.parametrize("answer", HOSTILE, ids=repr)
def test_an_answer_of_another_kind_is_never_a_window(asked, monkeypatch, answer):
    endpoints = asked(Prometheus(SCRAPES, now=12.0))
    monkeypatch.setattr(window_prometheus, "query", lambda *arguments: answer)
    document, failed, dummy = window.open_window(endpoints, REQUESTS)
    assert document["scenes"] == {} and "http://prometheus:9090" in failed["etcd"]


@pytest.mark.parametrize("selector", ["", 'a="b"} or vector(1', "a[5m]", 'a="b"c="d"', 'a="b\nc"', 'a="b"}[5m', "a"])
def test_a_selector_that_breaks_out_is_refused(selector):
    with pytest.raises(HttpError, match="Write label matchers"):
        Stored(Endpoint("http://prometheus:9090"), selector)


# The endpoint of a server -------------------------------------------------------------------------------------------------------


def test_a_server_by_its_names():
    made = monitoring_server(["10.0.0.1", "", "etcd1"], 'job=~".*etcd.*"', {"url": "https://p", "token": "x", "ca": ""})
    assert made == {"url": "https://p", "token": "x", "timeout": 60, "selector": 'job=~".*etcd.*",instance=~"(?:10\\\\.0\\\\.0\\\\.1|etcd1)(?::[0-9]+)?"'}
    # What the filter makes is what a window takes.
    assert Stored(Endpoint("http://prometheus:9090"), made["selector"]).selector == made["selector"]


@pytest.mark.parametrize(
    ("place", "host"),
    [("https://10.0.0.1:6443", "10.0.0.1"), ("etcd1", "etcd1"), ("https://[fd00::1]:2379/metrics", "[fd00::1]"), ("fd00::1", "[fd00::1]"), ("a.b:1", "a.b")],
)
def test_the_host_of_a_place(place, host):
    assert host_of(place) == host


@pytest.mark.parametrize(("places", "prometheus"), [([], {"url": "https://p"}), (["", None], {"url": "https://p"}), (["a"], {}), (5, {"url": "x"})])
def test_what_cannot_be_asked_is_refused(places, prometheus):
    with pytest.raises(AnsibleFilterError):
        monitoring_server(places, 'job="a"', prometheus)
