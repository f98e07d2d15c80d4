# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.filter.storage_disk import FilterModule
from ansible_collections.kubeproof.certify.plugins.filter.storage_disk_refused import FilterModule as Refused
from ansible_collections.kubeproof.certify.plugins.filter.storage_runs import FilterModule as Runs
from ansible_collections.kubeproof.certify.plugins.module_utils import storage_fio
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_fio import FILE, PLACE, VolumeError
from ansible_collections.kubeproof.certify.plugins.module_utils.storage_plan import DISK_JOBS, SHAPES

# As a pod on the lab printed them: a bind mount of a node's directory, and the overlay of its image above it.
MOUNT = "2044 1978 254:0 /root/nodes/worker1/kubelet/local-path/pvc-1 /volume rw,relatime - ext4 /dev/vda rw,discard,resv_strict,resuid=65534"
OVERLAY = "1978 1650 0:211 / / ro,relatime - overlay overlay rw,lowerdir=/a:/b"
SPACE, MEMORY, WRITTEN = "space 4096 66053021 17148884", "MemTotal:       24684084 kB", "written"
GOOD = "\n".join([OVERLAY, MOUNT, SPACE, MEMORY, WRITTEN])
STEP = {"size": 2**30, "file": 256 * 2**20, "fill_rate": 0, "precondition": 0, "disk_free": 0.2}


def job(name, **more):
    return {"name": f"{name}-1", "job": name, "round": 1, **SHAPES[name], "seconds": 100, "ramp": 10, "rate": {}, **more}


def test_a_volume():
    found = storage_fio.look(GOOD, 2**30)
    assert (found["filesystem"], found["device"], found["source"], found["asked"]) == ("ext4", "254:0", "/dev/vda", 2**30)
    assert (found["size"], found["free"], found["memory"]) == (4096 * 66053021, 4096 * 17148884, 24684084 * 1024)
    # As runs were recorded before more was asked.
    assert "node_disk" not in found


# What kubelet and the runtime mount in every pod.
HOSTS = "2045 1978 254:0 /root/nodes/worker1/kubelet/pods/1/etc-hosts /etc/hosts rw,relatime - ext4 /dev/vda rw"


@pytest.mark.parametrize(
    ("more", "on_it"),
    [
        ([HOSTS], True),
        ([HOSTS.replace("254:0", "8:16")], False),
        # Images have a disk of their own, which is that of the volume.
        ([HOSTS.replace("254:0", "8:16"), HOSTS.replace("etc-hosts /etc/hosts", "hostname /etc/hostname")], True),
        ([HOSTS.replace("/etc/hosts", "/etc/other")], None),
    ],
)
def test_a_volume_on_the_disk_of_its_node(more, on_it):
    assert storage_fio.look("\n".join([*more, GOOD]), 2**30).get("node_disk") is on_it
    # What is looked for is what is printed.
    assert all(name in storage_fio.LOOK for name in ("/volume", "/etc/hosts", "/etc/hostname"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace(MOUNT, ""), "no mount point"),
        (GOOD.replace(" /volume ", " /volume/below "), "no mount point"),
        (GOOD.replace("ext4 /dev/vda", "tmpfs tmpfs"), "/volume is tmpfs, which is no volume"),
        (GOOD.replace("ext4 /dev/vda", "overlay overlay"), "/volume is overlay, which is no volume"),
        (GOOD.replace("/volume rw", "/volume ro"), "mounted read-only"),
        (GOOD.replace("/dev/vda rw", "/dev/vda ro"), "mounted read-only"),
        (GOOD.replace(SPACE, "space "), "does not say how large"),
        (GOOD.replace(WRITTEN, "touch: cannot touch '/volume/kubeproof.touch': Permission denied"), "nothing can be written to it: cannot touch"),
        (GOOD.replace(WRITTEN, ""), "nothing can be written to it: the pod may not"),
        ("", "no mount point"),
    ],
)
def test_what_is_no_volume(text, said):
    with pytest.raises(VolumeError, match=said):
        storage_fio.look(text, 2**30)


def test_the_last_mount_counts():
    """A second mount at the same place hides the first."""
    with pytest.raises(VolumeError, match="tmpfs"):
        storage_fio.look(GOOD.replace(MOUNT, MOUNT + "\n" + MOUNT.replace("ext4 /dev/vda", "tmpfs tmpfs")), 1)


@given(st.text(max_size=300))
def test_any_text_is_a_volume_or_a_reason(text):
    try:
        storage_fio.look(text, 1)
    except VolumeError as error:
        assert str(error)


@pytest.mark.parametrize(("free", "size"), [(10 * 2**30, 256 * 2**20), (200 * 2**20, 144 * 2**20), (100 * 2**20, 64 * 2**20), (40 * 2**20, 16 * 2**20)])
def test_the_file_is_bounded_by_the_free_space(free, size):
    assert storage_fio.file_size(STEP, {"free": free, "size": 100 * free}) == size


GIB = 2**30


