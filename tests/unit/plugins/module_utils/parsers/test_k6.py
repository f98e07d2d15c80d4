# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import csv
import gzip
import json
import math
import pathlib

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import k6
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures" / "k6"
RECORDED = ["two-generators", "dropped.csv.gz", "errors.csv.gz", "get-only.csv.gz", "refused.csv.gz", "stalled-handshakes.csv.gz"]
SAMPLES = gzip.decompress((FIXTURES / "errors.csv.gz").read_bytes())
HEADER = b"metric_name,timestamp,metric_value,error_code,group,name,status,extra_tags,metadata\n"
BEGIN = 1_795_245_253_000


@pytest.fixture(name="read", scope="module")
def fixture_read(tmp_path_factory):
    """Return a function that reads bytes as the samples of a generator."""
    path = tmp_path_factory.mktemp("k6") / "one.csv"

    def read(data):
        path.write_bytes(data)
        return parsers.parse_path("k6", str(path))

    return read


def request(offset, milliseconds, status=200, error_code="", name="GET leases", group="", blocked=0):
    """Return the rows of a request that ended `offset` ms after BEGIN, and waited `blocked` ms for its connection before the others."""
    tags = f"{error_code},{group},{name},{status},,"
    values = (("http_reqs", 1.0), ("http_req_duration", milliseconds), ("http_req_blocked", blocked), ("http_req_waiting", milliseconds))
    rows = [f"{metric},{BEGIN + offset},{value:.6f},{tags}\n" for metric, value in values]
    return "".join(rows) + ("" if group else f"iterations,{BEGIN + offset},1.000000,,,,,,\n")


def samples(*rows):
    """Return a whole file."""
    return HEADER + "".join(rows).encode()


def drops(offset, count):
    """Return the rows of requests that were dropped."""
    return f"dropped_iterations,{BEGIN + offset},1.000000,,,,,,\n" * count


def nearest(values, percent):
    """Return a percentile in s by its definition: the smallest value that so many are not above."""
    return next(value for value in sorted(values) if sum(other <= value for other in values) * 100 >= percent * len(values))


@pytest.mark.parametrize("case", RECORDED)
def test_recorded(case):
    expected = yaml.safe_load((FIXTURES / (case.split(".")[0] + ".expected.yml")).read_text(encoding="utf-8"))
    try:
        result = {"facts": parsers.parse_path("k6", str(FIXTURES / case))}
    except ParseError as error:
        result = {"error": str(error)}
    assert result == expected


@pytest.mark.parametrize("case", ["two-generators", "errors.csv.gz"])
def test_the_same_as_row_by_row(case):
    path = FIXTURES / case
    rows = []
    for one in sorted(path.glob("*")) if path.is_dir() else [path]:
        with gzip.open(one, "rt", encoding="utf-8", newline="") as stream:
            every = [row for row in csv.DictReader(stream) if not row["group"]]
        waits = [float(row["metric_value"]) for row in every if row["metric_name"] == "http_req_blocked"]
        found = [row for row in every if row["metric_name"] == "http_req_duration"]
        rows += [{**row, "took": float(row["metric_value"]) + wait} for row, wait in zip(found, waits)]
    facts = k6.parse(str(path))
    assert facts["requests"] == len(rows) and set(facts["operations"]) == {row["name"] for row in rows}
    for operation, found in facts["operations"].items():
        values = [row["took"] / 1000 if row["status"][0] == "2" and not row["error_code"] else math.inf
                  for row in rows if row["name"] == operation]  # fmt: skip
        good = [value for value in values if value < math.inf]
        assert (found["count"], found["failed"]) == (len(values), len(values) - len(good))
        for key, percent in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("max", 100)):
            wanted = nearest(values, percent)
            assert found[key] == (pytest.approx(wanted) if wanted < math.inf else [pytest.approx(max(good, default=0.0)), None])


def test_a_request_takes_from_when_it_was_to_be_sent():
    """Its wait for a connection, in which connecting and the TLS handshake are, is a part of it: half a second each in this sample, and 5 ms for the rest."""
    facts = k6.parse(str(FIXTURES / "stalled-handshakes.csv.gz"))
    assert 0.5 < facts["latency"]["p50"] < facts["latency"]["p99"] < 0.52 and facts["error_ratio"] == 0.0


