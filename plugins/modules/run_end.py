#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_end
short_description: Leave nothing of a run on a host
version_added: "0.1.0"
description:
  - Ends the processes that M(kubeproof.certify.tool_run) recorded and that still run, each by its process id and start time.
  - Removes the run's directory with the tools copied there, and the files named in O(files); then looks whether they are gone.
author: kubeproof authors (@kubeproof)
options:
  run_dirs:
    description: Directories of runs, or patterns for them. Only paths below C(/var/tmp/kubeproof) are accepted.
    type: list
    elements: path
    required: true
  files:
    description: Other files of the run, or patterns. The name must begin with C(kubeproof-).
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Says what it would remove.
    support: full
"""

EXAMPLES = r"""
- name: Leave nothing on the host
  kubeproof.certify.run_end:
    run_dirs: [/var/tmp/kubeproof/20261121t040000z-1a2b]
    files: [/var/lib/kubeproof-20261121t040000z-1a2b.fio]
"""

RETURN = r"""
ended:
  description: The processes that were ended.
  returned: success
  type: list
  elements: str
  sample: ["4711 benchmark"]
removed:
  description: What was removed.
  returned: success
  type: list
  elements: str
  sample: [/var/tmp/kubeproof/20261121t040000z-1a2b]
"""

import contextlib
import glob
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.run import RunError, end_recorded

ROOT = "/var/tmp/kubeproof"
PREFIX = "kubeproof-"


def refusal(run_dirs, files):
    """Return why a path may not be removed, or None: what is removed must carry our name."""
    for path in run_dirs:
        if not os.path.normpath(path).startswith(ROOT + os.sep):
            return f"run_dirs: {path} is not below {ROOT}. Only a run's own directory is removed."
    for path in files:
        if not os.path.basename(path).startswith(PREFIX):
            return f"files: {path} does not begin with {PREFIX}. Only a run's own files are removed."
    return None


def foreign(directories):
    """Return the first directory that a symbolic link leads out of our own place, or None: anybody may write to /var/tmp."""
    own = os.path.join(os.path.realpath(os.path.dirname(ROOT)), os.path.basename(ROOT)) + os.sep
    return next((path for path in directories if not os.path.realpath(path).startswith(own)), None)


def remove_empty(path):
    """Remove the directories from `path` up to ROOT that hold nothing; one that another run uses stays."""
    while path == ROOT or path.startswith(ROOT + os.sep):
        try:
            os.rmdir(path)
        except OSError:
            return
        path = os.path.dirname(path)


def main():
    module = AnsibleModule(
        argument_spec={
            "run_dirs": {"type": "list", "elements": "path", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    problem = refusal(module.params["run_dirs"], module.params["files"])
    if problem:
        module.fail_json(msg=problem)
    directories = [os.path.normpath(path) for pattern in module.params["run_dirs"] for path in sorted(glob.glob(pattern))]
    elsewhere = foreign(directories)
    if elsewhere:
        module.fail_json(msg=f"run_dirs: a symbolic link leads from {elsewhere} to {os.path.realpath(elsewhere)}. Look who made it, and remove it by hand.")
    files = [path for pattern in module.params["files"] for path in sorted(glob.glob(pattern))]
    ended, problems = [], []
    if not module.check_mode:
        for path in directories:
            try:
                ended += end_recorded(path)
            except (RunError, DataFileError) as error:
                # The directory stays, since its record says which process is left.
                problems.append(str(error))
                continue
            # What cannot be removed is found and named below.
            shutil.rmtree(path, ignore_errors=True)
            remove_empty(os.path.dirname(path))
        for path in files:
            with contextlib.suppress(OSError):
                os.unlink(path)
        left = [path for path in directories + files if os.path.lexists(path)]
        if left:
            module.fail_json(msg=" ".join([*problems, f"Could not remove {', '.join(left)}. Remove it by hand."]))
    module.exit_json(changed=bool(directories or files), ended=[f"{one['pid']} {one['argv0']}" for one in ended], removed=directories + files)


if __name__ == "__main__":
    main()
