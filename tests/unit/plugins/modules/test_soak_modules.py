# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of a soak: recordings on the controller, and a Prometheus that is played."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import soak_file, soak_raw
from ansible_collections.kubeproof.certify.plugins.modules import soak_prometheus, soak_result
from ansible_collections.kubeproof.certify.tests.unit.plugins.module_utils.test_soak_facts import HOSTS, recording

ADDRESSES = {"etcd1": "10.0.0.1", "etcd2": "10.0.0.2", "etcd3": "10.0.0.3"}
MEMBERS = {host: [address] for host, address in ADDRESSES.items()}
END, SECONDS, SCRAPE = 1.8e9, 3600, 15


def play(module, capsys, **arguments):
    """Run a module's main; return what it printed."""
    with pytest.raises(SystemExit), patch_module_args(arguments):
        module.main()
    return json.loads(capsys.readouterr().out)


# soak_result ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def recordings(tmp_path):
    """Write the recordings of a quiet soak; return {host: path}."""
    paths = {host: tmp_path / f"{host}.gz" for host in HOSTS}
    for host, path in paths.items():
        found = recording(host)
        digest, data = soak_file.NO_DIGEST, b""
        records = [("begin", found["begin"]), ("start", found["starts"][0]), *(("sample", one) for one in found["samples"]), ("end", {"state": "finished"})]
        for number, (kind, record) in enumerate(records):
            line, digest = soak_file.encode({"n": number, "kind": kind, **record}, digest)
            data += line
        path.write_bytes(gzip.compress(data))
    return paths


def result(capsys, recordings, **more):
    return play(soak_result, capsys, recordings={host: str(path) for host, path in recordings.items()}, members=HOSTS, **more)


def test_recordings_prove_a_quiet_soak(recordings, capsys):
    found = result(capsys, recordings, needed=1000)
    assert found["verdict"]["result"] == "PASS" and found["facts"]["cluster"]["soak"]["elections"] == 0 and "checklist" not in found["verdict"]["sentence"]
    short = result(capsys, recordings)
    assert short["verdict"]["result"] == "PASS" and "fills no checklist" in short["verdict"]["sentence"]
    assert "elections" not in short["facts"]["cluster"]["soak"]


def test_a_recording_as_it_was_copied_out_of_a_pod(recordings, capsys):
    recordings["etcd2"].write_bytes(gzip.decompress(recordings["etcd2"].read_bytes()))
    assert result(capsys, recordings, needed=1000)["verdict"]["result"] == "PASS"


def test_recordings_are_kept_compressed_with_what_was_asked_of_them(recordings, capsys, tmp_path):
    """Those that are there already stay as they are, and what is not there is not kept."""
    recordings["etcd2"].write_bytes(gzip.decompress(recordings["etcd2"].read_bytes()))
    recordings["etcd3"].unlink()
    whole = {host: (gzip.decompress(path.read_bytes()) if host == "etcd1" else path.read_bytes()) for host, path in list(recordings.items())[:2]}
    found = result(capsys, recordings, needed=1000, raw=str(tmp_path / "soak"))
    kept = {path.name: gzip.decompress(path.read_bytes()) for path in (tmp_path / "soak").iterdir()}
    assert kept == {f"{host}.gz": data for host, data in whole.items()}
    how = {"source": "watcher", "members": HOSTS, "needed": 1000.0, "put_rate": None, "since": None, "cluster": None, "of": ["etcd1", "etcd2"]}
    said = json.loads((tmp_path / "soak.json").read_text())
    hashes = [hashlib.sha256((tmp_path / "soak" / f"{host}.gz").read_bytes()).hexdigest() for host in ("etcd1", "etcd2")]
    assert said == {"parser": "soak", "files": ["soak/etcd1.gz", "soak/etcd2.gz"], "sha256": hashes, **how}
    there = {host: tmp_path / "soak" / f"{host}.gz" for host in HOSTS}
    before = {path: path.stat().st_mtime_ns for path in there.values() if path.exists()}
    assert result(capsys, there, needed=1000, raw=str(tmp_path / "soak"))["facts"] == found["facts"]
    assert before == {path: path.stat().st_mtime_ns for path in there.values() if path.exists()}


def test_nothing_is_kept_in_check_mode_or_of_nothing(recordings, capsys, tmp_path):
    assert result(capsys, recordings, raw=str(tmp_path / "soak"), _ansible_check_mode=True)["facts"]
    assert result(capsys, {}, raw=str(tmp_path / "soak"))["facts"]
    assert not list(tmp_path.glob("soak*"))


