# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs of one cluster: what became better and worse, whether that is beyond noise, and what else changed. Pure.

How noise is known, in this order:
    exact      a count of what must not be there, a truth or a name has no noise: what matters is whether its result changed
    earlier    at least eight earlier runs of this cluster and profile measured the check: a value is beyond noise that lies three times their
               interquartile range outside of their quartiles ("far out": Tukey, Exploratory Data Analysis, 1977), and 10 % off their median. Of values
               that are distributed normally 1 in 100 does; one bad run among the earlier ones does not widen it
    buckets    both values are ranges of a histogram: they are beyond noise when they do not even touch, and differ by more than 20 %
    share      else a plain rule: a change of more than 20 % of the former value
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Dict, List, Optional

from . import bounds, fingerprint
from .certificate_parts import TUNING, is_setting
from .checks import DECIDING, RESULTS
from .history_runs import HistoryError, size, summary, unlike, unmeasured
from .report_words import by_check, number, parsed

SHARE = 0.2
# Earlier runs; how many interquartile ranges are far out; the least share of their median that matters.
ENOUGH, FAR, LEAST = 8, 3, 0.1
LAYER = "regression"
MODES = {"warn": "CONDITIONAL", "fail": "FAIL"}
# What is no share of anything: there, one more is one too many.
EXACT_UNITS = (None, "", "count")
# How many names one sentence holds.
NAMED = 10
# What of a finding is sorted, looked up and put into words.
KINDS = {"id": str, "layer": str, "title": str, "host": str, "reason": str, "judged": bool, "unit": (str, type(None)), "entry": (str, type(None))}


def compare(before: Mapping, after: Mapping, earlier: Sequence[Mapping] = ()) -> Dict[str, Any]:
    """Return what two certificates say of one another; `earlier`: summaries of runs before `after`.

    {before, after, layers, unmeasured, unmeasured_checks, rows, tuning, attribution, others}
    unmeasured: layers of `after` that `before` did not measure; unmeasured_checks: the ids of other checks that only `after` has a value of.
    rows: {id, layer, title, unit, host, entry, before, after, results, change (share or None), noise (sentence), beyond, direction, regression}, the
    regressions first, and then what became better. HistoryError when the two cannot be compared.
    """
    require_comparable(before, after)
    missing = unmeasured(summary(before), after)
    common = [layer for layer in after["layers"] if layer not in missing]
    first, second = (by_check(row for row in one["findings"] if row["layer"] in common) for one in (before, after))
    former = _former(earlier)
    rows = [_row(_worst(first[name]), _worst(second[name]), former.get(name, [])) for name in second if name in first]
    new = [name for name in second if _is_new(first.get(name), _worst(second[name]))]
    # What nothing is known of before is neither changed nor unchanged.
    rows = [row for row in rows if row["regression"] or row["change"] is not None or (row["judged"] and row["id"] not in new)]
    # A check that was measured once and is not any more is no improvement.
    rows += [_gone(row) for row in (_worst(first[name]) for name in first if name not in second) if row["judged"] and row["value"] is not None]
    settings, others = _settings(before, after), _others(before, after)
    return {
        "before": _head(before),
        "after": _head(after),
        "layers": common,
        "unmeasured": missing,
        "unmeasured_checks": new,
        "rows": sorted(rows, key=_order),
        "tuning": settings,
        "attribution": _attribution(settings, others, _prints(before, after)),
        "others": others,
    }


def wrong(certificate: Mapping) -> str:
    """Return what of a certificate that can be listed cannot be compared, since no run writes it so; "" where nothing is."""
    for row in certificate["findings"]:
        odd = [key for key, kind in KINDS.items() if not isinstance(row.get(key), kind)]
        if odd:
            return f"{', '.join(odd)} of its finding {row['id']!r} is of another type than a run writes"
    try:
        _settings(certificate, certificate)
        _others(certificate, certificate)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return f"what else it says is not what a run writes ({type(error).__name__}: {error})"
    return ""


def require_comparable(before: Mapping, after: Mapping) -> None:
    """HistoryError unless the two runs have one cluster, one profile and time scale, an end, and a layer in common."""
    reason = unlike(summary(before), summary(after))
    names = f"{before['run']['id']} and {after['run']['id']}"
    if reason:
        advice = "Name a run of the same cluster, profile and time scale that ended."
        raise HistoryError(f"{names} cannot be compared. Of {before['run']['id']}: {reason}. {advice}")
    if after["state"] != "finished":
        raise HistoryError(f"{after['run']['id']} was interrupted, so there is nothing to compare. Name a run that ended.")
    if before["run"]["id"] == after["run"]["id"]:
        advice = "Name an earlier run in compare_before (or certify_baseline), or a later one in compare_after."
        raise HistoryError(f"{after['run']['id']} is both runs, and a run is not compared with itself. {advice}")
    if len(unmeasured(summary(before), after)) == len(after["layers"]):
        raise HistoryError(f"{names} have no layer in common that was measured before. Compare runs that measured the same.")


