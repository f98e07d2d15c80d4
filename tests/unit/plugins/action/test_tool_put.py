# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action against this machine by Ansible's own local connection, with real files."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import shutil
from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader

from ansible_collections.kubeproof.certify.plugins.action import tool_put

ROOT = pathlib.Path(__file__).parents[4]
TOOLS = {"benchmark": b"#!/bin/sh\necho benchmark\n", "etcd ctl's": bytes(range(256)) * 500, "k6": b"k6"}
# As a disk that has room for the beginning.
FULL = "#!/bin/sh\nprintf half; echo 'cat: write error: No space left on device' >&2; exit 1\n"
SUM = "a" * 64
LENGTHS = {"benchmark": (SUM, "/sent/benchmark"), "k6": (SUM, "/sent/k6")}


@pytest.fixture(name="files")
def fixture_files(tmp_path):
    """Return {name: path} of tools on the controller, by their names of files; of the last one it is a link."""
    found = {}
    for name, content in TOOLS.items():
        path = tmp_path / "cache" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        found[name.replace(" ", "-").replace("'", "")] = str(path)
    (tmp_path / "link").symlink_to(found["k6"])
    return {**found, "k6": str(tmp_path / "link")}


@pytest.fixture(name="action")
def fixture_action(tmp_path):
    """Return a function that makes the action with a local connection, whose temporary directories are below `tmp`."""

    def make(check_mode=False, **arguments):
        context = PlayContext()
        connection = connection_loader.get("local", context)
        connection.set_options(direct={})
        task = SimpleNamespace(args=arguments, check_mode=check_mode, async_val=0, action="kubeproof.certify.tool_put", environment=None, diff=False)
        loader = SimpleNamespace(get_basedir=lambda: str(tmp_path))
        return tool_put.ActionModule(task, connection, context, loader, SimpleNamespace(available_variables={}), None)

    return make


@pytest.fixture(name="put")
def fixture_put(action, tmp_path, monkeypatch):
    """Return a function that runs the action as Ansible does, and sees that nothing of it is left but in its directory."""
    # A local connection makes its temporary directories there.
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path / "tmp"))

    def call(tools, directory=tmp_path / "host" / "the tools", **options):
        plugin = action(tools=tools, directory=str(directory), **options)
        try:
            return plugin.run(task_vars={"inventory_hostname": "etcd1"})
        finally:
            plugin.cleanup()
            assert not (tmp_path / "tmp").exists() or not os.listdir(tmp_path / "tmp")
            assert not directory.is_dir() or not [name for name in os.listdir(directory) if name.startswith(".")]

    return call


def mode(path):
    return path.stat().st_mode & 0o7777


def test_every_tool_is_put_whole_and_executable(put, files, tmp_path):
    old = os.umask(0o077)
    try:
        result = put(files)
    finally:
        os.umask(old)
    place = tmp_path / "host" / "the tools"
    assert result == {"changed": True, "put": ["benchmark", "etcd-ctls", "k6"]}
    assert [(place / name).read_bytes() for name in files] == list(TOOLS.values())
    assert {mode(path) for path in [place.parent, place, *place.iterdir()]} == {0o755} and len(list(place.iterdir())) == 3
    assert not (place / "k6").is_symlink()


@pytest.fixture(name="asked")
def fixture_asked(monkeypatch):
    """Return what is asked of the host: "sent" for a file, else the first word of a command."""
    seen = []
    low, transfer = tool_put.ActionModule._low_level_execute_command, tool_put.ActionModule._transfer_file

    def execute(self, cmd, **options):
        seen.append("put" if tool_put.SCRIPT in cmd else cmd.split()[0])
        return low(self, cmd, **options)

    def send(self, local, remote):
        seen.append("sent")
        return transfer(self, local, remote)

    monkeypatch.setattr(tool_put.ActionModule, "_low_level_execute_command", execute)
    monkeypatch.setattr(tool_put.ActionModule, "_transfer_file", send)
    # Ansible removes its own directory on its own terms.
    monkeypatch.setattr(tool_put.ActionModule, "_remove_tmp_path", lambda self, path, force=False: shutil.rmtree(path) if path else None)
    return seen


def test_a_new_directory_is_not_looked_at_before_and_nothing_else_is_asked(put, files, asked):
    put(files)
    # Before, Ansible finds and makes its directory.
    assert asked[2:] == ["sent", "sent", "sent", "put"]