def test_the_wait_for_a_connection_counts(read):
    facts = read(samples(request(100, 10), request(700, 5, blocked=500), request(800, 20, blocked=0.001)))
    assert (facts["latency"]["p50"], facts["latency"]["max"]) == (0.020001, 0.505)
    # The first began at 90 ms, the last at 780: that in between was to be sent at 195.
    assert facts["seconds"] == pytest.approx(0.69 * 3 / 2, abs=0.002)


def unexpected(count):
    """Return the rows of answers with a good status that were not the expected one."""
    return f"kubeproof_unexpected,{BEGIN},1.000000,,,,,,\n" * count


def test_good_answers_of_something_else_have_failed(read):
    rows = [request(1000 * turn, turn) for turn in range(1, 101)]
    good, facts = read(samples(*rows)), read(samples(*rows, unexpected(10)))
    assert (facts["errors"]["other"], facts["error_ratio"], facts["latency"]["failed"], facts["statuses"]) == (10, 0.1, 10, {"200": 100})
    assert facts["rate"] == pytest.approx(good["rate"] * 0.9) and facts["slowest_minute"] == pytest.approx(good["slowest_minute"] - 10 / 60)
    # Which ones they were is not known: no percentile is better than it was.
    assert (facts["latency"]["p50"], facts["latency"]["p90"], facts["latency"]["p95"]) == (0.06, 0.1, [0.1, None])
    with pytest.raises(ParseError, match="101 answers with a good status were not the expected one, but there are 100 such"):
        read(samples(*rows, unexpected(101)))


def test_requests_that_the_generator_had_no_port_for(read):
    """They have failed, and are counted by themselves as well."""
    rows = [request(100, 10), request(200, 0, status=0), request(300, 0, status=0), request(400, 10)]
    without_port = f"kubeproof_without_port,{BEGIN},1.000000,,,,,,\n"
    facts = read(samples(*rows, without_port * 2))
    assert (facts["without_port"], facts["errors"]["transport"], facts["error_ratio"]) == (2, 2, 0.5)
    assert "without_port" not in read(samples(*rows))
    with pytest.raises(ParseError, match="3 requests had no port, but 2 failed without an answer"):
        read(samples(*rows, without_port * 3))


def test_the_generator_that_waited_longest_for_a_processor(tmp_path):
    rows = [request(100, 10), request(200, 10)]
    for number, waited in enumerate(("", "kubeproof_waited,0000000000000,0.250,,,,,,\n", "kubeproof_waited,0000000000000,12.500,,,,,,\n")):
        # What ran it adds the row as compressed data of its own.
        (tmp_path / f"{number}.csv.gz").write_bytes(gzip.compress(samples(*rows)) + gzip.compress(waited.encode()))
    assert k6.parse(str(tmp_path))["waited"] == 12.5 and "waited" not in k6.parse(str(tmp_path / "0.csv.gz"))


def test_setup_and_teardown_are_no_load(read):
    load = [request(100, 10), request(200, 10)]
    beside = [request(0, 9000, group="::setup", name="POST leases", status=201), request(9000, 1, group="::teardown", status=500)]
    assert read(samples(*load)) == read(samples(beside[0], *load, beside[1]))


@pytest.mark.parametrize(
    ("status", "error_code", "error"),
    [
        (200, "", None), (201, "", None), (200, 1050, "transport"), (0, 1212, "transport"), (429, 1429, "throttled"), (429, "", "throttled"),
        (500, 1500, "server"), (503, "", "server"), (404, 1404, "other"), (302, "", "other"), (101, "", "other"), (409, 1409, "other"),
    ],
)  # fmt: skip
def test_kinds_of_errors(read, status, error_code, error):
    facts = read(samples(request(100, 10), request(200, 20, status, error_code), request(300, 30)))
    assert facts["errors"] == {one: int(one == error) for one in ("transport", "throttled", "server", "other")}
    assert facts["error_ratio"] == pytest.approx(1 / 3 if error else 0)
    assert facts["latency"]["failed"] == (1 if error else 0) and facts["latency"]["max"] == ([0.03, None] if error else 0.03)
    assert sum(facts["statuses"].values()) == (2 if status == 0 else 3)