def _worst(rows: Sequence[Mapping]) -> Mapping:
    """Return the worst finding that was measured, with the result of the worst one of all, and in `without` how many had to be and were not."""
    seen = next((row for row in rows if row["value"] is not None), rows[0])
    without = sum(row["judged"] and row["value"] is None and row["result"] != "NOT_APPLICABLE" for row in rows)
    return {**seen, "result": rows[0]["result"], "judged": rows[0]["judged"], "reason": rows[0]["reason"], "without": without}


def _is_new(before: Optional[Sequence[Mapping]], after: Mapping) -> bool:
    """Say whether a check is judged by a value now and had none before. One that did not apply then was as good as it could be."""
    former = _worst(before) if before else {"value": None, "result": "INCONCLUSIVE"}
    return bool(after["judged"]) and after["value"] is not None and former["value"] is None and former["result"] != "NOT_APPLICABLE"


def _former(earlier: Sequence[Mapping]) -> Dict[str, List[float]]:
    """Return {check: its numbers} of the runs that have one."""
    found: Dict[str, List[float]] = {}
    for one in earlier:
        for name, (measured, dummy) in one["values"].items():
            found.setdefault(name, []).append(measured)
    return found


def _row(before: Mapping, after: Mapping, former: Sequence[float]) -> Dict[str, Any]:
    limit = parsed(after["target"]) or parsed(after["critical"])
    sizes = size(before["value"]), size(after["value"])
    change, moved = None, 0
    beyond, noise = False, ""
    if None not in sizes and sizes != (sizes[0], sizes[0]):
        change = (sizes[1] - sizes[0]) / abs(sizes[0]) if sizes[0] else None
        moved = 1 if sizes[1] > sizes[0] else -1
        beyond, noise = _noise(before, after, sizes, former)
    lost = _lost(before, after)
    worse = bool(lost) or (_rank(after) < _rank(before) and bool(before["judged"] or after["judged"]))
    side = bounds.SIDE[limit.operator] if limit else 0
    direction = {0: "", 1: "worse", -1: "better"}[moved * side] if moved else ""
    if worse:
        direction = "worse"
    elif not direction and before["value"] is not None and after["result"] != "INCONCLUSIVE" and _rank(after) > _rank(before):
        direction = "better"
    return {**_name(after), "before": before["value"], "after": after["value"], "results": [before["result"], after["result"]], "change": change,
            "noise": lost or noise, "beyond": beyond, "direction": direction, "judged": bool(after["judged"]),
            "regression": worse or (beyond and direction == "worse" and bool(after["judged"]))}  # fmt: skip


def _lost(before: Mapping, after: Mapping) -> str:
    """Return how a check that was measured and judged before is measured less now, whatever its results are; "" where it is not."""
    if not before["judged"] or before["value"] is None:
        return ""
    if after["value"] is None:
        return "it was measured, and is not any more"
    return "it was measured at more places" if after["without"] > before["without"] else ""


def _gone(before: Mapping) -> Dict[str, Any]:
    return {**_name(before), "before": before["value"], "after": None, "results": [before["result"], "INCONCLUSIVE"], "change": None,
            "judged": True, "noise": "It has no finding any more.", "beyond": True, "direction": "worse", "regression": True}  # fmt: skip


def _name(finding: Mapping) -> Dict[str, Any]:
    return {key: finding.get(key) for key in ("id", "layer", "title", "unit", "host", "entry", "target", "critical")}


def _rank(finding: Mapping) -> int:
    """Return how good a result is; what does not apply, or only informs, is as good as a PASS."""
    return DECIDING.index(finding["result"]) if finding["result"] in DECIDING else len(DECIDING) - 1