def test_what_is_larger_than_a_recording_may_be_is_none(recordings, capsys, tmp_path, monkeypatch):
    """A small archive may hold more than there is memory, and what was copied may be anything."""
    monkeypatch.setattr(soak_file, "MOST", 4 * soak_file.LINE)
    found = result(capsys, recordings, needed=1000)
    assert "etcd1: the file is damaged: it cannot be unpacked (it is larger than a recording may be)" in found["verdict"]["sentence"]
    recordings["etcd1"].write_bytes(b"x" * 5000)
    failed = result(capsys, recordings, raw=str(tmp_path / "soak"))["msg"]
    assert f"{recordings['etcd1']} has more than 0 MiB, and so is no recording of a watcher" in failed


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "there is no recording of etcd2"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be unpacked"),
        (lambda path: path.write_bytes(b"no archive"), "etcd2: the file is damaged: its beginning is missing"),
        (lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-20000])), "99% are needed; its watcher has not finished"),
        (lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"term":7', b'"term":6', 1))), "etcd2: the file is damaged"),
    ],
)
def test_recordings_that_are_damaged_prove_nothing(recordings, capsys, damage, says):
    damage(recordings["etcd2"])
    found = result(capsys, recordings, needed=1000)
    assert found["verdict"]["result"] == "INCONCLUSIVE" and says in found["verdict"]["sentence"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"needed": 1000, "cluster": "c", "since": 1.8e9}, ""),
        ({"needed": 1000, "cluster": "d"}, "is of the etcd cluster c, and this one is d"),
        ({"needed": 1000, "since": 1.8e9 + 1001}, "what ended before 2027-01-15T08:16:41Z (certify_join_days) is too old"),
        ({}, "was to last 1000 s and had no election, but 86400 s are asked for"),
        # Who asks for less fills no checklist, and knows it.
        ({"seconds": 900}, ""),
        ({"needed": 900, "seconds": 86400}, ""),
    ],
)
def test_recordings_that_prove_nothing_are_told_apart(recordings, capsys, more, says):
    found = result(capsys, recordings, **more)
    assert says in found["in_vain"] and bool(found["in_vain"]) is bool(says)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_recording_that_was_copied_does_not_go_on(recordings, capsys, goes_on):
    """Its last 300 s are not there, and neither is its end."""
    data = gzip.decompress(recordings["etcd2"].read_bytes()).splitlines(keepends=True)
    recordings["etcd2"].write_bytes(gzip.compress(b"".join(data[:-61])))
    found = result(capsys, recordings, needed=1000, goes_on=goes_on)["in_vain"]
    assert found == "" if goes_on else "etcd2 has 70" in found


def test_what_is_not_there_is_in_vain(capsys):
    found = result(capsys, {}, cluster="c", since=1.8e9)
    assert "there is no recording of etcd1" in found["in_vain"] and "no watcher has recorded it" in found["verdict"]["sentence"]


# soak_prometheus ------------------------------------------------------------------------------------------------------------


class FakePrometheus:
    """Scrapes {metric: {instance: {time: value}}} behind /api/v1/query, asked for `seconds`; `answer` replaces every answer, `headers` is what was sent."""

    def __init__(self):
        self.scrapes, self.answer, self.headers, self.more, self.seconds = {}, None, [], {}, SECONDS
        for number, (host, address) in enumerate(ADDRESSES.items()):
            times = [END - SECONDS + 3 + number + SCRAPE * step for step in range(SECONDS // SCRAPE)]
            values = {
                "etcd_server_leader_changes_seen_total": 2, "etcd_server_has_leader": 1, "etcd_server_is_leader": int(host == "etcd1"),
                "process_start_time_seconds": END - 10**6, "process_resident_memory_bytes": 10**8,
            }  # fmt: skip
            for metric, value in values.items():
                self.scrapes.setdefault(metric, {})[f"{address}:2381"] = dict.fromkeys(times, value)
            self.scrapes.setdefault("etcd_server_proposals_committed_total", {})[f"{address}:2381"] = {time: int(time - END + 10**5) for time in times}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                fake.headers.append(dict(self.headers))
                status, found = fake.answer or (200, fake.respond(parse_qs(urlsplit(self.path).query)["query"][0]))
                text = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *dummy):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def respond(self, query):
        if query == "time()":
            return {"status": "success", "data": {"resultType": "scalar", "result": [END, str(END)]}}
        metric, selector, length = query.partition("{")[0], query[query.index("{") + 1 : query.index("}")], query.partition("[")[2]
        assert selector == 'job="etcd"' and length == f"{self.seconds}s]"
        result = [
            {"metric": {"__name__": metric, "job": "etcd", "instance": instance}, "values": [[time, str(one)] for time, one in sorted(values.items())]}
            for instance, values in self.scrapes.get(metric, {}).items()
        ]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}, **self.more}

    def since(self, metric, address, seconds, value):
        """Change the values of one series from so many seconds on."""
        series = self.scrapes[metric][f"{address}:2381"]
        for time in series:
            if time >= END - SECONDS + seconds:
                series[time] = value


@pytest.fixture
def prometheus():
    fake = FakePrometheus()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


def ask(prometheus, capsys, **more):
    endpoint = {"url": prometheus.url, "token": "SECRET-7331"}
    arguments = {"endpoint": endpoint, "selector": 'job="etcd"', "members": MEMBERS, "seconds": SECONDS, "needed": SECONDS}
    return play(soak_prometheus, capsys, **{**arguments, **more})


