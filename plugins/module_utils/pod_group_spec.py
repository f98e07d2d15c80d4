# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods of a group: each on its node, with its volumes and perhaps a command of its own. Pure: arguments in, objects out.

`keeper` is where pod_exec runs commands. `tool`, only in a pod with a command of its own, runs that one beside it.
"""

from __future__ import annotations

from . import job_spec, owned
from .job_spec import KEEPER, LABEL, TOOL

GROUP_LABEL = "kubeproof.io/group"
# The name of a pod is its host's name as well.
LONGEST_NAME = 63
POD = {
    "node": {"type": "str", "default": ""},
    "argv": {"type": "list", "elements": "str", "default": []},
    "host_network": {"type": "bool", "default": False},
    "ports": {"type": "list", "elements": "int", "default": []},
    "labels": {"type": "dict", "default": {}},
    "claims": {"type": "dict", "default": {}},
    "block": {"type": "bool", "default": False},
    "environment": {"type": "dict", "default": {}},
}
# Listening, in the kernel's own list: a connection to see it would be one that the server has to answer.
LISTEN = """
for port; do
  found=
  for list in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$list" ] || continue
    while read -r number here there state rest; do
      case "$here $state" in *":$port 0A") found=yes ;; esac
    done <"$list"
  done
  [ -n "$found" ] || exit 1
done
"""


def problem_of(options):
    """Return in a sentence why these arguments cannot be used, or None."""
    pods = options["pods"]
    named = {f"pods.{name}.environment": pod["environment"] for name, pod in pods.items()}
    problem = job_spec.common_problem(options, ("seconds", "pull_timeout", "ready_timeout"), named)
    if problem:
        return problem
    if not pods:
        return "pods is empty: name at least one."
    for name, pod in pods.items():
        problem = pod_problem(options, name, pod)
        if problem:
            return f"pods: {name}: {problem}"
    return None


def pod_problem(options, name, pod):
    """Return in a sentence why a pod cannot be made, or None."""
    if not job_spec.NAME.fullmatch(name) or len(name_of(options, name)) > LONGEST_NAME:
        return f"use lower case letters, digits and -, with the name of the group at most {LONGEST_NAME - 1}."
    if pod["ports"] and not pod["argv"]:
        return "it has ports, but no argv that could listen there."
    if pod["block"] and not pod["claims"]:
        return "block says that its claims are devices, but claims is empty."
    for port in pod["ports"]:
        if not 1 <= port <= 65535:
            return f"{port} is no port: give 1 to 65535."
    for claim, path in pod["claims"].items():
        if not str(path).startswith("/"):
            return f"claims: {claim} has {path!r}: give a path that begins with /."
    for key, value in pod["labels"].items():
        if key in group_labels(options):
            return f"labels: {key} is given by this module."
        if value and not LABEL.fullmatch(str(value)):
            return f"labels: {value!r} cannot be the value of a label."
    return None


def name_of(options, name):
    """Return what a pod of the group is called in the cluster."""
    return f"{options['name']}-{name}"


def group_labels(options):
    """Return the labels of all objects of the group."""
    return {**owned.labels(options["run_id"]), GROUP_LABEL: options["name"]}


def selector(options):
    """Return the label selector of the group."""
    return ",".join(f"{key}={value}" for key, value in group_labels(options).items())


def objects(options):
    """Return [(kind in the path, object)] in the order of creation."""
    found = [("configmaps", job_spec.holder("ConfigMap", options, options["name"], options["files"]))] if options["files"] else []
    return found + [("pods", pod_object(options, name, pod)) for name, pod in options["pods"].items()]


def pod_object(options, name, pod):
    """Return one pod."""
    containers = [container(options, pod, KEEPER, ["sh", "-c", job_spec.KEEP.format(seconds=options["seconds"])])]
    if pod["argv"]:
        containers.append(container(options, pod, TOOL, [job_spec.literal(argument) for argument in pod["argv"]]))
    spec = job_spec.base(options, options["name"], containers)
    spec["activeDeadlineSeconds"] = options["seconds"]
    spec["topologySpreadConstraints"] = job_spec.spread({GROUP_LABEL: options["name"], **owned.labels(options["run_id"])})
    spec["volumes"] += [{"name": f"claim-{index}", "persistentVolumeClaim": {"claimName": claim}} for index, claim in enumerate(pod["claims"])]
    if pod["node"]:
        spec["affinity"] = job_spec.on_nodes([pod["node"]])
    if pod["host_network"]:
        spec.update(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    meta = {"name": name_of(options, name), "labels": {**{key: str(value) for key, value in pod["labels"].items()}, **group_labels(options)}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def container(options, pod, name, command):
    """Return one of a pod's containers."""
    found = {
        "name": name,
        "image": options["image"],
        "command": command,
        "workingDir": job_spec.RESULTS,
        "env": job_spec.variables(pod["environment"]),
        "volumeMounts": job_spec.mounts(options),
        "resources": options["resources"],
        "securityContext": job_spec.confined(options),
        # What a server says when it ends with an error.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    claims = [(f"claim-{index}", path) for index, path in enumerate(pod["claims"].values())]
    if pod["block"]:
        found["volumeDevices"] = [{"name": claim, "devicePath": path} for claim, path in claims]
    else:
        found["volumeMounts"] += [{"name": claim, "mountPath": path} for claim, path in claims]
    if name == TOOL and pod["ports"]:
        ports = [f"{port:04X}" for port in pod["ports"]]
        # A probe that has succeeded is not repeated. How long it may take is for this module to say, and never a reason to end the container.
        found["startupProbe"] = {
            "exec": {"command": ["sh", "-c", LISTEN, "sh", *ports]},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": options["seconds"],
        }
    return found
