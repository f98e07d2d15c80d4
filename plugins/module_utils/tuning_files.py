# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files on a host say that its components should run with: static pod manifests, systemd units, configuration files; read only."""

from __future__ import annotations

import glob
import os
import re
import shlex
import subprocess

from . import tuning_yaml
from .tuning_process import COMPONENTS, shown, shown_flags, variables

MANIFESTS = "/etc/kubernetes/manifests"
UNIT_FACTS = (
    "Id",
    "FragmentPath",
    "DropInPaths",
    "ExecStart",
    "EnvironmentFiles",
    "Environment",
    "NeedDaemonReload",
    "LimitNOFILE",
    "TasksMax",
    "IOSchedulingClass",
)
SYSTEMCTL_TIMEOUT = 10.0
ARGV = re.compile(r"argv\[\]=(.*?) ; ignore_errors=")
REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
# Settings that may hold a secret in a value below them.
HIDDEN_BLOCKS = frozenset(("staticPodURLHeader",))


def changed(path):
    """Return when a file was last changed (epoch, s), or None."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def document(path):
    """Return the YAML document in a file; ValueError says why there is none, OSError that it cannot be read."""
    with open(path, encoding="utf-8") as stream:
        try:
            found = tuning_yaml.load(stream.read())
        except tuning_yaml.YamlError as error:
            raise ValueError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no map")
    return found


def settings(found):
    """Return a configuration without what may be secret in it."""
    if isinstance(found, dict):
        return {
            name: {} if name in HIDDEN_BLOCKS else settings(value) if isinstance(value, (dict, list)) else shown(name, value) for name, value in found.items()
        }
    return [settings(one) for one in found] if isinstance(found, list) else found


def merged(first, second):
    """Return a configuration with another over it, as the kubelet takes the files of its --config-dir."""
    found = dict(first)
    for name, value in second.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = merged(found[name], value) if both else value
    return found


def manifests(directory, problems):
    """Return {component: {path, changed, flags, image, environment (etcd's)}} of the static pods in a directory."""
    found = {}
    for path in sorted(glob.glob(os.path.join(directory, "*.y*ml")) + glob.glob(os.path.join(directory, "*.json"))):
        # The kubelet leaves out what begins with a dot, as glob does.
        try:
            containers = document(path).get("spec", {}).get("containers", [])
            for container in containers:
                found.update(_container(container, path))
        except (OSError, ValueError, AttributeError, TypeError) as error:
            problems.append(f"The static pod in {path} cannot be read: {getattr(error, 'strerror', None) or error}.")
    return found


def _container(container, path):
    """Return {component: facts} of a container of a static pod, or {} when it is none of ours."""
    command = [str(word) for word in (container.get("command") or []) + (container.get("args") or [])]
    component = COMPONENTS.get(os.path.basename(command[0])) if command else None
    if component is None:
        return {}
    facts = {"path": path, "changed": changed(path), "flags": shown_flags(command[1:]), "image": container.get("image")}
    if component == "etcd":
        facts["environment"] = variables(f"{one['name']}={one['value']}" for one in container.get("env") or [] if "value" in one)
    return {component: facts}


def units(names, problems):
    """Return {unit: {path, paths, changed, flags, environment, reload, tasks}} of systemd units in one call; {} where there is no systemd."""
    if not names:
        return {}
    command = ["systemctl", "show", "--no-pager", "--property=" + ",".join(UNIT_FACTS), "--", *sorted(names)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SYSTEMCTL_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        problems.append(f"The units {', '.join(sorted(names))} cannot be read: {_reason(error)}.")
        return {}
    return dict(filter(None, (unit(block) for block in done.stdout.split("\n\n"))))


def unit(block):
    """Return (name, facts) of one unit in the output of systemctl show, or None."""
    shown_facts = {}
    for name, equals, value in (line.partition("=") for line in block.splitlines()):
        # A list has a line for each of its values.
        shown_facts[name] = f"{shown_facts[name]} {value}" if name in shown_facts else value
    name, fragment = shown_facts.get("Id"), shown_facts.get("FragmentPath")
    if not name or not fragment:
        return None
    files = [one.split(" (")[0] for one in re.findall(r"\S+ \(ignore_errors=\w+\)", shown_facts.get("EnvironmentFiles", ""))]
    environment = dict(pair.partition("=")[::2] for pair in split(shown_facts.get("Environment", "")))
    for path in files:
        environment.update(environment_file(path))
    match = ARGV.search(shown_facts.get("ExecStart", ""))
    argv = expand(match.group(1).split(" ") if match else [], environment)
    paths = [fragment, *shown_facts.get("DropInPaths", "").split(), *files]
    facts = {
        "path": fragment,
        "paths": paths,
        "changed": max(filter(None, map(changed, paths)), default=None),
        "flags": shown_flags(argv[1:]),
        "environment": variables(f"{variable}={value}" for variable, value in environment.items()),
        "reload": shown_facts.get("NeedDaemonReload") == "yes",
        "tasks": shown_facts.get("TasksMax"),
    }
    return name, facts


def split(line):
    """Return the words of a line as a shell would; one that is not closed ends with the line."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def expand(argv, environment):
    """Return an argument vector with its variables: a word that is one variable becomes its words, as systemd does it."""
    found = []
    for word in argv:
        match = REFERENCE.fullmatch(word)
        if match and match.group(2):
            found += split(environment.get(match.group(2), ""))
        else:
            found.append(REFERENCE.sub(lambda one: environment.get(one.group(1) or one.group(2), ""), word))
    return [word for word in found if word]


def environment_file(path):
    """Return {variable: value} of a file that systemd reads; {} when it cannot be read."""
    found = {}
    try:
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().replace("\\\n", " ").splitlines()
    except (OSError, UnicodeDecodeError):
        return found
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"\w+", name):
            value = value.strip()
            found[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
    return found


def version_of(program, problems):
    """Return what `program --version` prints, or "" when it does not."""
    try:
        done = subprocess.run([program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SYSTEMCTL_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        problems.append(f"{program} --version cannot be run: {_reason(error)}.")
        return ""
    return done.stdout


def _reason(error):
    return getattr(error, "strerror", None) or (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
