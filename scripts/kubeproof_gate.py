# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeproof-gate: turn a certificate into an exit status that a pipeline can trust.

    python3 kubeproof_gate.py [options] results/prod/<run>/certificate.json

Exit status: 0 PASS, 10 CONDITIONAL, 20 FAIL, 30 INCONCLUSIVE (also: proves less than was asked for), 50 missing, damaged, stale,
of another cluster, or anything unexpected. One file, Python 3.8 or newer, nothing but the standard library.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import hmac
import json
import math
import operator
import os
import re
import stat
import subprocess
import sys
import tempfile

EXIT = {"PASS": 0, "CONDITIONAL": 10, "FAIL": 20, "INCONCLUSIVE": 30}
UNUSABLE = 50
LACKING = EXIT["INCONCLUSIVE"]
LAYERS = ("etcd", "apiserver", "network", "dns", "storage", "ingress")
# Findings on the certificate itself, such as a waiver that has expired.
OWN = "certify"
RESULTS = ("FAIL", "INCONCLUSIVE", "CONDITIONAL", "PASS", "NOT_APPLICABLE", "INFO")
DECIDING = RESULTS[:4]
LARGEST_FILE = 256 * 1024 * 1024
CLOCKS_DIFFER = datetime.timedelta(hours=1)
FORM = {"heading": str, "verdict": str, "state": str, "profile": str, "layers": list, "partial": bool, "cluster": dict, "run": dict, "counts": dict,
        "layer_verdicts": dict, "checklist": list, "slas": list, "changes": list, "waivers": list, "not_applicable": list, "findings": list}  # fmt: skip
BOUND = re.compile(r"\s*(==|!=|<=|>=|<|>|in(?=[\s\[]))\s*(\S.*?)\s*", re.DOTALL)
COMPARE = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
# A size, such as 256Mi; what etcdctl check perf puts on etcd, from nothing on; and [low, high], as a certificate writes two numbers.
SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]i?)")
UNITS = {letter + more: base**power for more, base in (("", 1000), ("i", 1024)) for power, letter in enumerate("KMGT", 1)}
CHECK_PERF = ["", "s", "m", "l", "xl"]
PAIR = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")
# The image of a member of etcd, as kubeadm names it.
ETCD_IMAGE = re.compile(r"etcd:v?(\d+\.\d+\.\d+)(?:-[^/:@]+)?(?:@.*)?$")
# What kubectl does not tell of what a certificate stands on, and who does.
UNSEEN = {
    "etcd": "the version of etcd ({}), which the cluster does not tell",
    "hosts": "the number of hosts in the inventory ({}); playbooks/verify.yml with verify_live does it",
    "configuration": "the configuration of hosts and cluster ({}); playbooks/verify.yml with verify_live and verify_audit does it",
}
# A signature, as module_utils/signature.py has it.
SUFFIXES = {"minisign": ".minisig", "gpg": ".asc"}
MINISIGN_KEY = re.compile(r"RW[0-9A-Za-z+/]{54}")
LARGEST_KEY = 1 << 20
SECONDS = 60
# What gpg reports of a good signature, and what it reports, beside the former, of one whose key must not be trusted any more.
GOOD = {"GOODSIG", "VALIDSIG"}
BAD = {"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY", "FAILURE"}


class Unusable(Exception):
    """The certificate says nothing that can be relied on; the text says why."""


class Unsigned(Exception):
    """There is no signature that can be relied on; the text says why."""


