# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import sys

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import tool_call
from ansible_collections.kubeproof.certify.plugins.modules import tool_run
from ansible_collections.kubeproof.certify.plugins.plugin_utils.raw import unpack

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures"
PUT = FIXTURES / "etcd_benchmark" / "put-3.6.out"


@pytest.fixture(name="call")
def fixture_call(monkeypatch, capsys, tmp_path):
    """Return a function that runs the module and returns its answer."""
    logged = []
    monkeypatch.setattr(tool_run.AnsibleModule, "_log_to_syslog", lambda self, text: logged.append(text))

    def call(*argv, **arguments):
        arguments = {"argv": list(argv), "timeout": 20, "run_dir": str(tmp_path / "run"), **arguments}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            tool_run.main()
        answer = json.loads(capsys.readouterr().out)
        answer["logged"] = logged
        return answer

    return call


def test_success(call):
    answer = call("cat", str(PUT), parser="etcd_benchmark")
    assert answer["facts"]["latency"]["p99"] == 0.130550438
    assert (answer["rc"], answer["changed"], answer["command"]) == (0, True, f"cat {PUT}")
    assert unpack(answer["raw"]["stdout"]) == PUT.read_bytes() and unpack(answer["raw"]["stderr"]) == b""
    assert answer["seconds"] >= 0 and answer["started"] > 0 and answer["failed"] is False


def test_raw_output_is_untouched(call):
    data = bytes(range(256))
    answer = call("sh", "-c", "printf '\\377\\000\\303' >&2; head -c 256 /dev/zero")
    assert unpack(answer["raw"]["stderr"]) == b"\xff\x00\xc3" and unpack(answer["raw"]["stdout"]) == bytes(256)
    assert unpack(tool_call.pack(data)) == data
    assert answer["facts"] == {}


@pytest.mark.parametrize(
    ("argv", "options", "message"),
    [
        (["sh", "-c", "echo '{}'"], {"parser": "fio"}, "Cannot read the output of sh: there is no JSON in it; it begins with '{}'."),
        (["true"], {"parser": "fio"}, "Cannot read the output of true: it is empty."),
        (["sh", "-c", "echo no route >&2; exit 2"], {}, "sh failed with exit code 2: no route"),
        (["sh", "-c", "exit 2"], {"parser": "fio"}, "sh failed with exit code 2: it said nothing"),
        (
            ["sh", "-c", f"cat {FIXTURES}/fio/enospc.out; exit 1"],
            {"parser": "fio"},
            "sh failed with exit code 1: job r failed with error 28 (No space left on device).",
        ),
        (["true"], {"success_codes": [1]}, "true failed with exit code 0: it said nothing"),
        (["sleep", "60"], {"timeout": 0.2}, "sleep did not end within 0.2 s."),
    ],
)
def test_failures_keep_the_raw_output(call, argv, options, message):
    answer = call(*argv, **options)
    assert (answer["failed"], answer["msg"]) == (True, message)
    assert "facts" not in answer and set(answer["raw"]) == {"stdout", "stderr"} and "rc" in answer and "stderr" in answer


def test_killed(call):
    answer = call("sh", "-c", "echo last words >&2; kill -9 $$")
    assert answer["msg"].startswith("sh was killed by SIGKILL after ")
    assert (answer["rc"], answer["stderr"]) == (-9, "last words\n")


@pytest.mark.parametrize(
    ("argv", "options", "message"),
    [
        (["no-such-tool"], {}, "no-such-tool was not found on this host"),
        (["true"], {"parser": "iperf9"}, "there is no parser 'iperf9'"),
        ([], {}, "argv is empty"),
        (["true"], {"timeout": 0}, "timeout is 0: give the seconds after which true is ended."),
        (["true"], {"_ansible_check_mode": True}, "Load tools do not run in check mode, so true measured nothing."),
        (["true"], {"watch": {"rules": [{"endpoint": {"url": "http://h"}, "metric": "x", "reason": "m"}]}}, "The abort rule 'm' needs a metric"),
        (["true"], {"run_dir": "/proc/no"}, "Cannot write /proc/no/process-"),
    ],
)
def test_what_never_starts(call, argv, options, message):
    answer = call(*argv, **options)
    assert answer["failed"] and answer["msg"].startswith(message)
    assert "raw" not in answer and "rc" not in answer and answer.get("changed", False) is False