@pytest.mark.parametrize(
    ("free", "node_disk", "kept", "size"),
    [
        # Of a node's own disk a share stays free, for kubelet evicts pods from a full one.
        (60, True, 0.2, 20),
        (40.5, True, 0.2, 20),
        (26, True, 0.2, 5.984375),
        (26, True, 0.16, 9.984375),
        (26, True, 0.3, 0),
        (26, True, 0, 20),
        (26, False, 0.2, 20),
        (26, None, 0.2, 20),
        (20, True, 0.2, 0),
        (3, True, 0.2, 0),
        (3, False, 0.2, 2.384375),
    ],
)
def test_a_node_keeps_a_share_of_its_own_disk(free, node_disk, kept, size):
    space = {"free": int(free * GIB), "size": 100 * GIB, **({} if node_disk is None else {"node_disk": node_disk})}
    step = {"size": 30 * GIB, "file": 20 * GIB, "disk_free": kept}
    assert storage_fio.file_size(step, space) == pytest.approx(size * GIB, abs=2**20)
    assert f"26 GiB of 100 GiB are free; {100 * kept:.0f}% stay so (storage_disk_free)" in storage_fio.crowded(step, {"free": 26 * GIB, "size": 100 * GIB})


@pytest.mark.parametrize(
    ("looked", "said"),
    [
        ({"rc": 0, "stdout": f"space 4096 {100 * GIB // 4096} {50 * GIB // 4096}"}, ""),
        ({"rc": 0, "stdout": f"space 4096 {100 * GIB // 4096} {40 * GIB // 4096}"}, ""),
        ({"rc": 0, "stdout": f"space 4096 {100 * GIB // 4096} {39 * GIB // 4096}"}, "/data has 39 GiB free of 100 GiB, so that a file of 20 GiB"),
        # fio would make it, and measure the disk of the root.
        ({"rc": 1, "stdout": "", "stderr": "stat: cannot read file system information for '/data/.': No such file\n"}, "/data cannot be looked at: stat: c"),
        ({"unreachable": True, "msg": "Failed to connect"}, "/data cannot be looked at: Failed to connect"),
        ({"rc": 0, "stdout": "?"}, "nothing is known of it"),
        ({}, "nothing is known of it"),
    ],
)
def test_the_disk_under_a_node_that_is_not_measured(looked, said):
    found = Refused().filters()["storage_disk_refused"]({"jobs": [], "file": 20 * GIB, "disk_free": 0.2}, "/data", looked)
    assert said in found and bool(found) == bool(said)


@pytest.mark.parametrize("free", [0, 20 * 2**20, 39 * 2**20])
def test_no_space(free):
    with pytest.raises(VolumeError, match=rf"there is no space left: {free // 2**20} MiB are free of 1024 MiB"):
        storage_fio.file_size(STEP, {"free": free, "size": 2**30, "node_disk": True})


@pytest.mark.parametrize("name", SHAPES)
def test_every_job_goes_to_the_file_past_the_cache(name):
    run = storage_fio.measuring(job(name), 2**28)
    argv = run["argv"]
    assert argv[0] == "fio" and {"--direct=1", f"--filename={FILE}", "--allow_file_create=0", "--time_based", "--runtime=100", "--ramp_time=10"} <= set(argv)
    assert {f"--bs={SHAPES[name]['block_size']}", f"--iodepth={SHAPES[name]['queue_depth']}", f"--rw={SHAPES[name]['rw']}", f"--size={2**28}"} <= set(argv)
    assert ("--refill_buffers" in argv) == ("write" in SHAPES[name]["rw"] or SHAPES[name]["rw"] == "randrw")
    assert ("--rwmixread=70" in argv) == (SHAPES[name]["rw"] == "randrw") and not [one for one in argv if one.startswith("--rate")]
    assert run["timeout"] >= 110 and run["parser"] == "fio" and run["name"] == f"{name}-1"


@pytest.mark.parametrize(
    ("rate", "depth", "threads"),
    [
        ({"read": 700, "write": 300}, 100, ["--numjobs=100 --rw=randrw --rate_iops=7,3"]),
        ({"read": 7000, "write": 3000}, 32, ["--numjobs=24 --rw=randrw --rate_iops=219,94", "--numjobs=8 --rw=randrw --rate_iops=218,93"]),
        ({"read": 7, "write": 3}, 32, ["--numjobs=3 --rw=randrw --rate_iops=1,1", "--numjobs=4 --rw=randread --rate_iops=1,"]),
        ({"read": 5}, 32, ["--numjobs=5 --rw=randread --rate_iops=1,"]),
        ({"write": 1009}, 32, ["--numjobs=17 --rw=randwrite --rate_iops=,32", "--numjobs=15 --rw=randwrite --rate_iops=,31"]),
    ],
)
def test_a_fixed_rate_is_shared_by_threads_none_of_which_waits_for_another(rate, depth, threads):
    argv = storage_fio.measuring({**job("mixed", rate=rate), "queue_depth": depth}, 2**28)["argv"]
    first = argv.index("--name=mixed-1")
    assert {"--thread", "--iodepth=1", "--rate_process=poisson", f"--filename={FILE}", "--direct=1", "--rwmixread=70"} <= set(argv[:first])
    # What was due is found from the bins alone.
    assert "--output-format=json+" in argv and "--output-format=json" not in argv
    assert " ".join(argv[first:]) == " ".join(f"--name=mixed-1 {one}" for one in threads)


