# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tool_result
short_description: Read the output of a tool that ran elsewhere
version_added: "0.1.0"
description:
  - Turns the recorded output of a tool into facts, with the same parsers as M(kubeproof.certify.tool_run).
    Raw samples are read from the disk piece by piece, so that a parser of files needs little memory.
  - Output that is empty, cut off, contradictory or not of this tool fails with one sentence.
author: kubeproof authors (@kubeproof)
options:
  tool:
    description: The tool that wrote the output, such as V(etcd_benchmark), V(etcdctl), V(fio), V(k6) or V(kube_burner).
    type: str
    required: true
  content:
    description: The output. Give this or O(path). V(k6) and V(kube_burner) are read from O(path) only.
    type: raw
  path:
    description:
      - The file with the output, on the host. At most 64 MiB.
      - For V(k6) the file or the directory with the raw samples of all generators, for V(kube_burner) the directory of the local index,
        of any size.
    type: path
attributes:
  check_mode:
    description: Reads in check mode as well.
    support: full
"""

EXAMPLES = r"""
- name: Read what fio wrote
  kubeproof.certify.tool_result:
    tool: fio
    path: /var/tmp/fio.json

- name: Read the raw samples of all generators
  kubeproof.certify.tool_result:
    tool: k6
    path: /home/me/results/prod/20261121t040000z-1a2b/raw/apiserver/localhost/k6
"""

RETURN = r"""
facts:
  description: What the parser read, in base units.
  returned: success
  type: dict
  sample: {rate: 3505.46, errors: 0, latency: {count: 5000, p99: 0.0305}}
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError

LIMIT = 64 * 1024 * 1024


def read(tool, content, path):
    """Return the facts in the output of `tool`; ParseError when it cannot be trusted."""
    if path is not None and parsers.reads_path(tool):
        return parsers.parse_path(tool, path)
    return parsers.parse(tool, read_text(content, path))


def read_text(content, path):
    """Return the output as text; ParseError when the file cannot be read or is too large."""
    if path is None:
        # JSON in a template may reach a module as data.
        return content if isinstance(content, str) else json.dumps(content, indent=1)
    try:
        with open(path, "rb") as stream:
            data = stream.read(LIMIT + 1)
    except OSError as error:
        raise ParseError(f"{path}: {error.strerror}.") from error
    if len(data) > LIMIT:
        raise ParseError(f"{path} has more than {LIMIT} bytes.")
    return data.decode("utf-8", "replace")


def main():
    """Read the output and exit."""
    module = AnsibleModule(
        argument_spec={"tool": {"type": "str", "required": True}, "content": {"type": "raw"}, "path": {"type": "path"}},
        required_one_of=[("content", "path")],
        mutually_exclusive=[("content", "path")],
        supports_check_mode=True,
    )
    tool = module.params["tool"]
    invocation = {"module_args": {key: module.params[key] for key in ("tool", "path")}}
    try:
        facts = read(tool, module.params["content"], module.params["path"])
    except ParseError as error:
        module.fail_json(msg=f"Cannot read the output of {tool}: {error}", invocation=invocation)
    module.exit_json(changed=False, facts=facts, invocation=invocation)


if __name__ == "__main__":
    main()
