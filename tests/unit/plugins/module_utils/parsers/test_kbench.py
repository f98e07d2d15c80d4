# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import shutil

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import kbench
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures"
TEXT = (FIXTURES / "kbench" / "quick.out").read_text(encoding="utf-8")
FILES = FIXTURES / "kbench_files"


@pytest.mark.parametrize(("size", "bytes_"), [("64M", 64 * 2**20), ("30G", 30 * 2**30), ("1T", 2**40), ("512K", 2**19), ("30Gi", 30 * 2**30)])
def test_sizes(size, bytes_):
    assert kbench.parse(TEXT.replace("Size: 64M", f"Size: {size}"))["size"] == bytes_


def test_both_modes():
    assert kbench.parse(TEXT.replace("Mode: quick", "Mode: full")) == {**kbench.parse(TEXT), "mode": "full"}


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("FIO Benchmark Summary", "Summary",
         "it has no summary of kbench; it ends with 'quential:          33,941 / 37,934\\n\\n\\n\\nreal\\t1m17.611s\\nuser\\t0m6.200s\\nsys\\t0m14.442s'."),
        ("Mode: quick", "Mode: random-read-iops", "the mode is 'random-read-iops': the summary of any but quick and full is not complete."),
        ("Mode: quick\n", "", "the mode is '': the summary of any but quick and full is not complete."),
        ("Size: 64M", "Size: big", "the size is 'big', not a number of bytes."),
        ("109,081", "0", "random read iops is '0', so it was not measured."),
        ("84,276", "null", "random write iops is 'null', so it was not measured."),
        ("84,276\n", "\n", "random write iops is '', so it was not measured."),
        ("84,276", "84,27", "random write iops is '84,27', so it was not measured."),
        ("Latency in ns", "Latency in ms", "bandwidth has random twice."),
        ("IOPS (Read/Write)", "Latency in ns (Read/Write)", "the section 'Latency in ns (Read/Write)' is there twice."),
        ("    Sequential:          33,941 / 37,934\n", "", "the summary has no sequential latency, so kbench did not go to its end."),
    ],
)
def test_refused(old, new, error):
    assert old in TEXT
    with pytest.raises(ParseError) as caught:
        kbench.parse(TEXT.replace(old, new))
    assert str(caught.value) == error


def test_two_summaries_are_refused():
    with pytest.raises(ParseError, match="it has several summary of kbench; "):
        kbench.parse(TEXT + TEXT)


@pytest.fixture(name="ran")
def fixture_ran(tmp_path):
    """Return a directory in which kbench ran, which may be changed."""
    return pathlib.Path(shutil.copytree(FILES / "quick", tmp_path / "ran"))


@pytest.mark.parametrize("path", sorted(one for one in FILES.iterdir() if one.is_dir()), ids=lambda path: path.name)
def test_recorded_files(path):
    expected = yaml.safe_load(path.with_name(path.name + ".expected.yml").read_text(encoding="utf-8"))
    facts = parsers.parse_path("kbench_files", str(path))
    results = facts.pop("fio")
    assert facts == expected["facts"]
    # Every job of every section is there, with what the summary leaves out.
    found = {
        kbench.job_name(section, order, side): results[section]["jobs"][kbench.job_name(section, order, side)][side]
        for section in kbench.ENDINGS for order in kbench.ORDERS for side in ("read", "write")
    }  # fmt: skip
    assert {name: [round(part["rate"], 1), part["latency"]["count"], part["latency"]["p99"]] for name, part in found.items()} == expected["jobs"]
    assert {section: sorted(one["devices"]) for section, one in results.items()} == expected["devices"]


@pytest.mark.parametrize(
    ("file", "old", "new", "error"),
    [
        ("test_device-iops.json", "", None, "test_device-iops.json: it cannot be read: No such file or directory."),
        ("test_device-latency.json", '"jobname" : "rand-write-lat"', '"jobname" : "other"', "test_device-latency.json: write of job rand-write-lat is 'None'"),
        ("test_device-bandwidth.json", '"bw_mean" : ', '"bw_mean" : 1', "test_device-bandwidth.json: the mean of job rand-read-bw is 1"),
        ("test_device-iops.json", '"error" : 0', '"error" : 28', "test_device-iops.json: job rand-read-iops failed with error 28 (No space left on device)."),
        ("stdout", "Mode: quick", "Mode: other", "stdout: the mode is 'other'"),
        ("stdout", "", None, "stdout: it cannot be read: No such file or directory."),
    ],
)
def test_files_that_do_not_fit_are_refused(ran, file, old, new, error):
    text = (ran / file).read_text(encoding="utf-8")
    assert old in text
    (ran / file).unlink()
    if new is not None:
        (ran / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ParseError) as caught:
        kbench.parse_files(str(ran))
    assert str(caught.value).startswith(error) and str(caught.value).endswith(".")


def test_a_file_that_is_too_large(ran, monkeypatch):
    monkeypatch.setattr(kbench, "LARGEST_FILE", 1000)
    with pytest.raises(ParseError, match="larger than 1000 bytes"):
        kbench.parse_files(str(ran))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["stdout", *(f"test_device-{one}.json" for one in kbench.ENDINGS)]), st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_is_refused(ran, file, share):
    text = (FILES / "quick" / file).read_text(encoding="utf-8")
    end = text.rindex("/" if file == "stdout" else "}")
    (ran / file).write_text(text[: int(share * end)], encoding="utf-8")
    with pytest.raises(ParseError):
        kbench.parse_files(str(ran))
    (ran / file).write_text(text, encoding="utf-8")
