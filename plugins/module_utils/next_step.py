# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader of a certificate does next, in a sentence or two. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import List

# Short enough for one line of a terminal. {n}: "3 INCONCLUSIVE checks"; {step} follows the profile.
BY_VERDICT = {
    "FAIL": "Not ready for production: correct the {n} and certify again.",
    "INCONCLUSIVE": "Nothing is proven: remove the reasons for the {n} and certify again.",
    "CONDITIONAL": "Accept or correct the {n}, then {step}.",
    "PASS": "All that was judged is on target: {step}.",
}
STEP_SCALED = "certify without certify_time_scale"
STEP_PARTIAL = "certify all six layers with the profile load"
STEP_BY_PROFILE = {
    "smoke": "run the profile load to fill the checklist",
    "load": "keep certificate.json as the baseline",
    "stress": "keep the headroom found for planning",
    "soak": "keep certificate.json as the baseline",
}
INTERRUPTED = "Interrupted: run playbooks/cleanup.yml -i {inventory}, then certify again."


def after_interruption(inventory: str) -> str:
    """Return what to do about a run that has not ended."""
    return INTERRUPTED.format(inventory=inventory or "<inventory>")


def after_run(verdict: str, findings: Sequence, run: Mapping, chosen: Sequence, partial: bool, scaled: bool) -> str:
    """Return what the verdict of a run means, how it was made if it was interrupted, and what to do next."""
    parts = [message(verdict, step(run["profile"], partial, scaled), findings), *_went_on(run, chosen)]
    # With these verdicts the first sentence sends back to the same run, so that the step is not in it.
    parts += [f"Then {STEP_SCALED}."] if scaled and verdict in ("FAIL", "INCONCLUSIVE") else []
    return " ".join(parts)


def message(verdict: str, what: str, findings: Sequence) -> str:
    """Return one sentence: what the verdict means, and `what` to do next."""
    number = len({finding["id"] for finding in findings if finding["judged"] and finding["result"] == verdict})
    marked = f"{number} {verdict} check{'' if number == 1 else 's'}"
    return BY_VERDICT[verdict].format(n=marked, step=what)


def step(profile: str, partial: bool, scaled: bool = False) -> str:
    """Return what a good run leaves to do."""
    return STEP_SCALED if scaled else STEP_PARTIAL if partial else STEP_BY_PROFILE.get(profile, STEP_PARTIAL)


def _went_on(run: Mapping, chosen: Sequence) -> List[str]:
    """Return a sentence for each time that the run was interrupted and went on: what had been measured before, and what was measured then."""
    told = []
    for entry in run.get("resumed") or ():
        again = [layer for layer in chosen if layer not in entry["kept"]]
        kept = ", ".join(layer for layer in chosen if layer in entry["kept"]) or "nothing"
        told.append(f"It was interrupted and went on at {entry['at']}: {kept} had been measured before, {', '.join(again) or 'nothing'} then.")
    return told
