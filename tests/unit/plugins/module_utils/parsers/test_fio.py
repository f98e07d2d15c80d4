# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import fio
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "fio"
BINS = [pytest.param(name, id=name) for name in ("randrw-json-plus.json", "several-jobs.out", "lat-percentiles.json", "fdatasync-plus.json", "client-two.out")]


def document(name):
    """Return the JSON of a fixture."""
    text = (FIXTURES / name).read_text(encoding="utf-8")
    return json.JSONDecoder().raw_decode(text, text.index("{\n"))[0]


def statistics(data):
    """Yield every statistic with bins in a document."""
    for entry in data.get("jobs", data.get("client_stats")):
        for direction in ("read", "write", "sync"):
            for kind in ("lat_ns", "clat_ns"):
                found = entry[direction].get(kind, {})
                if found.get("bins"):
                    yield found


def parse(data):
    """Parse a document as fio would print it."""
    return fio.parse(json.dumps(data, indent=2))


@pytest.mark.parametrize("name", BINS)
def test_percentiles_of_bins_are_fios_own(name):
    compared = 0
    for found in statistics(document(name)):
        bins = sorted((float(value), size) for value, size in found["bins"].items())
        for percent, value in found["percentile"].items():
            assert fio.percentile(bins, float(percent)) == value
            compared += 1
    assert compared >= 4


def test_what_was_due_while_a_request_was_under_way_is_late():
    """A volume that stood still for a tenth of the time: few requests saw it, since none were asked meanwhile."""
    write = parse(document("rated-stall.json"))["jobs"]["x"]["write"]
    assert write["latency"]["p99"] < 0.005 and 0.2 < write["due"]["p99"] < 0.4 and write["due"]["p50"] < 0.001


def test_nothing_is_due_where_nobody_waits():
    data = document("rated-stall.json")
    for entry in data["jobs"]:
        for kind in ("lat_ns", "clat_ns"):
            stat = entry["write"][kind]
            stat["bins"] = {"200000": stat["N"]}
            stat.update(min=200000, max=200000, mean=200000.0, stddev=0.0, percentile={"99.000000": 200000})
    write = parse(data)["jobs"]["x"]["write"]
    assert write["due"] == {name: 0.0002 for name in ("p50", "p90", "p95", "p99", "p999")}


@pytest.mark.parametrize(("option", "value"), [("rate_iops", None), ("iodepth", "32"), ("rate_iops", "100k")])
def test_what_was_due_is_only_known_of_processes_with_one_request_at_a_time(option, value):
    data = document("rated-stall.json")
    for entry in data["jobs"]:
        entry["job options"].pop(option, None)
        entry["job options"].update({option: value} if value else {})
    assert "due" not in parse(data)["jobs"]["x"]["write"]


def test_nothing_is_due_of_a_direction_whose_latency_is_not_known():
    data = document("rated-stall.json")
    for kind in ("lat_ns", "clat_ns"):
        data["jobs"][0]["write"][kind] = {"N": 0}
    write = parse(data)["jobs"]["x"]["write"]
    assert "latency" not in write and "due" not in write
    data = document("rated-stall.json")
    for entry in data["jobs"]:
        entry["read"], entry["write"] = entry["write"], {**entry["write"], "total_ios": 0, "io_bytes": 0, "iops": 0, "bw_bytes": 0}
    assert "due" not in parse(data)["jobs"]["x"].get("write", {})


@given(st.dictionaries(st.integers(1, 10**9), st.integers(1, 50), min_size=1, max_size=40), st.floats(0, 1e-5))
def test_what_was_due_makes_no_percentile_smaller(table, rate):
    bins = sorted(table.items())
    found = fio._with_what_was_due(bins, bins, rate)
    assert all(found[name] >= fio.percentile(bins, percent) for name, percent in fio.PERCENTILES)


@given(st.dictionaries(st.integers(1, 10**9), st.integers(1, 50), min_size=1, max_size=40), st.sampled_from([50.0, 90.0, 95.0, 99.0, 99.9]))
def test_percentile_is_the_first_value_that_reaches_the_share(table, percent):
    bins = sorted(table.items())
    samples = [value for value, size in bins for dummy in range(size)]
    reached = next(value for position, value in enumerate(samples, 1) if position >= percent / 100 * len(samples))
    assert fio.percentile(bins, percent) == reached


def test_clients_add_up_to_fios_own_total():
    data = document("client-two.out")
    facts = parse(data)
    total = next(entry for entry in data["client_stats"] if entry["jobname"] == "All clients")
    for direction in ("read", "write"):
        merged, own = facts["jobs"]["rr"][direction], total[direction]
        assert merged["rate"] == pytest.approx(own["iops"])
        assert merged["bandwidth"] == pytest.approx(own["bw_bytes"], abs=2)
        assert merged["latency"]["count"] == own["clat_ns"]["N"]
        for key, theirs in (("min", "min"), ("mean", "mean"), ("max", "max"), ("stdev", "stddev")):
            assert merged["latency"][key] * 1e9 == pytest.approx(own["clat_ns"][theirs], rel=1e-6)


def test_several_processes_without_bins_have_no_percentiles():
    latency = fio.parse((FIXTURES / "numjobs-no-bins.json").read_text(encoding="utf-8"))["jobs"]["reader"]["read"]["latency"]
    assert set(latency) == {"kind", "count", "min", "mean", "max", "stdev"}


