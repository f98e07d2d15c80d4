# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate's page in a real browser, where there is one: nothing is cut off on a phone or a desk, and nothing that a name says runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils import report_formats
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RENDER = report_formats.FORMATS["html"][1]
KEPT = ("result", "verdict", "state", "profile", "status", "layers", "scope", "operator", "kind")
# Measured in the page, whose own policy would forbid it: how much wider it is than the screen, and what is wider than it without a place to scroll.
MEASURE = """<script>
const screen = document.documentElement.clientWidth;
const wide = [...document.querySelectorAll("p,h1,h2,h3,td,.card,.notice,.verdict,pre")].filter(
  one => !one.closest(".scroll") && one.getBoundingClientRect().right > screen + 1).map(one => one.tagName);
document.title = JSON.stringify({over: document.documentElement.scrollWidth - screen, wide: wide.length, hacked: !!window.hacked});
</script>"""
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
RAMP = {"kind": "ramp", "layer": "dns", "title": "Ramp", "unit": "s", "said": "It broke.", "broke": 400,
        "rows": [{"name": "a", "offered": 200, "rate": 200, "held": True}, {"name": "b", "offered": 400, "rate": 300, "held": False, "broke_by": "x" * 300}]}
PAIRS = {"kind": "pairs", "layer": "network", "title": "Pairs", "unit": "bit/s",
         "rows": [{"from": f"worker{one}", "to": f"worker{two}", "value": 1e9} for one in range(9) for two in range(9)]}  # fmt: skip
OPEN = {"etcd": [fake.finding("etcd", result="FAIL", value=0.3, reason="r" * 400, write="w: " + "x" * 400)]}


def page(text):
    """Return a page with a name of an enemy everywhere, or with long words."""
    certificate = fake.certificate(OPEN, plots=[RAMP, PAIRS], hashes={"raw/etcd/etcd1/write.stdout": "0" * 64})
    rendered = RENDER(fake.poisoned(certificate, text, KEPT) if text else certificate)
    return POLICY.sub("", rendered).replace("</body>", MEASURE + "</body>")


def seen(path, width):
    """Start the browser on a page; it ends by itself."""
    options = ["--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--window-size={width},900"]
    options += [f"--user-data-dir={path}-{width}"]
    return subprocess.Popen([BROWSER, *options, path.as_uri()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")
def test_the_page_fits_a_phone_and_a_desk_whatever_names_say(tmp_path):
    texts = {"good": "", "script": "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"}
    started = {}
    for name, text in texts.items():
        path = tmp_path / f"{name}.html"
        path.write_text(page(text), encoding="utf-8")
        started.update({(name, width): seen(path, width) for width in ((400, 1200) if name == "good" else (400,))})
    for case, process in started.items():
        shown = process.communicate(timeout=60)[0].decode(errors="replace")
        title = re.search(r"<title>(\{.*?\})</title>", shown)
        assert title, f"{case}: the browser showed nothing"
        assert json.loads(title.group(1)) == {"over": 0, "wide": 0, "hacked": False}, case
