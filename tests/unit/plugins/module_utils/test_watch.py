# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import io
import socket
import threading
import time

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import web as client
from ansible_collections.kubeproof.certify.plugins.module_utils import watch

SIZE = "etcd_mvcc_db_total_size_in_bytes"
CHANGES = "etcd_server_leader_changes_seen_total"


@pytest.fixture(name="server")
def fixture_server():
    """Serve `answers` ({path: [(status, text), ...]}): each answer once, the last one for ever."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answers = self.server.answers[self.path]
            status, text = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers = {}
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def rule(url, **options):
    """Return an abort rule as tool_run hands it over."""
    return {"endpoint": {"url": url, "ca": None, "timeout": 1.0}, "reason": "stop", **options}


def wait_for_reason(watching, seconds=5):
    """Return the watch's reason as soon as there is one."""
    limit = time.monotonic() + seconds
    while not watching.reason and time.monotonic() < limit:
        time.sleep(0.01)
    return watching.reason


@pytest.mark.parametrize(
    ("pages", "options", "reason"),
    [
        ([f"{SIZE} 4e8", f"{SIZE} 400000001"], {"metric": SIZE, "value": "> 400000000"}, f"stop ({SIZE} is 400000001, limit > 400000000)"),
        ([f"{CHANGES} 1", f"{CHANGES} 1", f"{CHANGES} 2"], {"metric": CHANGES, "increase": "> 0"}, f"stop ({CHANGES} rose by 1 to 2, limit > 0)"),
        ([f"{CHANGES} 5", f"{CHANGES} 1"], {"metric": CHANGES, "increase": "> 0"}, f"stop ({CHANGES} fell from 5 to 1, so its process was restarted)"),
        (
            [f"{CHANGES} 5", f"{CHANGES} 60", f"{CHANGES} 20"],
            {"metric": CHANGES, "increase": "> 90"},
            f"stop ({CHANGES} fell from 60 to 20, so its process was restarted)",
        ),
        (['e{code="200"} 9', 'e{code="200"} 9\ne{code="500"} 7'], {"metric": "e", "increase": "> 5"}, 'stop (e{code="500"} rose by 7 to 7, limit > 5)'),
        ([f"{SIZE} 1", "other 1"], {"metric": SIZE, "value": "> 5"}, f"cannot watch URL: it has no metric {SIZE}"),
        # A member of etcd whose series is gone is no member that is small.
        (
            [f'{SIZE}{{m="0"}} 1\n{SIZE}{{m="1"}} 1', f'{SIZE}{{m="0"}} 1'],
            {"metric": SIZE, "value": "> 5"},
            f'cannot watch URL: it has no metric {SIZE}{{m="1"}}',
        ),
        ([f"{SIZE} 1", f"{SIZE}_more 9\n{SIZE} NaN"], {"metric": SIZE, "value": "> 5"}, f"cannot watch URL: {SIZE} is 'NaN', not a number"),
    ],
)
def test_metric_rules(server, pages, options, reason):
    server.answers = {"/metrics": [(200, page + "\n") for page in pages]}
    with watch.Watch([rule(server.url + "/metrics", **options)], 0.02) as watching:
        assert watching.reason is None
        assert wait_for_reason(watching) == reason.replace("URL", server.url + "/metrics")


def test_health_rule(server):
    server.answers = {"/health": [(200, '{"health":"true"}'), (503, '{"health":"false","reason":"ALARM NOSPACE"}')]}
    with watch.Watch([rule(server.url + "/health")], 0.02) as watching:
        reason = wait_for_reason(watching)
    assert reason.startswith("stop (") and "503" in reason and "NOSPACE" in reason


def test_a_rule_that_is_met_before_the_load(server):
    server.answers = {"/m": [(200, f"{SIZE} 9\n")]}
    with watch.Watch([rule(server.url + "/m", metric=SIZE, value="> 5")], 60) as watching:
        assert watching.reason == f"stop ({SIZE} is 9, limit > 5)"


