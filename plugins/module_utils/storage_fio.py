# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on a volume: fio's and kbench's commands, and what the pod says about the place where they run. Pure.

Every job goes to one file that was written full beforehand, so that no read hits a hole, and none may create a file: fio makes missing
directories, and would then measure the root disk of its container. Buffers are filled anew with random bytes, which no storage can compress.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

from .human import human
from .parsers.kbench import PREFIX

PLACE = "/volume"
FILE = f"{PLACE}/kubeproof.fio"
PROOF = f"{PLACE}/kubeproof.verify"
PROOF_SIZE = 16 * 2**20
# How much of the file is read through the page cache, to see what memory would give, and for how many seconds.
CACHED_SIZE, CACHED_SECONDS = 32 * 2**20, 1
# A run is ended after its seconds and so many more; a file must be filled at this many bytes a second.
GRACE, SLOWEST = 30, 5e6
WAYS = ("read", "write")
# The share of the free space that a file may take, and the least that is worth measuring.
SHARE, LEAST_FILE = 0.8, 16 * 2**20
# What is mounted in every pod from there: by kubelet from its directory, by the runtime from that of images.
OF_THE_NODE = ("/etc/hosts", "/etc/hostname")
# What stands behind a path in a pod that is no volume: memory, or the layers of the image.
NO_VOLUME = ("tmpfs", "ramfs", "overlay", "overlayfs", "aufs", "rootfs", "devtmpfs", "sysfs", "proc")
COMMON = ("--direct=1", "--ioengine=libaio", "--output-format=json", "--eta=never", "--lat_percentiles=1", "--percentile_list=50:90:95:99:99.9")
LOOK = f"""
grep -E ' ({PLACE}|{'|'.join(OF_THE_NODE)}) ' /proc/self/mountinfo || true
echo "space $(stat -f -c '%S %b %a' {PLACE})"
grep MemTotal: /proc/meminfo
if touch {PLACE}/kubeproof.touch 2>&1; then rm {PLACE}/kubeproof.touch; echo written; fi
"""
REMOVE = f"rm -f {FILE} {PROOF}"
RESIDENT = f"fincore -b -n -r -o RES {FILE} 2>/dev/null || echo unknown"
MOUNT = re.compile(r"[0-9]+ [0-9]+ ([0-9]+:[0-9]+) \S+ (\S+) (\S+) .*?- (\S+) (\S+) (\S+)")
SPACE = re.compile(r"space ([0-9]{1,18}) ([0-9]{1,18}) ([0-9]{1,18})")
MEMORY = re.compile(r"MemTotal:\s+([0-9]{1,15}) kB")


class VolumeError(Exception):
    """A volume cannot be used; the text says in a few words what is wrong with it."""


def look(text: str, asked: int) -> dict:
    """Return {filesystem, device, source, size, free, asked, memory, node_disk?} of the volume from what LOOK printed.

    node_disk is whether it is on the node's own disk, absent where that cannot be seen. VolumeError when it is none that can be measured.
    """
    every = [found for found in map(MOUNT.fullmatch, text.splitlines()) if found]
    mounts = [found for found in every if found[2] == PLACE]
    if not mounts:
        raise VolumeError(f"{PLACE} is no mount point in the pod, so what is written there goes to the disk of its container")
    device, dummy, options, filesystem, source, more = mounts[-1].groups()
    if filesystem in NO_VOLUME:
        raise VolumeError(f"{PLACE} is {filesystem}, which is no volume")
    space, memory = SPACE.search(text), MEMORY.search(text)
    if not space:
        raise VolumeError("the pod does not say how large the volume is")
    block, blocks, free = (int(one) for one in space.groups())
    found = {"filesystem": filesystem, "device": device, "source": source, "size": block * blocks, "free": block * free, "asked": asked}
    found["memory"] = int(memory[1]) * 1024 if memory else None
    own = {one[1] for one in every if one[2] in OF_THE_NODE}
    found.update({"node_disk": device in own} if own else {})
    if "ro" in options.split(",") or "ro" in more.split(","):
        raise VolumeError("it is mounted read-only")
    if "written" not in text.splitlines():
        said = next((line.partition(": ")[2] for line in text.splitlines() if line.startswith("touch: ")), "the pod may not write there")
        raise VolumeError(f"nothing can be written to it: {said}")
    return found


