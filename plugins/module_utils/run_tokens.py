# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The token of a run's ServiceAccount: asked for, and proved against the server before anything relies on it."""

from __future__ import annotations

import time

from . import cluster
from .owned import seconds_of
from .run_access import AccessError, document, rule_text, rules_of

IN_FORCE_PAUSE = 0.2
IN_FORCE = 30.0
# Whole seconds are cut off both stamps of a token.
ROUNDING = 2


def token_of(server, account, namespace, seconds):
    """Return (token, when it expires) of a ServiceAccount; AccessError when it holds for less than `seconds`."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    try:
        answer = document(server.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body))
    except cluster.ClusterError as error:
        raise AccessError(f"accounts: {account}: the API server gives no token: {error}.") from error
    state = answer.get("status") or {}
    token, holds = state.get("token"), _lifetime(answer, time.time())
    if not token or holds is None:
        raise AccessError(f"accounts: {account}: the API server's answer has no token or does not say when it expires.")
    if holds < seconds - ROUNDING:
        raise AccessError(
            f"accounts: {account}: the token holds for {holds:g} s, but the run needs {seconds} s: the API server shortens it. "
            "Raise its --service-account-max-token-expiration, or make the run shorter."
        )
    return token, state["expirationTimestamp"]


def _lifetime(answer, now):
    """Return for how many seconds the token in a TokenRequest holds, None if that is not said; `now` stands in for the server's own clock."""
    expires = seconds_of((answer.get("status") or {}).get("expirationTimestamp"))
    created = seconds_of((answer.get("metadata") or {}).get("creationTimestamp"))
    return None if expires is None else expires - (now if created is None else created)


def prove(path, account, namespace, timeout):
    """Ask the server with a kubeconfig that was written who that is, and wait until the rights are in force; AccessError when it is not so."""
    server = cluster.Cluster(path)
    deadline = time.monotonic() + min(timeout, IN_FORCE)
    while True:
        problem = _doubt(server, account, namespace)
        if not problem:
            return
        if time.monotonic() >= deadline:
            raise AccessError(f"accounts: {account['name']}: {problem}.")
        time.sleep(IN_FORCE_PAUSE)


def _doubt(server, account, namespace):
    """Return why an account cannot do what it should, or None. What the server cannot be asked is no doubt."""
    expected = f"system:serviceaccount:{namespace}:{account['name']}"
    wanted = {rule_text(rule) for rule in [*account["rules"], *account["cluster_rules"]]}
    try:
        who = _review(server, "/apis/authentication.k8s.io/v1/", "SelfSubjectReview")
        rights = _review(server, "/apis/authorization.k8s.io/v1/", "SelfSubjectRulesReview", namespace=namespace)
    except cluster.ClusterError as error:
        where = ". Where a proxy authenticates the users, name the API server's own address in the kubeconfig" if error.status == 401 else ""
        return f"the server refuses its token: {error}{where}"
    found = (who.get("userInfo") or {}).get("username", expected)
    if found != expected:
        return f"the server takes its token for {found!r}: something before the API server puts its own credentials in, name the server's own address instead"
    missing = wanted - rules_of(rights)
    # Authorizers other than RBAC cannot list what they allow, and say so.
    return f"the right {min(missing)} is not in force" if missing and rights and not rights.get("incomplete") else None


def _review(server, group, kind, **spec):
    """Return the status of a review of ourselves; {} where the server is too old to be asked (404) or forbids it (403)."""
    body = {"apiVersion": group.replace("/apis/", "", 1).rstrip("/"), "kind": kind, **({"spec": spec} if spec else {})}
    try:
        return document(server.request("POST", f"{group}{kind.lower()}s", body)).get("status") or {}
    except cluster.ClusterError as error:
        if error.status in (403, 404):
            return {}
        raise