def test_what_a_kept_directory_has_is_not_sent_again(put, files, asked, tmp_path):
    place = tmp_path / "host" / "the tools"
    assert put(files, kept=True)["put"] == list(files) and mode(place / "k6") == 0o755
    asked.clear()
    assert put(files, kept=True) == {"changed": False, "put": []} and asked == ["put"]
    asked.clear()
    (place / "k6").write_bytes(b"older")
    assert put(files, kept=True) == {"changed": True, "put": ["k6"]} and (place / "k6").read_bytes() == b"k6"
    assert asked.count("sent") == 1 and asked.count("put") == 2


def test_only_what_the_timer_of_a_maintenance_uses_is_kept():
    [*dummy, task] = yaml.safe_load((ROOT / "roles/tools/tasks/main.yml").read_text(encoding="utf-8"))
    assert task["kubeproof.certify.tool_put"]["kept"] == "{{ tools_kept }}"
    users = {path: re.findall("tools_kept: (.*)", path.read_text(encoding="utf-8")) for path in ROOT.glob("roles/*/tasks/**/*.yml")}
    assert {path.relative_to(ROOT).parts[1]: found for path, found in users.items() if found} == {"etcd_maintenance": ['"{{ __etcd_maintenance_timed }}"']}


def test_an_unprivileged_user_of_become_can_enter_where_the_copies_are(action, files, tmp_path, monkeypatch):
    """The last way of Ansible, by a group of both users, after those by lists of access and by the owner."""
    seen = {}

    def outcome(self, directory, tools):
        seen.update({path: mode(pathlib.Path(path)) for dummy, path in tools.values() for path in (path, os.path.dirname(path))})
        return list(tools)

    refused = {"rc": 1, "stderr": ""}
    real = tool_put.ActionModule._remote_chmod
    monkeypatch.setattr("ansible.constants.DEFAULT_LOCAL_TMP", str(tmp_path / "tmp"))
    for name, value in {
        "_tell": outcome,
        "_is_become_unprivileged": lambda self: True,
        "_get_admin_users": lambda self: [],
        "get_shell_option": lambda self, name, default=None: str(os.getgid()) if name == "common_remote_group" else default,
        "_remote_set_user_facl": lambda self, *given: refused,
        "_remote_chown": lambda self, *given: refused,
        "_remote_chmod": lambda self, paths, how: refused if how.startswith(("+a", "A+")) else real(self, paths, how),
    }.items():
        monkeypatch.setattr(tool_put.ActionModule, name, value)
    plugin = action(tools={"k6": files["k6"]}, directory=str(tmp_path / "host"))
    plugin.run(task_vars={"inventory_hostname": "etcd1"})
    assert len(seen) == 2 and all(found & 0o050 == 0o050 for found in seen.values())


def test_a_tool_that_is_there_is_left_alone(put, files, tmp_path):
    put(files)
    place = tmp_path / "host" / "the tools"
    (place / "k6").write_bytes(b"older")
    (place / "etcd-ctls").chmod(0o700)
    before = (place / "benchmark").stat().st_ino
    assert put(files, check_mode=True) == {"changed": True, "put": ["etcd-ctls", "k6"]} and (place / "k6").read_bytes() == b"older"
    assert put(files)["put"] == ["etcd-ctls", "k6"] and put(files) == {"changed": False, "put": []}
    assert (place / "k6").read_bytes() == b"k6" and mode(place / "etcd-ctls") == 0o755 and (place / "benchmark").stat().st_ino == before


def test_in_place_of_a_link_a_file_is_put(put, files, tmp_path):
    (tmp_path / "host").mkdir()
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "host" / "k6").symlink_to(tmp_path / "theirs")
    assert put({"k6": files["k6"]}, tmp_path / "host")["put"] == ["k6"]
    assert (tmp_path / "theirs").read_bytes() == b"theirs" and (tmp_path / "host" / "k6").read_bytes() == b"k6"


def test_check_mode_writes_nothing(put, files, tmp_path):
    assert put(files, check_mode=True) == {"changed": True, "put": list(files)}
    assert not (tmp_path / "host").exists()


def test_without_tools_the_host_is_not_asked(put, monkeypatch):
    monkeypatch.setattr(tool_put.ActionModule, "_low_level_execute_command", None)
    assert put({}) == {"changed": False, "put": []}


@pytest.fixture(name="instead")
def fixture_instead(tmp_path, monkeypatch):
    """Return a function that puts a script in place of a program of the host."""

    def replace(name, text):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    return replace


def test_what_is_in_the_way_is_to_be_removed(put, files, tmp_path):
    (tmp_path / "host").write_text("")
    message = f"^etcd1: No tool is put in {tmp_path}/host/tools: {tmp_path}/host of uid {os.getuid()} is not a directory. Remove it, then run again.$"
    with pytest.raises(AnsibleActionFail, match=message):
        put(files, tmp_path / "host" / "tools")
    (tmp_path / "there" / "k6").mkdir(parents=True)
    with pytest.raises(AnsibleActionFail, match=f"^etcd1: {tmp_path}/there/k6 is a directory. Remove it, then run again.$"):
        put({"k6": files["k6"]}, tmp_path / "there")
    assert not list((tmp_path / "there" / "k6").iterdir())


