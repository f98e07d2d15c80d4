# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import math
import pathlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import dnsperf
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures"
DIRECTORIES = sorted(path for path in (FIXTURES / "dnsperf_files").iterdir() if path.is_dir())
PERCENTS = (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9))


def text_of(name):
    """Return a recorded output."""
    return (FIXTURES / "dnsperf" / name).read_text(encoding="utf-8")


def refusal(text):
    """Return why an output is refused."""
    with pytest.raises(ParseError) as caught:
        dnsperf.parse(text)
    return str(caught.value)


def printed(answers, lost=0, options="-v", histogram=None, timeout=""):
    """Return what dnsperf prints for answers of (rcode, us)."""
    values = [value for dummy, value in answers]
    count, sent = len(answers), len(answers) + lost
    codes = {code: sum(one == code for one, dummy in answers) for code in sorted({code for code, dummy in answers})}
    lines = ["DNS Performance Testing Tool", "Version 2.10.0", "", f"[Status] Command line: dnsperf -d q{timeout} {options}".rstrip()]
    if options == "-v":
        lines += [f"> {code} name.test A {value / 1e6:.6f}" for code, value in answers] + ["> T name.test A"] * lost
    lines += ["[Status] Testing complete (time limit)", "", "Statistics:", ""]
    lines += [f"  Queries sent:         {sent}", f"  Queries completed:    {count} (1.00%)", f"  Queries lost:         {lost} (0.00%)", ""]
    lines += ["  Response codes:       " + ", ".join(f"{code} {number} (1.00%)" for code, number in codes.items())]
    lines += ["  Average packet size:  request 1, response 1", "  Run time (s):         2.000000", f"  Queries per second:   {count / 2:.6f}", ""]
    mean, low, high = (sum(values) // count, min(values), max(values)) if values else (0, 0, 0)
    lines += [f"  Average Latency (s):  {mean / 1e6:.6f} (min {low / 1e6:.6f}, max {high / 1e6:.6f})"]
    lines += ["  Latency StdDev (s):   0.000000"] if count > 1 else []
    if histogram:
        lines += ["  Latency bucket (s):   answer count"]
        lines += [f"  {low / 1e6:.6f} - {high / 1e6:.6f}:  {number}" for (low, high), number in histogram.items()]
    return "\n".join([*lines, "", ""])


def nearest(values, percent):
    """Return a percentile in s by its definition: the smallest value that so many are not above."""
    return next(value for value in sorted(values) if sum(other <= value for other in values) * 1000 >= round(percent * 10) * len(values))


@pytest.mark.parametrize("path", DIRECTORIES, ids=lambda path: path.name)
def test_recorded_files(path):
    expected = yaml.safe_load(path.with_name(path.name + ".expected.yml").read_text(encoding="utf-8"))
    try:
        result = {"facts": parsers.parse_path("dnsperf_files", str(path))}
    except ParseError as error:
        result = {"error": str(error)}
    assert result == expected


@pytest.mark.parametrize("name", ["2.10-lossy.out", "2.10-failed.out", "2.14-histogram.out"])
def test_a_file_is_read_as_the_text_is(name, tmp_path, monkeypatch):
    path = FIXTURES / "dnsperf" / name
    whole = parsers.parse_path("dnsperf_files", str(path))
    assert whole == {"clients": 1, **dnsperf.parse(text_of(name))}
    (tmp_path / "one.gz").write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(dnsperf.samples, "PIECE", 100)
    assert parsers.parse_path("dnsperf_files", str(tmp_path)) == whole


def test_percentiles_are_those_of_the_lines():
    found = [line.split() for line in text_of("2.10-failed.out").split("\n") if line.startswith("> ")]
    values = [float(fields[4]) if fields[1] == "NOERROR" else math.inf for fields in found]
    latency = dnsperf.parse(text_of("2.10-failed.out"))["latency"]
    assert latency["p50"] == nearest(values, 50) < math.inf and nearest(values, 90) == math.inf and latency["p90"] == [1.0, None]


answers = st.lists(st.tuples(st.sampled_from(["NOERROR", "NOERROR", "NXDOMAIN", "SERVFAIL"]), st.integers(1, 3_000_000)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(answers, st.integers(0, 5))
def test_what_is_lost_or_failed_is_slower_than_every_bound(found, lost):
    if not found and not lost:
        assert "sent no query" in refusal(printed(found))
        return
    facts = dnsperf.parse(printed(found, lost))
    good = [value / 1e6 for code, value in found if code != "SERVFAIL"]
    assert (facts["latency"]["samples"], facts["latency"]["unmeasured"]) == (len(good), len(found) - len(good) + lost)
    assert (facts["good"], facts["failed"], facts["lost"]) == (len(good), len(found) - len(good), lost)
    values = good + [math.inf] * (len(found) - len(good) + lost)
    for key, percent in PERCENTS:
        wanted = nearest(values, percent)
        assert facts["latency"][key] == (pytest.approx(wanted) if wanted < math.inf else [max([5.0, *good]), None])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["NOERROR", "REFUSED"]), st.integers(1, 400)), min_size=2, max_size=60), st.integers(0, 3))
