# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a cluster's ingress, put together from what modules and tools returned. Pure. What is not known is absent, and `missing` says why.

Rates come from wrk and whole handshakes from k6, both as fast as answers come; latency comes from k6 at a fixed rate. A rate that the generator
or our backends limited is an interval without an upper end: the ingress can do at least so much.
"""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, Optional

from ansible_collections.kubeproof.certify.plugins.module_utils import api_generators, bounds, ingress_runs, stress, stress_plan
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers import k6

OURS = "our backend"
# k6's codes of connections that failed for TLS.
TLS_CODES = range(1300, 1400)
# Above this share of what it can do at most, something may be what limits: a generator's processors, or our backends.
BUSY = 0.8
# A client has about 28,000 ports for one destination, and each is used again after a minute at the earliest.
PORTS = 28_000
# What of wrk's errors is a request that failed without an answer.
BROKEN = ("connect", "read", "write", "timeout")
LIMITED = "The generator was limited by its {}, so nothing was learned about the ingress. Raise certify_generators."
# It could not have the processors of its node, however little it used.
BY_NODE = (
    "The generator was limited by its node, where it waited for processors that others used, so nothing was learned about the ingress. "
    "Raise certify_generators, or name nodes with processors to spare in certify_load_nodes."
)
# What a client sees of a connection that was closed before an answer.
CLOSED = re.compile(r"\bEOF\b|connection reset|broken pipe")
NO_BACKEND = (
    "It answers {answer}, and our client does not reach our own backend by its Service either ({straight}), so that nothing is known of the ingress. "
    "Look for a NetworkPolicy in our namespace, which a policy engine may put into each new one."
)
PROXY_PROTOCOL = (
    "The connection was closed ({answer}). A controller that expects the PROXY protocol of its load balancer does so, and there is none on this way "
    "({said}). Name the load balancer's address from outside in ingress_address, or look at the controller's log."
)


def cluster_facts(measured: Dict[str, Any]) -> dict:
    """Return the document of the ingress.

    `measured`: plan (ingress_plan), info (ingress_info's facts before the load), after (the same after it), probe {answers, seconds},
    steps {name: {facts, seconds, cpu_seconds, error, nodes? of its generators}}, skipped {name of a step: why}, cpus (that a generator may use), client (the
    node of the only generator), critical {p99, errors}: the bounds that a rate has to meet, backends [names of their pods], clean, stress (see
    stress.facts). Only `plan` must be there.
    """
    info, after = _map(measured.get("info")), _map(measured.get("after"))
    plan = {**measured["plan"], "tls": ingress_runs.uses_tls(measured["plan"], _map(info.get("path")))}
    facts: Dict[str, Any] = {"plan": {name: plan[name] for name in ("inputs", "expected", "steps")}, "tls": {"used": plan["tls"]}, "missing": {}}
    facts["plan"]["limited"] = plan["limited"]
    _before(facts, info, _map(measured.get("probe")))
    ran, skipped = _map(measured.get("steps")), _map(measured.get("skipped"))
    if "stress" in plan:
        views = {step["name"]: _view(step_of(step, _map(ran[step["name"]]), _cpus(ran[step["name"]], measured))) for step in stress_plan.ran(plan, ran)}
        stress.add(facts, "ingress", plan, views, measured.get("stress"))
        plan = stress_plan.usual(plan)
    done = {step["name"]: step_of(step, _map(ran.get(step["name"])), _cpus(ran.get(step["name"]), measured)) for step in plan["steps"]}
    for name in skipped:
        done[name].update(error=skipped[name], skipped=True)
    _rates(facts, done, plan)
    _latency(facts, done)
    _errors(facts, done)
    _carried(facts, done, plan, _map(measured.get("critical")))
    _lost(facts, info, after, measured.get("backends"))
    facts.update({"left": measured["clean"]["left"]} if "left" in _map(measured.get("clean")) else {})
    return facts


def _map(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# Before the load ------------------------------------------------------------------------------------------------------------


def _before(facts: dict, info: dict, probe: dict) -> None:
    """Add what the gates ask: whether there is a controller, and what answers at the host names of the run."""
    known = ("found", "classes", "ingress_class", "gateway", "kind", "host", "controller", "service", "pods")
    facts["controller"] = {name: info[name] for name in known if name in info}
    facts.update({name: info[name] for name in ("path", "route") if name in info})
    if info.get("problem"):
        facts["missing"][""] = info["problem"]
    answers = {name: _map(one) for name, one in _map(probe.get("answers")).items()}
    facts["answers"] = {name: one["answer"] for name, one in answers.items() if isinstance(one.get("answer"), str)}
    if facts["answers"].get("main") == OURS:
        facts.update({"programmed": probe["seconds"]} if _is_number(probe.get("seconds")) else {})
    elif facts["answers"].pop("stranger", None):
        # Who does not answer for our own host name proves nothing by not answering for another one.
        facts["missing"]["answers.stranger"] = "Our own host name is not answered by our backend either."
    if facts["tls"]["used"] and "main" in answers:
        _certificate(facts, answers["main"])
    _unreached(facts)


def _certificate(facts: dict, main: dict) -> None:
    """Add whether the certificate is valid for the host name, or what is wrong with it; an answer was only taken after it was verified."""
    code, answer = main.get("code"), facts["answers"].get("main", "")
    if code in TLS_CODES:
        facts["tls"]["certificate"] = answer
        # Nobody was asked yet: that is the certificate's fault alone.
        facts["missing"]["answers.main"] = f"The certificate is not valid: {facts['answers'].pop('main')}."
    elif answer == OURS or answer.startswith("status "):
        facts["tls"]["certificate"] = "valid"
    else:
        facts["missing"]["tls.certificate"] = f"No connection came about: {answer}."


def _unreached(facts: dict) -> None:
    """Leave the answer out where it says nothing about the ingress: our client reaches nothing here, or nobody on the way speaks what the controller asks."""
    answers, path = facts["answers"], _map(facts.get("path"))
    answer, straight = answers.get("main", OURS), answers.get("straight", OURS)
    silent, why = not answer.startswith("status "), ""
    if answer != OURS and straight != OURS and (silent or answer.startswith("status 5")):
        why = NO_BACKEND.format(answer=answer, straight=straight)
    elif silent and CLOSED.search(answer) and (path.get("kube_proxy") or path.get("via") == "node port"):
        why = PROXY_PROTOCOL.format(answer=answer, said=path.get("said"))
    if why:
        facts["missing"]["answers.main"] = why
        del answers["main"]


# Steps ----------------------------------------------------------------------------------------------------------------------


def _cpus(ran: Any, measured: Dict[str, Any]) -> Any:
    """Return how many processors a generator of a step could use: what it may, and no more than the smallest node of its generators has."""
    there = _map(_map(measured.get("info")).get("processors"))
    known = [there[node] for node in _map(ran).get("nodes") or [measured.get("client")] if _is_number(there.get(node))]
    return min([measured["cpus"], *known]) if _is_number(measured.get("cpus")) else None


def step_of(step: dict, ran: dict, cpus: Any) -> dict:
    """Return a step with what it measured: {…, seen, error} and, where it is known, failed and asked requests, busy, and limited (by what, or "")."""
    seen, took, used = _map(ran.get("facts")), ran.get("seconds"), ran.get("cpu_seconds")
    codes = ran.get("codes") or [ran[name] for name in ("exit_code",) if name in ran]
    found = {**step, "seen": seen, "error": ran.get("error") or "", "took": took, "cpu_seconds": used, "cpus": cpus}
    found["stopped"] = api_generators.stopped({"facts": seen, "codes": codes}) if step["kind"] != "wrk" and seen else None
    if not seen:
        return found
    without_ports = False
    if step["kind"] == "wrk":
        broken = {name: seen["errors"][name] for name in BROKEN}
        without_ports = not step["keep_alive"] and broken["connect"] > 0 and seen["requests"] > BUSY * PORTS * seen["clients"]
        # What a generator without free ports does not connect fails at the generator. What was answered was the ingress.
        lost = sum(broken.values()) - (broken["connect"] if without_ports else 0)
        found.update(failed=seen["requests"] - seen["good"] + lost, asked=seen["requests"] + lost, rate_good=seen["rate_good"])
    else:
        # k6's script says itself for which of its requests its generator had no port, so that one who refuses connections is not excused.
        lost = seen.get("without_port", 0) if step["kind"] == "handshakes" else 0
        without_ports = lost > 0
        found.update(failed=sum(seen["errors"][name] for name in k6.ERRORS) - lost, asked=seen["requests"] - lost, rate_good=seen["rate"])
        if without_ports and found["failed"] <= _excused(found):
            # It was for its ports that it stopped.
            found["stopped"] = None
    # Without them its rate says nothing, but what failed has failed.
    if _is_number(used) and took and cpus:
        found["busy"] = used / (took * cpus)
        waited = seen.get("waited", 0) / (took * cpus)
        found["limited"] = "processors" if found["busy"] > BUSY else "node" if found["busy"] + waited > BUSY else "ports" if without_ports else ""
    return found


def _excused(step: dict) -> float:
    """Return how many requests may have failed before a generator stops for them; of several nobody knows which one they were of."""
    return stress.MOST_ERRORS * step["asked"] if step["seen"]["generators"] == 1 else 0


def _why(step: Optional[dict]) -> str:
    """Return in a sentence why a step has no numbers."""
    if step is None:
        return "It is not part of this run."
    if step["error"] or not step["seen"]:
        return step["error"] or "The step did not run."
    if step["stopped"]:
        return f"More than {stress.MOST_ERRORS:.0%} of its requests failed, so that it was stopped."
    if "limited" not in step:
        return "How busy its generator was is not known."
    return _limit(step) if step["limited"] else "None of its answers was the expected one."


def _limit(step: dict) -> str:
    return BY_NODE if step["limited"] == "node" else LIMITED.format(step["limited"] or "processors")


def _view(step: dict) -> dict:
    """Return what the ramp asks of a step."""
    generator = _generator(step)
    if step["stopped"]:
        return {"offered": step["rate"], "achieved": step["seen"]["rate"], "stopped": step["stopped"]}
    if generator.get("limited") is None:
        return {"limited": _why(step)}
    seen, latency = step["seen"], _map(step["seen"].get("latency"))
    errors = min(1.0, step["failed"] / step["asked"]) if step["asked"] else None
    return {
        "offered": step["rate"],
        "achieved": seen["rate"],
        "seconds": step["seconds"],
        "limited": _limit(step) if generator["limited"] else "",
        "p99": latency.get("p99"),
        "errors": errors,
        "document": {"latency": latency, "errors": {"ratio": errors, "requests": step["asked"]}},
        "wanted": ("ingress_errors", "ingress_latency_p99"),
    }


# Rates ----------------------------------------------------------------------------------------------------------------------


def _rates(facts: dict, done: Dict[str, dict], plan: dict) -> None:
    """Add the rates of the steps that are driven as fast as answers come."""
    straight = _rate(done.get("straight"), None)
    ceiling = straight["measured"] if straight else None
    names = {"straight": "straight", "rps": "rps", "connections_plain": "connections", "handshakes": "handshakes"}
    for name, step in names.items():
        found = _rate(done.get(step), ceiling)
        if found:
            facts[name] = found
        else:
            facts["missing"][name] = _beyond(plan) or _why(done.get(step))
    # New connections are counted as production makes them: with a whole handshake where it uses TLS.
    deciding = "handshakes" if plan["tls"] else "connections_plain"
    if deciding in facts:
        facts["connections"] = facts[deciding]
    else:
        facts["missing"]["connections"] = facts["missing"][deciding]
    if straight and "rps" in facts:
        facts["rps"]["share_of_backends"] = round(facts["rps"]["measured"] / straight["measured"], 3)


def _beyond(plan: dict) -> str:
    if not plan["limited"]:
        return ""
    return "Without a limit on the rate it goes beyond what is declared, which certify_live and ingress_url rule out."


def _rate(step: Optional[dict], ceiling: Optional[float]) -> dict:
    """Return {rate, measured, seconds, requests, limited} of a step; {} where it is not known. The rate is a number, or [measured, null]."""
    if step is None or "limited" not in step or not step["rate_good"] or step["stopped"]:
        return {}
    rate = step["rate_good"]
    low, high = step.get("open") or (math.inf, 0)
    limited = step["limited"] or ("backends" if ceiling and step["name"] == "rps" and rate > BUSY * ceiling else "connections" if low < rate < high else "")
    found = {"rate": [rate, None] if limited else rate, "measured": rate, "seconds": round(step["seen"]["seconds"]), "requests": step["seen"]["requests"]}
    return {**found, "limited": limited, "busy": round(step["busy"], 3)}


# Latency --------------------------------------------------------------------------------------------------------------------


def _latency(facts: dict, done: Dict[str, dict]) -> None:
    """Add latency and generator of the last step at a share of the expected rate, which is the highest that was planned."""
    steps = [step for step in done.values() if step.get("of") == "latency"]
    step = steps[-1] if steps else None
    generator = _generator(step)
    if generator.get("limited") is None:
        facts["missing"].update(dict.fromkeys(("latency", "generator"), _why(step)))
        return
    facts["generator"] = generator
    if generator["limited"] or step["stopped"]:
        facts["missing"].update(dict.fromkeys(("latency", *(["generator"] if generator["limited"] else [])), _why(step)))
        return
    facts["latency"] = {**step["seen"]["latency"], "offered": step["rate"], "rate": step["seen"]["rate"], "seconds": step["seconds"]}


def _generator(step: Optional[dict]) -> dict:
    """Return {share, busy, limited} of a step of k6, {} where it is not known."""
    if not step or not step["seen"]:
        return {}
    # To the generators' judgement a request is a request.
    found = api_generators.generator(dict(step, kind="objects", facts=step["seen"]))
    return {"busy": found["busy"], "limited": True} if found and step.get("limited") == "node" else found


# Errors ---------------------------------------------------------------------------------------------------------------------


def _errors(facts: dict, done: Dict[str, dict]) -> None:
    """Add the worst step's share of requests that failed, how many requests there were, and what was answered.

    A step that was lost may have been the worst: with it a number is an interval without an upper end, or left out where nothing is known to have failed.
    """
    through = [step for step in done.values() if step["to"] != "straight"]
    known = [step for step in through if step.get("asked")]
    lost = [step for step in through if not step.get("asked") and not step.get("skipped")]
    if not known:
        facts["missing"]["errors"] = next(map(_why, lost or through), "The profile has no load.")
        return
    ratios = {step["name"]: min(1.0, step["failed"] / step["asked"]) for step in known}
    # Where one of several generators stopped for it, more failed than it stops at, however it is with the others; unless it stopped for its ports.
    hidden = [step for step in known if step["stopped"] and ratios[step["name"]] <= stress.MOST_ERRORS]
    ratios.update({step["name"]: stress.MOST_ERRORS for step in hidden if not step["seen"].get("without_port")})
    worst = max(ratios, key=lambda name: ratios[name])
    facts["statuses"] = _statuses(known)
    facts["errors"] = {"worst": worst, "requests": sum(step["asked"] for step in known), "steps": ratios}
    unexpected = sum(step["seen"]["requests"] - step["seen"]["good"] if step["kind"] == "wrk" else _refused(step) for step in known)
    counted = {"ratio": ratios[worst], "server": facts["statuses"].get("5xx", 0), "unexpected": unexpected}
    if lost:
        facts["missing"].update(dict.fromkeys((f"errors.{name}" for name in counted), f"{lost[0]['name']}: {_why(lost[0])}"))
        counted = {name: [value, None] for name, value in counted.items() if value}
    facts["errors"].update(counted, **({"ratio": [ratios[worst], None]} if hidden else {}))


def _refused(step: dict) -> int:
    """Return how many answers of a step of k6 had another status than a good one."""
    return sum(count for kind, count in step["seen"]["errors"].items() if kind != "transport")


def _statuses(steps: List[dict]) -> Dict[str, int]:
    """Return {class of status: answers}; wrk counts classes, k6 statuses."""
    found: Dict[str, int] = {}
    for step in steps:
        for status, count in _map(step["seen"].get("statuses")).items():
            group = f"{str(status)[0]}xx"
            found[group] = found.get(group, 0) + count
    return {group: count for group, count in sorted(found.items()) if count}


# The rate that was carried --------------------------------------------------------------------------------------------------


def _carried(facts: dict, done: Dict[str, dict], plan: dict, critical: dict) -> None:
    """Add {peak}: the highest offered rate at which P99 and errors met critical, as a ratio of the declared peak."""
    steps = sorted((step for step in done.values() if step["kind"] == "k6"), key=lambda step: step["rate"])
    held: List[dict] = []
    failed, why = None, ""
    for step in steps:
        good = _is_carried(step, critical)
        if good is None:
            why = _why(step) if _known(critical) else "The bounds of P99 and errors are not known: set certify_tiers.ingress."
            break
        if not good:
            failed = step
            break
        held.append(step)
    # A rate that was carried once and another time not is none.
    best = next((step for step in reversed(held) if not failed or step["rate"] < failed["rate"]), {})
    if not steps:
        why = "No rate was offered: declare certify_capacity.ingress_rps or ingress_peak_rps."
    rate = plan["expected"]["peak"]
    if not rate:
        facts["missing"]["peak"] = "certify_capacity.ingress_peak_rps is not declared: declare the requests a second."
    elif why:
        facts["missing"]["peak"] = why
    else:
        ratio = best.get("rate", 0) / rate
        # As long as no rate was too much, how much it could be is open.
        # That it is too little is shown by the step that failed, that it is enough by the best one.
        shown = [step["seconds"] for step in (failed, best if not failed or ratio >= 1 else None) if step]
        facts["peak"] = {"ratio": ratio if failed else [ratio, None], "rate": best.get("rate", 0), "seconds": min(shown), "declared": rate}
    if plan["limited"] and best and not why:
        rate = best["seen"]["rate"]
        del facts["missing"]["rps"]
        facts["rps"] = {"rate": [rate, None], "measured": rate, "seconds": best["seconds"], "requests": best["asked"], "limited": "declared"}


def _is_carried(step: dict, critical: dict) -> Optional[bool]:
    """Say whether a step's rate was sent, answered in time and without errors; None when the generator was too slow or a bound is not known."""
    generator = _generator(step)
    if step["stopped"]:
        return False
    if generator.get("limited") is not False or not _known(critical):
        return None
    values = {"p99": step["seen"]["latency"].get("p99"), "errors": step["seen"]["error_ratio"]}
    return generator["share"] >= api_generators.HELD and all(_meets(critical[name], value) for name, value in values.items())


def _known(critical: dict) -> bool:
    return all(critical.get(name) for name in ("p99", "errors"))


def _meets(text: str, value: Any) -> bool:
    bound = bounds.parse(text)
    return not bounds.trouble(value, [bound]) and bounds.truth(bound, value) == bounds.MEETS


# After the load -------------------------------------------------------------------------------------------------------------


def _lost(facts: dict, info: dict, after: dict, backends: Any) -> None:
    """Add how many pods of the controller restarted or went away, and how many of our backends are no longer ready."""
    first, last = info.get("pods"), after.get("pods")
    if "path" in info:
        facts["controller"]["watched"] = isinstance(first, dict)
    if isinstance(first, dict) and isinstance(last, dict):
        # All restarts of a pod that was not there before were during the load.
        gone, again = sum(name not in last for name in first), sum(max(0, count - first.get(name, 0)) for name, count in last.items())
        # Of fewer pods that are asked for, so many went as they should.
        asked = [found.get("replicas") for found in (info, after)]
        fewer = max(0, asked[0] - asked[1]) if all(map(_is_number, asked)) else 0
        facts["controller"]["restarts"] = max(0, gone - fewer) + again
    if isinstance(backends, list) and isinstance(after.get("backends"), dict):
        facts["backends"] = {"count": len(backends), "lost": sum(after["backends"].get(name) is not True for name in backends)}