def test_dropped_requests_are_slower_than_every_bound(read):
    rows = [request(10 * turn, 5) for turn in range(1, 91)]
    facts = read(samples(*rows, drops(900, 10)))
    assert (facts["dropped"], facts["started"], facts["latency"]["count"], facts["latency"]["failed"]) == (10, 90, 90, 0)
    assert (facts["latency"]["p90"], facts["latency"]["p95"], facts["operations"]["GET leases"]["p99"]) == (0.005, [0.005, None], 0.005)
    assert facts["offered"] == pytest.approx(100 / facts["seconds"]) and facts["rate"] == pytest.approx(90 / facts["seconds"])
    assert facts["error_ratio"] == 0.0


def test_a_request_that_hangs_does_not_stretch_the_load(read):
    rows = [request(100 * turn, 5) for turn in range(1, 51)]
    assert read(samples(*rows, request(60_000, 55_000)))["seconds"] == pytest.approx(5, rel=0.03)


def test_all_failed(read):
    facts = read(samples(request(100, 10, 0, 1212), request(200, 10, 0, 1212)))
    assert (facts["rate"], facts["error_ratio"], facts["latency"]["p50"], facts["statuses"]) == (0.0, 1.0, [0.0, None], {})


def test_slowest_minute(read):
    rows = [request(1000 * turn, 5, 503 if 60 < turn <= 70 else 200) for turn in range(1, 151)]
    facts = read(samples(*rows))
    assert facts["slowest_minute"] == pytest.approx(50 / 60) and facts["rate"] == pytest.approx(140 / 150, rel=0.01)
    assert "slowest_minute" not in read(samples(*rows[:59]))
    assert read(samples(*rows[:60]))["slowest_minute"] == 1.0