def read(path):
    """Return the bytes of the file at `path`, or of standard input for "-"."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(LARGEST_FILE + 1)
        else:
            with open(path, "rb", opener=_opened) as stream:
                data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror or error}{'' if error.errno else '; - reads standard input'}") from error
    if len(data) > LARGEST_FILE:
        raise Unusable(f"is larger than {LARGEST_FILE} bytes")
    return data


def load(data):
    """Return the document; Unusable if it is not one whole JSON object."""
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"is damaged: {error}") from error
    if not isinstance(document, dict):
        raise Unusable("is damaged: it is no JSON object")
    return document


def _refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def _once(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def digest(certificate):
    """Return the SHA-256 of a certificate without its own `digest`: of its JSON with sorted keys, no blanks and only ASCII."""
    rest = {key: value for key, value in certificate.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")).hexdigest()


def check(certificate):
    """Return the verdict, decided again from the findings; Unusable where the document contradicts itself."""
    if certificate.get("schema") != 1 or isinstance(certificate.get("schema"), bool):
        raise Unusable(f"has the schema {certificate.get('schema')!r}; this gate reads 1")
    for key, kind in FORM.items():
        if not isinstance(certificate.get(key), kind):
            raise Unusable(f"is damaged: {key} is missing or no {kind.__name__}")
    counts = dict.fromkeys(RESULTS, 0)
    by_layer = {}
    for finding in certificate["findings"]:
        result, layer = _finding(finding)
        counts[result] += 1
        by_layer.setdefault(layer, []).append(result)
    if counts != certificate["counts"]:
        raise Unusable("is damaged: its counts are not those of its findings")
    verdict = _worst(result for result in DECIDING if counts[result])
    if certificate["verdict"] != verdict:
        raise Unusable(f"is damaged: it says {certificate['verdict']!r}, and its findings say {verdict}")
    chosen = certificate["layers"]
    if not chosen or not all(isinstance(layer, str) for layer in chosen) or len(set(chosen)) != len(chosen):
        raise Unusable("is damaged: its layers are no list of names")
    strangers = set(by_layer) - set(certificate["layer_verdicts"]) - {OWN}
    if strangers:
        raise Unusable(f"is damaged: it has findings of {', '.join(sorted(strangers))[:200]} without a verdict")
    for layer, record in certificate["layer_verdicts"].items():
        # Whoever assembles one makes an error INCONCLUSIVE at least.
        if isinstance(record, dict) and record.get("error") and record.get("verdict") in ("PASS", "CONDITIONAL"):
            raise Unusable(f"is damaged: the layer {layer} is {record['verdict']} and ended with an error: {str(record['error'])[:300]}")
    for layer in chosen:
        record = certificate["layer_verdicts"].get(layer)
        own = _worst(by_layer.get(layer, []))
        if not isinstance(record, dict) or record.get("verdict") != own:
            raise Unusable(f"is damaged: the verdict of the layer {layer} is not that of its findings, {own}")
        if verdict in ("PASS", "CONDITIONAL") and own not in ("PASS", "CONDITIONAL"):
            raise Unusable(f"is damaged: its verdict is {verdict}, and that of the layer {layer} is {own}")
    if certificate["partial"] != bool(set(LAYERS) - set(chosen)):
        raise Unusable("is damaged: its layers and what it says of them differ")
    if certificate["state"] not in ("finished", "interrupted") or (certificate["state"] == "interrupted" and verdict in ("PASS", "CONDITIONAL")):
        raise Unusable("is damaged: its state and its verdict contradict each other")
    for item in certificate["checklist"] + certificate["slas"]:
        _item(item, certificate["findings"])
    return verdict


def _item(item, findings):
    """Unusable where an item of the checklist is filled with another result than the worst of its checks has; a joined one is filled by one run."""
    asked = item.get("checks") if isinstance(item, dict) else None
    if not isinstance(asked, list) or not all(isinstance(one, str) for one in asked):
        raise Unusable("is damaged: an item of its checklist or of its SLAs names no checks")
    if item.get("status") != "filled":
        return
    known = {}
    for finding in findings:
        if finding["id"] in asked and finding["judged"] and ("run" not in item or finding.get("run") == item["run"]):
            known.setdefault(finding["id"], []).append(finding["result"])
    found = {result for one in asked for result in known.get(one, ["INCONCLUSIVE"])}
    own = next((result for result in RESULTS if result in found), None)
    if item.get("result") != own:
        raise Unusable(f"is damaged: the item {str(item.get('title'))[:200]!r} is filled with {item.get('result')!r}, and its findings say {own}")


def _worst(results):
    found = set(results)
    return next((result for result in DECIDING if result in found), "INCONCLUSIVE")


def _finding(finding):
    """Return the result (INFO where it is not judged) and the layer of a finding; Unusable where its number does not bear it out."""
    if not isinstance(finding, dict) or not all(isinstance(finding.get(key), str) for key in ("id", "layer", "result")):
        raise Unusable("is damaged: a finding has no id, layer or result")
    if finding["result"] not in RESULTS or not isinstance(finding.get("judged"), bool):
        raise Unusable(f"is damaged: the finding {finding['id']!r} has no known result")
    if not finding["judged"]:
        return "INFO", finding["layer"]
    if finding["result"] == "INFO":
        raise Unusable(f"is damaged: the finding {finding['id']!r} is judged without a result")
    if finding["result"] in ("PASS", "CONDITIONAL") and not _bears_out(finding):
        raise Unusable(f"is damaged: the finding {finding['id']!r} is a {finding['result']} that its own number does not bear out")
    return finding["result"], finding["layer"]


def _bears_out(finding):
    """Say whether the value meets its bounds with as many samples as it wants: of a PASS all, and there is at least one; of a CONDITIONAL the critical one.

    A waiver, or a comparison with another run, makes a CONDITIONAL without a number.
    """
    passed = finding["result"] == "PASS"
    wanted = [finding[key] for key in (("target", "critical") if passed else ("critical",)) if finding.get(key) is not None]
    if not passed and (finding.get("waiver") or not wanted):
        return True
    needed = finding.get("min_samples")
    if needed is not None and not (_is_number(needed) and _is_number(finding.get("samples")) and finding["samples"] >= needed):
        return False
    return bool(wanted) and "value" in finding and all(isinstance(one, str) and _meets(finding["value"], one) for one in wanted)


def _meets(value, text):
    """Say whether a value, or the whole of an interval [low, high], meets a bound such as `< 0.025`."""
    match = BOUND.fullmatch(text)
    if not match:
        return False
    symbol, literal = match.group(1), json.loads(match.group(2), parse_constant=_refuse)
    if symbol == "in":
        return isinstance(literal, list) and any(_kind(one) is _kind(value) and one == value for one in literal)
    if symbol in ("==", "!="):
        return _kind(value) is _kind(literal) and COMPARE[symbol](value, literal)
    if isinstance(value, list):
        low, high = value if len(value) == 2 else (None, None)
        high = math.inf if high is None else high
        if not (_is_number(low) and isinstance(high, (int, float)) and low < high):
            return False
        return high <= literal if symbol in ("<", "<=") else low >= literal
    return _is_number(value) and _is_number(literal) and COMPARE[symbol](value, literal)


def _kind(value):
    """Return the type of a value; 1 and 1.0 are of one, and true is of another."""
    return float if _is_number(value) else type(value)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (isinstance(value, int) or math.isfinite(value))


def moment(text, name):
    """Return the time that an ISO 8601 text in UTC names; Unusable if it names none."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    except (TypeError, ValueError) as error:
        raise Unusable(f"is damaged: {name} is {text!r}, no time such as 2026-11-21T17:05:51Z") from error


