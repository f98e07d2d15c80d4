# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run may do in the cluster: its objects, its kubeconfigs, its directory, and what keeps an object from going."""

from __future__ import annotations

import base64
import glob
import json
import os
import re
import stat

from . import cluster, files
from .owned import EVERY_RUN, MANAGER, labels, seconds_of

ENFORCE_LABEL = "pod-security.kubernetes.io/enforce"
RBAC_GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{RBAC_GROUP}/v1"
MANIFEST = "access.json"
ESCALATION = "RBAC permissions not currently held: "
RUN_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class AccessError(Exception):
    """The run cannot have its access; the text is a sentence that says why and what to do."""


def document(answer):
    """Return an answer that is an object; ClusterError for any other, such as the page of a proxy."""
    if not isinstance(answer, dict):
        raise cluster.ClusterError(f"the answer is {str(answer)[:80]!r}, so something else than an API server answers")
    return answer


def problem_of(run_id, namespace, accounts):
    """Return in a sentence why these names cannot be used, or None."""
    if not RUN_ID.fullmatch(run_id):
        return f"run_id is {run_id!r}, which cannot be the value of a label: use letters, digits and -_. and at most 63 characters."
    names = [account["name"] for account in accounts]
    for what, name in [("namespace", namespace), *(("accounts", name) for name in names)]:
        if not NAME.fullmatch(name or ""):
            return f"{what}: {name!r} cannot be the name of an object: use lower case letters, digits and -, and at most 63 characters."
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"accounts names {twice[0]} twice: join the rules of both."
    return None


def namespace_object(name, run_id, level):
    """Return the Namespace of a run; `level` is the Pod Security level that it enforces."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**labels(run_id), ENFORCE_LABEL: level}}}


def account_objects(account, namespace, run_id):
    """Return [(collection path, object, wanted)] for one account {name, rules, cluster_rules}, in the order of creation.

    Where no rule is given the role and its binding are not wanted: an earlier call may have made them.
    """
    name, broad = account["name"], f"{MANAGER}-{run_id}-{account['name']}"
    home = f"{RBAC}/namespaces/{namespace}"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    inside, wide = bool(account["rules"]), bool(account["cluster_rules"])

    def made(kind, name, version=f"{RBAC_GROUP}/v1", space=None, **body):
        where = {"namespace": space} if space else {}
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **where, "labels": labels(run_id)}, **body}

    def binding(kind, role_kind, role, space=None):
        return made(kind, role, space=space, roleRef={"apiGroup": RBAC_GROUP, "kind": role_kind, "name": role}, subjects=[subject])

    return [
        (f"/api/v1/namespaces/{namespace}/serviceaccounts", made("ServiceAccount", name, "v1", namespace), True),
        (f"{home}/roles", made("Role", name, space=namespace, rules=account["rules"]), inside),
        (f"{home}/rolebindings", binding("RoleBinding", "Role", name, namespace), inside),
        (f"{RBAC}/clusterroles", made("ClusterRole", broad, rules=account["cluster_rules"]), wide),
        (f"{RBAC}/clusterrolebindings", binding("ClusterRoleBinding", "ClusterRole", broad), wide),
    ]


def namespaced(given, namespace, run_id):
    """Return (path of its kind, object) of an object of the run in its namespace; `given` {api_version, kind, name, annotations, content, secret}."""
    version, kind = given["api_version"], given["kind"]
    group = "/api/" if version == "v1" else "/apis/"
    metadata = {"name": given["name"], "namespace": namespace, "labels": labels(run_id), "annotations": given["annotations"]}
    secret = {"stringData": given["secret"]} if given["secret"] else {}
    path = f"{group}{version}/namespaces/{namespace}/{kind.lower()}{'es' if kind.endswith('s') else 's'}"
    return path, {**given["content"], **secret, "apiVersion": version, "kind": kind, "metadata": metadata}


def differs(present, wanted):
    """Return whether an object of the cluster lacks a label of the wanted one, or gives other rights."""
    have, labelled = (one["metadata"].get("labels") or {} for one in (present, wanted))
    rules = [sorted(map(rule_text, one.get("rules") or ())) for one in (present, wanted)]
    other = any(present.get(key) != wanted.get(key) for key in ("roleRef", "subjects"))
    return other or rules[0] != rules[1] or any(have.get(name) != value for name, value in labelled.items())


def rules_of(state):
    """Return the rights in the status of a SelfSubjectRulesReview, as a set of one text for each rule."""
    return {rule_text(rule) for key in ("resourceRules", "nonResourceRules") for rule in state.get(key) or ()}


def rule_text(rule):
    """Return one text for a rule, the same for the same rights."""
    return json.dumps({key: sorted(value, key=str) for key, value in rule.items() if value}, sort_keys=True)


def kubeconfig(account, namespace, token, cluster):
    """Return a kubeconfig as JSON, which is YAML; `cluster` {server, ca: bytes or None, tls_server_name, proxy}, the last two empty when not used."""
    place = {"server": cluster["server"]}
    if cluster["ca"] is not None:
        place["certificate-authority-data"] = base64.b64encode(cluster["ca"]).decode()
    if cluster["tls_server_name"]:
        place["tls-server-name"] = cluster["tls_server_name"]
    if cluster["proxy"]:
        place["proxy-url"] = cluster["proxy"]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": account,
        "contexts": [{"name": account, "context": {"cluster": MANAGER, "user": account, "namespace": namespace}}],
        "clusters": [{"name": MANAGER, "cluster": place}],
        "users": [{"name": account, "user": {"token": token}}],
    }
    return json.dumps(config, indent=2) + "\n"


def why_left(kind, item, now):
    """Return in a sentence why an object is still there."""
    metadata = item.get("metadata", {})
    since = seconds_of(metadata.get("deletionTimestamp"))
    what = f"{kind} {metadata.get('name')}"
    if since is None:
        return f"{what} is there and is not being deleted."
    reasons = [condition_text(one) for one in (item.get("status") or {}).get("conditions") or () if kind == "Namespace" and one.get("status") == "True"]
    held = metadata.get("finalizers") or ()
    if held:
        reasons.append(f"it is held by the finalizer {', '.join(held)}")
    return f"{what} is being deleted for {max(0, round(now - since))} s: {'; '.join(reasons) or 'the API server gives no reason'}."


def condition_text(condition):
    """Return one condition of a namespace in words; the API's own, shortened."""
    text = " ".join(str(condition.get("message") or condition.get("reason") or condition.get("type")).split())
    return f"{condition.get('type')}: {text[:400].rstrip('.')}"