@given(st.dictionaries(st.sampled_from(["read", "write"]), st.integers(1, 200_000), min_size=1), st.integers(1, 1024))
def test_threads_together_have_the_rate_that_is_asked_for_and_the_queue(rate, depth):
    given_job = {"rate": rate, "queue_depth": depth}
    shared = storage_fio.streams(given_job)
    assert all(sum(count * one.get(way, 0) for count, one in shared) == wanted for way, wanted in rate.items())
    assert sum(count for count, dummy in shared) == storage_fio.places(given_job) == min(depth, max(rate.values()))
    assert all(count > 0 and one and all(one.values()) for count, one in shared)


def test_the_file_is_written_full_before_it_is_read():
    [fill] = storage_fio.fills(STEP, 2**28)
    assert {"--rw=write", "--end_fsync=1", "--refill_buffers", f"--size={2**28}", f"--filename={FILE}"} <= set(fill["argv"]) and "--time_based" not in fill[
        "argv"
    ]
    fill, more = storage_fio.fills({**STEP, "fill_rate": 1000000, "precondition": 60}, 2**28)
    assert "--rate=1000000" in fill["argv"] and fill["timeout"] > 268
    assert more["name"] == "precondition" and {"--rw=randwrite", "--runtime=60"} <= set(more["argv"])


def test_what_memory_gives_is_read_past_nothing():
    argv = storage_fio.cached(2**28)["argv"]
    assert {"--direct=0", "--ioengine=psync", "--pre_read=1", f"--size={storage_fio.CACHED_SIZE}"} <= set(argv)
    assert not {"--direct=1", "--ioengine=libaio"} & set(argv)


def test_the_proof_reads_back_with_checksums():
    argv = storage_fio.proof()["argv"]
    assert {"--verify=crc32c", "--do_verify=1", "--direct=1", f"--filename={storage_fio.PROOF}"} <= set(argv)


def test_the_disk_below():
    jobs = [{**job(name), "name": name} for name in DISK_JOBS]
    argv = FilterModule().filters()["storage_disk"]({"jobs": jobs, "file": 2**28}, "/data/kubeproof-1.fio")
    assert argv[:3] == ["fio", "--filename=/data/kubeproof-1.fio", f"--size={2**28}"] and argv[-1] == "--unlink=1" and argv.count("--unlink=1") == 1
    assert [one.partition("=")[2] for one in argv if one.startswith("--name=")] == ["fill", *DISK_JOBS] and argv.count("--stonewall") == len(DISK_JOBS)
    assert PLACE not in " ".join(argv)


def test_a_step_of_a_ramp_runs_in_each_volume_that_is_held():
    step = {**job("workload"), "name": "ramp-125", "rate": {"read": 70, "write": 30}}
    volumes = {"fast-1": {"pod": "volume-1-fio", "facts": {"file": 2**28}}, "fast-2": {"pod": "", "facts": {}}, "slow-1": {"facts": {}}}
    [run] = Runs().filters()["storage_runs"](step, volumes)
    assert (run["name"], run["pod"], run["parser"]) == ("fast-1", "volume-1-fio", "fio") and run["timeout"] > step["seconds"]
    # fio calls its numbers as the step is called.
    assert "--name=ramp-125" in run["argv"] and f"--size={2**28}" in run["argv"] and "--rate_iops=3,1" in run["argv"]


def test_kbench():
    run = storage_fio.kbench({"name": "kbench-1", "seconds": 90}, "quick", 256 * 2**20)
    assert run["argv"] == ["bash", "/fio/run.sh"] and run["timeout"] == 180
    assert (run["parser"], run["result"]) == ("kbench_files", ".")
    assert (run["environment"]["FILE_NAME"], run["environment"]["SIZE"], run["environment"]["MODE"]) == (FILE, "256M", "quick")


@pytest.mark.parametrize(("text", "share"), [("0\n", 0.0), ("50", 0.5), ("1000", 1.0), ("unknown\n", None), ("", None), ("-1", None)])
def test_what_is_in_the_page_cache(text, share):
    assert storage_fio.resident(text, 100) == share


def test_a_result_has_its_job():
    facts = {"jobs": {"a": {"read": {"rate": 1}, "runtime": 2, "errors": 0}}, "devices": {"vda": {"reads": 1}}}
    assert storage_fio.result("a", facts) == {"read": {"rate": 1}, "runtime": 2, "devices": {"vda": {"reads": 1}}}
    for bad in ({}, {"jobs": {"b": {}}}, {"jobs": {"a": None}}):
        with pytest.raises(VolumeError, match="does not say what the job a did"):
            storage_fio.result("a", bad)