def stale(certificate, max_age, now):
    """Raise Unusable when the certificate is too old, has expired, or comes from the future."""
    finished = moment(certificate["run"].get("finished"), "run.finished")
    if finished > now + CLOCKS_DIFFER:
        raise Unusable(f"comes from the future: it was finished at {certificate['run']['finished']}; correct the clock")
    if now - finished > datetime.timedelta(days=max_age):
        raise Unusable(f"is stale: it was finished at {certificate['run']['finished']}, more than {max_age:g} days ago (--max-age)")
    if now > moment(certificate.get("valid_until"), "valid_until"):
        raise Unusable(f"has expired: it was valid until {certificate['valid_until']}")


def void(certificate, kubeconfig):
    """Raise Unusable when the cluster is not any more what the certificate stands on, as far as kubectl sees it; return what it does not see."""
    told = certificate.get("voided_by")
    now = {}
    try:
        now["uid"] = _seen(kubeconfig, "/api/v1/namespaces/kube-system")["metadata"]["uid"]
        now["kubernetes"] = _seen(kubeconfig, "/version")["gitVersion"]
        page = _seen(kubeconfig, "/api/v1/nodes?limit=1")
        now["nodes"] = len(page["items"]) + (page["metadata"].get("remainingItemCount") or 0)
        etcd = _etcd(kubeconfig) if isinstance(told, dict) and "etcd" in told else None
    except (Unsigned, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"cannot be compared with the cluster of {kubeconfig}: {error} (--live)") from error
    if etcd:
        now["etcd"] = etcd
    for key, value in now.items():
        if not isinstance(told, dict) or key not in told:
            raise Unusable(f"cannot be compared with the cluster: it does not say which {key} it stands on (--live)")
        if told[key] != value or _kind(told[key]) is not _kind(value):
            raise Unusable(f"is void: {key} was {told[key]!r} and is {value!r}; certify again (--live)")
    return [f"not compared: {_unseen(key, told[key])} (--live)" for key in sorted(told) if key not in now]