@pytest.mark.parametrize(("form", "digits"), [("", 10), ("000", 13), ("000000", 16), ("000000000", 19)])
def test_forms_of_time(read, form, digits):
    rows = [request(1000 * turn, 5).replace(str(BEGIN)[:7], "1795245") for turn in range(1, 61)]
    data = "".join(rows)
    for turn in range(1, 61):
        data = data.replace(f",{BEGIN + 1000 * turn},", f",{BEGIN // 1000 + turn}{form},")
    facts = read(samples(data))
    assert len(str(BEGIN // 1000) + form) == digits and facts["seconds"] == pytest.approx(60) and facts["slowest_minute"] == 1.0


def test_generators_are_merged_not_averaged(tmp_path):
    fast, slow = [[request(20 * turn, value) for turn in range(1, 101)] for value in (1, 100)]
    (tmp_path / "a.csv").write_bytes(samples(*fast, f"vus_max,{BEGIN},7.000000,,,,,,\nvus_max,{BEGIN},5.000000,,,,,,\n"))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(samples(*slow[:5], f"vus_max,{BEGIN},3.000000,,,,,,\n")))
    facts = parsers.parse_path("k6", str(tmp_path))
    assert (facts["generators"], facts["requests"], facts["vus_max"]) == (2, 105, 10)
    assert (facts["latency"]["p95"], facts["latency"]["p99"]) == (0.001, 0.1)


@pytest.mark.parametrize("piece", [150, 1000])
def test_where_pieces_end_does_not_matter(read, monkeypatch, piece):
    whole = read(SAMPLES)
    monkeypatch.setattr(k6.samples, "PIECE", piece)
    assert read(SAMPLES) == whole


ROW = b"http_req_duration,1795245253100,10.000000,,,GET leases,200,,\n"
WAIT = b"http_req_blocked,1795245253100,0.000000,,,GET leases,200,,\n"
TWO = samples(request(100, 10), request(200, 20))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "one.csv is empty."),
        (HEADER, "one.csv has no request of the load."),
        (TWO[len(HEADER):], "one.csv is no CSV of k6: it begins with 'http_reqs,1795245253100,1.000000,,,GET leases,200,,'."),
        (b"{}\n", "one.csv is no CSV of k6: it begins with '{}'."),
        (b"\n", "one.csv is no CSV of k6: it begins with ''."),
        (b"x" * 2_000_000, "one.csv is no CSV of k6: it has a line of more than 1048576 bytes."),
        (TWO[:-1], "one.csv is cut off in its last line, 'iterations,1795245253200,1.000000,,,,,,'."),
        (HEADER[:-9], "one.csv is cut off in its last line, 'metric_name,timestamp,metric_value,error_code,group,name,status,extra_tags,'."),
        (TWO.replace(b"10.000000", b"NaN"), "one.csv: the row 'http_req_duration,1795245253100,NaN,,,GET leases,200,,' is not possible."),
        (TWO.replace(b"10.000000", b"-10.000000"), "one.csv: the row 'http_req_duration,1795245253100,-10.000000,,,GET leases,200,,' is not possible."),
        (TWO.replace(b"_duration,1795245253100", b"_duration,179524525310"),
         "one.csv: the row 'http_req_duration,179524525310,10.000000,,,GET leases,200,,' is not possible."),
        (TWO.replace(b"1795245253100", b"2026-11-21"),
         "one.csv: the timestamp in 'http_reqs,2026-11-21,1.000000,,,GET leases,200,,' is none of 10, 13, 16, 19 digits."),
        (TWO.replace(b"error_code", b"colour"), "one.csv has the unknown column 'colour'."),
        (TWO.replace(b"error_code", b"name"), "one.csv has the unknown column 'name'."),
        (TWO.replace(b"error_code,group,name,status", b"error_code,group,name,proto"), "one.csv has no column 'status'."),
        (TWO.replace(b"leases,200", b"leases"), "one.csv: a row ends with ',,GET leases,,', which are not 6 columns."),
        (TWO.replace(b"leases,200", b"leases,2000"), "one.csv: a row ends with ',,GET leases,2000,,': its status or error code is not possible."),
        (TWO.replace(b",,GET", b"x,,GET"), "one.csv: a row ends with 'x,,GET leases,200,,': its status or error code is not possible."),
        (TWO.replace(b"GET leases", b""), "the name of a request is '', not a printable name."),
        (TWO.replace(ROW, b""),
         "one.csv: two rows are not of one request, '1795245253200,,,GET leases,200,,' and '1795245253100,,,GET leases,200,,'."),
        (TWO + ROW, "one.csv counts 2 requests, but has the times of 3."),
        (TWO.replace(WAIT, b""),
         "one.csv: two rows are not of one request, '1795245253100,,,GET leases,200,,' and '1795245253200,,,GET leases,200,,'."),
        (TWO + WAIT, "one.csv counts 2 requests, but has the waits for a connection of 3."),
        (TWO.replace(WAIT, WAIT.replace(b"leases", b"secrets")),
         "one.csv: two rows are not of one request, '1795245253100,,,GET leases,200,,' and '1795245253100,,,GET secrets,200,,'."),
        (TWO.replace(WAIT, WAIT.replace(b"0.000000", b"-1.000000")),
         "one.csv: the row 'http_req_blocked,1795245253100,-1.000000,,,GET leases,200,,' is not possible."),
        (TWO + unexpected(1).encode().replace(b"1.000000", b"0.500000"), "one.csv: kubeproof_unexpected is '0.500000', not a whole number."),
        (TWO + drops(300, 1).encode().replace(b"1.000000", b"1.500000"), "one.csv: dropped_iterations is '1.500000', not a whole number."),
        (TWO + drops(300, 1).encode().replace(b"1.000000", b"NaN"), "one.csv: the row 'dropped_iterations,1795245253300,NaN,,,,,,' is not possible."),
        (samples(request(100, 10)), "the load was 1 request(s) in 0 s, too few for a rate."),
        (samples(request(100, 10), request(100, 10)), "the load was 2 request(s) in 0 s, too few for a rate."),
        (samples(request(100, 10, group="::setup")), "one.csv has no request of the load."),
    ],
)
def test_refused(read, data, error):
    with pytest.raises(ParseError) as caught:
        read(data)
    assert str(caught.value).rsplit("/", 1)[-1] == error