def test_reads_and_writes_together():
    job = fio.parse((FIXTURES / "randrw-json-plus.json").read_text(encoding="utf-8"))["jobs"]["r"]
    both, parts = job["both"], (job["read"], job["write"])
    for key in ("rate", "bandwidth", "total", "bytes"):
        assert both[key] == pytest.approx(sum(part[key] for part in parts))
    assert both["latency"]["count"] == sum(part["latency"]["count"] for part in parts)
    assert min(part["latency"]["p99"] for part in parts) <= both["latency"]["p99"] <= max(part["latency"]["p99"] for part in parts)
    assert "both" not in fio.parse((FIXTURES / "fdatasync.json").read_text(encoding="utf-8"))["jobs"]["fsync"]


@pytest.mark.parametrize(
    ("name", "job", "direction", "kind"),
    [("lat-percentiles.json", "lat", "read", "total"), ("randrw-json-plus.json", "r", "read", "completion"), ("fdatasync.json", "fsync", "sync", "total")],
)
def test_kind_of_latency(name, job, direction, kind):
    assert fio.parse((FIXTURES / name).read_text(encoding="utf-8"))["jobs"][job][direction]["latency"]["kind"] == kind


def test_options_of_the_job_and_of_all_without_secrets():
    data = document("several-jobs.out")
    data["global options"].update({"http_pass": "secret", "direct": "1"})
    data["jobs"][0]["job options"]["direct"] = "0"
    jobs = parse(data)["jobs"]
    assert (jobs["reader"]["options"]["direct"], jobs["writer"]["options"]["direct"]) == ("0", "1")
    assert jobs["reader"]["options"]["bs"] == "4k" and "secret" not in json.dumps(jobs)


def test_no_device_is_known():
    data = document("lat-percentiles.json")
    assert parse(data)["devices"] == {"vda": {"reads": data["disk_util"][0]["read_ios"], "writes": data["disk_util"][0]["write_ios"]}}
    del data["disk_util"]
    assert parse(data)["devices"] == {}


def test_a_missing_client_is_counted():
    assert fio.parse((FIXTURES / "client-dead.out").read_text(encoding="utf-8"))["clients"] == 1


def change(data, path, value):
    """Return a copy of `data` with the value at `path` replaced."""
    data = copy.deepcopy(data)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return data


JOB = ("jobs", 0)
READ = (*JOB, "read")
CLAT = (*READ, "clat_ns")


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ((*JOB, "error"), 28, "job r failed with error 28 (No space left on device)."),
        ((*JOB, "error"), "0", "error of job r is '0', not a whole number from -2147483648 on."),
        ((*JOB, "jobname"), "", "the name of a job is '', not a printable name."),
        ((*READ, "iops"), 99999.0, "iops, read of job r, is 99999, but 242506 were counted in 4.001 s."),
        ((*READ, "iops"), float("inf"), None),
        ((*READ, "iops"), True, "iops, read of job r is 'True', not a number."),
        ((*READ, "bw_bytes"), 1, "bw_bytes, read of job r, is 1, but 993345536 were counted in 4.001 s."),
        ((*CLAT, "N"), 5, "clat_ns, read of job r: the bins hold 242516 values, N is 5."),
        ((*CLAT, "min"), 10**9, None),
        ((*CLAT, "mean"), -1, "mean, clat_ns, read of job r is '-1', which is not possible."),
        ((*CLAT, "max"), 300000, "clat_ns, read of job r: values from 21888 to 5.40672e+06 lie outside of min 22015 and max 300000."),
        ((*CLAT, "percentile", "99.000000"), 200000, "clat_ns, read of job r: the percentiles are not in order."),
        ((*CLAT, "percentile", "99.000000"), 392976, "clat_ns, read of job r: the percentile 99 is 392976, which the bins contradict."),
        ((*CLAT, "percentile", "x"), 1, "percentile, clat_ns, read of job r: 'x' is not a number."),
        ((*CLAT, "bins"), [], None),
        ((*CLAT, "bins"), [1], "bins, clat_ns, read of job r is '[1]', not an object."),
        (READ, None, "read of job r is 'None', not an object."),
        (("jobs",), [], "it has no job."),
        (("jobs",), {}, "jobs is '{}', not an array."),
        (("client_stats",), [], "it must have either jobs or client_stats."),
    ],
)
def test_contradictions(path, value, error):
    data = change(document("randrw-json-plus.json"), path, value)
    if path == (*CLAT, "bins") and value == []:
        assert "p90" not in parse(data)["jobs"]["r"]["read"]["latency"]  # nor in fio's own list of percentiles
        return
    with pytest.raises(ParseError) as caught:
        parse(data)
    assert error is None or str(caught.value) == error


def test_clients_total_must_fit():
    data = change(document("client-two.out"), ("client_stats", 2, "read", "total_ios"), 1)
    data["client_stats"][2]["read"]["iops"] = 1
    with pytest.raises(ParseError, match="is not the sum of the clients"):
        parse(data)


def test_a_job_without_io_is_no_measurement():
    data = document("client-error.out")
    with pytest.raises(ParseError) as caught:
        parse(data)
    assert str(caught.value) == "job bad did nothing: no read, write, trim or sync is recorded."


@pytest.mark.parametrize(
    "text",
    [
        "fio: pid=3, err=28/file:filesetup.c:240, func=write, error=No space left on device",
        "fio: terminating on signal 15",
        "fio: failed to connect to h2:8765",
    ],
)
def test_what_fio_says_beside_the_json_counts(text):
    good = (FIXTURES / "fdatasync.json").read_text(encoding="utf-8")
    assert fio.parse("note: something\n" + good + "\nmore\n") == fio.parse(good)
    for broken in (text + "\n" + good, good + "\n" + text):
        with pytest.raises(ParseError) as caught:
            fio.parse(broken)
        assert text[:80] in str(caught.value)