def _unseen(key, value):
    text = str(value)[:300]
    return UNSEEN[key].format(text) if key in UNSEEN else f"{key} ({text}), which this gate does not know"


def _etcd(kubeconfig):
    """Return the versions of etcd in the images of its pods; None where it runs outside of the cluster, or its pods may not be seen."""
    try:
        pods = _seen(kubeconfig, "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd")["items"]
    except ValueError as error:
        if "(Forbidden)" in str(error):
            return None
        raise
    found = [ETCD_IMAGE.search(one["image"]) for pod in pods for one in pod["spec"]["containers"] if one["name"] == "etcd"]
    return ", ".join(sorted({one.group(1) for one in found})) if found and all(found) else None


def _seen(kubeconfig, path):
    code, said, why = _ask(["kubectl", "--kubeconfig", kubeconfig, "--request-timeout=20s", "get", "--raw", path])
    if code:
        raise ValueError(f"kubectl ended with {code}: {why.strip()[:300]}")
    return json.loads(said)


def expired(certificate, today):
    """Return a sentence for each waiver that a judged finding had and that does not hold any more; its last day is valid."""
    found = []
    for finding in certificate["findings"]:
        waiver = finding.get("waiver")
        if finding["judged"] and waiver:
            ends = waiver.get("expires") if isinstance(waiver, dict) else None
            day = _day(ends)
            said = f"{finding['id']}: its waiver expired on {ends}" if day else f"{finding['id']}: its waiver does not say until which day it holds ({ends!r})"
            if (not day or day < today) and said not in found:
                found.append(said)
    return found


def granted(certificate):
    """Return a sentence for each bound that was not tightened, and each waiver that answers for a finding: a verdict that stands on them is to say so."""
    found = []
    for row in certificate["changes"] + certificate["waivers"]:
        if not isinstance(row, dict):
            raise Unusable("is damaged: it does not say which bounds were changed, or which findings waived")
        words = {key: str(value)[:300] for key, value in row.items()}
        if "owner" in words and words.get("state") != "unused":
            found.append(f"waived: {words.get('id')} by {words['owner']} until {words.get('expires')}")
        elif "bound" in words and words.get("direction") != "tightened":
            found.append(f"bound {words.get('direction')}: {words.get('id')} {words['bound']} {words.get('from')} to {words.get('to')}")
    return found


def _day(text):
    """Return the day that a text such as 2027-01-31 names; None if it names none."""
    try:
        day = datetime.datetime.strptime(text, "%Y-%m-%d").date()
    except (TypeError, ValueError):
        return None
    return day if day.isoformat() == text else None


def loads(certificate):
    """Return ([what of the load was less than the default], [what was more]), as sentences; what cannot be compared is less."""
    rows = certificate.get("loads", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("setting"), str) and _are_told(row) for row in rows):
        raise Unusable("is damaged: it does not say how its load was changed")
    less, more = [], []
    for row in rows:
        shown = ["left out" if text is None else text[:300] or "empty" for text in (row["value"], row["default"])]
        said = f"{row['setting']} is {shown[0]}, not {shown[1]}" + (f", in {row['run']}" if "run" in row else "")
        # What the default does not have shortens nothing.
        (more if row["default"] is None or _covers(_told(row["value"]), _told(row["default"])) else less).append(said)
    return less, more


def items(certificate):
    """Return a sentence for each item of the checklist or of the SLAs that is not the default's; they decide nothing, and whoever reads it has to know."""
    rows = certificate.get("checklist_changes", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) and _are_told(row) for row in rows):
        raise Unusable("is damaged: it does not say how its checklist was changed")
    shown = [(row.get("list"), row["id"], (row["value"] or "left out")[:300], (row["default"] or "not there")[:300]) for row in rows]
    return [f"{name} changed: {identifier} is {value}, by default {default}" for name, identifier, value, default in shown]


