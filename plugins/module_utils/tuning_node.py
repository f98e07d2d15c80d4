# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kernel, the disks and the network of a host are set; read only, standard library alone. What a host does not have is left out."""

from __future__ import annotations

import ctypes
import glob
import os
import re

from . import etcd_machine
from .tuning_process import text

SYSCTLS = (
    "fs.file-max",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "fs.nr_open",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.pid_max",
    "kernel.threads-max",
    "net.bridge.bridge-nf-call-iptables",
    "net.core.netdev_max_backlog",
    "net.core.rmem_max",
    "net.core.somaxconn",
    "net.core.wmem_max",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
    "vm.max_map_count",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "vm.swappiness",
)
CHOSEN = re.compile(r"\[([\w-]+)\]")
ADJTIME_UNSYNCHRONISED, ADJTIME_NANO = 0x0040, 0x2000
ST_NOATIME, ST_NODIRATIME = 0x400, 0x800


def node(proc="/proc", sys="/sys"):
    """Return the facts of the kernel and the machine."""
    facts = dict(etcd_machine.machine(proc))
    facts["sysctl"] = sysctls(proc)
    facts["swap"] = sum(int(line.split()[2]) * 1024 for line in text(f"{proc}/swaps").splitlines()[1:] if len(line.split()) > 2)
    facts["cgroup"] = 2 if os.path.exists(f"{sys}/fs/cgroup/cgroup.controllers") else 1
    governors = sorted({text(path).strip() for path in glob.glob(f"{sys}/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")} - {""})
    facts["governors"] = governors
    match = CHOSEN.search(text(f"{sys}/kernel/mm/transparent_hugepage/enabled"))
    facts["transparent_hugepages"] = match.group(1) if match else None
    pages = re.search(r"^HugePages_Total:\s+(\d+)", text(f"{proc}/meminfo"), re.MULTILINE)
    facts["huge_pages"] = int(pages.group(1)) if pages else None
    killed = re.search(r"^oom_kill (\d+)", text(f"{proc}/vmstat"), re.MULTILINE)
    facts["oom_kills"] = int(killed.group(1)) if killed else None
    facts["neighbours"] = max(0, len(text(f"{proc}/net/arp").splitlines()) - 1)
    facts["insert_failed"] = insert_failed(text(f"{proc}/net/stat/nf_conntrack"))
    facts["network"] = network(proc, sys)
    facts["clock"] = clock()
    return {name: value for name, value in facts.items() if value is not None}


def sysctls(proc="/proc"):
    """Return {name: number, list of numbers, or text} of the settings that this kernel has."""
    found = {}
    for name in SYSCTLS:
        value = text(os.path.join(proc, "sys", *name.split("."))).strip()
        if value:
            words = value.split()
            numbers = [int(word) for word in words if re.fullmatch(r"-?\d+", word)]
            found[name] = value if len(numbers) < len(words) else numbers[0] if len(numbers) == 1 else numbers
    return found


def insert_failed(table):
    """Return how many connections were dropped because they could not be entered in the table, or None."""
    lines = table.splitlines()
    names = lines[0].split() if lines else []
    if "insert_failed" not in names or "drop" not in names:
        return None
    rows = [line.split() for line in lines[1:]]
    return sum(int(row[names.index(name)], 16) for row in rows if len(row) == len(names) for name in ("insert_failed", "drop"))


def network(proc="/proc", sys="/sys"):
    """Return {mtu of the interface to the default route, pod_mtus, speed (bit/s) of the fastest card}."""
    facts = {}
    routes = [line.split() for line in text(f"{proc}/net/route").splitlines()[1:]]
    default = next((row[0] for row in routes if len(row) > 7 and row[1] == row[7] == "00000000"), None)
    speeds = []
    pods = set()
    for path in sorted(glob.glob(f"{sys}/class/net/*")):
        name, mtu = os.path.basename(path), text(f"{path}/mtu").strip()
        if name == default and mtu.isdigit():
            facts["mtu"] = int(mtu)
        elif re.match(r"(veth|cali|lxc|gke|eni)", name) and mtu.isdigit():
            pods.add(int(mtu))
        speed = text(f"{path}/speed").strip() if os.path.exists(f"{path}/device") else ""
        speeds += [int(speed) * 1000000] if speed.isdigit() else []
    facts.update({"pod_mtus": sorted(pods)} if pods else {})
    facts.update({"speed": max(speeds)} if speeds else {})
    return facts


def clock():
    """Return {synchronised, offset, error (s)} as the kernel was told by the time daemon, or None where it cannot be asked."""
    try:
        buffer = (ctypes.c_long * 64)()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(buffer))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    # struct timex: modes (padded to a long), offset, freq, maxerror, esterror, status (an int).
    offset, maximum = buffer[1], buffer[3]
    status = ctypes.cast(ctypes.byref(buffer, 5 * ctypes.sizeof(ctypes.c_long)), ctypes.POINTER(ctypes.c_int))[0]
    unit = 1e-9 if status & ADJTIME_NANO else 1e-6
    return {"synchronised": not status & ADJTIME_UNSYNCHRONISED and state != 5, "offset": abs(offset) * unit, "error": maximum * 1e-6}


def disk(path, sys="/sys"):
    """Return what holds a path: etcd_machine.disk's facts, and number, scheduler, inodes_free (ratio), noatime, network (whether it is one's file system).

    OSError when the path is not there.
    """
    facts = etcd_machine.disk(path)
    space = os.statvfs(path)
    inside = etcd_machine.INSIDE.fullmatch(path)
    owner, place = inside.groups() if inside else ("self", os.path.realpath(path))
    facts["number"] = etcd_machine.mount(place, etcd_machine.mounts(owner))["number"]
    facts["network"] = bool(re.match(r"(nfs|cifs|smb|ceph|glusterfs|fuse\.|9p|afs|lustre|gpfs|ocfs2)", facts["filesystem"]))
    facts["noatime"] = bool(space.f_flag & ST_NOATIME)
    if space.f_files:
        facts["inodes_free"] = space.f_favail / space.f_files
    chosen = _scheduler(os.path.realpath(f"{sys}/dev/block/{facts['number']}"))
    return dict(facts, **({"scheduler": chosen} if chosen else {}))


def _scheduler(device):
    """Return the I/O scheduler of a block device, or None; a partition's is its disk's."""
    for directory in (device, os.path.dirname(device)):
        match = CHOSEN.search(text(os.path.join(directory, "queue", "scheduler")))
        if match:
            return match.group(1)
    return None
