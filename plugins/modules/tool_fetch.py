#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tool_fetch
short_description: Find tools on the controller, or download them into a cache
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Looks for each tool in O(files), in O(downloads), for the controller itself on the PATH, and in O(built). The first that names it decides.
  - A download is refused before it begins without a SHA-256, and after it when it is another file. It appears in the cache whole or not at all, and is
    not repeated while the cache has it undamaged.
  - Proxies (C(http_proxy), C(https_proxy), C(no_proxy)) and C(~/.netrc) are used as usual. Credentials in a URL are accepted and never shown.
options:
  tools:
    description: Names of the tools.
    type: list
    elements: str
    required: true
  files:
    description: "Files of your own, as C({k6: {path: …, sha256: …}}). Another file under that path is refused."
    type: dict
    default: {}
  downloads:
    description:
      - "Pinned downloads, as C({k6: {version: …, url: …, sha256: {amd64: …}, architectures: {amd64: x86_64}, member: k6}})."
      - C({mirror}), C({version}) and C({architecture}) are replaced in C(url) and C(member); the last is Go's word, or that of C(architectures).
      - A .tar, .tar.gz or .zip file is unpacked. C(member) is the path of the tool in it; without it the only file of the tool's name is taken.
    type: dict
    default: {}
  mirror:
    description: What stands for C({mirror}) in O(downloads).
    type: str
    default: ""
  cache:
    description: Directory of the cache. Downloads are kept in its C(downloads) directory.
    type: path
    required: true
  built:
    description: Directory of tools that were built for O(architecture).
    type: path
    required: true
  architecture:
    description: Architecture that the tools are for, in Go's words.
    type: str
    required: true
  host:
    description: Name of the host that the tools are for and that lacks them. Left out, they run on the controller, so that its PATH is looked at first.
    type: str
  optional:
    description: A tool that is not there or is refused is no failure.
    type: bool
    default: false
attributes:
  check_mode:
    description: Downloads nothing. A tool that would be downloaded is neither in RV(paths) nor in RV(missing).
    support: full
"""

EXAMPLES = r"""
- name: Find k6, or download it
  kubeproof.certify.tool_fetch:
    tools: [k6]
    downloads:
      k6:
        version: 1.2.3
        url: "{mirror}/k6-v{version}-linux-{architecture}.tar.gz"
        sha256: {amd64: 4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865}
    mirror: https://mirror.example.com/k6
    cache: ~/.cache/kubeproof
    built: ~/.cache/kubeproof/tools/amd64
    architecture: amd64
  register: tools
"""

RETURN = r"""
paths:
  description: Absolute path of each tool that is there.
  returned: always
  type: dict
  sample: {k6: /home/ops/.cache/kubeproof/downloads/k6-amd64-1b4f0e9851971998/k6}
missing:
  description: Why a tool is not there, and what to do.
  returned: always
  type: dict
  sample: {kube-burner: "kube-burner: https://mirror.example.com/kube-burner.tar.gz answered 404 Not Found. Correct …"}
downloaded:
  description: Tools that were downloaded now; in check mode those that would be.
  returned: always
  type: list
  elements: str
  sample: [k6]
"""

import os
import re
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.kubeproof.certify.plugins.module_utils import archive, download

SPEC = {
    "tools": {"type": "list", "elements": "str", "required": True},
    "files": {"type": "dict", "default": {}},
    "downloads": {"type": "dict", "default": {}},
    "mirror": {"type": "str", "default": ""},
    "cache": {"type": "path", "required": True},
    "built": {"type": "path", "required": True},
    "architecture": {"type": "str", "required": True},
    "host": {"type": "str"},
    "optional": {"type": "bool", "default": False},
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Module(AnsibleModule):
    """Registers credentials in URLs as secrets before anything, the log of the system included, shows a parameter."""

    def _log_invocation(self):
        urls = [self.params["mirror"], *(entry.get("url") for entry in self.params["downloads"].values() if isinstance(entry, dict))]
        self.no_log_values.update(secret for url in urls if isinstance(url, str) for secret in download.secrets(url))
        super()._log_invocation()


def opened(url):
    """Open a URL; credentials from ~/.netrc stay with the server that they are for, also when it redirects."""
    return open_url(url, timeout=download.SILENCE, http_agent="kubeproof", decompress=False, unredirected_headers=["Authorization"])


def given(name, entry, runs_here):
    """Return the path that tools_files names; ToolError when it is not the file that was meant."""
    if not isinstance(entry, dict) or not entry.get("path"):
        raise download.ToolError(f"{name}: tools_files.{name} has no path. Write it as {{path: …}}.")
    path = download.local_path(str(entry["path"]))
    if not os.path.isfile(path):
        raise download.ToolError(f"{name}: {path}, which tools_files.{name} names, is missing on the controller. Correct the path.")
    if entry.get("sha256"):
        found = archive.sha256_of(path)
        if found != str(entry["sha256"]).lower():
            raise download.ToolError(f"{name}: {path} has the SHA-256 {found}, not {entry['sha256']}, which tools_files.{name} requires. Correct one of them.")
    if runs_here and not os.access(path, os.X_OK):
        raise download.ToolError(f"{name}: {path}, which tools_files.{name} names, is not executable. Make it so with chmod +x.")
    return path


def built(name, options):
    """Return the path of a tool on the PATH or among those that were built; ToolError when there is none."""
    path = os.path.join(os.path.abspath(options["built"]), name)
    on_path = None if options["host"] else shutil.which(name)
    if on_path:
        return os.path.abspath(on_path)
    if os.path.isfile(path):
        return path
    raise download.ToolError(
        f"{name} is not on the PATH of {options['host'] or 'the controller'}, and {path} on the controller is missing. "
        f"Run `make tools`, install {name}, or set tools_files.{name} or tools_downloads.{name}."
    )


def check_name(name):
    """Raise ToolError unless a tool, and so a file, may have this name."""
    if not NAME.fullmatch(name):
        raise download.ToolError(f"{archive.printable(name)!r} is no name of a tool. Use letters, digits, dots, dashes and underscores.")


def find(name, options, check_mode):
    """Return (path, whether it is downloaded now); the path is None when check mode left it out. ToolError says why there is none."""
    check_name(name)
    if name in options["files"]:
        return given(name, options["files"][name], not options["host"]), False
    if name in options["downloads"]:
        pin = download.pin_of(name, options["downloads"][name], options["architecture"], options["mirror"])
        return download.fetch(pin, os.path.abspath(options["cache"]), opened, check_mode)
    return built(name, options), False


def main():
    """Find every tool, and fail with every reason at once."""
    module = Module(argument_spec=SPEC, supports_check_mode=True)
    paths, missing, downloaded = {}, {}, []
    for name in dict.fromkeys(module.params["tools"]):
        try:
            path, is_new = find(name, module.params, module.check_mode)
        except (download.ToolError, OSError) as error:
            missing[name] = str(error) if isinstance(error, download.ToolError) else f"{name}: {error}. Correct its permissions or the path."
            continue
        if path:
            paths[name] = path
        if is_new:
            downloaded.append(name)
    result = {"changed": bool(downloaded), "paths": paths, "missing": missing, "downloaded": downloaded}
    if missing and not module.params["optional"]:
        module.fail_json(msg=" ".join(missing.values()), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