def _are_told(row):
    return all(key in row and (row[key] is None or isinstance(row[key], str)) for key in ("value", "default"))


def _told(text):
    """Return the list that a certificate writes as a text: `8,388,608` is [8388608], `1-8` [1, 8], `{"share": 1.0}` [{"share": 1.0}], null None."""
    if text is None:
        return None
    pair = PAIR.fullmatch(text)
    if pair:
        return [float(one) for one in pair.groups()]
    try:
        return json.loads("[" + re.sub(r"(?<=\d),(?=\d{3})", "", text) + "]", parse_constant=_refuse)
    except (ValueError, RecursionError):
        return [text]


def _covers(value, usual):
    """Say whether a load is at least the usual one: no number is lower, and of steps and streams none is missing."""
    if isinstance(value, list) and isinstance(usual, list):
        left = iter(value)
        return all(any(_covers(one, wanted) for one in left) for wanted in usual)
    if isinstance(value, dict) and isinstance(usual, dict):
        return set(value) == set(usual) and all(_covers(value[key], usual[key]) for key in usual)
    if isinstance(value, str) and isinstance(usual, str):
        sizes = [SIZE.fullmatch(text) for text in (value, usual)]
        if all(sizes):
            return operator.ge(*(float(size.group(1)) * UNITS[size.group(2)] for size in sizes))
        return value == usual or (value in CHECK_PERF and usual in CHECK_PERF and CHECK_PERF.index(value) > CHECK_PERF.index(usual))
    return _kind(value) is _kind(usual) and (_is_number(value) or isinstance(value, bool)) and value >= usual


def lacking(certificate, profile, allow_partial, less):
    """Return what a certificate of the wanted profile has and this one has not, as sentences; `less`: what of the load was cut."""
    found = []
    if certificate["profile"] != profile:
        found.append(f"its profile is {certificate['profile']}, wanted is {profile} (--profile)")
    if certificate["partial"] and not allow_partial:
        missing = [layer for layer in LAYERS if layer not in certificate["layers"]]
        found.append(f"it is partial: {', '.join(missing)} did not run (--allow-partial)")
    scales = [place[key] for place in (certificate, certificate["run"]) for key in ("time_scale", "scale") if key in place]
    if any(scale != 1 or isinstance(scale, bool) for scale in scales):
        found.append("it is scaled: the run was shortened")
    # Only these profiles fill it.
    if not certificate["checklist"] and certificate["profile"] in ("load", "soak") and not allow_partial:
        gone = [row["default"][:300] for row in certificate.get("checklist_changes", []) if row.get("list") == "checklist" and row["default"]]
        found.append(f"its checklist is empty{', without ' + '; '.join(gone) if gone else ''} (--allow-partial)")
    plain = certificate["profile"].upper() + (", JOINED" if _joined(certificate) else "")
    if certificate["heading"] != plain and not (certificate["partial"] and certificate["heading"] == f"{plain}, PARTIAL: {', '.join(certificate['layers'])}"):
        found.append(f"its heading is {certificate['heading'][:200]!r}, not {plain}")
    return found + [f"its load was cut: {said} (--allow-changed-load)" for said in less]


# As in module_utils/signature.py, word for word; a test compares the two.
def signed(data, path, public_key):
    """Return the signature that the public key verifies of `data`: the file at `path`, or at `path` with the suffix of the key's tool."""
    tool, key = _public_key(public_key)
    path = path if path.endswith(tuple(SUFFIXES.values())) else path + SUFFIXES[tool]
    detached = _small(path, "signature")
    with tempfile.TemporaryDirectory() as home:
        names = [os.path.join(home, name) for name in ("document", "signature", "key")]
        for name, content in zip(names, (data, detached, key)):
            with open(name, "wb") as stream:
                stream.write(content)
        if tool == "minisign":
            code, said, _why = _ask(["minisign", "-V", "-P", key.decode(), "-m", names[0], "-x", names[1]])
            good = code == 0 and "signature verified" in said
        else:
            # A home of its own, with this one key in it: what else the user trusts does not count.
            gpg = ["gpg", "--homedir", home, "--no-options", "--batch", "--no-tty", "--no-autostart", "--trust-model", "always", "--status-fd", "1"]
            _ask([*gpg, "--import", names[2]])
            code, said, _why = _ask([*gpg, "--verify", names[1], names[0]])
            words = {line.split()[1] for line in said.splitlines() if line.startswith("[GNUPG:] ")}
            good = code == 0 and GOOD <= words and not BAD & words
    if not good:
        raise Unsigned(f"{path} is no signature of this content by the key {public_key}, says {tool}")
    return path


