# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of the certificate: complete, of the width of a terminal, deterministic, and safe with hostile names."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as subject
from ansible_collections.kubeproof.certify.plugins.module_utils import report_html, report_summary, report_text
from ansible_collections.kubeproof.certify.plugins.module_utils.human import cells

ROOT = pathlib.Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "certificates"
CASES = sorted(path.stem for path in FIXTURES.glob("*.json") if not path.stem.endswith(".input"))
WIDTH = 100
HOSTILE = "|`*_[x](javascript:alert)<script>alert(1)</script>\x1b[31m\n| 日本語 # \u202e{{ 7 * 7 }} " * 4
HOSTILE_KEYS = ("host", "entry", "reason", "title", "fix", "name", "uid", "user", "controller", "error", "owner", "version", "message", "command")


TEMPLATES = report_text.environment(ROOT / "roles" / "report" / "templates")
FORMATS = {name: TEMPLATES.get_template(f"certificate.{name}.j2") for name in ("txt", "md")}


def render(name, certificate):
    """Return the certificate in a format."""
    return FORMATS[name].render(__report_certificate=certificate)


def load(case):
    """Return a fixture."""
    return json.loads((FIXTURES / f"{case}.json").read_text(encoding="utf-8"))


def replaced(data, keys):
    """Return the data with a hostile text under every one of the keys."""
    if isinstance(data, dict):
        return {key: HOSTILE if key in keys and isinstance(value, str) else replaced(value, keys) for key, value in data.items()}
    return [replaced(one, keys) for one in data] if isinstance(data, list) else data


def hostile(case):
    """Return a fixture whose names and sentences all come from an enemy."""
    certificate = replaced(load(case), HOSTILE_KEYS)
    certificate["hosts"] = {HOSTILE: [HOSTILE] * 50}
    certificate["tools"] = {HOSTILE: {HOSTILE: {"version": HOSTILE}}}
    certificate["findings"][0]["value"] = HOSTILE
    certificate["findings"][0]["entry"] = HOSTILE
    return certificate


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("make", [load, hostile])
def test_the_summary_fits_the_terminal(case, make):
    lines = render("txt", make(case)).split("\n")
    assert max(map(cells, lines)) <= WIDTH
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    assert all(first or second for first, second in zip(lines, lines[1:-1])) and lines[0]


@pytest.mark.parametrize("case", CASES)
def test_the_summary_begins_with_the_verdict_and_ends_with_what_to_do(case):
    certificate = load(case)
    lines = render("txt", certificate).rstrip().split("\n")
    assert lines[0] == f"KUBEPROOF CERTIFICATE: {certificate['heading']}"
    assert lines[1] == "Verdict: " + certificate["verdict"].replace("CONDITIONAL", "CONDITIONAL PASS")
    assert lines[-1] == f"Next: {certificate['message']}"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_rendering_is_deterministic_whatever_the_order_of_keys(case, name):
    certificate = load(case)
    shuffled = json.loads(json.dumps(certificate, sort_keys=True))
    assert render(name, certificate) == render(name, copy.deepcopy(certificate)) == render(name, shuffled)


@pytest.mark.parametrize("case", CASES)
def test_every_check_that_did_not_pass_and_every_item_is_shown(case):
    certificate = load(case)
    text, markdown = render("txt", certificate), render("md", certificate)
    for item in certificate["checklist"] + certificate["slas"]:
        assert item["title"] in text
    for finding in certificate["findings"]:
        title = re.escape(finding["title"][:24])
        assert finding["result"] not in ("FAIL", "CONDITIONAL") or re.search(f"{finding['result']} .*{title}", text)
        assert finding["id"].replace("_", "&#95;") in markdown or finding["result"] == "NOT_APPLICABLE"


@pytest.mark.parametrize("text", ["5", HOSTILE])
def test_a_load_that_is_not_the_default_is_shown(text):
    certificate = load(CASES[0])
    setting = f"dns_load.load.{'external' if text == '5' else text}"
    rows = [{"layer": "dns", "setting": setting, "default": text, "value": None}]
    made = {"txt": render("txt", {**certificate, "loads": rows}), "md": render("md", {**certificate, "loads": rows})}
    made["html"] = report_html.render({**certificate, "loads": rows})
    if text == "5":
        assert "load         dns_load.load.external: -, by default 5" in made["txt"]
        assert "Load that is not the default" in made["md"] and "dns&#95;load.load.external" in made["md"]
        assert "Load that is not the default" in made["html"] and "dns_load.load.external" in made["html"]
    else:
        assert max(map(cells, made["txt"].split("\n"))) <= WIDTH and HOSTILE not in made["md"] + made["html"]


@pytest.mark.parametrize("text", ["DNS P99 (dns: dns_latency_p99)", HOSTILE])
def test_a_checklist_that_is_not_the_default_is_shown(text):
    rows = [{"list": "checklist", "id": "dns_latency", "value": None, "default": text}, {"list": "slas", "id": text[:9], "value": text, "default": None}]
    certificate = {**load(CASES[0]), "checklist_changes": rows}
    made = {"txt": render("txt", certificate), "md": render("md", certificate), "html": report_html.render(certificate),
            "summary": report_summary.render(certificate)}  # fmt: skip
    if text == HOSTILE:
        assert max(map(cells, made["txt"].split("\n"))) <= WIDTH and not any(HOSTILE in page for name, page in made.items() if name != "txt")
        return
    assert f"checklist    dns_latency: left out, by default {text}" in made["txt"] and f"slas         DNS P99 (: {text}, by default not there" in made["txt"]
    for name in ("md", "html", "summary"):
        assert "Checklist and SLAs that are not the default" in made[name] and "left out" in made[name] and "not there" in made[name]
        assert "Checklist and SLAs that are not the default" not in {"md": lambda one: render("md", one), "html": report_html.render,
                                                                     "summary": report_summary.render}[name](load(CASES[0]))  # fmt: skip


