# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/tuning.md lists the rules as they are. `python <this file>` writes the list anew."""

from __future__ import annotations

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[4]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

# pylint: disable=wrong-import-position
from ansible_collections.kubeproof.certify.plugins.module_utils.human import human  # noqa: E402
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import listed  # noqa: E402
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_page import COMPONENTS, component  # noqa: E402

PAGE = ROOT / "docs" / "tuning.md"
RULES = yaml.safe_load((ROOT / "roles/tuning/defaults/main/checks.yml").read_text(encoding="utf-8"))["tuning_checks"]
MARK = "<!-- Generated from"
MANAGED = "managed"


def wanted(rule):
    """Return the bounds of a rule as a person reads them."""
    found = [(human(rule[key], rule.get("unit")), key) for key in ("target", "critical") if key in rule]
    return " and ".join(text if len(found) == 1 else f"{text} ({key})" for text, key in found) or "shown"


def remarks(rule):
    """Return when a rule only informs, and when it does not apply."""
    found = ["**blocks**"] if rule.get("blocking") else []
    found += ["informs."] if rule.get("informs") is True else [f"informs: {one['reason']}" for one in listed(rule.get("informs"))]
    found += [f"not asked: {one['reason']}" for one in listed(rule.get("not_applicable")) if one["query"] != MANAGED]
    return " ".join(found)


def cell(text):
    """Return a text as a cell of a table."""
    return re.sub(r"([|<>*_`])", r"\\\1", str(text)) if "**" not in str(text) else str(text)


def lines():
    """Yield the lines of the list."""
    own = {}
    for identifier, rule in RULES.items():
        own.setdefault(component(identifier), []).append((identifier, rule))
    yield f"{len(RULES)} rules, by component."
    for name, rules in own.items():
        yield from ("", f"### {COMPONENTS[name]} ({len(rules)})", "", "| rule | asks | wanted | |", "|---|---|---|---|")
        for identifier, rule in rules:
            yield f"| [`{identifier}`]({rule['reference']}) | {cell(rule['title'])} | `{wanted(rule)}` | {cell(remarks(rule))} |"


def written():
    """Return the page with the list as it has to be."""
    head, mark, rest = PAGE.read_text(encoding="utf-8").partition(MARK)
    return head + mark + rest.split("\n")[0] + "\n" + "\n".join(lines()) + "\n"


def test_the_list_of_rules_is_current():
    assert PAGE.read_text(encoding="utf-8") == written(), f"run python {pathlib.Path(__file__).relative_to(ROOT)}"


def test_every_rule_is_there_once():
    text = PAGE.read_text(encoding="utf-8")
    assert [identifier for identifier in RULES if text.count(f"`{identifier}`]") != 1] == []


def test_what_only_a_person_can_know_has_a_reference():
    table = PAGE.read_text(encoding="utf-8").partition("| what |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) >= 8 and all(re.search(r"\]\(https://\S+\) \|$", line) for line in table)


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
