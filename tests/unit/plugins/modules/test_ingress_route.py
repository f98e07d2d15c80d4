# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.modules import ingress_route
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, status

ROUTE = "GET " + ingress_route.ROUTES.format("run", "backend")
INGRESS = "GET " + ingress_route.INGRESSES.format("run", "backend")
TRUE = [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]
FALSE = [{"type": "Accepted", "status": "False", "reason": "NoMatchingParent", "message": "none"}]


def route(*conditions):
    parents = [{"parentRef": {"name": "public", "namespace": "edge"}, "conditions": list(conditions)}] if conditions else []
    return {"metadata": {"name": "backend", "namespace": "run"}, "status": {"parents": parents}}


def ingress(*entries):
    return {"metadata": {"name": "backend", "namespace": "run"}, "status": {"loadBalancer": {"ingress": list(entries)}}}


@pytest.fixture(name="api")
def fixture_api(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ingress_route, "PAUSE", 0.01)
    with FakeCluster() as api:
        yield api


@pytest.fixture(name="call")
def fixture_call(api, capsys, tmp_path):
    """Return a function that runs the module and returns its answer, in which no token is."""

    def call(**arguments):
        given = {"kubeconfig": api.kubeconfig(tmp_path / "operator"), "namespace": "run", "name": "backend", "timeout": 0.1, **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            ingress_route.main()
        out = capsys.readouterr().out
        assert TOKEN not in out
        return json.loads(out)

    return call


SAID = "Accepted is False: NoMatchingParent: none"


@pytest.mark.parametrize(
    ("answers", "state", "problem"),
    [
        ([route(*TRUE)], "accepted", ""),
        # A controller may not have seen our Service yet.
        ([route(), route(*FALSE), route(*TRUE)], "accepted", ""),
        ([route(*FALSE)], SAID, f"The Gateway edge/public does not take our HTTPRoute: {SAID}."),
        ([route()], None, "The controller of the Gateway edge/public has said nothing about our HTTPRoute in N s (ingress_ready_timeout). Look at its log."),
    ],
)
def test_route(api, call, monkeypatch, answers, state, problem):
    left = list(answers)
    # However slow this machine is, what is said next comes before what was said is settled.
    monkeypatch.setattr(ingress_route, "SETTLED", 0.05 if len(answers) == 1 else 60)
    api.answers[ROUTE] = lambda request: (200, left.pop(0) if len(left) > 1 else left[0])
    facts = call(gateway="edge/public", timeout=60 if state else 0.1)["facts"]
    assert re.sub(r"in [0-9]+ s", "in N s", facts["problem"]) == problem and facts["route"].get("state") == state and facts["route"]["seconds"] >= 0


def test_address_of_the_ingress(api, call):
    left = [ingress(), ingress({"ip": "192.0.2.5"})]
    api.answers[INGRESS] = lambda request: (200, left.pop(0) if len(left) > 1 else left[0])
    path = {"via": "ingress status", "addresses": ["192.0.2.5"], "http": 80, "https": 443, "said": "ingress status 192.0.2.5:443"}
    assert call(pending="No Service.")["facts"] == {"problem": "", "found": True, "path": path}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "No Service. The status of our Ingress has no address after 0.1 s either (ingress_ready_timeout)."),
        ({"ip": "192.0.2.5", "ports": [{"port": 80, "protocol": "TCP"}]}, "The ingress status has no port for https."),
        ({"hostname": "nowhere.invalid"}, "nowhere.invalid cannot be resolved on this machine"),
    ],
)
def test_no_way_by_the_ingress(api, call, entry, said):
    api.answers[INGRESS] = ingress(entry)
    facts = call(pending="No Service.")["facts"]
    assert facts["problem"].startswith(said) and "path" not in facts and "found" not in facts


@pytest.mark.parametrize("arguments", [{}, {"gateway": "edge/public"}])
def test_what_may_not_be_read_fails(api, call, arguments):
    for path in (ROUTE, INGRESS):
        api.answers[path] = (403, status(403, "Forbidden", "no rights"))
    answer = call(**arguments)
    assert answer["failed"] and "403 no rights" in answer["msg"]