def _noise(before: Mapping, after: Mapping, sizes: tuple, former: Sequence[float]) -> tuple:
    """Return (whether the change is beyond noise, how that is known)."""
    if after.get("unit") in EXACT_UNITS and not any(isinstance(one["value"], list) for one in (before, after)):
        changed = before["result"] != after["result"]
        return changed, "a count: only a change of its result is beyond noise"
    if len(former) >= ENOUGH:
        outside = _far(sizes[1], former)
        return outside, f"{'far outside' if outside else 'not far outside'} of what {len(former)} earlier runs measured"
    if all(_is_range(one["value"]) for one in (before, after)):
        apart = _apart(before["value"], after["value"]) and (not sizes[0] or abs(sizes[1] - sizes[0]) > SHARE * abs(sizes[0]))
        return apart, f"ranges of a histogram, {'apart' if apart else 'not apart'} by a bucket and more than {SHARE:.0%}"
    beyond = not sizes[0] or abs(sizes[1] - sizes[0]) > SHARE * abs(sizes[0])
    return beyond, f"{'more' if beyond else 'not more'} than {SHARE:.0%}; {ENOUGH} earlier runs would tell more, and {len(former)} are there"


def _far(value: float, former: Sequence[float]) -> bool:
    """Say whether a value lies far outside of former ones."""
    low, median, high = statistics.quantiles(former, n=4, method="inclusive")
    return not low - FAR * (high - low) <= value <= high + FAR * (high - low) and abs(value - median) > LEAST * abs(median)


def _is_range(value: Any) -> bool:
    """Say whether this is [low, high] of a histogram, whose high end may be open."""
    return isinstance(value, list) and len(value) == 2 and number(value[0], True) is not None and (value[1] is None or number(value[1], True) is not None)


def _apart(first: Sequence, second: Sequence) -> bool:
    """Say whether a bucket or more lies between two ranges: they do not even touch."""
    (low, high), (other_low, other_high) = first, second
    return (high is not None and other_low > high) or (other_high is not None and low > other_high)


def _order(row: Mapping) -> tuple:
    change = abs(row["change"]) if row["change"] is not None else 0.0
    return not row["regression"], RESULTS.index(row["results"][1]), not row["beyond"], -change, row["id"]


def _head(certificate: Mapping) -> Dict[str, Any]:
    return {"id": certificate["run"]["id"], "started": certificate["run"]["started"], "heading": certificate["heading"], "verdict": certificate["verdict"]}


def _settings(before: Mapping, after: Mapping) -> List[dict]:
    """Return what somebody has set differently, of what both runs read."""
    seen = [{(row["id"], row.get("entry"), row["host"]): row for row in one["findings"] if is_setting(row)} for one in (before, after)]
    return [{**_name(row), "before": seen[0][key]["value"], "after": row["value"], "where": row["where"]}
            for key, row in seen[1].items() if key in seen[0] and seen[0][key]["value"] != row["value"]]  # fmt: skip


def _attribution(settings: Sequence[Mapping], others: Sequence[Mapping], prints: Sequence[Mapping]) -> str:
    changed = _distinct(settings)
    if not changed:
        return "No setting that both runs read has changed."
    if changed > 1:
        return f"{changed} settings have changed: a change cannot be attributed to one of them. Change one, then measure."
    places = len({(row["host"], row["entry"]) for row in settings})
    told = min(settings, key=lambda row: row["id"])["title"] + (f", at {places} places" if places > 1 else "")
    one = f"One setting has changed ({told})"
    if others:
        more = _listed([row["what"] for row in others])
        return f"{one}, and so have others ({more}): a change cannot be attributed to one of them. Change one, then measure."
    if not prints:
        return f"{one}. Not both runs recorded their versions and flags (fingerprint), so more may have changed: a change cannot be attributed to it alone."
    return f"{one}, and nothing else that both runs recorded: a change beyond noise can be attributed to it."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _distinct(settings: Sequence[Mapping]) -> int:
    """Return how many settings changed: what changed alike on three members is one change.

    So is what two checks look at: what is not to be too low (tuning_etcd_quota) is often not to be too high (tuning_etcd_quota_most).
    """
    changed = {(row["id"], *(json.dumps(row[side], sort_keys=True) for side in ("before", "after"))) for row in settings}
    return sum(not any(name.startswith(f"{other}_") and values == others for other, *others in changed) for name, *values in changed)