def test_too_many_sorts(read, monkeypatch):
    monkeypatch.setattr(k6, "MOST_SORTS", 3)
    with pytest.raises(ParseError, match="has more than 3 sorts of requests: give them names"):
        read(samples(*(request(turn, 1, name=f"GET {turn}") for turn in range(5))))


@pytest.mark.parametrize("kept", [0, 9, 10, 11, 300, -9, -8, -1])
def test_compressed_data_cut_off(tmp_path, kept):
    path = tmp_path / "one.csv.gz"
    path.write_bytes((FIXTURES / "errors.csv.gz").read_bytes()[:kept])
    with pytest.raises(ParseError, match=r"one\.csv\.gz is (cut off: its compressed data have no end|empty)\.$"):
        parsers.parse_path("k6", str(path))


@pytest.mark.parametrize("data", [b"plain text\n", b"\x1f", gzip.compress(TWO) + b"more", gzip.compress(TWO)[:-8] + b"\0" * 8])
def test_compressed_data_broken(tmp_path, data):
    path = tmp_path / "one.csv.gz"
    path.write_bytes(data)
    with pytest.raises(ParseError, match=r"one\.csv\.gz (cannot be read|is cut off): .*\.$"):
        parsers.parse_path("k6", str(path))


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ([], " is empty."),
        (["a.csv", "notes.txt"], " has 'notes.txt', which is no file of samples (.csv or .csv.gz)."),
        (["a.csv", "b.csv/c"], " has 'b.csv', which is no file of samples (.csv or .csv.gz)."),
        (["a.csv", "a.csv.gz"], " has the samples 'a.csv' twice, plain and compressed."),
        (None, ": No such file or directory."),
    ],
)
def test_directories_refused(tmp_path, names, error):
    for name in names or []:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(TWO) if name.endswith(".gz") else TWO)
    with pytest.raises(ParseError) as caught:
        parsers.parse_path("k6", str(tmp_path if names is not None else tmp_path / "no"))
    assert str(caught.value).endswith(error)


def test_cut_off_anywhere_gives_no_other_number(read):
    whole = read(SAMPLES)
    for at in range(0, len(SAMPLES), len(SAMPLES) // 60):
        if SAMPLES[at - 1:at] != b"\n":
            with pytest.raises(ParseError):
                read(SAMPLES[:at])
    assert read(SAMPLES) == whole


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_survives_mutations(read, data):
    lines = SAMPLES.split(b"\n")[:60]
    for dummy in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        kind = data.draw(st.sampled_from(["delete", "repeat", "bytes", "field"]))
        if kind == "bytes":
            changed = [lines[at][:data.draw(st.integers(0, len(lines[at])))] + data.draw(st.binary(max_size=8))]
        elif kind == "field":
            fields = lines[at].split(b",")
            fields[data.draw(st.integers(0, len(fields) - 1))] = data.draw(st.sampled_from([b"NaN", b"-1", b"1e9", b"", b"9" * 30, b"\xff", b'"']))
            changed = [b",".join(fields)]
        else:
            changed = {"delete": [], "repeat": [lines[at]] * 2}[kind]
        lines = lines[:at] + changed + lines[at + 1:] or [b""]
    try:
        facts = read(b"\n".join(lines) + b"\n")
    except ParseError as error:
        assert "\n" not in str(error) and len(str(error)) < 400
        return
    json.dumps(facts, allow_nan=False)
    assert facts["latency"]["count"] == facts["requests"] > 0 and facts["seconds"] > 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10**7), st.sampled_from([200, 503])), min_size=2, max_size=120), st.integers(0, 20))
def test_percentiles_by_definition(read, requests, dropped):
    rows = [request(1000 + 10 * turn, value / 1000, status) for turn, (value, status) in enumerate(requests)]
    values = [value / 10**6 if status == 200 else math.inf for value, status in requests] + [math.inf] * dropped
    try:
        latency = read(samples(*rows, drops(10**6, dropped)))["latency"]
    except ParseError as error:
        assert "too few for a rate" in str(error)
        return
    for key, percent in (("p50", 50), ("p99", 99), ("max", 100)):
        wanted = nearest(values, percent)
        assert latency[key] == pytest.approx(wanted) if wanted < math.inf else latency[key][1] is None
