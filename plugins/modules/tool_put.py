# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tool_put
short_description: Put tools of the controller on a host
version_added: "0.1.0"
description:
  - Sends the files to the host and puts all of them in their place by one command, since each module costs a host half a second.
  - A tool appears whole or not at all. What arrived is proved to be what was sent by C(sha256sum) of the host.
  - What is missing of the directory is made, with mode 0755 as the tools get it. A tool that is there and the same is left alone.
  - "Nothing is put where another user could exchange it: each part of the path belongs to root or to the user of the task, and nobody else writes to it, unless
    it is sticky. Above the directory, root may have linked it or opened it to a group. A tool of another user is replaced."
author: kubeproof authors (@kubeproof)
options:
  tools:
    description: Path of each tool on the controller by its name, as M(kubeproof.certify.tool_fetch) returns them.
    type: dict
    required: true
  directory:
    description: Where the tools go on the host, an absolute path or one that begins with C(~).
    type: str
    required: true
  kept:
    description:
      - Whether the directory is there from run to run, and may have the tools. They are compared first then, and only those that differ are sent.
      - Without it all are sent at once, which spares a call in a directory that is new in each run.
    type: bool
    default: false
attributes:
  check_mode:
    description: Compares the tools, and writes nothing.
    support: full
  action:
    description: Runs on the controller, and needs only a shell, C(mktemp) and C(sha256sum) on the host.
    support: full
"""

EXAMPLES = r"""
- name: Put the tools on the host
  kubeproof.certify.tool_put:
    tools: {benchmark: /home/ops/.cache/kubeproof/tools/amd64/benchmark}
    directory: /var/tmp/kubeproof/tools
  become: true
"""

RETURN = r"""
put:
  description: Tools that were put there; in check mode those that would be.
  returned: success
  type: list
  elements: str
  sample: [benchmark]
"""