def test_three_failures_in_a_row_are_a_reason_two_are_not(server):
    good, bad = (200, f"{SIZE} 1\n"), (500, "x")
    server.answers = {"/m": [good, bad, bad, good, bad, bad, good]}
    with watch.Watch([rule(server.url + "/m", metric=SIZE, value="> 5")], 0.01) as watching:
        run_out = time.monotonic() + 5
        while len(server.answers["/m"]) > 1 and time.monotonic() < run_out:
            time.sleep(0.01)
        assert watching.reason is None
        server.answers["/m"] = [bad]
        assert wait_for_reason(watching).startswith(f"cannot watch {server.url}/m: {server.url}/m answered 500")


class Seen:
    def __init__(self, reason=None):
        self.reason = reason


@pytest.mark.parametrize(
    ("signals", "reasons", "ends", "why"),
    [([], [], False, None), ([], [None, None], False, None), ([15], [None], True, None), ([], [None, "etcd is full"], True, "etcd is full")],
)
def test_what_ends_a_load(signals, reasons, ends, why):
    found = watch.Ends(signals, [Seen(reason) for reason in reasons])
    assert (bool(found), found.reason) == (ends, why)


def test_who_is_given_nothing_watches_nothing():
    with watch.watch_of(None) as watching:
        assert watching.sources == [] and watching.reason is None


def test_nothing_listens():
    with watch.Watch([rule("http://127.0.0.1:1/health")], 0.01) as watching:
        assert wait_for_reason(watching).startswith("cannot watch http://127.0.0.1:1/health: ")


def test_a_hanging_endpoint_does_not_keep_another_from_being_read(server):
    server.answers = {"/m": [(200, f"{SIZE} 1\n"), (200, f"{SIZE} 9\n")]}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}/health"
        rules = [rule(server.url + "/m", metric=SIZE, value="> 5"), rule(hanging)]
        with watch.Watch(rules, 0.02) as watching:
            assert wait_for_reason(watching, 0.9) == f"stop ({SIZE} is 9, limit > 5)"


def test_an_endpoint_is_read_once_for_all_its_rules(server):
    rules = [rule(server.url + "/m", metric=SIZE, value="> 5"), rule(server.url + "/m", metric=CHANGES, increase="> 0"), rule(server.url + "/m")]
    server.answers = {"/m": [(200, f"{SIZE} 1\n{CHANGES} 1\n")]}
    with watch.Watch(rules, 60) as watching:
        assert len(watching.sources) == 1 and watching.reason is None


def test_a_bug_stops_the_load_instead_of_watching_nothing(server, monkeypatch):
    server.answers = {"/m": [(200, "x")]}
    monkeypatch.setattr(watch.Source, "read", lambda self: 1 / 0)
    with watch.Watch([rule(server.url + "/m")], 60) as watching:
        assert watching.reason.startswith(f"cannot watch {server.url}/m: ZeroDivisionError")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"metric": SIZE}, "The abort rule 'stop' needs a metric together with value or increase, or neither of them."),
        ({"value": "> 1"}, "The abort rule 'stop' needs a metric together with value or increase, or neither of them."),
        ({"metric": SIZE, "value": "5"}, "The bound '5' of an abort rule cannot be used: "),
        ({"metric": SIZE, "value": "> NaN"}, "The bound '> NaN' of an abort rule cannot be used: "),
        ({"metric": SIZE, "increase": '== "x"'}, "does not compare with a number."),
        ({"endpoint": {"url": "ftp://x"}}, "The endpoint of the abort rule 'stop' cannot be used: "),
    ],
)
def test_rules_that_cannot_be_used(options, error):
    with pytest.raises(watch.WatchError) as caught:
        watch.Watch([rule("http://127.0.0.1:1", **options)])
    assert error in str(caught.value)


def test_reads_only_the_lines_of_the_metrics():
    page = f"# HELP {SIZE} x\n{SIZE} 5 1700000000000\n{SIZE}_total 7\nother nonsense\n" + f'{CHANGES}{{a="x}} y",b="1"}} 3\n{CHANGES} 4'
    found = watch.read_metrics(io.BytesIO(page.encode()), {SIZE, CHANGES})
    assert found == {SIZE: {SIZE: 5.0}, CHANGES: {f'{CHANGES}{{a="x}} y",b="1"}}': 3.0, CHANGES: 4.0}}


def test_a_page_without_lines_is_refused():
    with pytest.raises(client.HttpError, match="not a page of metrics"):
        watch.read_metrics(io.BytesIO(b"x" * (3 * watch.LONGEST_LINE)), {SIZE})
