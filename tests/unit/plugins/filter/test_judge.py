# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the judge, as a playbook calls them: templates, lazy and tagged types, dates, and errors that name the filter."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[4]
# A process of its own: where tests have imported ansible_collections before it, Ansible's loader finds no collection.
TEMPLATE = """
import json, sys
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

init_plugin_loader()
variables, expressions = json.load(sys.stdin)
loader = DataLoader()
templar = Templar(loader=loader, variables=loader.load(trust_as_template(variables)))
answers = {}
for expression in expressions:
    try:
        answers[expression] = templar.template(trust_as_template("{{ " + expression + " }}"))
    except AnsibleError as error:
        answers[expression] = f"error: {error}"
json.dump(answers, sys.stdout, allow_nan=False)
"""
VARIABLES = """
layer: etcd
limit: 5
etcd_checks:
  etcd_x:
    {title: A, query: v, scope: host, each: m, expect: "{{ ['a', 'b'] }}", target: "< 1", critical: "< {{ limit }}", profiles: [load], fix: f, reference: r}
  etcd_c: {title: C, query: q, scope: cluster, capacity: qps, profiles: [load], fix: f, reference: r}
parts: [{checks: "{{ etcd_checks }}", source: roles/etcd/defaults/main/checks.yml}]
facts:
  host: {h1: {m: {a: {v: "{{ limit / 10 }}"}, b: {v: [0.5, "{{ limit - 3 }}"]}}}, h2: {m: {a: {v: 9}}}}
  cluster: {prod: {q: 600}}
settings: {today: "2027-01-01", thresholds: , capacity: {qps: 1000}, waivers: {etcd_x: {reason: Known, owner: me, expires: 2027-12-31}}}
expected: "{{ {'host': ['1', '2'] | map('regex_replace', '^', 'h'), 'cluster': ['prod']} }}"
findings: >-
  {{ facts | kubeproof.certify.judge(parts | kubeproof.certify.checks_load(settings), layer=layer, profile='load', expected=expected, settings=settings,
                                     because={'h2': 'fio failed'}) }}
items: {w: {title: "T {{ layer }}", layer: "{{ layer }}", checks: [etcd_x, etcd_c]}}
"""


VALUES = [
    ("(findings | kubeproof.certify.verdict).verdict", "INCONCLUSIVE"),
    ("(findings | selectattr('scope', 'eq', 'cluster') | kubeproof.certify.verdict).judged", 1),
    ("(findings | kubeproof.certify.verdict(advisory=['etcd'])).counts.INFO", 5),
    ("(items | kubeproof.certify.checklist(findings, profile='load', partial=false, layers=['etcd']))[0].title", "T etcd"),
    ("(items | kubeproof.certify.checklist(findings, profile='load', partial=false, layers=['etcd']))[0].status", "not measured"),
    ("(parts | kubeproof.certify.checks_load).etcd_x.critical", "< 5"),
    ("(etcd_checks | kubeproof.certify.changes({'thresholds': {'etcd_x': {'target': '< 2', 'reason': 'why'}}}))[0].direction", "relaxed"),
    ("({} | kubeproof.certify.judge(etcd_checks, layer='etcd', profile='load', expected=expected, because={'*': 'blocked by dns'}))[0].reason",
     "Not measured: blocked by dns."),
]
ERRORS = [
    ("facts | kubeproof.certify.judge('x', layer='etcd', profile='load', expected={})", 'kubeproof.certify.judge: checks is "x"'),
    ("facts | kubeproof.certify.judge(etcd_checks, layer='etcd', profile='full', expected={})", "kubeproof.certify.judge: certify_profile is"),
    ("facts | kubeproof.certify.judge(etcd_checks, layer='etcd', profile='load', expected={}, because='x')", "kubeproof.certify.judge: because is"),
    ("5 | kubeproof.certify.verdict", "kubeproof.certify.verdict: The findings are 5"),
    ("'x' | kubeproof.certify.checklist([], profile='load', partial=false, layers=[])", "kubeproof.certify.checklist: The checklist is"),
    ("items | kubeproof.certify.checklist([1], profile='load', partial=false, layers=[])", "kubeproof.certify.checklist: The findings are"),
    ("{'a': {}} | kubeproof.certify.checklist([], profile='load', partial=false, layers=[])", "checklist: a: title is missing"),
    ("'x' | kubeproof.certify.checks_load", "kubeproof.certify.checks_load: the input is not a list"),
    ("[{'checks': {'etcd_x': {}}, 'source': 'etcd.yml', 'layer': 'etcd'}] | kubeproof.certify.checks_load", "etcd.yml: etcd_x: title is missing"),
    ("[{'path': '/no such', 'source': 'etcd.yml', 'layer': 'etcd'}] | kubeproof.certify.checks_load", "etcd.yml: it has no checks of this layer"),
    ("[{'path': '/dev/null', 'source': 'etcd.yml', 'layer': 'etcd'}] | kubeproof.certify.checks_load", "etcd.yml: it has no checks of this layer"),
    ("parts | kubeproof.certify.checks_load({'capacity': {'qsp': 5}})", "certify_capacity: qsp: there is no such capacity; write qps."),
    ("5 | kubeproof.certify.changes({})", "kubeproof.certify.changes: The catalogue of checks is 5"),
    ("etcd_checks | kubeproof.certify.changes({'thresholds': {'etcd_y': {}}})", "certify_thresholds: etcd_y: there is no such check"),
]


@pytest.fixture(scope="module")
def template():
    """Return {expression: its value, or "error: " and the text}."""
    expressions = ["findings"] + [expression for expression, dummy in VALUES + ERRORS]
    asked = json.dumps([VARIABLES, expressions])
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections")}
    done = subprocess.run([sys.executable, "-c", TEMPLATE], input=asked, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def test_judge(template):
    found = template["findings"]
    assert [(one["host"], one.get("entry"), one["result"]) for one in found] == [
        ("h1", "a", "PASS"),
        ("h1", "b", "CONDITIONAL"),
        ("h2", "a", "CONDITIONAL"),
        ("h2", "b", "INCONCLUSIVE"),
        ("prod", None, "CONDITIONAL"),
    ]
    assert found[2]["waiver"]["expires"] == "2027-12-31" and found[3]["reason"].endswith(": fio failed.") and found[4]["bounds"] == "capacity"


@pytest.mark.parametrize("expression, expected", VALUES)
def test_values(template, expression, expected):
    assert template[expression] == expected


@pytest.mark.parametrize("expression, words", ERRORS)
def test_errors(template, expression, words):
    assert template[expression].startswith("error: ") and words in template[expression]
