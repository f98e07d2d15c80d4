# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import json
import os
import pathlib
import re
import subprocess

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import ingress_runs
from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_runs import runs
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import k6, wrk

HOST = "run-1.ingress.example.com"
PATH = {"via": "node port", "addresses": ["192.0.2.1"], "http": 30080, "https": 30443}
STEPS = [
    {"name": "straight", "kind": "wrk", "to": "straight", "keep_alive": True, "connections": 64, "seconds": 3},
    {"name": "rps", "kind": "wrk", "to": "main", "keep_alive": True, "connections": 64, "seconds": 8},
    {"name": "connections", "kind": "wrk", "to": "plain", "keep_alive": False, "connections": 64, "seconds": 5},
    {"name": "handshakes", "kind": "handshakes", "to": "tls", "keep_alive": False, "connections": 64, "seconds": 6},
    {"name": "latency-1-100", "kind": "k6", "to": "main", "rate": 1000, "seconds": 16},
]
SETUP = {
    "host": HOST,
    "plain": f"plain-{HOST}",
    "url": "",
    "path": PATH,
    "mark": "kubeproof/run-1/",
    "marker": "",
    "nodes": ["a", "b"],
    "backends": 2,
    "ca": True,
    "cpus": 2,
    "generators": 1,
    "request_timeout": 10,
    "ready_timeout": 30,
    "grace": 30,
    "answers": {},
}


def made(tls=True, steps=None, **setup):
    chosen = STEPS if steps is None else steps
    return runs({"tls": tls, "steps": [one for one in chosen if tls or one["to"] != "tls"]}, {**SETUP, **setup})


def step(name, **setup):
    return next(one for one in made(**setup)["steps"] if one["name"] == name)


@pytest.mark.parametrize(
    ("tls", "path", "urls"),
    [
        (
            True,
            PATH,
            {
                "main": f"https://{HOST}:30443/",
                "tls": f"https://{HOST}:30443/",
                "plain": f"http://plain-{HOST}:30080/",
                "stranger": f"http://stranger-{HOST}:30080/",
            },
        ),
        (True, {**PATH, "http": None}, {"main": f"https://{HOST}:30443/", "tls": f"https://{HOST}:30443/", "stranger": f"https://stranger-{HOST}:30443/"}),
        (
            False,
            {**PATH, "http": 80, "https": None},
            # As clients outside write it: some controllers know no Host header with the port of its scheme.
            {"main": f"http://{HOST}/", "plain": f"http://plain-{HOST}/", "stranger": f"http://stranger-{HOST}/"},
        ),
        (
            True,
            {**PATH, "http": 443, "https": 443},
            {"main": f"https://{HOST}/", "tls": f"https://{HOST}/", "plain": f"http://plain-{HOST}:443/", "stranger": f"http://stranger-{HOST}:443/"},
        ),
    ],
)
def test_urls(tls, path, urls):
    found = made(tls, path=path)
    assert found["urls"] == {"straight": "http://backend/", **urls}
    # The names are in the clients' hosts file, so that SNI and the Host header are those of a client outside.
    assert found["aliases"] == {"192.0.2.1": [HOST, f"plain-{HOST}", f"stranger-{HOST}"]}


def test_a_way_without_tls_is_measured_without():
    found = made(True, path={**PATH, "https": None}, plain=HOST)
    main = f"http://{HOST}:30080/"
    assert {name: found["urls"].get(name) for name in ("main", "plain", "tls")} == {"main": main, "plain": main, "tls": None}
    assert found["skipped"] == {"handshakes": "The way to the ingress has no port for https."}
    # One name with and without TLS is one line of the hosts file.
    assert found["aliases"] == {"192.0.2.1": [HOST, f"stranger-{HOST}"]}


def test_the_owners_url():
    found = made(url="https://shop.example.com/cart", marker="Cart", steps=STEPS[-1:], path={"via": "ingress_url", "addresses": ["192.0.2.8"]})
    assert found["urls"] == {"main": "https://shop.example.com/cart"} and found["aliases"] == {"192.0.2.8": ["shop.example.com"]}
    assert list(found["pods"]) == ["client"] and found["probe"]["environment"]["MARKER"] == found["steps"][0]["environment"]["MARKER"] == "Cart"


def test_pods_are_spread():
    pods = made(backends=3)["pods"]
    assert {name: pod["node"] for name, pod in pods.items()} == {"backend-0": "a", "backend-1": "b", "backend-2": "a", "client": "b"}
    assert pods["backend-0"]["ports"] == [8080] and "argv" not in pods["client"]


def test_wrk_counts_only_our_answers():
    argv = step("rps")["argv"]
    assert argv[5] == "wrk" and argv[-4:] == [f"https://{HOST}:30443/", "--", "200", f"kubeproof/run-1/{HOST}"]
    assert {"-t2", "-c64", "-d8s", "--timeout=10s"} <= set(argv) and "Connection: close" not in argv
    assert step("straight")["argv"][-1] == "kubeproof/run-1/"
    assert step("rps")["parser"] == "wrk_files" and step("rps")["result"] == "stdout" and step("rps")["timeout"] == 38


@pytest.mark.parametrize(
    ("path", "url", "host"),
    [(PATH, f"https://{HOST}:30443/", f"{HOST}:30443"), ({**PATH, "https": 443}, f"https://{HOST}:443/", HOST)],
)
def test_wrk_is_told_the_port_and_sends_the_host_of_a_client_outside(path, url, host):
    argv = step("rps", path=path)["argv"]
    assert url in argv and argv[argv.index("-H") + 1] == f"Host: {host}"