def why_refused(error, kind):
    """Return in sentences why the API server refused an object of an account; the right that the operator lacks in the API's words."""
    text = " ".join((getattr(error, "message", "") or str(error)).split())
    missing = text.partition(ESCALATION)[2]
    if missing:
        return f"the operator may not give a right that it does not have: {missing[:500]}. Use a kubeconfig with this right, or correct the rules."
    return f"its {kind} was refused: {error}. " + ("Use a kubeconfig with more rights." if error.status == 403 else "Correct the rules.")


def own_directory(path):
    """Make the directory with mode 0700; AccessError when it exists and others could read it."""
    try:
        files.make_directory(path)
        found = os.lstat(path)
    except OSError as error:
        raise AccessError(f"directory: {path} cannot be made: {error.strerror}. Name another one.") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise AccessError(f"directory: {path} exists and does not belong to you alone (mode 0700): name one of the run's own.")


def write_account(directory, name, namespace, token, place):
    """Write the kubeconfig and the token of an account and return their paths."""
    paths = {"kubeconfig": os.path.join(directory, f"{name}.kubeconfig"), "token_file": os.path.join(directory, f"{name}.token")}
    files.write_text(paths["token_file"], token)
    files.write_text(paths["kubeconfig"], kubeconfig(name, namespace, token, place))
    return paths


def manifest(directory, run_id):
    """Return {run, files} of what was written to the directory, or None when nothing was; AccessError when another run wrote there."""
    path = os.path.join(directory, MANIFEST)
    if not os.path.lexists(path):
        return None
    found = files.read_json(path)
    names = found.get("files") if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and os.path.basename(name) == name for name in names):
        raise AccessError(f"{path} was not written by this module: remove the directory by hand.")
    if run_id not in (found.get("run"), EVERY_RUN):
        raise AccessError(f"directory: {directory} is of the run {found.get('run')}, not of {run_id}: name the directory of this run.")
    return found


def remove_files(directory, run_id, check_mode):
    """Remove what the run wrote to the directory, and the directory when nothing else is in it; return whether anything was there."""
    found = manifest(directory, run_id)
    if found is None or check_mode:
        return found is not None
    # The manifest goes last, so that an interrupted removal can be repeated; a killed writer leaves a part.
    parts = glob.glob(os.path.join(glob.escape(directory), ".*.part"))
    try:
        for path in [*(os.path.join(directory, name) for name in found["files"]), *parts, os.path.join(directory, MANIFEST)]:
            if os.path.lexists(path):
                os.unlink(path)
        if not os.listdir(directory):
            os.rmdir(directory)
    except OSError as error:
        raise AccessError(f"directory: the run's files in {directory} cannot be removed: {error.strerror}. Remove them by hand: they hold tokens.") from error
    return True


def place_of(server):
    """Return {server, ca: bytes or None, tls_server_name, proxy} of the operator's kubeconfig; AccessError when it does not verify the server."""
    settings = server.configuration
    if not settings.verify_ssl:
        raise AccessError(
            "The kubeconfig says insecure-skip-tls-verify, so anybody could take the tokens of the run: name the CA in certificate-authority instead."
        )
    # What the environment says holds for every client of the run anyway, with its exceptions.
    plain = cluster.kubernetes.client.Configuration(host=server.server)
    proxy = settings.proxy if settings.proxy != plain.proxy else ""
    return {"server": server.server, "ca": server.authority, "tls_server_name": getattr(settings, "tls_server_name", None) or "", "proxy": proxy or ""}