def test_a_whole_run_in_which_all_is_good_fits_a_screen():
    run = {"id": "r", "started": "2026-11-21T03:49:15Z", "user": "ops", "controller": "bastion", "version": "0.1.0", "profile": "load",
           "cluster": {"name": "lab"}, "hosts": {"etcd": ["a"], "kube_control_plane": ["a"], "kube_node": ["b"]}}  # fmt: skip
    item = {"title": "Item", "layer": "etcd", "checks": ["etcd_0"]}
    plan = {"layers": list(subject.LAYERS), "checklist": {f"item{number}": item for number in range(8)}, "slas": {f"sla{number}": item for number in range(4)}}
    good = {"title": "Latency", "scope": "cluster", "host": "lab", "value": 1, "target": "< 2", "critical": "< 4", "bounds": "default", "result": "PASS",
            "judged": True, "reason": ""}  # fmt: skip
    found = {layer: [{**good, "id": f"{layer}_{number}", "layer": layer} for number in range(9)] for layer in subject.LAYERS}
    text = render("txt", subject.certificate(run, plan, found))
    assert len(text.splitlines()) <= 44
    assert "more: see certificate.md" in text


@pytest.mark.parametrize("case", CASES)
def test_markdown_takes_nothing_from_an_enemy(case):
    markdown = render("md", hostile(case))
    assert "<script" not in markdown and "`" not in markdown and "](" not in markdown and "\x1b" not in markdown and "\u202e" not in markdown
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(markdown)
    kinds = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or []}
    assert not kinds & {"html_inline", "html_block", "link_open", "code_inline", "code_block", "fence", "image", "em_open"}
    for line in markdown.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_markdown_rows_have_as_many_cells_as_their_heads():
    cells = 0
    for line in render("md", hostile("smoke_partial_etcd")).splitlines():
        if not line.startswith("|"):
            cells = 0
        else:
            cells = cells or line.count("|")
            assert line.count("|") == cells, line


@pytest.mark.parametrize("name", FORMATS)
def test_what_could_explain_a_number_is_beside_it(name):
    certificate = load("smoke_partial_etcd")
    row = next(one for one in certificate["findings"] if one["judged"] and one["result"] in ("FAIL", "CONDITIONAL"))
    assert "Could be explained by" not in render(name, certificate)
    why = {"id": "etcd_fsync_p99", "layer": "etcd", "title": "fdatasync P99", "result": "FAIL", "value": 0.031, "unit": "s", "host": "etcd2"}
    row["explained_by"] = [why]
    assert "Could be explained by etcd: fdatasync P99 is 31 ms at etcd2." in " ".join(render(name, certificate).split())


def play(directory, *options, locale="C"):
    """Run the playbook from the checkout, as a user does."""
    inventory = directory / "hosts"
    inventory.write_text("localhost ansible_connection=local ansible_python_interpreter=" + sys.executable, encoding="utf-8")
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "playbooks/report.yml", "-i", str(inventory), *options]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LC_")}
    environment.update(ANSIBLE_LOCAL_TEMP=str(directory / "tmp"), ANSIBLE_NOCOLOR="1", LANG=locale)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_the_playbook_renders_the_newest_run_and_shows_it_as_it_is(tmp_path):
    case = "smoke_partial_etcd"
    for run in ("20261121t000000z-smoke", "20261120t000000z-smoke"):
        (tmp_path / "lab" / run).mkdir(parents=True)
        shutil.copy(FIXTURES / f"{case}.json", tmp_path / "lab" / run / "certificate.json")
    done = play(tmp_path, "-e", f"certify_results={tmp_path} certify_cluster_name=lab", locale="C.UTF-8")
    assert done.returncode == 0, done.stdout + done.stderr
    newest = tmp_path / "lab" / "20261121t000000z-smoke"
    for name in FORMATS:
        assert (newest / f"certificate.{name}").read_text(encoding="utf-8") == render(name, load(case))
        assert (newest / f"certificate.{name}").stat().st_mode & 0o777 == 0o600
    assert render("txt", load(case)) + f"Files: {newest}\n" in done.stdout
    assert sorted(path.name for path in (tmp_path / "lab" / "20261120t000000z-smoke").iterdir()) == ["certificate.json"]


def test_without_a_locale_of_unicode_the_certificate_is_shown_in_ascii(tmp_path):
    certificate = load("smoke_partial_etcd")
    row = next(one for one in certificate["findings"] if one["judged"])
    row.update(result="FAIL", unit="s", scope="host", value=0.000005, host="a-host-whose-name-is-far-too-long-for-its-column")
    (tmp_path / "certificate.json").write_text(json.dumps(certificate), encoding="utf-8")
    done = play(tmp_path, "-e", f"report_directory={tmp_path}")
    assert done.returncode == 0 and done.stdout.isascii(), done.stdout + done.stderr
    shown = next(line for line in done.stdout.splitlines() if line.startswith("FAIL") and " 5 us " in line)
    whole = next(line for line in render("txt", certificate).splitlines() if line.startswith("FAIL") and " 5 µs " in line)
    assert "…" in whole and len(shown) == len(whole), "its columns stand where they stood"


def test_a_directory_without_a_certificate_is_a_clear_error(tmp_path):
    done = play(tmp_path, "-e", f"report_directory={tmp_path}")
    assert done.returncode != 0
    assert f"There is no {tmp_path}/certificate.json" in done.stdout + done.stderr
