# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for the tests of reports, gate, verification and history: made by the real code from made-up findings."""

from __future__ import annotations

import copy
import json
import pathlib

from ansible_collections.kubeproof.certify.plugins.module_utils import certificate as engine
from ansible_collections.kubeproof.certify.plugins.module_utils import report_seal

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures" / "certificates"
CASES = sorted(path.stem for path in FIXTURES.glob("*.json") if not path.stem.endswith(".input"))
UID = "4f1c1f5e-9d0a-4a53-8a6b-52d1c1a6e0d7"
STARTED = "2026-11-21T02:00:00Z"
FINISHED = "2026-11-21T05:00:00Z"
# Names as an enemy would give them.
HOSTILE = [
    "<script>alert(1)</script>",
    "\"' onmouseover='alert(1)' x=\"",
    "</style></title><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "\x00\x1b[31m\x07\r\n\t\x7f\x9b",
    "\u202e\u2066\u200f\ufeff\u2028\u2029",
    "\ud800 half a pair",
    "]]> --> <!-- <![CDATA[ ?> &amp; &#60;",
    "{{ 7 * 7 }} {% raw %} ${x} `id` $(id)",
    "| `*_[x](javascript:alert(1)) @all #1 ~~x~~ www.example.com http://example.com\n# x\n- y",
    "x" * 10000,
    "日本語 العربية \U0001f600 e\u0301",
    "",
    " ",
]


def load(case):
    """Return a certificate of the fixtures."""
    return json.loads((FIXTURES / f"{case}.json").read_text(encoding="utf-8"))


def finding(layer, number=0, **more):
    """Return a finding that is good."""
    return {"id": f"{layer}_{number}", "layer": layer, "title": f"Latency {number}", "scope": "cluster", "host": "prod", "value": 0.009, "unit": "s",
            "samples": 1000, "min_samples": 299, "target": "< 0.025", "critical": "< 0.05", "bounds": "default", "result": "PASS", "judged": True,
            "reason": "", "fix": "Give it a disk of its own.", "reference": "https://etcd.io/docs/v3.6/faq/", **more}  # fmt: skip


def run(profile="load", **more):
    """Return the run of a certificate."""
    return {"id": "20261121t020000z-1a2b", "started": STARTED, "finished": FINISHED, "seconds": 10800.0, "load_seconds": 9000.0, "user": "ops",
            "controller": "bastion", "version": "0.1.0", "profile": profile, "cluster": {"name": "prod", "uid": UID, "kubernetes": "v1.36.3", "nodes": 5},
            "hosts": {"etcd": ["etcd1"], "kube_node": ["worker1"]}, "tools": {"etcd1": {"etcdctl": {"version": "3.6.8", "path": "/usr/bin/etcdctl"}}},
            **more}  # fmt: skip


def plan(layers=engine.LAYERS, **more):
    """Return the plan of a certificate."""
    items = {"write": {"title": "Write P99", "layer": "etcd", "checks": ["etcd_0"]}}
    return {"layers": list(layers), "checklist": items, "slas": {}, "changes": [], "capacity": {}, "waivers": {}, "not_applicable": {}, **more}


def certificate(findings=None, layers=engine.LAYERS, profile="load", sealed=True, hashes=None, plots=(), **of_run):
    """Return a certificate of a run in which everything is good but for `findings` {layer: [finding]}."""
    found = {layer: [finding(layer, number) for number in range(2)] for layer in layers}
    found.update(findings or {})
    made = engine.certificate(run(profile, **of_run), plan(layers), found, {layer: {"seconds": 60.0} for layer in layers})
    made = json.loads(json.dumps(made))
    return report_seal.sealed(made, hashes or {}, list(plots), 90) if sealed else made


def everywhere(document, text):
    """Yield copies of the document, each with one text of it, or one key of its maps with free names, replaced."""
    for path in _texts(document, ()):
        changed = copy.deepcopy(document)
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = text
        yield path, changed


def _texts(value, path):
    if isinstance(value, str):
        yield path
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _texts(one, (*path, key))


def poisoned(document, text, kept=()):
    """Return the document with every text replaced but for those whose key is in `kept`, and free names too."""
    if isinstance(document, dict):
        return {key: one if key in kept else poisoned(one, text, kept) for key, one in document.items()}
    if isinstance(document, list):
        return [poisoned(one, text, kept) for one in document]
    return text if isinstance(document, str) else document
