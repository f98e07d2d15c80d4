# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.modules import api_identity
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import FakeCluster

REVIEW = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews"
FLOWCONTROL = f"GET {api_identity.FLOWCONTROL}"
SCHEMAS, LEVELS = (f"GET {api_identity.FLOWCONTROL}/{kind}" for kind in api_identity.HEADERS)
SCHEMA_HEADER, LEVEL_HEADER = (header for header, dummy in api_identity.HEADERS.values())


def user(*groups):
    return {"status": {"userInfo": {"username": "system:serviceaccount:a:load", "groups": list(groups)}}}


def named(name, uid, kind="Limited"):
    return {"metadata": {"name": name, "uid": uid}, "spec": {"type": kind}}


@pytest.fixture(name="call")
def fixture_call(capsys, tmp_path):
    """Return a function that runs the module against answers, with headers on each, and returns what it said."""

    def call(headers, **answers):
        levels = {SCHEMAS: {"items": [named("service-accounts", "1")]}, LEVELS: {"items": [named("workload-low", "2")]}}
        wanted = {REVIEW: user("system:serviceaccounts"), FLOWCONTROL: {}, **levels}
        with FakeCluster({**wanted, **answers}) as api:
            api.headers = headers
            path = api.kubeconfig(tmp_path / "kubeconfig")
            with patch_module_args({"kubeconfig": path, "operator_kubeconfig": path}), pytest.raises(SystemExit):
                api_identity.main()
        return json.loads(capsys.readouterr().out)

    return call


def test_names_the_level(call):
    assert call({SCHEMA_HEADER: "1", LEVEL_HEADER: "2"})["facts"] == {
        "username": "system:serviceaccount:a:load",
        "groups": ["system:serviceaccounts"],
        "flow_schema": "service-accounts",
        "priority_level": "workload-low",
        "exempt": False,
    }


@pytest.mark.parametrize(
    ("headers", "answers", "exempt"),
    [
        ({}, {FLOWCONTROL: (404, {})}, False),
        ({}, {REVIEW: user("system:masters")}, True),
        ({SCHEMA_HEADER: "1", LEVEL_HEADER: "3"}, {LEVELS: {"items": [named("exempt", "3", "Exempt")]}}, True),
    ],
)
def test_what_is_exempt_from_fairness(call, headers, answers, exempt):
    assert call(headers, **answers)["facts"]["exempt"] is exempt


@pytest.mark.parametrize("headers", [{}, {SCHEMA_HEADER: "1"}])
def test_an_answer_without_the_headers_leaves_it_open(call, headers):
    assert "exempt" not in call(headers)["facts"] and "priority_level" not in call(headers)["facts"]


@pytest.mark.parametrize(
    ("headers", "answers", "said"),
    [
        ({SCHEMA_HEADER: "1", LEVEL_HEADER: "9"}, {}, "none of the prioritylevelconfigurations has the UID 9"),
        ({}, {REVIEW: (403, {"message": "no right"})}, "403 no right"),
        ({}, {REVIEW: {"status": {}}}, "the review of the user has no name"),
        ({SCHEMA_HEADER: "1"}, {SCHEMAS: (403, {"message": "no right"})}, "403 no right"),
    ],
)
def test_what_is_not_known_fails(call, headers, answers, said):
    answer = call(headers, **answers)
    assert answer["failed"] is True and said in answer["msg"] and "\n" not in answer["msg"]
