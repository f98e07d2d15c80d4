# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role tools in playbooks, against an HTTP server on loopback."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tarfile
import threading

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible-playbook")
TOOL = b"#!/bin/sh\necho it runs\n"
SECRET = "very-s3cret-word"
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: kubeproof.certify.tools
        tasks_from: "{{ entry }}.yml"
    - ansible.builtin.copy:
        content: "{{ {'paths': tools_paths | default({}), 'missing': tools_missing | default({})} | to_json }}"
        dest: "{{ seen }}"
        mode: "0600"
"""


def packed():
    """Return a .tar.gz file with the tool."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo("kube-burner")
        info.size = len(TOOL)
        archive.addfile(info, io.BytesIO(TOOL))
    return stream.getvalue()


PACKED = packed()
SUM = hashlib.sha256(PACKED).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the file; with `cut` it stops half way when it may. What is no kube-burner is not there."""

    def do_GET(self):
        """Answer a request."""
        self.server.requests.append(self.path)
        if not self.path.startswith("/kube-burner"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(PACKED)))
        self.end_headers()
        self.wfile.write(PACKED[:50])
        if self.server.cut:
            self.wfile.flush()
            self.server.sent.set()
            self.server.may.wait(60)
        else:
            self.wfile.write(PACKED[50:])

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture(name="server")
def fixture_server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.requests, server.cut, server.sent, server.may = [], False, threading.Event(), threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(name="start")
def fixture_start(server, tmp_path):
    """Return a function that starts a playbook with an entry point of the role."""
    (tmp_path / "play.yml").write_text(PLAY, encoding="utf-8")
    (tmp_path / "netrc").touch()
    pin = {"version": "1.2.3", "url": "{mirror}/kube-burner-V{version}-{architecture}.tar.gz", "sha256": {"amd64": SUM, "arm64": SUM}}

    def call(entry, **variables):
        options = {
            "entry": entry, "seen": str(tmp_path / "seen.json"), "tools_cache": str(tmp_path / "cache"), "tools_directory": str(tmp_path / "host" / "tools"),
            "tools_downloads": {"kube-burner": pin}, "tools_mirror": f"http://user:{SECRET}@127.0.0.1:{server.server_address[1]}",
            "tools_wanted": ["kube-burner"], "tools_architectures": ["amd64", "arm64"], "ansible_python_interpreter": sys.executable, **variables,
        }  # fmt: skip
        environment = {
            **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false",
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "NETRC": str(tmp_path / "netrc"), "no_proxy": "*",
        }  # fmt: skip
        command = [str(ANSIBLE), "-i", "member1,", "-c", "local", "-vvv", "-e", json.dumps(options), "play.yml"]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return call


@pytest.fixture(name="play")
def fixture_play(start, tmp_path):
    """Return a function that runs a playbook and returns (exit status, output on one line, {paths, missing})."""

    def call(entry, **variables):
        process = start(entry, **variables)
        output = process.communicate(timeout=120)[0]
        assert SECRET not in output
        path = tmp_path / "seen.json"
        return process.returncode, " ".join(output.split()), json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    return call


def test_the_cache_is_filled_and_a_host_gets_its_copy_without_another_download(server, play, tmp_path):
    code, output, dummy = play("download")
    assert code == 0, output
    assert {path.name.rpartition("-")[0] for path in (tmp_path / "cache" / "downloads").glob("*[0-9a-f]")} == {"kube-burner-amd64", "kube-burner-arm64"}
    assert set(server.requests) == {"/kube-burner-V1.2.3-amd64.tar.gz", "/kube-burner-V1.2.3-arm64.tar.gz"}
    asked = len(server.requests)
    code, output, dummy = play("main", tools_architecture="arm64")
    copy = tmp_path / "host" / "tools" / "kube-burner"
    assert code == 0 and copy.read_bytes() == TOOL and copy.stat().st_mode & 0o777 == 0o755 and len(server.requests) == asked


def test_a_host_without_its_tool_fails_with_the_reason(server, play, tmp_path):
    pin = {"url": "{mirror}/k6", "sha256": {"amd64": SUM}}
    code, output, dummy = play("main", tools_wanted=["k6", "benchmark", "etcdctl"], tools_present={"etcdctl": {}}, tools_downloads={"k6": pin})
    assert code == 2 and "etcdctl is not on the PATH" not in output and not (tmp_path / "host").exists()
    assert f"k6: http://127.0.0.1:{server.server_address[1]}/k6 answered 404 Not Found" in output
    assert f"benchmark is not on the PATH of member1, and {tmp_path}/cache/tools/amd64/benchmark on the controller is missing. Run `make tools`" in output


def test_on_the_controller_paths_and_reasons_are_named(play, tmp_path):
    own = tmp_path / "own"
    own.write_bytes(TOOL)
    own.chmod(0o755)
    wanted = {"tools_wanted": ["kube-burner", "sh", "no-such-tool", "mine"], "tools_files": {"mine": {"path": str(own)}}}
    code, output, seen = play("controller", tools_optional=True, **wanted)
    assert code == 0, output
    assert seen["missing"]["no-such-tool"].startswith("no-such-tool is not on the PATH of the controller") and len(seen["missing"]) == 1
    assert set(seen["paths"]) == {"kube-burner", "sh", "mine"}
    assert subprocess.run([seen["paths"]["kube-burner"]], check=True, capture_output=True).stdout == b"it runs\n"


def test_a_killed_playbook_leaves_nothing_that_is_taken(server, start, play, tmp_path):
    server.cut = True
    process = start("main")
    assert server.sent.wait(60)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    server.cut = False
    server.may.set()
    process.communicate(timeout=60)
    code, output, dummy = play("main")
    assert code == 0, output
    assert (tmp_path / "host" / "tools" / "kube-burner").read_bytes() == TOOL
    assert [path.name for path in (tmp_path / "cache" / "downloads").glob("*.unfinished")] == []


def test_the_image_is_the_same_for_the_lab_and_for_a_user():
    """One list of packages, one of what is removed, one version: a node keeps an image whose version it has."""
    image = ROOT / "roles/tools/files/image"
    text = (image / "Containerfile").read_text(encoding="utf-8")
    lab = yaml.safe_load((ROOT / "roles/lab/vars/main.yml").read_text(encoding="utf-8"))
    [root] = [root for root in lab["__lab_roots"] if root["name"] == "tools"]
    for name in ("packages", "trim"):
        lines = (image / name).read_text(encoding="utf-8").split()
        assert lines == sorted(set(lines)) and lines
        assert f"/{name}" in text and f"/image/{name}" in json.dumps(root)
    settings = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/certify.yml").read_text(encoding="utf-8"))
    assert f"kubeproof/tools:{lab['__lab_tools_version']} " in text
    # A build context that has a link out of it has no k6.
    assert all("k6=$(dirname $(readlink -f ~/.cache/kubeproof/tools/amd64/k6)) " in one for one in (text, (ROOT / "README.md").read_text("utf-8")))
    # Wherever a user may copy the command from.
    shown = [path for path in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/modules/*.py")] if "/tools:" in path.read_text("utf-8")]
    named = {tag for path in shown for tag in re.findall(r"kubeproof/tools:([0-9.]+)", path.read_text("utf-8"))}
    assert len(shown) > 3 and named == {lab["__lab_tools_version"]}
    assert settings["certify_tools_image"].endswith(f"/tools:{lab['__lab_tools_version']}")