def test_aborted(call):
    watch = {"interval": 0.05, "rules": [{"endpoint": {"url": "http://127.0.0.1:1/health"}, "reason": "etcd is not healthy"}]}
    answer = call("sleep", "60", watch=watch)
    assert answer["aborted"] is True and answer["msg"].startswith("sleep was aborted: cannot watch http://127.0.0.1:1/health: ")


def test_values_of_the_environment_are_nowhere(call):
    for argv in (["true"], ["false"], ["no-such-tool"]):
        answer = call(*argv, environment={"ETCD_PASSWORD": "hunter2"})
        assert "hunter2" not in json.dumps(answer)
        assert answer["invocation"]["module_args"]["environment"] == ["ETCD_PASSWORD"]


def test_environment_and_directory(call, tmp_path):
    answer = call("sh", "-c", "echo $PORT $LC_ALL; pwd", environment={"PORT": 2379}, chdir=str(tmp_path))
    assert unpack(answer["raw"]["stdout"]).decode() == f"2379 C\n{tmp_path}\n"


def test_result_is_read_in_place_of_the_output(call, tmp_path):
    source, result = FIXTURES / "k6" / "two-generators", tmp_path / "samples"
    result.mkdir()
    answer = call("sh", "-c", f"echo said; cp {source}/*.gz {result}", parser="k6", result=str(result))
    assert (answer["failed"], answer["facts"]["requests"], answer["facts"]["generators"]) == (False, 301, 2)
    assert unpack(answer["raw"]["stdout"]) == b"said\n" and len(list(result.iterdir())) == 2


def test_the_directory_of_the_result_is_made(call, tmp_path):
    source, result = FIXTURES / "k6" / "errors.csv.gz", tmp_path / "raw" / "steady" / "0.csv.gz"
    answer = call("cp", str(source), str(result), parser="k6", result=str(result))
    assert answer["failed"] is False and answer["facts"]["generators"] == 1
    assert [path.stat().st_mode & 0o777 for path in (result.parent, result.parent.parent)] == [0o700] * 2


def test_a_directory_of_the_result_that_cannot_be_made(call, tmp_path):
    (tmp_path / "file").write_text("")
    answer = call("true", parser="k6", result=f"{tmp_path}/file/0.csv.gz")
    assert answer["msg"] == f"The directory of {tmp_path}/file/0.csv.gz cannot be made: Not a directory. Correct result, or the permissions."
    assert answer["failed"] and "rc" not in answer


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("true", "sh ended with exit code 0 without the expected result: {path}: No such file or directory."),
        ("touch {path}", "sh ended with exit code 0 without the expected result: {path} is empty."),
        ("mkdir {path}", "sh ended with exit code 0 without the expected result: {path} is empty."),
        ("echo no samples >{path}", "Cannot read the result of sh: samples is no CSV of k6: it begins with 'no samples'."),
        ("echo no samples >{path}; echo no route >&2; exit 2", "sh failed with exit code 2: no route"),
        ("echo no samples >{path}; exit 2", "sh failed with exit code 2: it said nothing"),
    ],
)
def test_no_good_result(call, tmp_path, script, message):
    path = str(tmp_path / "samples")
    answer = call("sh", "-c", script.format(path=path), parser="k6", result=path)
    assert (answer["failed"], answer["msg"]) == (True, message.format(path=path))
    assert "facts" not in answer and set(answer["raw"]) == {"stdout", "stderr"}


def test_a_result_that_is_there_before_is_refused(call, tmp_path):
    path = tmp_path / "samples.csv"
    path.write_text("old\n")
    answer = call("true", parser="k6", result=str(path))
    assert answer["failed"] and answer["msg"].startswith(f"{path} is not empty before the tool starts") and "rc" not in answer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parser": "k6"}, "The parser k6 reads files: name in result what the tool writes."),
        ({"parser": "fio", "result": "/no/fio"}, "The parser fio reads standard output, not /no/fio: leave result out."),
        ({"result": "/no/samples"}, "Nothing reads /no/samples: name the parser of result, or leave result out."),
    ],
)
def test_parser_and_result_must_fit(call, options, message):
    answer = call("true", **options)
    assert (answer["failed"], answer["msg"]) == (True, message) and "rc" not in answer


def test_processor_time_is_of_the_tool_and_its_children(call):
    busy = "import os, time\nwhile time.process_time() < 0.1: pass\nif os.fork(): os.wait()\nelse:\n while time.process_time() < 0.1: pass"
    assert 0.2 <= call(sys.executable, "-c", busy)["cpu_seconds"] < 5
    assert 0 <= call("sleep", "0.05")["cpu_seconds"] < 0.2