def test_a_prometheus_proves_a_quiet_day(prometheus, capsys, tmp_path):
    found = ask(prometheus, capsys, raw=str(tmp_path / "soak"), put_rate=2)
    facts, host = found["facts"]["cluster"]["soak"], found["facts"]["hosts"]["etcd2"]["soak"]
    assert found["verdict"]["result"] == "PASS" and "by leading member and by counter" in found["verdict"]["sentence"]
    assert (facts["elections"], facts["leaders"], facts["rate"], facts["load_share"], facts["source"]) == (0, 1, 1, 0.5, "prometheus")
    assert host["restarts"] == 0 and host["trends"]["memory"]["slope"] == 0 and not {"unhealthy", "clock_steps", "boots"} & set(host)
    assert json.loads(gzip.decompress((tmp_path / "soak/prometheus.gz").read_bytes()))["end"] == END
    assert prometheus.headers[0]["Authorization"] == "Bearer SECRET-7331" and "SECRET" not in (tmp_path / "soak.json").read_text()


def test_answers_that_are_too_large_are_not_kept_and_prove_nothing(prometheus, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(soak_raw, "MOST_ANSWERS", 1000)
    found = ask(prometheus, capsys, raw=str(tmp_path / "soak"))
    assert found["failed"] and "Narrow soak_prometheus_selector to the members of one etcd cluster." in found["msg"] and not list(tmp_path.iterdir())


def test_another_leader_is_an_election(prometheus, capsys):
    prometheus.since("etcd_server_is_leader", "10.0.0.1", 1800, 0)
    prometheus.since("etcd_server_is_leader", "10.0.0.2", 1800, 1)
    assert ask(prometheus, capsys)["verdict"]["result"] == "INCONCLUSIVE"
    for address in ADDRESSES.values():
        prometheus.since("etcd_server_leader_changes_seen_total", address, 1800, 3)
    found = ask(prometheus, capsys)
    assert found["verdict"]["result"] == "FAIL" and found["facts"]["cluster"]["soak"]["elections"] == 1
    # The day that it will be asked for has not begun.
    assert found["in_vain"] == ""


def test_a_counter_that_rises_is_no_quiet_day(prometheus, capsys):
    prometheus.since("etcd_server_leader_changes_seen_total", "10.0.0.3", 1800, 3)
    assert ask(prometheus, capsys)["verdict"]["result"] == "INCONCLUSIVE"


def test_a_follower_that_is_started_again_elects_nobody(prometheus, capsys):
    prometheus.since("etcd_server_leader_changes_seen_total", "10.0.0.3", 1800, 1)
    prometheus.since("process_start_time_seconds", "10.0.0.3", 1800, END - 1790)
    found = ask(prometheus, capsys)
    assert found["verdict"]["result"] == "PASS" and found["facts"]["hosts"]["etcd3"]["soak"]["restarts"] == 1


def test_scrapes_that_are_missing_are_a_gap(prometheus, capsys):
    for series in prometheus.scrapes.values():
        for time in sorted(series["10.0.0.2:2381"])[100:105]:
            del series["10.0.0.2:2381"][time]
    found = ask(prometheus, capsys)
    assert found["verdict"]["result"] == "INCONCLUSIVE" and "etcd2 has 97." in found["verdict"]["sentence"]


def test_a_member_that_is_not_scraped_is_missing(prometheus, capsys):
    for series in prometheus.scrapes.values():
        del series["10.0.0.2:2381"]
    found = ask(prometheus, capsys)
    assert "there is no recording of etcd2" in found["verdict"]["sentence"]
    assert "there is no recording of etcd2. Correct soak_prometheus_selector" in found["in_vain"]


@pytest.mark.parametrize(
    ("change", "more", "says"),
    [
        (lambda one: setattr(one, "answer", (500, {})), {}, "answered 500"),
        (lambda one: setattr(one, "answer", (200, [])), {}, "does not answer as Prometheus does"),
        (lambda one: setattr(one, "answer", (200, {"status": "error", "data": {"resultType": "x", "result": 0}})), {}, "with error and a x in place of"),
        (lambda one: setattr(one, "more", {"warnings": ["a store is down"]}), {}, "a store is down"),
        (lambda one: setattr(one, "scrapes", {}), {}, "has no scrapes of etcd"),
        (lambda one: one.scrapes["etcd_server_has_leader"].update({"10.9.9.9:1": {END: 1}}), {}, "10.9.9.9:1 fits no member"),
        (lambda one: one.scrapes["etcd_server_has_leader"].update({"10.0.0.1:9": {END: 1}}), {}, "is stored twice"),
        (lambda one: None, {"selector": 'job="etcd"}) or vector(1'}, "without braces"),
    ],
)
def test_what_a_prometheus_does_not_say_is_an_error(prometheus, capsys, change, more, says):
    change(prometheus)
    found = ask(prometheus, capsys, **more)
    assert found["failed"] and says in found["msg"]
