# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine under etcd: disks, memory, processors; read only, standard library alone."""

from __future__ import annotations

import os
import re

# Names of architectures in the file names of releases.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
ESCAPED = re.compile(r"\\(\d{3})")
INSIDE = re.compile(r"/proc/(\d+)/root(/.*)")
MEMORY = re.compile(r"^(MemTotal|MemAvailable):\s+(\d+) kB$", re.MULTILINE)


def machine(proc="/proc"):
    """Return {memory, memory_available (byte), cpus, architecture, kernel}."""
    system = os.uname()
    with open(os.path.join(proc, "meminfo"), encoding="utf-8") as stream:
        memory = {name: int(amount) * 1024 for name, amount in MEMORY.findall(stream.read())}
    facts = {
        "memory": memory.get("MemTotal"),
        "memory_available": memory.get("MemAvailable"),
        "cpus": os.cpu_count(),
        "architecture": ARCHITECTURES.get(system.machine, system.machine),
        "kernel": system.release,
    }
    return {name: value for name, value in facts.items() if value is not None}


def disk(path, devices="/sys/dev/block"):
    """Return {device, filesystem, mount_point, own_mount, size, free (byte), rotational} of what holds `path`; OSError if it is missing.

    own_mount says that it is another device than the root filesystem's. rotational is left out where the kernel does not know.
    """
    space = os.statvfs(path)
    inside = INSIDE.fullmatch(path)
    # A path below /proc/<pid>/root is in the mounts of that process, which is in a container.
    owner, place = inside.groups() if inside else ("self", os.path.realpath(path))
    root, found = mount("/", mounts("self")), mount(place, mounts(owner))
    facts = {name: found[name] for name in ("device", "filesystem", "mount_point")}
    facts["own_mount"] = found["number"] != root["number"] and found["device"] != root["device"]
    facts["size"] = space.f_blocks * space.f_frsize
    facts["free"] = space.f_bavail * space.f_frsize
    rotational = _rotational(os.path.realpath(os.path.join(devices, found["number"])))
    if rotational is not None:
        facts["rotational"] = rotational
    return facts


def mounts(owner, proc="/proc"):
    """Return [{number, mount_point, filesystem, device}] of /proc/<owner>/mountinfo, later mounts last."""
    with open(os.path.join(proc, owner, "mountinfo"), encoding="utf-8") as stream:
        lines = [line.split(" - ", 1) for line in stream]
    found = []
    for left, right in lines:
        number, dummy, point = left.split()[2:5]
        filesystem, device = right.split()[:2]
        point = ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), point)
        found.append({"number": number, "mount_point": point, "filesystem": filesystem, "device": device})
    return found


def mount(path, table):
    """Return the mount of `table` that holds `path`: the longest mount point, and the last of equals."""
    holding = [one for one in table if (path + "/").startswith(one["mount_point"].rstrip("/") + "/")]
    return max(enumerate(holding), key=lambda pair: (len(pair[1]["mount_point"]), pair[0]))[1]


def _rotational(device):
    """Return whether a block device turns, or None when it is not known; a partition's answer is its disk's."""
    for directory in (device, os.path.dirname(device)):
        try:
            with open(os.path.join(directory, "queue", "rotational"), encoding="ascii") as stream:
                return stream.read().strip() == "1"
        except OSError:
            continue
    return None
