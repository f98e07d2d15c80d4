# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import pathlib

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

FIXTURES = pathlib.Path(__file__).parents[4] / "fixtures"
EXPECTED = ".expected.yml"
RECORDED = [
    pytest.param(tool, path, id=f"{tool}/{path.name}")
    for tool in sorted(parsers.PARSERS)
    for path in sorted((FIXTURES / tool).glob("*"))
    if path.name != "README.md" and not path.name.endswith(EXPECTED)
]


def recorded(path):
    """Return a recorded output; one with carriage returns is kept compressed, since sources may have none."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")


@pytest.mark.parametrize("tool", sorted(parsers.PARSERS))
def test_every_parser_has_fixtures_and_says_where_they_come_from(tool):
    assert any(param.values[0] == tool for param in RECORDED)
    assert (FIXTURES / tool / "README.md").is_file()


@pytest.mark.parametrize("tool", sorted(parsers.PARSERS))
def test_every_expected_file_belongs_to_a_fixture(tool):
    stems = {param.values[1].stem for param in RECORDED if param.values[0] == tool}
    assert {path.name.removesuffix(EXPECTED) for path in (FIXTURES / tool).glob("*" + EXPECTED)} == stems


@pytest.mark.parametrize(("tool", "path"), RECORDED)
def test_recorded_output(tool, path):
    expected = yaml.safe_load(path.with_name(path.stem + EXPECTED).read_text(encoding="utf-8"))
    try:
        result = {"facts": parsers.parse(tool, recorded(path))}
    except ParseError as error:
        result = {"error": str(error)}
    assert result == expected


@pytest.mark.parametrize(
    ("tool", "text", "error"),
    [
        ("iperf9", "x", f"there is no parser 'iperf9'; there are {', '.join(sorted([*parsers.PARSERS, *parsers.PATH_PARSERS]))}."),
        *[(tool, text, "it is empty.") for tool in parsers.PARSERS for text in ("", " \n\t\r\n")],
    ],
)
def test_refused(tool, text, error):
    with pytest.raises(ParseError) as caught:
        parsers.parse(tool, text)
    assert str(caught.value) == error