def test_a_histogram_contains_the_percentile(found, lost):
    histogram: dict = {}
    for dummy, value in sorted(found, key=lambda one: one[1]):
        bounds = (value // 10 * 10, value // 10 * 10 + 9)
        histogram[bounds] = histogram.get(bounds, 0) + 1
    facts = dnsperf.parse(printed(found, lost, "-O latency-histogram", histogram))
    values = [value / 1e6 if code == "NOERROR" else math.inf for code, value in found] + [math.inf] * lost
    for key, percent in PERCENTS:
        wanted, interval = nearest(values, percent), facts["latency"][key]
        low, high = interval if isinstance(interval, list) else (interval, interval)
        assert (high is None and low >= 5.0) if wanted == math.inf else low <= wanted + 1e-12 and wanted <= high + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(answers.filter(bool), st.integers(0, 3)), min_size=1, max_size=4))
def test_several_are_merged_not_averaged(tmp_path_factory, parts):
    directory = tmp_path_factory.mktemp("several")
    for index, (found, lost) in enumerate(parts):
        (directory / f"{index}-stdout").write_text(printed(found, lost), encoding="utf-8")
    facts = parsers.parse_path("dnsperf_files", str(directory))
    together = dnsperf.parse(printed([one for found, dummy in parts for one in found], sum(lost for dummy, lost in parts)))
    assert facts["clients"] == len(parts)
    for key in ("sent", "completed", "lost", "failed", "good", "rcodes"):
        assert facts[key] == together[key]
    assert {key: facts["latency"][key] for key, dummy in PERCENTS} == {key: together["latency"][key] for key, dummy in PERCENTS}
    assert facts["rate"] == pytest.approx(together["rate"]) and facts["seconds"] == 2.0


@pytest.mark.parametrize(("option", "seconds"), [(" -t 0.5", 0.5), (" -t2", 2.0), ("", 5.0), (" -t 9 -c 4 -t 3", 3.0)])
def test_timeout(option, seconds):
    facts = dnsperf.parse(printed([("NOERROR", 10)], 1, timeout=option))
    assert facts["timeout"] == seconds and facts["latency"]["p99"] == [seconds, None]