@pytest.mark.skipif(not os.path.exists(f"/proc/self/task/{os.getpid()}/schedstat"), reason="This kernel does not say how long threads wait.")
@pytest.mark.parametrize(("tool", "code"), [("echo said", 0), ("echo said; exit 99", 99), ("kill -9 $$", 137)])
def test_what_is_watched_says_how_long_it_waited_and_ends_as_it_did(tmp_path, tool, code):
    samples = tmp_path / "samples.csv.gz"
    with gzip.open(samples, "wb") as stream:
        stream.write(b"header\n")
    for argument, said in (("", r"(said\n)?KUBEPROOF_WAITED [0-9]+\.[0-9]{3}\n"), (str(samples), r"(said\n)?")):
        argv = ["sh", "-c", ingress_runs.WATCH, "sh", argument, "sh", "-c", f"sleep 0.2; {tool}"]
        done = subprocess.run(argv, capture_output=True, check=False, text=True)
        assert done.returncode == code and re.fullmatch(said, done.stdout), done
    with gzip.open(samples, "rt") as stream:
        assert re.fullmatch(r"header\nkubeproof_waited,0{13},[0-9]+\.[0-9]{3},,,,,,\n", stream.read())


def test_what_holds_many_connections_may_open_as_many_files_as_the_pod_allows():
    allowed = subprocess.run(["sh", "-c", "ulimit -Hn"], capture_output=True, check=True, text=True).stdout
    watched = ["sh", "-c", 'ulimit -Sn 200; exec sh -c "$0" sh "" sh -c "ulimit -Sn"', ingress_runs.WATCH]
    assert subprocess.run(watched, capture_output=True, check=True, text=True).stdout.splitlines()[0] == allowed.strip()
    for text in (ingress_runs.WATCH, ingress_runs.SERVE):
        assert text.index(ingress_runs.FILES_OPEN) < min(text.find(one) for one in ('"$@"', "exec nginx") if one in text)


def test_what_is_said_beside_the_samples_is_what_the_parsers_read():
    script = (pathlib.Path(__file__).parents[4] / "roles/ingress/files/k6/get.js").read_text(encoding="utf-8")
    assert all(f"new Counter('{name}')" in script for name in (k6.UNEXPECTED, k6.WITHOUT_PORT)) and f'"{k6.WAITED},0000000000000,' in ingress_runs.WATCH
    assert wrk.WAITED.search("KUBEPROOF_WAITED 1.250") and "KUBEPROOF_WAITED $said" in ingress_runs.WATCH


def test_where_nothing_says_how_long_a_thread_waited_nothing_is_said(tmp_path):
    argv = ["sh", "-c", ingress_runs.WATCH.replace("schedstat", "nothing"), "sh", "", "echo", "said"]
    done = subprocess.run(argv, capture_output=True, check=True, text=True)
    assert done.stdout == "said\n"
    missing = tmp_path / "samples.csv.gz"
    subprocess.run(["sh", "-c", ingress_runs.WATCH, "sh", str(missing), "sleep", "0.2"], check=True)
    assert not missing.exists()


def test_new_connections():
    assert "Connection: close" in step("connections")["argv"]
    environment = step("handshakes")["environment"]
    assert "RATE" not in environment and environment["VUS"] == "64" and environment["URL"].startswith("https:")


def test_k6_at_a_rate():
    found = step("latency-1-100")
    environment = found["environment"]
    assert (environment["RATE"], environment["VUS"], environment["MAX_VUS"], environment["DURATION"]) == ("1000", "200", "400", "16s")
    assert environment["GOMAXPROCS"] == "2" and found["parser"] == "k6" and not any("segment" in one for one in found["argv"])


def test_several_generators_share_the_load():
    found = step("latency-1-100", generators=3)
    assert "--execution-segment={index}/3:{next}/3" in found["argv"] and "--execution-segment-sequence=0,1/3,2/3,1" in found["argv"]
    assert found["environment"]["RATE"] == "1000"
    # Of 64 connections; wrk wants one for each of its threads.
    assert "-c22" in step("rps", generators=3)["argv"] and "-c2" in step("rps", generators=64)["argv"]


@pytest.mark.parametrize("ca", [True, False])
def test_the_authority_is_trusted_alone(ca):
    for environment in (step("latency-1-100", ca=ca)["environment"], made(ca=ca)["probe"]["environment"]):
        assert ("SSL_CERT_FILE" in environment, environment.get("SSL_CERT_DIR")) == (ca, "/dev/null" if ca else None)


def test_probe():
    environment = made()["probe"]["environment"]
    assert list(json.loads(environment["URLS"])) == ["main", "plain", "stranger"] and json.loads(environment["WANTED"]) == ["main"]
    assert environment["MARKER"] == "kubeproof/run-1/" and environment["WAIT"] == "30"
    # Where the ingress does not answer: whether our own backend can be reached at all.
    assert json.loads(environment["OTHERWISE"]) == {"straight": "http://backend/"}


@pytest.mark.parametrize(
    ("tls", "setup", "why"),
    [
        (True, {}, ""),
        (True, {"answers": {"plain": {"answer": "our backend"}}}, ""),
        (True, {"answers": {"plain": {"answer": "status 308"}}}, "Without TLS the ingress answers: status 308."),
        (True, {"path": {**PATH, "http": None}}, "The way to the ingress has no port for http."),
        # Where it is what production uses, a redirect is an error.
        (False, {"answers": {"plain": {"answer": "status 308"}}}, ""),
    ],
)
def test_a_redirect_to_https_is_no_load(tls, setup, why):
    found = made(tls, **setup)
    assert found["skipped"] == ({"connections": why} if why else {})
    assert ("connections" in {one["name"] for one in found["steps"]}) is not bool(why)
