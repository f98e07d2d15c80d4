# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import pathlib

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_keyspace
from ansible_collections.kubeproof.certify.plugins.modules import etcd_ask
from ansible_collections.kubeproof.certify.plugins.plugin_utils.raw import unpack
from ansible_collections.kubeproof.certify.tests.unit.plugins.etcd_fake import FakeEtcd

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures" / "etcdctl"
QUESTIONS = [{"name": "members", "argv": ["member", "list"]}, {"name": "alarms", "argv": ["alarm", "list"]}]
PUT = {"total": 900, "key_size": 8, "key_space_size": 300}
# As etcdctl: it answers what is asked with the recorded output of the same question.
ETCDCTL = """#!/bin/sh
case "$*" in
*version*) echo "etcdctl version: 3.6.8" ;;
*"member list") cat {fixtures}/{members} ;;
*"alarm list") echo "$@" >&2; exec cat {fixtures}/{alarms} ;;
esac
"""


@pytest.fixture(name="ask")
def fixture_ask(tmp_path, capsys):
    """Return a function that runs the module with a script for etcdctl, and returns its answer."""

    def call(members="members-one.json", alarms="alarm-none.json", **arguments):
        script = tmp_path / "etcdctl"
        script.write_text(ETCDCTL.format(fixtures=FIXTURES, members=members, alarms=alarms))
        script.chmod(0o755)
        given = {"etcdctl": str(script), "flags": ["--endpoints=a,b"], "questions": QUESTIONS, "run_dir": str(tmp_path / "run"), **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            etcd_ask.main()
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture(name="peer")
def fixture_peer():
    fake = FakeEtcd(clock_offset=2.0)
    yield fake
    fake.close()


def test_the_answers_are_one(ask):
    answer = ask()
    assert answer["facts"]["asked"]["members_count"] == 1 and answer["facts"]["asked"]["alarms_count"] == 0
    assert answer["changed"] is False and {**answer["facts"], "asked": 0} == {"asked": 0, "tools": {}, "problems": []}


def test_what_each_one_said_is_there_to_be_kept(ask):
    answers = ask()["answers"]
    assert list(answers) == ["members", "alarms"] and answers["members"]["rc"] == 0
    assert unpack(answers["members"]["raw"]["stdout"]) == (FIXTURES / "members-one.json").read_bytes()
    assert answers["alarms"]["argv"][1:] == ["--write-out=json", "--endpoints=a,b", "alarm", "list"]
    assert unpack(answers["alarms"]["raw"]["stderr"]).split() == [b"--write-out=json", b"--endpoints=a,b", b"alarm", b"list"]


def test_a_question_without_an_answer_fails_and_the_others_are_kept(ask):
    answer = ask(members="nothing")
    assert answer["failed"] is True and "etcdctl failed with exit code 1" in answer["msg"] and "nothing" in answer["msg"]
    assert answer["facts"]["asked"]["alarms_count"] == 0 and "members_count" not in answer["facts"]["asked"]
    assert set(answer["answers"]) == {"members", "alarms"}


def test_a_code_that_is_allowed_is_an_answer(ask):
    answer = ask(questions=[{"name": "members", "argv": ["member", "list"], "codes": [3]}])
    assert answer["msg"] == "etcdctl failed with exit code 0: it said nothing"


def test_without_etcdctl(ask, tmp_path):
    answer = ask(etcdctl=str(tmp_path / "none"))
    assert answer["msg"].startswith(f"{tmp_path}/none is not there.") and answer["facts"]["asked"] == {}


def test_the_tools_are_looked_at(ask, tmp_path):
    assert ask(tools=["etcdctl"], tool_dirs=[str(tmp_path)])["facts"]["tools"] == {"etcdctl": {"path": f"{tmp_path}/etcdctl", "version": "3.6.8"}}


def test_the_clock_of_a_peer_that_does_not_answer_hides_the_worst(ask, peer):
    facts = ask(peers=[peer.url, "http://127.0.0.1:1"])["facts"]
    assert list(facts["clock"]) == [peer.url] and "clock_difference" not in facts
    assert facts["problems"] == ["The clock of http://127.0.0.1:1 was not compared: Connection refused."]
    low, high = ask(peers=[peer.url])["facts"]["clock_difference"]
    assert low <= 2.0 <= high


def test_a_certificate_that_cannot_be_read_is_a_problem(ask, tmp_path):
    facts = ask(peers=["https://127.0.0.1:1"], ca=str(tmp_path / "none"))["facts"]
    assert "clock" not in facts and facts["problems"][0].startswith("The clocks of the other members were not compared: ")


def test_the_keys_of_the_load_are_free(ask, peer):
    peer.put(b"/registry/a")
    answer = ask(free={"endpoint": {"url": peer.url}, "puts": [PUT, {**PUT, "total": 200}]})
    assert answer["free"] == {"predicted": 364, "present": 0, "revision": peer.revision} and answer["changed"] is False
    assert {**answer["facts"], "asked": 0} == {"asked": 0, "tools": {}, "problems": []} and list(peer.keys) == [b"/registry/a"]


def test_keys_that_are_there_are_counted_and_are_no_failure(ask, peer):
    """The check etcd_keys_free judges them."""
    for key in [*etcd_keyspace.benchmark_keys(**PUT)[:3], b"/kubeproof-x/1", b"/kubeproof-y/1"]:
        peer.put(key)
    answer = ask(free={"endpoint": {"url": peer.url}, "puts": [PUT], "prefix": "/kubeproof-x/"})
    assert answer["free"] == {"predicted": 365, "present": 4, "revision": peer.revision} and not answer.get("failed")


@pytest.mark.parametrize(
    ("free", "text"),
    [
        ({"endpoint": {"url": "http://127.0.0.1:1"}, "puts": [PUT]}, "http://127.0.0.1:1/v3/kv/txn: Connection refused."),
        ({"endpoint": {"url": "ftp://x"}}, "is not an http or https URL"),
        ({"endpoint": {"url": "http://127.0.0.1:1"}, "puts": [{**PUT, "key_size": 2}]}, "use at least 3"),
    ],
)
def test_keys_that_cannot_be_looked_for_are_a_failure(ask, free, text):
    answer = ask(free=free)
    assert answer["failed"] and text in answer["msg"] and "free" not in answer
    assert answer["facts"]["asked"]["members_count"] == 1 and set(answer["answers"]) == {"members", "alarms"}


def test_where_a_question_failed_no_keys_are_looked_for(ask, peer):
    answer = ask(members="nothing", free={"endpoint": {"url": peer.url}, "puts": [PUT]})
    assert "etcdctl failed with exit code 1" in answer["msg"] and "free" not in answer
