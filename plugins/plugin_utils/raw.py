# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw output of tools, kept on the controller."""

from __future__ import annotations

import os

from ansible.errors import AnsibleActionFail
from ansible_collections.kubeproof.certify.plugins.module_utils import files


def write_raw(prefix, contents):
    """Write `contents` ({suffix: bytes or str}) to `<prefix><suffix>` on the controller; AnsibleActionFail names the path and the reason."""
    prefix = str(prefix)
    if not os.path.isabs(prefix) or os.path.basename(prefix) in ("", ".", "..") or "\0" in prefix:
        raise AnsibleActionFail(f"raw is {prefix!r}: give an absolute path prefix on the controller, with a file name at its end.")
    for suffix, content in contents.items():
        if "/" in suffix or "\0" in suffix:
            raise AnsibleActionFail(f"{prefix + suffix!r} cannot be a file of raw output: only the prefix may have directories.")
        try:
            files.write_bytes(prefix + suffix, content.encode("utf-8", "replace") if isinstance(content, str) else content)
        except files.DataFileError as error:
            raise AnsibleActionFail(str(error)) from None  # the reason is in the text; Ansible would repeat it