@pytest.fixture(name="belongs")
def fixture_belongs(instead):
    """Return a function that makes `ls` of the host say that a path belongs to a user."""
    real = shutil.which("ls")

    def change(path, uid):
        instead("ls", f"#!/bin/sh\n{real} \"$@\" | sed -E 's,^([^ ]+ +[0-9]+ +)[0-9]+( .* {path}(/[.])?( -> .*)?)$,\\1{uid}\\2,'\n")

    return change


# What is at `host` before, whose it is, the directory below it, and what is said of `host` (None: the tool is put).
HOSTS = [
    (0o755, 4242, ".", "belongs to uid 4242, who could exchange what is in it. Remove it, then run again."),
    (0o755, 4242, "run/tools", "belongs to uid 4242, who could exchange what is in it. Remove it, then run again."),
    (0o1777, 4242, "tools", "belongs to uid 4242, who could exchange what is in it. Remove it, then run again."),
    (0o777, 0, "tools", "of uid 0 can be written by everybody. Take that right away (chmod go-w) or remove it, then run again."),
    (0o777, None, "tools", "of uid {me} can be written by everybody. Take that right away (chmod go-w) or remove it, then run again."),
    (0o775, 0, ".", "of uid 0 can be written by its group. Take that right away (chmod go-w) or remove it, then run again."),
    (0o2775, 0, "tools", None),
    (0o1777, 0, "run/tools", None),
    (0o700, None, ".", None),
    ("link", 4242, "tools", "belongs to uid 4242, who could exchange what is in it. Remove it, then run again."),
    ("link", 0, ".", "is a symbolic link of uid 0. Remove it, then run again."),
    ("link", 0, "tools", None),
]


@pytest.mark.parametrize(("before", "owner", "below", "said"), HOSTS)
@pytest.mark.parametrize("options", [{}, {"kept": True}, {"check_mode": True}])
def test_nothing_is_put_where_another_user_could_exchange_it(put, files, belongs, tmp_path, before, owner, below, said, options):
    host, target = tmp_path / "host", tmp_path / "target"
    if before == "link":
        target.mkdir(0o700)
        host.symlink_to(target)
    else:
        host.mkdir()
        host.chmod(before)
    if owner is not None:
        belongs(host, owner)
    if said is None:
        assert put({"k6": files["k6"]}, host / below, **options)["put"] == ["k6"]
    else:
        with pytest.raises(AnsibleActionFail) as caught:
            put({"k6": files["k6"]}, host / below, **options)
        assert caught.value.message.startswith(f"etcd1: No tool is put in {host / below}: {host} {said.format(me=os.getuid())}")
        assert not list(host.iterdir())
    assert mode(host) == (0o700 if before == "link" else before)


