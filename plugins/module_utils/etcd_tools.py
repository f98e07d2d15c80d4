# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which load tools are on this host, where, and of which version; standard library alone."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import subprocess

# Where tools are that a login shell would find and a non-interactive one does not.
USUAL_DIRECTORIES = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/bin", "/opt/bin")
VERSIONS = {
    "etcdctl": (["version"], re.compile(r"^etcdctl version:\s*(\S+)", re.MULTILINE)),
    "fio": (["--version"], re.compile(r"^fio-(\S+)", re.MULTILINE)),
}
# benchmark tells no version, but Go writes the module's into every binary that was built from a released module. Its flags differ
# between versions of etcd, and one of them proves that it is etcd's.
HELPS = {"benchmark": ({"flags": ["put", "--help"], "watch_flags": ["watch-latency", "--help"]}, "--key-space-size")}
BUILT_FROM = re.compile(rb"\tgo\.etcd\.io/etcd/v3\tv([0-9][0-9A-Za-z.+-]{0,40})")
FLAG = re.compile(r"^\s*(?:-\w, )?(--[a-z][\w-]*)", re.MULTILINE)
TIMEOUT = 5.0


def present(names, directories=()):
    """Return ({name: {path, version?, flags?, watch_flags?}}, problems); a tool that is absent or does not run has no entry."""
    places = os.pathsep.join([*directories, *os.environ.get("PATH", "").split(os.pathsep), *USUAL_DIRECTORIES])
    found, problems = {}, []
    for name in names:
        path = shutil.which(name, path=places)
        if not path:
            continue
        facts, problem = probe(name, os.path.abspath(path))
        if problem:
            problems.append(problem)
        else:
            found[name] = facts
    return found, problems


def probe(name, path):
    """Return ({path, version?, flags?, watch_flags?}, None), or (None, a sentence) if the tool does not answer as it should."""
    facts = {"path": path}
    if name in VERSIONS:
        arguments, pattern = VERSIONS[name]
        match = pattern.search(_output([path, *arguments]))
        if not match:
            return None, f"{path} does not tell its version when called with {' '.join(arguments)}: replace it or take it away."
        facts["version"] = match.group(1)
    if name in HELPS:
        helps, proof = HELPS[name]
        facts.update({fact: sorted(set(FLAG.findall(_output([path, *arguments])))) for fact, arguments in helps.items()})
        if proof not in facts["flags"]:
            return None, f"{path} is not the {name} of etcd: it knows no {proof}. Replace it or take it away."
        facts.update(_built_from(path))
    return facts, None


def _built_from(path):
    """Return {version} of the etcd module that a Go binary was built from, or {} when it does not say."""
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            match = BUILT_FROM.search(content)
            return {"version": match.group(1).decode()} if match else {}
    except (OSError, ValueError):
        return {}


def _output(argv):
    """Return what a command prints on both streams, or "" if it cannot run."""
    environment = dict(os.environ, LC_ALL="C", ETCDCTL_API="3")
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, env=environment, cwd="/", check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")
