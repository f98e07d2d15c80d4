# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: services
short_description: Services of a run, by their names
version_added: "0.1.0"
description: Returns a Service for each name, as O(kubeproof.certify.run_access#module:objects) takes it.
author: kubeproof authors (@kubeproof)
positional: ports, selector
options:
  _input:
    description: The names.
    type: list
    elements: str
    required: true
  ports:
    description: 'The ports, C({name: port}), or C({name: [port, port of the pods]}).'
    type: dict
    required: true
  selector:
    description: The label by which a Service finds its pods; its value is the name of the Service. Without it nothing stands behind the Service.
    type: str
    default: ""
"""

EXAMPLES = r"""
objects: "{{ ['backend'] | kubeproof.certify.services({'http': [80, 8080]}, 'kubeproof.io/part') }}"
"""

RETURN = r"""
_value:
  description: The Services.
  type: list
  elements: dict
"""


def services(names, ports, selector=""):
    """Return the Services."""
    numbers = {name: one if isinstance(one, list) else [one, one] for name, one in ports.items()}
    listed = [{"name": name, "port": port, "targetPort": target} for name, (port, target) in numbers.items()]
    return [{"kind": "Service", "name": name, "content": {"spec": {"ports": listed, **({"selector": {selector: name}} if selector else {})}}} for name in names]


class FilterModule:
    """The filter services."""

    def filters(self):
        return {"services": services}
