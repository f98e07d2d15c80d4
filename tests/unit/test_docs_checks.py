# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/checks/<layer>.md lists the checks of a layer as they are. `python <this file>` writes the pages anew; docs/tuning.md has the rules of tuning."""

from __future__ import annotations

import functools
import pathlib
import re
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

# pylint: disable=wrong-import-position
from ansible_collections.kubeproof.certify.plugins.module_utils.certificate import LAYERS  # noqa: E402
from ansible_collections.kubeproof.certify.plugins.module_utils.human import human  # noqa: E402
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import PROFILES, listed  # noqa: E402

PAGES = ROOT / "docs" / "checks"
# The six of a certificate in their order, then what stands beside them.
NAMES = [*LAYERS, *sorted({path.parts[-4] for path in ROOT.glob("roles/*/defaults/main/checks.yml")} - {*LAYERS, "tuning"})]
COMMAND = f"python {pathlib.Path(__file__).relative_to(ROOT)}"
SECTION = re.compile(r"  # (.+?) -{8,}$")
ENTRY = re.compile(r"  ([a-z]\w*):$")


def source(layer):
    return f"roles/{layer}/defaults/main/checks.yml"


@functools.lru_cache(maxsize=None)
def read(layer):
    """Return (introduction, [section, {id: reason}, …], checks): the comments of the file are the reasons of its bounds."""
    text = (ROOT / source(layer)).read_text(encoding="utf-8")
    head, _mark, rest = text.partition(f"\n{layer}_checks:\n")
    sections, reasons, pending, current = {}, {}, [], None
    section = ""
    for line in rest.splitlines():
        title, entry = SECTION.match(line), ENTRY.match(line)
        if title:
            section, pending = title.group(1), []
        elif entry:
            current = entry.group(1)
            sections.setdefault(section, []).append(current)
            reasons[current], pending = pending, []
        elif line.startswith("    #"):
            reasons[current].append(line.strip(" #"))
        elif line.startswith("  #"):
            pending.append(line.strip(" #"))
    paragraphs = [" ".join(part.split("\n")) for part in re.sub(r"(?m)^# ?", "", head.removeprefix("---\n")).split("\n\n")]
    return paragraphs, sections, reasons, yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))[f"{layer}_checks"]


def bound(value, unit):
    """Return a bound as a person reads it; one for each tier has several."""
    if isinstance(value, dict):
        return "; ".join(f"{tier}: `{human(one, unit)}`" for tier, one in value.items())
    return f"`{human(value, unit)}`"


def wanted(check):
    """Return the cell of the bounds."""
    found = [f"{key} {bound(check[key], check.get('unit'))}" for key in ("target", "critical") if key in check]
    return "<br>".join(found + ([] if found and check.get("informs") is not True else ["informs"]))


def counted(value):
    """Return a number as a person reads it; one for each tier has several."""
    return "; ".join(f"{tier}: {one:,}" for tier, one in value.items()) if isinstance(value, dict) else f"{value:,}"


def remarks(identifier, check, reasons):
    """Return the cell of the words: why the bound, what to do, when it is not asked."""
    found = [" ".join(reasons[identifier])] if reasons[identifier] else []
    informational = check["fix"].startswith("Informational; ")
    rest = check["fix"].removeprefix("Informational; ")
    found.append(f"{rest[0].upper()}{rest[1:]}" if informational else f"*Off target:* {check['fix']}")
    if check.get("min_samples"):
        found.append(f"*Samples:* {counted(check['min_samples'])} or more.")
    if check.get("capacity"):
        found.append(f"*Declared by:* `certify_capacity.{check['capacity']}`, which replaces the bound.")
    found += [f"*Not asked:* {one['reason']}" for one in listed(check.get("not_applicable"))]
    if check.get("gate"):
        found.append("**Gate:** judged before any load, and blocks it.")
    return "<br>".join(cell(one) for one in found)


def cell(text):
    """Return a text for a cell of a table; what stands between backquotes stays as it is."""
    parts = re.split(r"(`[^`]*`|\*\*?[A-Z][a-z ]+:\*\*?)", text)
    return "".join(part if number % 2 else re.sub(r"([|<>*_])", r"\\\1", part) for number, part in enumerate(parts))


def when(check):
    """Return the profiles in which it is part of the verdict."""
    return "all" if set(check["profiles"]) == set(PROFILES) else ", ".join(check["profiles"]) or "none"


def page(layer):
    """Return the page of a layer."""
    paragraphs, sections, reasons, checks = read(layer)
    mark = f"<!-- Generated from {source(layer)}: {COMMAND} -->"
    lines = [f"# Checks of the layer {layer}", "", mark, f"{len(checks)} checks. Read [the words](README.md) first."]
    for paragraph in paragraphs:
        lines += ["", paragraph.strip()]
    for section, identifiers in sections.items():
        lines += ["", f"## {section or 'Checks'}", "", "| check | asks | wanted | decides in | why, and what to do |", "|---|---|---|---|---|"]
        for identifier in identifiers:
            check = checks[identifier]
            each = "" if "each" not in check else "<br>(each, the worst decides)"
            where = "<br>(each host)" if check["scope"] == "host" else ""
            lines.append(f"| [`{identifier}`]({check['reference']}) | {cell(check['title'])}{each}{where} | {wanted(check)} | {when(check)} "
                         f"| {remarks(identifier, check, reasons)} |")  # fmt: skip
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("layer", NAMES)
def test_the_page_is_current(layer):
    found = PAGES / f"{layer}.md"
    assert found.is_file() and found.read_text(encoding="utf-8") == page(layer), f"docs/checks/{layer}.md is not what {source(layer)} says: run {COMMAND}"


@pytest.mark.parametrize("layer", NAMES)
def test_every_check_is_on_its_page_once(layer):
    checks = read(layer)[3]
    text = page(layer)
    assert checks and [identifier for identifier in checks if text.count(f"| [`{identifier}`](") != 1] == []


def test_the_index_names_every_page_and_no_other():
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in PAGES.glob("*.md")} == {"README.md"} | {f"{layer}.md" for layer in NAMES}
    assert [layer for layer in NAMES if f"({layer}.md)" not in text] == []


def test_what_informs_says_so_with_bounds_and_without_them():
    bounds = {"target": ">= 1", "critical": ">= 2"}
    cells = [wanted(check).split("<br>") for check in ({}, bounds, {**bounds, "informs": True}, {**bounds, "informs": []})]
    assert cells == [["informs"], ["target `>= 1`", "critical `>= 2`"], ["target `>= 1`", "critical `>= 2`", "informs"], ["target `>= 1`", "critical `>= 2`"]]
    row = next(line for line in page("network").splitlines() if "`network_overlay_efficiency`" in line)
    assert "<br>informs |" in row


def test_a_row_stays_one_row():
    for layer in NAMES:
        rows = [line for line in page(layer).splitlines() if line.startswith("| [")]
        assert all(len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) == 6 for row in rows)


if __name__ == "__main__":
    for name in NAMES:
        (PAGES / f"{name}.md").write_text(page(name), encoding="utf-8")
