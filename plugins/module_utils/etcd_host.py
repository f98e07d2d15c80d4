# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The etcd process of a host and its effective settings: flags, ETCD_* variables or a config file; read only, standard library alone."""

from __future__ import annotations

import json
import os
import re

# Settings of etcd that are read, under the names of its flags, with etcd's defaults where it has one.
DEFAULTS = {
    "name": "default",
    "listen-client-urls": "http://localhost:2379",
    "advertise-client-urls": "http://localhost:2379",
    "heartbeat-interval": "100",
    "election-timeout": "1000",
    "quota-backend-bytes": "0",
    "max-txn-ops": "128",
    "client-cert-auth": "false",
}
SETTINGS = frozenset(DEFAULTS) | {
    "data-dir",
    "wal-dir",
    "snapshot-count",
    "listen-metrics-urls",
    "listen-client-http-urls",
    "cert-file",
    "key-file",
    "trusted-ca-file",
    "peer-cert-file",
    "peer-key-file",
    "peer-trusted-ca-file",
}
# Blocks of a config file, and what stands before the names in them to make the name of the flag.
BLOCKS = {"client-transport-security": "", "peer-transport-security": "peer-"}
NOT_SERVERS = frozenset(("gateway", "grpc-proxy", "help", "completion"))
VARIABLE = "ETCD_"
LINE = re.compile(r"""^(?P<indent>\s*)["']?(?P<name>[\w.-]+)["']?:(?:\s+(?P<value>.*?))?\s*$""")
COMMENT = re.compile(r"(^|\s)#.*$")
# First characters of YAML values that are more than one word: lists, maps, blocks, anchors, aliases, tags.
NOT_PLAIN = tuple("[{|>&*!")


class EtcdHostError(Exception):
    """The etcd process that is meant cannot be told; the text names the choices and the option."""


class Process:
    """One etcd server: pid, settings {flag name: text}, sources {flag name: where it was set}, problems [sentence]."""

    def __init__(self, pid, argv, environ, proc="/proc"):
        self.pid, self.base = pid, os.path.join(proc, str(pid))
        self.problems = [] if environ is not None else [f"The environment of etcd (process {pid}) cannot be read: run with become."]
        self.settings, self.sources = self._settings(flags(argv[1:]), environ or {})

    def _settings(self, given, environ):
        """Return (settings, sources): etcd ignores flags and variables when it has a config file, and variables where it has a flag."""
        path = given.get("config-file") or environ.get("ETCD_CONFIG_FILE")
        if path:
            found, source = self._config(self.host_path(path)), "config file"
            return found, {name: source for name in found}
        variables = {name[len(VARIABLE):].lower().replace("_", "-"): value for name, value in environ.items() if value}
        settings = {name: value for name, value in dict(variables, **given).items() if name in SETTINGS}
        return settings, {name: "flag" if name in given else "environment" for name in settings}

    def _config(self, path):
        """Return the settings in the config file; what cannot be read becomes a problem."""
        try:
            with open(path, encoding="utf-8") as stream:
                found, unread = config(stream.read())
        except (OSError, ValueError) as error:
            self.problems.append(f"The config file of etcd {path} cannot be read ({getattr(error, 'strerror', None) or error}): give the module's options.")
            return {}
        self.problems.extend(f"{name} in {path} is not plain YAML, so it is not read: give it as an option of the module." for name in unread)
        return found

    def get(self, name):
        """Return the effective text of a setting, or None."""
        return self.settings.get(name, DEFAULTS.get(name))

    def urls(self, name):
        """Return the URLs of a setting as a list."""
        return [url.strip() for url in (self.get(name) or "").split(",") if url.strip()]

    def path(self, name):
        """Return the path of a setting as it is on the host, or None."""
        found = self.get(name) or (self.get("name") + ".etcd" if name == "data-dir" else None)
        return self.host_path(found) if found else None

    def host_path(self, path):
        """Return where a path of the process is on the host; below /proc/<pid>/root when a container hides it."""
        if not os.path.isabs(path):
            try:
                path = os.path.join(os.readlink(os.path.join(self.base, "cwd")), path)
            except OSError:
                return path
        inside = os.path.join(self.base, "root") + path
        try:
            seen = os.stat(inside)
        except OSError:
            return path
        try:
            return path if os.path.samestat(seen, os.stat(path)) else inside
        except OSError:
            return inside

    def ports(self):
        """Return the numbers of the client ports."""
        found = self.urls("listen-client-urls") + self.urls("advertise-client-urls")
        return {int(match.group(1)) for match in (re.search(r":(\d+)/?$", url) for url in found) if match}


