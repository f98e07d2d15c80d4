#!/usr/bin/python
# Copyright (c) 2026, kubeproof contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the commands of a Go module once, and find them again by the content of their sources."""

from __future__ import annotations

DOCUMENTATION = r"""
module: go_build
short_description: Build the commands of a Go module into a cache
version_added: 0.1.0
description:
  - Builds every command that C(go.mod) names in a C(tool) directive, statically linked, into a directory of the cache.
  - The directory is keyed by the content of the sources, the linker flags and the version of Go, and appears whole or not at all.
    An interrupted build is therefore never taken for a good one, and is resumed from Go's own build cache.
  - Directories of the same component under other keys are removed.
options:
  src:
    description: Directory of the component, with C(go.mod) and C(go.sum).
    type: path
    required: true
  cache:
    description:
      - Directory of the cache.
      - Go's own module and build caches are kept in its C(go) directory, and may be removed when everything is built.
    type: path
    required: true
  architecture:
    description: Architecture to build for, in Go's words; empty for the controller's.
    type: str
    default: ""
  ldflags:
    description: Flags for Go's linker, beside those that strip the commands.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says where the commands would be, and whether they are to be built.
    support: full
  diff_mode:
    description: Shows what has changed.
    support: none
author:
  - kubeproof contributors (@kubeproof)
"""

EXAMPLES = r"""
- name: Build etcd and its tools
  kubeproof.certify.go_build:
    src: components/etcd
    cache: ~/.cache/kubeproof
  register: etcd_build

- name: Show the version
  ansible.builtin.command:
    argv: ["{{ etcd_build.path }}/etcdctl", version]
  changed_when: false
"""

RETURN = r"""
path:
  description: Directory that holds the commands.
  returned: always
  type: str
  sample: /home/ops/.cache/kubeproof/bin/etcd-1b4f0e9851971998
key:
  description: Key of the build.
  returned: always
  type: str
  sample: 1b4f0e9851971998
commands:
  description: Names of the commands.
  returned: when they are built
  type: list
  elements: str
  sample: [benchmark, etcd, etcdctl, etcdutl]
seconds:
  description: Time that the build took.
  returned: always
  type: int
  sample: 42
"""

import fcntl
import hashlib
import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule


def content_key(src: str, *settings: str) -> str:
    """Return a key that changes with any file below src and with any of the settings."""
    digest = hashlib.sha256("\0".join(settings).encode())
    for folder, folders, names in os.walk(src):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, "rb") as source:
                content = hashlib.sha256(source.read()).hexdigest()
            digest.update(f"\0{os.path.relpath(path, src)}\0{content}".encode())
    return digest.hexdigest()[:16]


def build(module: AnsibleModule, src: str, cache: str, ldflags: str, architecture: str, target: str) -> None:
    """Build beside the target, move the finished directory there, and remove its predecessors."""
    unfinished = target + ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    environment = {
        "CGO_ENABLED": "0",
        "GOCACHE": os.path.join(cache, "go", "build"),
        "GOMODCACHE": os.path.join(cache, "go", "mod"),
        "GOTMPDIR": os.path.join(cache, "go", "tmp"),
        "GOTOOLCHAIN": "local",
        **({"GOARCH": architecture} if architecture else {}),
    }
    os.makedirs(environment["GOTMPDIR"], exist_ok=True)
    command = ["go", "build", "-buildvcs=false", "-modcacherw", "-mod=readonly", "-trimpath"]
    command += ["-ldflags", f"-s -w {ldflags}".strip(), "-o", unfinished + os.sep, "tool"]
    result, dummy, errors = module.run_command(command, cwd=src, environ_update=environment)
    if result != 0:
        lines = [line for line in errors.splitlines() if not line.startswith("go: downloading ")]
        module.fail_json(msg=f"Cannot build {os.path.basename(src)}: " + "\n".join(lines[-20:]), rc=result)
    os.rename(unfinished, target)
    folder, name = os.path.split(target)
    component = name.rpartition("-")[0]
    for other in os.listdir(folder):
        if other.rpartition("-")[0] == component and other != name:
            shutil.rmtree(os.path.join(folder, other), ignore_errors=True)


def main() -> None:
    """Build, unless the cache has it."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "cache": {"type": "path", "required": True},
            "architecture": {"type": "str", "default": ""},
            "ldflags": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    started = time.monotonic()
    src = os.path.abspath(module.params["src"])
    cache = os.path.abspath(module.params["cache"])
    ldflags, architecture = module.params["ldflags"], module.params["architecture"]
    component = "-".join(filter(None, (os.path.basename(src), architecture)))
    if not os.path.isfile(os.path.join(src, "go.mod")):
        module.fail_json(msg=f"Cannot build {src}: it has no go.mod.")
    dummy, version, dummy = module.run_command(["go", "env", "GOVERSION"], check_rc=True, environ_update={"GOTOOLCHAIN": "local"})
    key = content_key(src, version.strip(), ldflags)
    target = os.path.join(cache, "bin", f"{component}-{key}")
    changed = not os.path.isdir(target)
    if changed and not module.check_mode:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        # Two runs that want the same component build it once.
        with open(os.path.join(cache, f"{component}.lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            changed = not os.path.isdir(target)
            if changed:
                build(module, src, cache, ldflags, architecture, target)
    commands = sorted(os.listdir(target)) if os.path.isdir(target) else []
    module.exit_json(changed=changed, path=target, key=key, commands=commands, seconds=round(time.monotonic() - started))


if __name__ == "__main__":
    main()
