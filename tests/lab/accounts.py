# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules against the lab, each in a process of its own, by an account with exactly the rights that its notes name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

MANAGED = {"app.kubernetes.io/managed-by": "kubeproof"}
RBAC = "rbac.authorization.k8s.io"
MODULE = """
import importlib, json, re, sys
from ansible.module_utils.testing import patch_module_args
module = importlib.import_module("ansible_collections.kubeproof.certify.plugins.modules." + sys.argv[1])
with patch_module_args(json.load(open(sys.argv[2]))):
    try:
        module.main()
    finally:
        # Not ru_maxrss: a process inherits that one from the process which started it, here pytest.
        print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024, file=sys.stderr)
"""
# Seconds: no module here may take longer.
LONGEST = 120


class Answer(NamedTuple):
    """What the module answered, and the most memory that it used, in bytes."""

    data: dict
    memory: int

    @property
    def said(self):
        assert self.data["failed"], self.data
        return self.data["msg"]


def apply(lab, *items):
    """Create objects."""
    argv = [lab.state / "bin/kubectl", "--kubeconfig", lab.state / "kubeconfig", "apply", "-f", "-"]
    subprocess.run(argv, input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), check=True, text=True, capture_output=True)


def make_account(lab, namespace, account, rules, level, path):
    """Make a namespace of a Pod Security level and an account with these rights in it; write a kubeconfig for it and return its path."""
    named = {"name": account, "namespace": namespace, "labels": MANAGED}
    role = {"apiGroup": RBAC, "kind": "Role", "name": account}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    enforced = {**MANAGED, "pod-security.kubernetes.io/enforce": level}
    apply(
        lab,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": enforced}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": named, "rules": rules},
        {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": named, "roleRef": role, "subjects": [subject]},
    )
    config = yaml.safe_load((lab.state / "kubeconfig").read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": lab.kubectl("create", "token", account, "-n", namespace).strip()}}]
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def tools_image():
    """Return the tools image of the lab."""
    settings = yaml.safe_load((Path(__file__).parents[2] / "inventories/lab/group_vars/all/certify.yml").read_text())
    return settings["certify_tools_image"]


def call(name, arguments, scratch, during=None):
    """Run a module and return its Answer; `during` is called with its process."""
    path = scratch / f"{name}-arguments"
    path.write_text(json.dumps(arguments))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / ".ansible/collections")}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", MODULE, name, path], env=environment, text=True, **streams)
    try:
        if during:
            during(process)
        out, errors = process.communicate(timeout=LONGEST)
    finally:
        process.kill()
    return Answer(json.loads(out), int(errors.split()[-1]))
