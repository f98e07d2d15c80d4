# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.modules import tool_result

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures"
KNOWN = ", ".join(sorted([*parsers.PARSERS, *parsers.PATH_PARSERS]))
STATUS = FIXTURES / "etcdctl" / "status-one.json"


@pytest.fixture(name="call")
def fixture_call(capsys):
    """Return a function that runs the module and returns its answer."""
    def call(**arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            tool_result.main()
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": str(STATUS)},
        {"content": STATUS.read_text(encoding="utf-8")},
        {"content": json.loads(STATUS.read_text(encoding="utf-8"))},
        {"path": str(STATUS), "_ansible_check_mode": True},
    ],
)
def test_facts(call, arguments):
    answer = call(tool="etcdctl", **arguments)
    assert answer["facts"]["leader"] == "https://10.89.7.11:2379" and answer["changed"] is False


def test_fio_as_data(call):
    document = json.loads((FIXTURES / "fio" / "fdatasync.json").read_text(encoding="utf-8"))
    assert call(tool="fio", content=document)["facts"]["jobs"]["fsync"]["sync"]["latency"]["p99"] == 0.00442368


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tool": "iperf9", "content": "x"}, f"Cannot read the output of iperf9: there is no parser 'iperf9'; there are {KNOWN}."),
        ({"tool": "iperf9", "path": "/"}, f"Cannot read the output of iperf9: there is no parser 'iperf9'; there are {KNOWN}."),
        ({"tool": "k6", "content": "x"}, "Cannot read the output of k6: its parser reads files: give their path."),
        ({"tool": "k6", "path": "/no/such/file"}, "Cannot read the output of k6: /no/such/file: No such file or directory."),
        ({"tool": "k6", "path": "/dev/null"}, "Cannot read the output of k6: /dev/null is empty."),
        ({"tool": "fio", "content": ""}, "Cannot read the output of fio: it is empty."),
        ({"tool": "fio", "path": "/no/such/file"}, "Cannot read the output of fio: /no/such/file: No such file or directory."),
        ({"tool": "fio", "path": "/"}, "Cannot read the output of fio: /: Is a directory."),
        ({"tool": "fio"}, "one of the following is required: content, path"),
        ({"tool": "fio", "content": "x", "path": "/x"}, "parameters are mutually exclusive: content|path"),
    ],
)
def test_refused(call, arguments, message):
    answer = call(**arguments)
    assert (answer["failed"], answer["msg"]) == (True, message)


@pytest.mark.parametrize(("path", "generators", "requests"), [("two-generators", 2, 301), ("get-only.csv.gz", 1, 601)])
def test_raw_samples_are_read_in_place(call, monkeypatch, path, generators, requests):
    monkeypatch.setattr(tool_result, "LIMIT", 10)
    facts = call(tool="k6", path=str(FIXTURES / "k6" / path))["facts"]
    assert (facts["generators"], facts["requests"]) == (generators, requests)


def test_too_large(call, tmp_path, monkeypatch):
    monkeypatch.setattr(tool_result, "LIMIT", 10)
    (tmp_path / "large").write_text("x" * 11)
    assert call(tool="fio", path=str(tmp_path / "large"))["msg"].endswith("large has more than 10 bytes.")