def test_what_a_link_of_root_leads_to_is_looked_at(put, files, belongs, tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target").chmod(0o777)
    (tmp_path / "host").symlink_to(tmp_path / "target")
    belongs(tmp_path / "host", 0)
    with pytest.raises(AnsibleActionFail, match=f": {tmp_path}/host/. of uid 0 can be written by everybody. "):
        put({"k6": files["k6"]}, tmp_path / "host" / "tools")


def test_the_tool_of_another_user_is_replaced(put, files, belongs, tmp_path):
    place = tmp_path / "host" / "the tools"
    put(files)
    before = (place / "k6").stat().st_ino
    belongs(place / "k6", 4242)
    assert put(files, kept=True)["put"] == ["k6"] and (place / "k6").stat().st_ino != before


def test_a_full_disk_leaves_what_was_there(put, files, instead, tmp_path):
    place = tmp_path / "host" / "the tools"
    put({"k6": files["benchmark"]})
    instead("cat", FULL)
    message = f"^etcd1: {place}/k6 cannot be written: cat: write error: No space left on device. Make room for it"
    with pytest.raises(AnsibleActionFail, match=message):
        put({"k6": files["k6"]})
    assert (place / "k6").read_bytes() == TOOLS["benchmark"] and len(list(place.iterdir())) == 1


def test_what_arrives_damaged_is_refused(put, files, instead, tmp_path):
    instead("cat", "#!/bin/sh\nprintf other\n")
    other, expected = (hashlib.sha256(content).hexdigest() for content in (b"other", b"k6"))
    with pytest.raises(AnsibleActionFail, match=f"^etcd1: .*/k6 arrived with the SHA-256 {other}, not {expected}, which it has on the controller."):
        put({"k6": files["k6"]})
    assert not list((tmp_path / "host" / "the tools").iterdir())


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\necho 'sha256sum: applet not found' >&2; exit 127\n", "etcd1: sha256sum is missing on the host. Install coreutils, then run again."),
        ("#!/bin/sh\nexit 1\n", "etcd1: .*/k6 cannot be written: the command ended with exit code 1 and said nothing. Make room"),
    ],
)
def test_a_host_that_cannot_prove_it_gets_nothing(put, files, instead, tmp_path, script, message):
    instead("sha256sum", script)
    with pytest.raises(AnsibleActionFail, match=f"^{message}"):
        put({"k6": files["k6"]})
    assert not list((tmp_path / "host" / "the tools").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directory": "tools"}, "etcd1: directory is 'tools': give an absolute path on the host, without '..'."),
        ({"directory": "/tmp/../etc"}, "etcd1: directory is '/tmp/../etc': give an absolute path on the host, without '..'."),
        ({"tools": {"../k6": "/x"}}, "etcd1: '../k6' is no name of a tool."),
        ({"tools": {"k6": "/no/k6"}}, "etcd1: /no/k6 on the controller cannot be read: No such file or directory."),
    ],
)
def test_what_is_refused_before_the_host_is_asked(action, files, options, message):
    plugin = action(**{"tools": files, "directory": "/tmp/tools", **options})
    with pytest.raises(AnsibleActionFail) as caught:
        plugin.run(task_vars={"inventory_hostname": "etcd1"})
    assert caught.value.message.startswith(message) and plugin._connection._shell.tmpdir is None


def test_a_copy_that_cannot_be_sent_is_no_lost_host_and_a_lost_host_stays_one(put, files, monkeypatch):
    def broken(self, local, remote):
        raise AnsibleError("failed to transfer file: Failure")

    def gone(self, local, remote):
        raise AnsibleConnectionFailure("gone")

    monkeypatch.setattr(tool_put.ActionModule, "_transfer_file", broken)
    with pytest.raises(AnsibleActionFail, match="^etcd1: .*/link cannot be sent to .*/k6: failed to transfer file: Failure. Make room there"):
        put({"k6": files["k6"]})
    monkeypatch.setattr(tool_put.ActionModule, "_transfer_file", gone)
    with pytest.raises(AnsibleConnectionFailure):
        put({"k6": files["k6"]})


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (0, "began\nput benchmark\nsame k6\n", ["benchmark"]),
        (0, "Welcome to put\r\nbegan\r\nput benchmark\r\nput k6\r\n", ["benchmark", "k6"]),
        (1, "began\nput benchmark\nnoexec k6\n", "/t/k6 cannot be executed: its file system is mounted with noexec."),
        (1, "began\nput benchmark\nwrong k6 bbb\n", f"/t/k6 arrived with the SHA-256 bbb, not {SUM}"),
        (1, "began\nput benchmark\ndirectory k6\n", "/t/k6 is a directory. Remove it, then run again."),
        (1, "began\nput benchmark\nmktemp: Read-only file system\n", "/t/k6 cannot be written: mktemp: Read-only file system. Make room"),
        (127, "began\n/bin/sh: 1: mktemp: not found\n", "mktemp is missing on the host. Install coreutils, then run again."),
        (0, "began\nsh: line 1: sha256sum: command not found\nput benchmark\nput k6\n", "sha256sum is missing on the host. Install coreutils, then"),
        (1, "began\nrefused /t of uid 7 is bad. Remove it\n", "No tool is put in /t: /t of uid 7 is bad. Remove it, then run again."),
        (0, "began\n", "/t/benchmark cannot be written: the command ended with exit code 0 and said nothing. Make room"),
        (0, "began\nput benchmark\nput other\n", "/t/k6 cannot be written: the command ended with exit code 0 and said nothing."),
        (1, "sudo: a password is required\n", "The host did not run a command: sudo: a password is required. Correct become (its method, user and password)"),
        (0, "put benchmark\nput k6\n", "The host did not run a command: "),
    ],
)
def test_only_what_the_host_says_is_put(code, said, expected):
    if isinstance(expected, list):
        assert tool_put.outcome("/t", LENGTHS, code, said) == expected
    else:
        with pytest.raises(AnsibleActionFail) as caught:
            tool_put.outcome("/t", LENGTHS, code, said)
        assert caught.value.message.startswith(expected)


def test_the_command_is_one_line():
    assert "\n" not in tool_put.command("/t", LENGTHS)
