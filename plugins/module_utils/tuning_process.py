# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the components of Kubernetes on a host run with: the flags of their processes; read only, standard library alone.

Nothing secret is returned: values of flags that hold keys, tokens or passwords are hidden, and of the environment only what is asked for is read.
"""

from __future__ import annotations

import os
import re
import time

from .etcd_host import flags

COMPONENTS = {
    "kube-apiserver": "apiserver",
    "kube-controller-manager": "manager",
    "kube-scheduler": "scheduler",
    "kubelet": "kubelet",
    "etcd": "etcd",
    "containerd": "containerd",
    "kube-proxy": "proxy",
}
# Distributions with all components in one process, whose settings are not flags.
OTHERS = ("k3s", "rke2", "k0s", "microk8s")
NOT_SERVERS = frozenset(("gateway", "grpc-proxy", "help", "completion", "config", "--version", "version"))
# What a flag or a setting is called that may hold a secret itself; one that names a file or directory does not.
SECRET = re.compile(r"(token|secret|passw|credential|key|auth-?header|headers?$)", re.IGNORECASE)
PLACE = re.compile(r"(file|files|dir|path|prefix|endpoint|ttl|duration|expiration|issuer|mode)$", re.IGNORECASE)
NO_SECRET = re.compile(r"^(requestheader-.*|initial-cluster-token)$", re.IGNORECASE)
HARMLESS = re.compile(r"true|false|none|[0-9]{0,6}[smh]?", re.IGNORECASE)
USERINFO = re.compile(r"(?<=//)[^/@\s]*@")
HIDDEN = "hidden"
VARIABLE = "ETCD_"
UNIT = re.compile(r"/([^/]+\.service)(?:/|$)", re.MULTILINE)
OPEN_FILES = re.compile(r"^Max open files\s+(\d+|unlimited)\s", re.MULTILINE)
UNLIMITED = 2**63 - 1


def shown(name, value):
    """Return what may leave the host of the value of a flag or setting; true, false and numbers are no secrets."""
    if SECRET.search(name) and not PLACE.search(name) and not NO_SECRET.match(name) and not HARMLESS.fullmatch(str(value)):
        return HIDDEN
    return USERINFO.sub("", value) if isinstance(value, str) else value


def shown_flags(argv):
    """Return {flag: value} of an argument vector without what is secret; positional arguments are left out."""
    return {name: shown(name, value) for name, value in flags(argv).items()}


def variables(pairs):
    """Return {setting: value} of those environment variables that are settings of etcd; nothing else is looked at."""
    found = dict(pair.partition("=")[::2] for pair in pairs if pair.startswith(VARIABLE))
    settings = {name[len(VARIABLE) :].lower().replace("_", "-"): value for name, value in found.items() if value}
    return {name: shown(name, value) for name, value in settings.items()}


def processes(proc="/proc"):
    """Return ({component: [facts]}, [names of other distributions]) of this host's network: what runs in a pod of its own network is another's."""
    found, others = {}, set()
    uptime = _uptime(proc)
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        base = os.path.join(proc, str(pid))
        argv = strings(os.path.join(base, "cmdline"))
        program = os.path.basename(argv[0]) if argv else ""
        if program in OTHERS:
            others.add(program)
        component = COMPONENTS.get(program)
        if component is None or NOT_SERVERS.intersection(argv[1:2]) or not same_namespace(base, "net", proc):
            continue
        facts = {"pid": pid, "program": argv[0], "flags": shown_flags(argv[1:]), "unit": _unit(base), "on_host": same_namespace(base, "mnt", proc)}
        facts.update(_started(base, uptime))
        facts.update(_open_files(base))
        if component == "etcd":
            environment = strings(os.path.join(base, "environ"))
            facts["environment"] = variables(environment or [])
            facts["environment_read"] = environment is not None
        found.setdefault(component, []).append({name: value for name, value in facts.items() if value is not None})
    return found, sorted(others)


def strings(path):
    """Return the NUL-separated strings of a file in /proc, or None if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return [one.decode("utf-8", "replace") for one in stream.read().rstrip(b"\0").split(b"\0")]
    except OSError:
        return None


def same_namespace(base, kind, proc="/proc"):
    """Say whether a process is in this process's namespace of a kind; unknown is no."""
    try:
        return os.path.samestat(os.stat(os.path.join(base, "ns", kind)), os.stat(os.path.join(proc, "self", "ns", kind)))
    except OSError:
        return False


def text(path, most=1 << 20):
    """Return the text of a file, or "" when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(most)
    except OSError:
        return ""


def _unit(base):
    match = UNIT.search(text(os.path.join(base, "cgroup")))
    return match.group(1) if match else None


def _uptime(proc):
    """Return for how long the host has been up (s), or None."""
    words = text(os.path.join(proc, "uptime")).split()
    return float(words[0]) if words else None


def _started(base, uptime):
    """Return {started: epoch, s} of a process."""
    # The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
    fields = text(os.path.join(base, "stat")).rpartition(")")[2].split()
    if uptime is None or len(fields) < 20 or not fields[19].isdigit():
        return {}
    return {"started": time.time() - uptime + int(fields[19]) / os.sysconf("SC_CLK_TCK")}


def _open_files(base):
    """Return {open_files}: how many files a process may open."""
    match = OPEN_FILES.search(text(os.path.join(base, "limits")))
    if not match:
        return {}
    soft = match.group(1)
    return {"open_files": UNLIMITED if soft == "unlimited" else int(soft)}
