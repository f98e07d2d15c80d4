# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.plugins.filter.services import services


@pytest.mark.parametrize(
    ("names", "arguments", "expected"),
    [
        ([], ({"http": 80},), []),
        (["a", "b"], ({"http": 80},), [(name, {"ports": [{"name": "http", "port": 80, "targetPort": 80}]}) for name in "ab"]),
        (
            ["a"],
            ({"http": [80, 8080], "more": 5}, "x/part"),
            [("a", {"ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "more", "port": 5, "targetPort": 5}], "selector": {"x/part": "a"}})],
        ),
    ],
)
def test_services(names, arguments, expected):
    assert services(names, *arguments) == [{"kind": "Service", "name": name, "content": {"spec": spec}} for name, spec in expected]