def flags(argv):
    """Return {name: text} of Go flags: -name, --name=value, --name value; a flag without a value is "true"."""
    found, position = {}, 0
    while position < len(argv) and argv[position].startswith("-"):
        name, equals, value = argv[position].lstrip("-").partition("=")
        position += 1
        if not equals:
            # Go takes no separate value for a bool flag and stops at the first other word, so a word here is always a value.
            value = "true"
            if position < len(argv) and not argv[position].startswith("-"):
                value = argv[position]
                position += 1
        found[name] = value
    return found


def config(text):
    """Return (settings, names that are not plain) of a config file: JSON, or YAML's `name: value` lines with the two blocks for TLS."""
    try:
        return _flatten(json.loads(text)), []
    except ValueError:
        pass
    found, unread, block = {}, [], None
    for line in text.splitlines():
        match = LINE.match(COMMENT.sub("", line))
        if not match:
            continue
        value = match.group("value") or ""
        if not match.group("indent"):
            block = match.group("name")
            name = block
        else:
            name = BLOCKS[block] + match.group("name") if block in BLOCKS else None
        if name in BLOCKS and value.startswith("{"):
            unread.append(name)
        elif name in SETTINGS and (value.startswith(NOT_PLAIN) or not value):
            unread.append(name)
        elif name in SETTINGS and _unquoted(value) != "":
            found[name] = _unquoted(value)
    return found, unread


def _unquoted(value):
    """Return a YAML scalar without its quotes; null is empty."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return "" if value in ("null", "~") else value


def _flatten(data):
    """Return the settings of a config file that is JSON; ValueError if it is not an object."""
    if not isinstance(data, dict):
        raise ValueError("not an object")
    found = dict(data)
    for block, prefix in BLOCKS.items():
        inner = data.get(block)
        found.update((prefix + name, value) for name, value in (inner if isinstance(inner, dict) else {}).items())
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in found.items()
        if name in SETTINGS and value not in (None, "") and not isinstance(value, (dict, list))
    }


def processes(proc="/proc"):
    """Return the Process of every etcd server in this host's network, in order of their ids; an etcd in a pod of its own network is another's."""
    found = []
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        argv = _strings(os.path.join(proc, str(pid), "cmdline"))
        if not argv or os.path.basename(argv[0]) != "etcd" or NOT_SERVERS.intersection(argv[1:2]) or _elsewhere(pid, proc):
            continue
        environ = _strings(os.path.join(proc, str(pid), "environ"))
        if environ is not None:
            environ = dict(one.partition("=")[::2] for one in environ if one.startswith(VARIABLE))
        found.append(Process(pid, argv, environ, proc))
    return found


def _elsewhere(pid, proc):
    """Say whether a process has another network namespace than this one; unknown is no."""
    try:
        return not os.path.samestat(os.stat(os.path.join(proc, str(pid), "ns", "net")), os.stat(os.path.join(proc, "self", "ns", "net")))
    except OSError:
        return False


def _strings(path):
    """Return the NUL-separated strings of a file in /proc, or None if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return [one.decode("utf-8", "replace") for one in stream.read().rstrip(b"\0").split(b"\0")]
    except OSError:
        return None


def choose(found, name=None, port=None, data_dir=None):
    """Return the one Process that is meant, or None when there is none at all; EtcdHostError when several or none match."""
    tests = {
        "name": (name, lambda process: process.get("name") == name),
        "port": (port, lambda process: port in process.ports()),
        "data_dir": (data_dir, lambda process: data_dir.rstrip("/") in ((process.get("data-dir") or "").rstrip("/"), process.path("data-dir").rstrip("/"))),
    }
    wanted = {option: value for option, (value, dummy) in tests.items() if value is not None}
    matching = [process for process in found if all(tests[option][1](process) for option in wanted)]
    if len(matching) == 1 or not found:
        return matching[0] if matching else None
    choices = "; ".join(
        f"name {one.get('name')}, port {' and '.join(str(port) for port in sorted(one.ports()))}, data_dir {one.path('data-dir')}" for one in found
    )
    asked = ", ".join(f"{option}={value}" for option, value in wanted.items())
    reason = f"{'Several etcd processes run' if matching else 'No etcd process matches'}{' with ' + asked if asked else ''} on this host"
    raise EtcdHostError(f"{reason}. Choose one by the option name, port or data_dir. There are: {choices}.")