def file_size(step: dict, space: dict) -> int:
    """Return the bytes of the test file: what was planned, bounded by the free space; VolumeError when that is too little.

    0 where the volume has them, but is on the node's own disk, which has none to spare (crowded).
    """
    free = space["free"]
    size = _bounded(step, int(free * SHARE))
    if size < LEAST_FILE:
        raise VolumeError(f"there is no space left: {mebibytes(free)} are free of {mebibytes(step['size'])} that were asked for")
    if space.get("node_disk"):
        size = min(size, _bounded(step, int(free - step["disk_free"] * space["size"])))
    return size if size >= LEAST_FILE else 0


def _bounded(step: dict, room: int) -> int:
    return min(step["file"], room - PROOF_SIZE) // 2**20 * 2**20


def crowded(step: dict, space: dict) -> str:
    """Return in a sentence that a node's own disk has no room for a test file."""
    free, size = human(space["free"], "byte"), human(space["size"], "byte")
    why = f"{step['disk_free']:.0%} stay so (storage_disk_free), for kubelet evicts pods from a full one"
    return f"its volume is on the node's own disk, of which {free} of {size} are free; {why}: make room there"


def mebibytes(size: float) -> str:
    """Return a size in words."""
    return f"{size / 2**20:.0f} MiB"


def proof() -> dict:
    """Return the run that writes with a checksum in every block, and reads it back."""
    argv = ["--rw=write", "--bs=64k", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--iodepth=4", "--end_fsync=1"]
    return _run("verify", PROOF, PROOF_SIZE, argv, PROOF_SIZE / SLOWEST)


def fills(step: dict, size: int) -> List[dict]:
    """Return the runs that fill the file, and bring the volume into its steady state."""
    rate = [f"--rate={step['fill_rate']}"] if step["fill_rate"] else []
    made = [
        _run("fill", FILE, size, ["--rw=write", "--bs=1m", "--iodepth=8", "--end_fsync=1", "--refill_buffers", *rate], size / (step["fill_rate"] or SLOWEST))
    ]
    if step["precondition"]:
        job = {"rw": "randwrite", "block_size": 4096, "queue_depth": 32, "seconds": step["precondition"], "ramp": 0, "rate": {}}
        made.append(measuring({**job, "name": "precondition"}, size))
    return made


def measuring(job: dict, size: int) -> dict:
    """Return the run of one job of the plan."""
    run = _run(job["name"], FILE, size, _form(job), job["seconds"] + job["ramp"])
    return {**run, "argv": _paced(job, size)} if job["rate"] else run


def _form(job: dict) -> List[str]:
    """Return the options of fio that a job of the plan is made of."""
    argv = [f"--rw={job['rw']}", f"--bs={job['block_size']}", "--time_based", f"--runtime={job['seconds']:g}"]
    argv += ["--allow_file_create=0", "--randrepeat=0", "--norandommap"]
    argv += ["--refill_buffers"] if job["rw"] != "randread" and job["rw"] != "read" else []
    argv += [f"--ramp_time={job['ramp']:g}"] if job["ramp"] else []
    if job["rw"] == "randrw":
        argv.append(f"--rwmixread={round(100 * job['read_share'])}")
    return argv if job["rate"] else [*argv, f"--iodepth={job['queue_depth']}"]


def _paced(job: dict, size: int) -> List[str]:
    """Return fio's command for a fixed rate.

    Before each pause fio waits for all requests of a process, so that one of 32 that takes long stops the 31 others, and what was due meanwhile is made
    up for when all is well again: a volume that stood still for 10 % of the time had a P99 of 5 ms, measured, which was 290. So each place in the queue
    is a thread with a share of the rate, and the parser counts what was due while its request was under way (due), for which it needs the bins.
    """
    swap = {"--ioengine=libaio": "--ioengine=psync", "--output-format=json": "--output-format=json+"}
    argv = ["fio", f"--filename={FILE}", f"--size={size}", *(swap.get(one, one) for one in COMMON), *_form(job)]
    # Requests come as they like: at an even pace none would ever meet another.
    argv += ["--rate_process=poisson", "--thread", "--iodepth=1"]
    for count, rates in streams(job):
        # Without a rate in one direction there is no limit to it, but for a thread that does not go there.
        kind = "randrw" if len(rates) > 1 else f"rand{next(iter(rates))}"
        argv += [f"--name={job['name']}", f"--numjobs={count}", f"--rw={kind}", f"--rate_iops={','.join(str(rates.get(way, '')) for way in WAYS)}"]
    return argv


def streams(job: dict) -> List[Tuple[int, Dict[str, int]]]:
    """Return [(so many threads, {direction: requests a second of each})] that together have the rate of a job, which is whole, as fio takes it.

    As many threads as its queue holds, or as it has requests a second.
    """
    rates = job["rate"]
    threads = places(job)
    # Who has one request more than others: of each direction the first so many.
    edges = sorted({0, threads, *(rate % threads for rate in rates.values())})
    shares = [{way: rate // threads + (first < rate % threads) for way, rate in rates.items()} for first in edges[:-1]]
    return [(end - first, {way: rate for way, rate in share.items() if rate}) for first, end, share in zip(edges, edges[1:], shares)]


def places(job: dict) -> int:
    """Return how many requests of a job can be under way."""
    return min(job["queue_depth"], max(job["rate"].values())) if job["rate"] else job["queue_depth"]


def disk(planned: dict, path: str) -> List[str]:
    """Return fio's command for the disk under a node: all jobs one after the other on a file, which the last one removes."""
    argv = ["fio", f"--filename={path}", f"--size={planned['file']}", *COMMON]
    argv += ["--name=fill", "--rw=write", "--bs=1m", "--iodepth=8", "--end_fsync=1", "--refill_buffers"]
    for job in planned["jobs"]:
        argv += [f"--name={job['name']}", "--stonewall", *_form(job)]
    return [*argv, "--unlink=1"]


def disk_refused(planned: dict, directory: str, looked: Dict[str, Any]) -> str:
    """Return in a sentence why nothing is measured in a directory of a node, or ""; `looked` is what came of `stat -f -c 'space %S %b %a'` there.

    fio makes a directory that is not there, and would measure the disk of the root.
    """
    found = SPACE.search(str(looked.get("stdout") or "")) if looked.get("rc") == 0 else None
    if not found:
        said = looked.get("stderr") or looked.get("msg") or "nothing is known of it"
        return f"the directory {directory} cannot be looked at: {' '.join(str(said).split())[:200]}"
    block, blocks, free = (int(one) for one in found.groups())
    if block * free - planned["file"] >= planned["disk_free"] * block * blocks:
        return ""
    free_text, whole, file = (human(one, "byte") for one in (block * free, block * blocks, planned["file"]))
    return f"{directory} has {free_text} free of {whole}, so that a file of {file} would leave less than {planned['disk_free']:.0%} (storage_disk_free)"


def cached(size: int) -> dict:
    """Return the run that reads what is in memory, as fast as that goes."""
    part = min(size, CACHED_SIZE)
    argv = ["--rw=randread", "--bs=4k", "--pre_read=1", "--time_based", f"--runtime={CACHED_SECONDS}", "--allow_file_create=0", "--norandommap"]
    run = _run("cached", FILE, part, argv, CACHED_SECONDS + part / SLOWEST)
    swap = {"--direct=1": "--direct=0", "--ioengine=libaio": "--ioengine=psync"}
    return {**run, "argv": [swap.get(argument, argument) for argument in run["argv"]]}


def _run(name: str, path: str, size: int, argv: List[str], seconds: float) -> dict:
    command = ["fio", f"--name={name}", f"--filename={path}", f"--size={size}", *COMMON, *argv]
    return {"name": name, "argv": command, "timeout": round(seconds + GRACE), "parser": "fio", "environment": {}}


def kbench(job: dict, mode: str, size: int) -> dict:
    """Return a run of kbench. Its file is on the volume, which was seen to be one; it writes fio's results where it runs, and they come back with its log."""
    environment = {"MODE": mode, "FILE_NAME": FILE, "SIZE": f"{size // 2**20}M", "CPU_IDLE_PROF": "disabled", "OUTPUT": f"./{PREFIX}"}
    run = {"name": job["name"], "argv": ["bash", "/fio/run.sh"], "timeout": round(2 * job["seconds"]), "environment": environment}
    return {**run, "parser": "kbench_files", "result": "."}


def resident(text: str, size: int) -> Any:
    """Return which share of the file is in the page cache, None when that is not known."""
    found = text.strip()
    return min(1.0, int(found) / size) if re.fullmatch(r"[0-9]{1,18}", found) else None


def result(job: str, facts: Dict[str, Any]) -> dict:
    """Return what a run measured: {read?, write?, runtime, devices?}; VolumeError when its facts do not have the job."""
    found = (facts.get("jobs") or {}).get(job)
    if not isinstance(found, dict):
        raise VolumeError(f"fio does not say what the job {job} did")
    return {**{key: found[key] for key in ("read", "write", "runtime") if key in found}, "devices": facts.get("devices") or {}}