GOOD = printed([("NOERROR", 10), ("NXDOMAIN", 30)], 1)
BINS = printed([("NOERROR", 10), ("NOERROR", 30)], 0, "-O latency-histogram", {(9, 11): 1, (30, 31): 1})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (GOOD.replace("Version", "Release"), "it is no output of dnsperf: its version is missing."),
        (GOOD.replace("time limit", "interruption"), "dnsperf did not go to its end: 'interruption'."),
        (GOOD.replace("[Status] Testing complete (time limit)\n", ""), "it has no statistics, so dnsperf did not go to its end."),
        (GOOD.replace("\nStatistics:", "\nInterval Statistics:"), "it has no statistics, so dnsperf did not go to its end."),
        (GOOD.replace("A 0.000010", "A 0.00001"), "the line '> NOERROR name.test A 0.00001' is not understood."),
        (GOOD.replace("> NXDOMAIN", "> NOERROR"),
         "the lines are of {'NOERROR': 2} and 1 lost, the statistics of {'NOERROR': 1, 'NXDOMAIN': 1} and 1 lost."),
        (GOOD.replace("> T name.test A\n", "> T name.test A\n" * 2),
         "the lines are of {'NOERROR': 1, 'NXDOMAIN': 1} and 2 lost, the statistics of {'NOERROR': 1, 'NXDOMAIN': 1} and 1 lost."),
        (GOOD.replace("A 0.000010", "A 0.000011"), "the times of the answers do not give the statistics' average, min and max."),
        (GOOD.replace("0.000020 (", "0.000024 ("), "the times of the answers do not give the statistics' average, min and max."),
        (GOOD.replace("0.000020 (", "0.000040 ("), "the average latency 4e-05 s is not between 1e-05 s and 3e-05 s."),
        (GOOD.replace("sent:         3", "sent:         4"), "4 queries were sent, but 2 completed, 1 lost and 0 interrupted."),
        (GOOD.replace("NOERROR 1 (", "NOERROR 2 ("), "the response codes are {'NOERROR': 2, 'NXDOMAIN': 1}, of 2 completed queries."),
        (GOOD.replace("second:   1.0", "second:   9.0"), "2 queries in 2 s are not 9 a second."),
        (GOOD.replace("  Queries lost:         1 (0.00%)\n", ""), "its statistics lack lost."),
        (GOOD.replace("  Latency StdDev (s):   0.000000\n", ""), "its statistics lack deviation."),
        (GOOD.replace("  Queries lost", "  Queries mislaid"),
         "the line '  Queries mislaid:         1 (0.00%)' of its statistics is not understood or out of place."),
        (GOOD + "  Queries lost:         1 (0.00%)\n", "the line '  Queries lost:         1 (0.00%)' of its statistics is not understood or out of place."),
        (printed([("NOERROR", 10)] * 2, options="").replace("-d q", "-d q -v"), "its command line has -v, but no answer was printed."),
        (printed([("NOERROR", 10)] * 2, 0, "-O latency-histogram"), "its command line has latency-histogram, but there is none."),
        (BINS.replace("0.000031:  1", "0.000031:  2"), "the histogram holds 3 answers, of 2."),
        (BINS.replace("0.000030 - 0.000031", "0.000031 - 0.000032"), "the histogram does not begin with min 1e-05 s and end with max 3e-05 s."),
        (BINS.replace("0.000030 - 0.000031", "0.000011 - 0.000031"), "the bins of its histogram are not in order."),
        (BINS.replace("0.000030 - 0.000031", "0.000031 - 0.000030"), "the bins of its histogram are not in order."),
        ("x" * 2_000_000 + GOOD, "it is no output of dnsperf: it has a line of more than 1048576 bytes."),
        (GOOD + "\n" * 1_100_000 + "x", "it goes on for more than 1048576 bytes after its statistics began."),
    ],
)
def test_refused(text, error):
    assert refusal(text) == error


def test_histograms_with_other_bins_are_refused(tmp_path):
    (tmp_path / "a").write_text(BINS, encoding="utf-8")
    (tmp_path / "b").write_text(BINS.replace("0.000030 - 0.000031", "0.000029 - 0.000030"), encoding="utf-8")
    with pytest.raises(ParseError, match="do not have the same bins"):
        parsers.parse_path("dnsperf_files", str(tmp_path))


def test_the_file_is_named(tmp_path):
    for name, text in (("0-stdout", GOOD), ("1-stdout", GOOD[:-80])):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ParseError, match="^1-stdout: it is cut off in its last line, "):
        parsers.parse_path("dnsperf_files", str(tmp_path))