def _public_key(public_key):
    """Return (tool, key) of a public key: a minisign key itself, or a file with one, or with what gpg --export wrote."""
    if MINISIGN_KEY.fullmatch(public_key):
        return "minisign", public_key.encode()
    content = _small(public_key, "public key")
    lines = content.decode("ascii", "replace").split("\n")
    found = [line.strip() for line in lines if MINISIGN_KEY.fullmatch(line.strip())]
    if len(found) == 1 and len(lines) <= 3:
        return "minisign", found[0].encode()
    # A packet of OpenPGP begins with the highest bit set.
    if "-----BEGIN PGP PUBLIC KEY BLOCK-----" in lines or content[:1] >= b"\x80":
        return "gpg", content
    raise Unsigned(f"{public_key} is no public key of minisign or gpg")


def _opened(path, flags):
    """Open a plain file, as the opener of `open`; OSError for anything else, since a pipe could be waited on for ever."""
    number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError("it is no plain file")
    return number


def _small(path, what):
    """Return the content of a small file; Unsigned where it cannot be read."""
    try:
        with open(path, "rb", opener=_opened) as stream:
            content = stream.read(LARGEST_KEY + 1)
    except (OSError, ValueError) as error:
        raise Unsigned(f"the {what} {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not 0 < len(content) <= LARGEST_KEY:
        raise Unsigned(f"the {what} {path} is empty or larger than {LARGEST_KEY} bytes")
    return content


def _ask(argv, answer=None):
    """Return (exit status, standard output, standard error) of a program that can ask nobody: no terminal, and `answer` or nothing to read."""
    environment = dict(os.environ, LC_ALL="C")
    try:
        done = subprocess.run(
            argv, input=answer or b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS, env=environment, start_new_session=True, check=False
        )
    except FileNotFoundError as error:
        raise Unsigned(f"{argv[0]} is not installed here, or not on PATH") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unsigned(f"{argv[0]} did not end as it should: {type(error).__name__}") from error
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def _joined(certificate):
    """Say whether it was joined from several runs; Unusable where it does not say of which."""
    if "joined" not in certificate:
        return False
    runs = certificate["joined"].get("runs") if isinstance(certificate["joined"], dict) else None
    names = [run.get("id") for run in runs] if isinstance(runs, list) and all(isinstance(run, dict) for run in runs) else []
    if len(names) < 2 or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise Unusable("is damaged: it does not name the runs that it was joined from")
    return True


def decide(certificate, options, now):
    """Return (exit status, sentences); Unusable when it is 50."""
    verdict = check(certificate)
    good = verdict in ("PASS", "CONDITIONAL")
    uid = certificate["cluster"].get("uid")
    if options.cluster is not None and (not isinstance(uid, str) or uid != options.cluster):
        raise Unusable(f"is of another cluster: its uid is {uid!r}, wanted is {options.cluster!r}")
    unseen = void(certificate, options.live) if options.live is not None else []
    if good:
        # What is good has to prove that nothing of it was lost.
        if not isinstance(certificate.get("digest"), str):
            raise Unusable("is not sealed: its digest is missing")
        if not hmac.compare_digest(certificate["digest"].encode("utf-8", "replace"), digest(certificate).encode()):
            raise Unusable("is damaged: its digest is not that of its content")
        stale(certificate, options.max_age, now)
    unwaived = expired(certificate, now.date())
    if unwaived and verdict != "FAIL":
        return EXIT["FAIL"], [f"FAIL, and no longer {verdict}:"] + unwaived
    less, more = loads(certificate)
    cut = less if good and not options.allow_changed_load else []
    changed = [f"load changed: {said}" for said in less + more if said not in cut] + items(certificate) + granted(certificate)
    missing = lacking(certificate, options.profile, options.allow_partial, cut) if good else []
    if missing:
        return LACKING, [f"{verdict}, but it proves less than was asked for:"] + missing + changed + unseen
    open_items = [str(item.get("title")) for item in certificate["checklist"] if isinstance(item, dict) and item.get("status") != "filled"]
    sentences = [verdict] + [str(certificate.get("message", ""))] + [f"checklist, not filled: {title}" for title in open_items]
    sentences += changed + unseen
    if verdict == "CONDITIONAL" and options.allow_conditional:
        return EXIT["PASS"], sentences + ["accepted: --allow-conditional"]
    return EXIT[verdict], sentences


def days(text):
    """Return a number of days above zero."""
    number = float(text)
    if not 0 < number < 36500:
        raise ValueError(text)
    return number


def parser():
    """Return the parser of the command line."""
    parsed = argparse.ArgumentParser(prog="kubeproof-gate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parsed.add_argument("certificate", help="path of certificate.json, or - for standard input")
    parsed.add_argument("--cluster", metavar="UID", help="the UID of the namespace kube-system of the cluster that is meant")
    parsed.add_argument("--public-key", metavar="KEY", help="refuse what this key did not sign: a minisign key or its file, or a file of gpg --export")
    parsed.add_argument("--signature", metavar="FILE", help="the signature (certificate.json.minisig or .asc, beside the certificate)")
    parsed.add_argument("--live", metavar="KUBECONFIG", help="refuse it when UID, versions or number of nodes of the cluster are others now; asks kubectl")
    parsed.add_argument("--max-age", metavar="DAYS", type=days, default=90.0, help="refuse what was finished earlier (90)")
    parsed.add_argument("--profile", choices=("smoke", "load", "stress", "soak"), default="load", help="the profile that is wanted (load)")
    parsed.add_argument("--allow-conditional", action="store_true", help="exit 0 for CONDITIONAL too")
    parsed.add_argument("--allow-partial", action="store_true", help="accept a run of fewer than all six layers, or an empty checklist")
    parsed.add_argument("--allow-changed-load", action="store_true", help="accept a load that <layer>_load made less than the default")
    return parsed


def _options(arguments):
    """Return the options; a wrong command line is 50 like all that is unexpected, and only --help, alone, ends with 0."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return parser().parse_args(arguments)
    except SystemExit as ended:
        if ended.code in (0, None) and len(arguments) == 1:
            raise
        raise Unusable("cannot be asked for: the command line is wrong, see --help") from ended


def main(arguments=None, now=None):
    """Return the exit status, having said why in plain lines."""
    name = "certificate"
    try:
        options = _options(arguments)
        name = options.certificate
        data = read(name)
        if options.public_key is not None:
            # Before anything in it is believed, and of the same bytes that are read below.
            signed(data, options.signature or name, options.public_key)
        status, sentences = decide(load(data), options, now or datetime.datetime.now(datetime.timezone.utc))
    except Unsigned as error:
        status, sentences = UNUSABLE, [f"{name} is not known to come from you: {error} (--public-key)."]
    except Unusable as error:
        status, sentences = UNUSABLE, [f"{name} {error}."]
    except Exception as error:
        # Whatever it is, it is no PASS.
        status, sentences = UNUSABLE, [f"{name} is damaged or unlike any certificate ({type(error).__name__}: {error})."]
    try:
        text = "\n".join(_printable(sentence) for sentence in sentences if sentence)
        print(f"kubeproof-gate: exit {status}: {text}", flush=True)
    except (OSError, ValueError):
        # Nobody reads what we say; the pipe is closed for good, so that the interpreter does not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


def _printable(text):
    """Return a sentence as one line of ASCII: names come from hosts and tools, and the terminal may know no more."""
    return "".join(one if one.isprintable() else " " for one in text).encode("ascii", "backslashreplace").decode("ascii")[:1000]


if __name__ == "__main__":
    try:
        STATUS = main()
    except BaseException as unexpected:
        # --help ends with SystemExit(0); everything else that is not a verdict, such as Ctrl-C, is 50.
        STATUS = 0 if isinstance(unexpected, SystemExit) and unexpected.code in (0, None) else UNUSABLE
    sys.exit(STATUS)
