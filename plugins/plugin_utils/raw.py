# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw output of tools, kept on the controller."""

from __future__ import annotations

import base64
import os
import zlib

from ansible.errors import AnsibleActionFail
from ansible_collections.kubeproof.certify.plugins.module_utils import evidence, files


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


def write_run(result, ran, prefix, argv, parser=None, read=None):
    """Write what a tool said in one run, `ran` as tool_call.execute returns it, with how it ended and what read it.

    `read` is what the parser has read, in place of standard output. Where nothing can be written, a `result` that has failed says that as well, and any
    other ends with AnsibleActionFail.
    """
    output = ran.pop("raw", None)
    if not prefix or not output:
        return
    described = {"argv": argv, **{key: ran[key] for key in ("rc", "started", "seconds") if key in ran}}
    if parser:
        described.update(evidence.described(prefix, parser, [read or f"{prefix}.stdout"]))
    contents = {".json": evidence.text(described), ".stdout": unpack(output["stdout"]), ".stderr": unpack(output["stderr"])}
    try:
        write_raw(prefix, {suffix: content for suffix, content in contents.items() if content or suffix == ".stdout"})
    except AnsibleActionFail as error:
        if not result.get("failed"):
            raise
        result["msg"] = f"{result['msg']} {error.message}"


def unpack(packed):
    """Return the bytes that a module packed."""
    return zlib.decompress(base64.b64decode(packed))