def _others(before: Mapping, after: Mapping) -> List[dict]:
    """Return what else differs between the runs and could be why: of the fingerprints, and of what only the certificates say."""
    pairs = {
        "Kubernetes": [one["cluster"].get("kubernetes") for one in (before, after)],
        "nodes": [one["cluster"].get("nodes") for one in (before, after)],
        "kubeproof.certify": [one["run"].get("version") for one in (before, after)],
        "hosts": [sum(len(names) for names in one["hosts"].values()) for one in (before, after)],
        "layers": [", ".join(one["layers"]) for one in (before, after)],
        "tools": [_tools(one) for one in (before, after)],
        "capacity": [", ".join(f"{name} {value}" for name, value in sorted(one["capacity"].items())) for one in (before, after)],
        "changed loads": [", ".join(f"{row['setting']} {row['value']}" for row in one.get("loads") or ()) for one in (before, after)],
        "changed bounds": [", ".join(f"{row['id']} {row['bound']} {row['to']}" for row in one["changes"]) for one in (before, after)],
        "waivers": [", ".join(f"{row['id']} until {row['expires']}" for row in one["waivers"]) for one in (before, after)],
        "not applicable": _apart_only(*([row["id"] for row in one["not_applicable"]] for one in (before, after))),
    }
    different = [{"what": what, "before": values[0], "after": values[1]} for what, values in pairs.items() if values[0] != values[1]]
    prints = _prints(before, after)
    # Which layers were loaded is told already.
    recorded = fingerprint.changes(*prints, fingerprint.unshared(*prints)) if prints else []
    return different + [row for row in recorded if row["what"] not in pairs]


def _prints(before: Mapping, after: Mapping) -> List[Mapping]:
    """Return the fingerprints of both certificates, [] unless both have one."""
    found = [one.get("fingerprint") for one in (before, after)]
    return found if all(map(fingerprint.is_whole, found)) else []


def _apart_only(before: Sequence[str], after: Sequence[str]) -> List[str]:
    """Return what each of two lists of checks has alone. What does not apply of the audit follows from settings, which are compared."""
    return [", ".join(name for name in one if name not in other and not name.startswith(f"{TUNING}_")) for one, other in ((before, after), (after, before))]


def _tools(certificate: Mapping) -> str:
    return ", ".join(sorted({f"{tool} {facts.get('version', '')}".strip() for tools in certificate["tools"].values() for tool, facts in tools.items()}))


def regressions(compared: Mapping, mode: str, cluster: str) -> List[dict]:
    """Return the regressions as findings of the layer `regression`: CONDITIONAL with the mode warn, FAIL with fail; one that is good without any.

    Layers and checks that the baseline did not measure are one more, which is INCONCLUSIVE: nobody knows whether they became worse.
    """
    if mode not in MODES:
        raise HistoryError(f"certify_regression is {mode!r}. Write {' or '.join(MODES)}.")
    found = [row for row in compared["rows"] if row["regression"]]
    made = [_finding(row, compared, mode, cluster) for row in found] or [_finding(None, compared, mode, cluster)]
    missing = [*compared["unmeasured"], *compared["unmeasured_checks"]]
    return made + ([uncompared(f"{_listed(missing)}, which {compared['before']['id']} did not measure.", cluster)] if missing else [])


def uncompared(reason: str, cluster: str) -> Dict[str, Any]:
    """Return the finding that a run could not be compared with its baseline."""
    return {"id": f"{LAYER}_measured", "layer": LAYER, "title": "Compared with the baseline", "scope": "cluster", "host": cluster, "value": None,
            "target": None, "critical": None, "bounds": "default", "result": "INCONCLUSIVE", "judged": True, "blocking": True,
            "reason": f"Not compared: {reason}", "fix": "Name a run in certify_baseline that measured the same, or leave it out."}  # fmt: skip


def _finding(row: Optional[Mapping], compared: Mapping, mode: str, cluster: str) -> Dict[str, Any]:
    base = compared["before"]["id"]
    finding = {"id": f"{LAYER}_none", "layer": LAYER, "title": "Regressions", "scope": "cluster", "host": cluster, "value": 0, "unit": "count",
               "target": "== 0", "critical": None, "bounds": "default", "result": "PASS", "judged": True, "blocking": True, "reason": ""}  # fmt: skip
    if row is None:
        return finding
    changed = f" by {row['change']:+.0%}" if row["change"] is not None else ""
    finding.update(id=f"{LAYER}_{row['id']}", title=f"No worse: {row['title']}"[:200], value=row["after"], result=MODES[mode],
                   reason=f"Worse than in {base}{changed}: {row['results'][0]} to {row['results'][1]}; {row['noise'] or 'its result is worse'}.",
                   fix=f"{compared['attribution']} Look at what else changed since {base}.", target=None)  # fmt: skip
    finding["unit"] = row["unit"] or "count"
    if row["entry"]:
        finding["entry"] = row["entry"]
    return finding
