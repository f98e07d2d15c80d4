# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One check, asked of the facts of a host or a cluster. Pure; runs on the controller only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, Iterator, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils import bounds
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import listed, path
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import effective
from ansible_collections.kubeproof.certify.plugins.module_utils.proof import prove

COPIED_KEYS = ("unit", "min_samples", "gate", "blocking", "explained_by", "write")


class Question:
    """One check under the user's settings, ready to be asked of many documents."""

    def __init__(self, identifier: str, check: Mapping, layer: str, profile: str, settings: Mapping) -> None:
        self.identifier, self.check, self.layer, self.settings = identifier, check, layer, settings
        self.in_profile = profile in check["profiles"] or check.get("gate", False)
        self.paths = {key: path(check[key]) for key in ("query", "samples", "each", "where") if key in check}
        self.tiers = [tier for tier in bounds.tiers_of(check) if tier]
        self.waiver = settings["waivers"].get(identifier)
        self.bases: Dict[Optional[str], dict] = {}
        self.effects = {tier: effective(check, identifier, settings, tier) for tier in self.tiers or [None]}
        self.is_information = not any(bound for effect in self.effects.values() for bound in effect.bounds)

    def ask(self, host: str, document: Any, because: str) -> Iterator[dict]:
        """Yield the findings of one host or cluster: one, or one for each entry."""
        stated = self.settings["not_applicable"].get(self.identifier) or self._own_rule("not_applicable", document)
        if stated:
            yield self._finding(host, None, result="NOT_APPLICABLE", judged=self.in_profile, reason=stated)
        elif not host:
            yield self._unmeasured(host, None, f"no {self.check['scope']} is expected, its group is empty or misspelt", because)
        elif not isinstance(document, dict):
            yield self._unmeasured(host, None, f"there are no facts of {host}", because)
        elif "each" in self.check:
            yield from self._ask_each(host, document, because)
        else:
            yield self._ask_one(host, None, document, because, document)

    def _own_rule(self, key: str, *documents: Any) -> str:
        """Return the reason of the first of the check's own rules (not_applicable, informs) that holds for one of the documents, or "".

        It holds if its fact is there, plausible and says so without doubt; a damaged fact never does.
        """
        for rule in listed(self.check.get(key)):
            when = bounds.parse(rule["when"])
            for document in documents:
                value = path(rule["query"]).search(document) if isinstance(document, dict) else None
                if value is not None and not bounds.trouble(value, [when]) and bounds.truth(when, value) == bounds.MEETS:
                    return rule["reason"]
        return ""

    def _ask_each(self, host: str, document: dict, because: str) -> Iterator[dict]:
        entries = self.paths["each"].search(document)
        where = self.check["each"]
        if not isinstance(entries, dict) or not entries:
            what = _told(document, where) or f"{where} is {'empty' if entries == {} else 'missing'} in the facts of {host}"
            for entry in self.check.get("expect") or [None]:
                yield self._unmeasured(host, entry, what, because)
            return
        for entry in sorted({*entries, *self.check.get("expect", [])}):
            if entry in entries:
                yield self._ask_one(host, entry, entries[entry], because, document)
            else:
                yield self._unmeasured(host, entry, f"{entry} is missing in {where} in the facts of {host}", because)

    def _ask_one(self, host: str, entry: Optional[str], document: Any, because: str, whole: dict) -> dict:
        """Return the finding of one document: a host's, a cluster's or an entry's of the `whole`."""
        stated = self._own_rule("not_applicable", document)
        if stated:
            return self._finding(host, entry, result="NOT_APPLICABLE", judged=self.in_profile, reason=stated)
        finding = self._answer(host, entry, document, because)
        where = self.paths["where"].search(document) if "where" in self.paths else None
        if bounds.kind(where) == "string":
            finding["where"] = where
        informs = self._own_rule("informs", whole, document)
        if informs:
            finding.update(judged=False, informs=True)
            finding["reason"] = " ".join(filter(None, (finding["reason"], "" if finding["result"] == "PASS" else informs)))
        return finding

    def _answer(self, host: str, entry: Optional[str], document: Any, because: str) -> dict:
        """Return the finding of one document to which the check applies."""
        value = self.paths["query"].search(document)
        if value is None:
            what = _told(document, self.check["query"]) or f"{self.check['query']} is missing in the facts of {entry or host}"
            return self._unmeasured(host, entry, what, because)
        finding = self._finding(host, entry)
        finding["value"] = _recordable(value)
        too_few = self._samples(document, finding)
        if self.is_information:
            return {**finding, "result": "INFO", "reason": too_few if finding["value"] is not None else f"Implausible: {bounds.show(value)} is no value."}
        effect = self.effects.get(self._tier(entry))
        if effect is None:
            return {**finding, "reason": self._no_tier(entry)}
        trouble = bounds.trouble(value, [bound for bound in effect.bounds if bound])
        if trouble:
            return {**finding, "reason": trouble}
        # Beside the result: what the samples prove does not change it.
        said = prove(self.check["query"], document, finding.get("samples"), dict(zip(bounds.BOUND_KEYS, effect.bounds)))
        finding.update({"proof": said} if said else {})
        if too_few:
            return {**finding, "reason": too_few}
        finding.update(bounds.decide(value, *effect.bounds))
        told = finding["reason"] and _told(document, self.check["query"])
        # Why an end of the interval is open.
        finding["reason"] += f" {told}." if told else ""
        return self._waive(finding) if self.waiver and finding["result"] == "FAIL" else finding

    def _samples(self, document: Any, finding: dict) -> str:
        """Record how many samples stand behind the value; return why they are not enough, or ""."""
        if "samples" not in self.check:
            return ""
        # Without its tier it is not judged, however many there are.
        count, least = self.paths["samples"].search(document), finding.get("min_samples", 0)
        if count is None:
            return f"The number of samples ({self.check['samples']}) is missing; at least {least} are needed."
        if bounds.kind(count) != "number" or not bounds.is_finite(count) or count < 0 or count != int(count):
            return f"Implausible: {bounds.show(count)} is not a number of samples; at least {least} are needed."
        finding["samples"] = int(count)
        return "" if count >= least else f"Too few samples: {int(count)} of at least {least}."

    def _tier(self, entry: Optional[str]) -> Optional[str]:
        declared = self.settings["tiers"]
        return next((declared[name] for name in (entry, self.identifier, self.layer) if name in declared), None) if self.tiers else None

    def _no_tier(self, entry: Optional[str]) -> str:
        name, tier, known = entry or self.identifier, self._tier(entry), ", ".join(self.tiers)
        found = f"certify_tiers gives {name} the tier {tier}, which has no bound here" if tier else f"certify_tiers does not name the tier of {name}"
        return f"Not judged: {found}; write {name}: and one of {known}."

    def _waive(self, finding: dict) -> dict:
        waiver = self.waiver
        if waiver["expires"] < self.settings["today"]:
            return {**finding, "reason": f"The waiver by {waiver['owner']} expired on {waiver['expires']}."}
        reason = f"FAIL, waived by {waiver['owner']} until {waiver['expires']}: {waiver['reason']}"
        return {**finding, "result": "CONDITIONAL", "reason": reason, "waiver": dict(waiver)}

    def _unmeasured(self, host: str, entry: Optional[str], what: str, because: str) -> dict:
        # What went wrong explains every missing fact; without it the missing fact is all that is known.
        reason = because.rstrip(". ") or what
        return self._finding(host, entry, reason=f"Not measured: {reason}.")

    def _finding(self, host: str, entry: Optional[str], **more: Any) -> dict:
        """Return a finding with every key that does not depend on the value."""
        tier = self._tier(entry)
        if tier not in self.bases:
            self.bases[tier] = self._base(tier)
        finding = {**self.bases[tier], "host": host, **more}
        if entry is not None:
            finding["entry"] = entry
        return finding

    def _base(self, tier: Optional[str]) -> dict:
        check, effect = self.check, self.effects.get(tier)
        target, critical = [bound and bound.text for bound in effect.bounds] if effect else (None, None)
        copied = {key: bounds.of_tier(check.get(key), tier) for key in COPIED_KEYS}
        return {
            "id": self.identifier,
            "layer": self.layer,
            "title": check["title"],
            "scope": check["scope"],
            "host": "",
            "value": None,
            "target": target,
            "critical": critical,
            "bounds": effect.origin if effect else "default",
            "result": "INFO" if self.is_information else "INCONCLUSIVE",
            "judged": self.in_profile and not self.is_information and check.get("informs") is not True,
            **({"informs": True} if check.get("informs") is True else {}),
            "reason": "",
            "fix": check["fix"],
            "reference": check["reference"],
            **{key: value for key, value in copied.items() if value},
        }


def _told(document: Any, query: str) -> str:
    """Return what the facts themselves say (missing {path: sentence}) of why a fact is not there, the longest path first, or ""."""
    told = document.get("missing") if isinstance(document, dict) else None
    if not isinstance(told, dict):
        return ""
    parts = query.split(".")
    found = (told.get(".".join(parts[:count])) for count in range(len(parts), -1, -1))
    return next((one.rstrip(". ") for one in found if isinstance(one, str) and one.strip()), "")


def _recordable(value: Any) -> Any:
    """Return a value as JSON can hold it: null for maps, NaN, infinity and lists that hold one."""
    if isinstance(value, list):
        return value if all(one is None or (bounds.kind(one) not in (None, "list") and _recordable(one) is not None) for one in value) else None
    if bounds.kind(value) == "number":
        return value if bounds.is_finite(value) else None
    return value if bounds.kind(value) else None
