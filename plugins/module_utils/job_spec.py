# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a load job: an Indexed Job, the files and the secrets of its tool; and what pods of a group have in common with it.
Pure: arguments in, objects out.

Each pod has two containers of the same image. `tool` runs the tool and ends with its exit code, which Kubernetes then tells with the reason
(OOMKilled, …). `keeper` does nothing, so that what the tool has written can be read after the tool's end.
"""

from __future__ import annotations

import math
import re
import secrets

from .owned import labels

# Of nodes. What runs in pods is for Linux, and a node of another system would only say so after the pull.
SYSTEM, ZONE = "kubernetes.io/os", "topology.kubernetes.io/zone"
LINUX = {SYSTEM: "linux"}
RESULTS, FILES, STATE = "/kubeproof/results", "/kubeproof/files", "/kubeproof/state"
GO = f"{STATE}/go"
TOOL, KEEPER = "tool", "keeper"
USER = 65532
# Who the processes of a pod are, by the Pod Security Standard that it meets; the user of the image in baseline.
USERS = {
    "restricted": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch"},
    "baseline": {},
    "privileged": {"runAsUser": 0, "runAsGroup": 0},
}
# Seconds for which the Job lives on after it ended by itself, its controller gone; and after the tool's deadline, for reading the results.
TTL = 300
COLLECTING, COLLECTING_EACH = 600, 10
# What the pods are given to stop: the tool is ended, never asked.
GRACE = 1
KEEPER_RESOURCES = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}
LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
# A pod's name and its host's name add an index and a suffix of 6 to it.
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# What jobs and groups are both given.
RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
ARGUMENTS = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "run_id": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "files": {"type": "dict", "default": {}},
    "host_aliases": {"type": "dict", "default": {}},
    "tolerations": {"type": "list", "elements": "dict", "default": []},
    "resources": {"type": "dict", "default": RESOURCES},
    "results_limit": {"type": "str", "default": "2Gi"},
    "pull_timeout": {"type": "float", "default": 120},
    "ready_timeout": {"type": "float", "default": 60},
}

# Waits for the start, fills {index} and {next} in, runs the tool, and says when it began and ended and what it used of the CPU.
RUN = r"""
while [ -n "$KUBEPROOF_WAIT" ] && [ ! -e /kubeproof/state/go ]; do sleep 0.1; done
put() {
  rest=$text text=
  while [ "${rest#*"$1"}" != "$rest" ]; do
    text=$text${rest%%"$1"*}$2
    rest=${rest#*"$1"}
  done
  text=$text$rest
}
left=$#
while [ "$left" -gt 0 ]; do
  text=$1 left=$((left - 1))
  shift
  put "{index}" "$JOB_COMPLETION_INDEX"
  put "{next}" "$((JOB_COMPLETION_INDEX + 1))"
  set -- "$@" "$text"
done
read -r begun rest </proc/uptime
"$@" </dev/null >/kubeproof/results/stdout 2>/kubeproof/results/stderr
code=$?
read -r ended rest </proc/uptime
{ echo "$begun $ended"; times; } >/dev/termination-log
exit "$code"
"""
KEEP = 'trap "exit 0" TERM INT; sleep {seconds} & wait'


def problem_of(options):
    """Return in a sentence why these arguments cannot be used, or None."""
    if not options["argv"]:
        return "argv is empty: name the tool to run."
    if not 1 <= options["count"] <= 1000:
        return f"count is {options['count']}: give a number of pods from 1 to 1000."
    problem = common_problem(options, ("timeout", "pull_timeout", "ready_timeout"), {what: options[what] for what in ("environment", "secrets")})
    if problem:
        return problem
    twice = sorted(set(options["environment"]) & set(options["secrets"]))
    return f"{twice[0]} is in environment and in secrets: give it once." if twice else None


def common_problem(options, times, named):
    """Return in a sentence why what jobs and groups are both given cannot be used, or None: `times` names options, `named` is {argument: variables}."""
    if not NAME.fullmatch(options["name"]):
        return f"name is {options['name']!r}: use lower case letters, digits and -, at most 40."
    if not LABEL.fullmatch(options["run_id"]):
        return f"run_id is {options['run_id']!r}, which cannot be the value of a label."
    for name in times:
        if options[name] <= 0:
            return f"{name} is {options[name]:g}: give seconds."
    for ip, names in options["host_aliases"].items():
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            return f"host_aliases: {ip} has {names!r}: give a list of names."
    for one in options["files"]:
        if not FILE.fullmatch(str(one)):
            return f"files: {one!r} cannot be the name of a file."
    wrong = [(what, one) for what, names in named.items() for one in names if not VARIABLE.fullmatch(str(one))]
    return f"{wrong[0][0]}: {wrong[0][1]!r} cannot be the name of a variable." if wrong else None


def unique(name):
    """Return a name that no other object has, so that it can be deleted although the answer to its creation was lost."""
    return f"{name}-{secrets.token_hex(3)}"


def deadline(options):
    """Return the seconds after which Kubernetes itself ends the pods."""
    waits = options["ready_timeout"] + options["pull_timeout"] + options["timeout"]
    return math.ceil(waits) + COLLECTING + COLLECTING_EACH * options["count"]


def job(options, name):
    """Return the Job."""
    meta = {"labels": labels(options["run_id"])}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **meta},
        "spec": {
            "completionMode": "Indexed",
            "completions": options["count"],
            "parallelism": options["count"],
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline(options),
            "ttlSecondsAfterFinished": TTL,
            "template": {"metadata": meta, "spec": pod(options, name)},
        },
    }


def owned(kind, options, name, owner, data):
    """Return a ConfigMap or a Secret that goes with its Job; `owner` is the Job as the API server returned it."""
    made = holder(kind, options, name, data)
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    made["metadata"]["ownerReferences"] = [reference]
    return made


def holder(kind, options, name, data):
    """Return a ConfigMap or a Secret."""
    content = {"data" if kind == "ConfigMap" else "stringData": {key: str(value) for key, value in data.items()}}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels(options["run_id"])}, "immutable": True, **content}


def pod(options, name):
    """Return the spec of the pods."""
    spec = base(options, name, [tool(options, name), keeper(options)])
    if options["nodes"] or options["zones"]:
        spec["affinity"] = on_nodes(options["nodes"], options["zones"])
    if options["spread"]:
        spec["topologySpreadConstraints"] = spread({"batch.kubernetes.io/job-name": name})
    return spec


def base(options, name, containers):
    """Return what the specs of all pods have; `name` is that of the ConfigMap with the files."""
    volumes = [
        {"name": "results", "emptyDir": {"sizeLimit": options["results_limit"]}},
        {"name": "state", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {"sizeLimit": options["results_limit"]}},
    ]
    if options["files"]:
        volumes.append({"name": "files", "configMap": {"name": name}})
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, **USERS[options["security"]]},
        "containers": containers,
        "volumes": volumes,
        "nodeSelector": LINUX,
        "tolerations": options["tolerations"],
        "hostAliases": [{"ip": ip, "hostnames": list(names)} for ip, names in options["host_aliases"].items()],
    }


def spread(labelled):
    """Return the constraint that pods with these labels run on different nodes as far as possible."""
    hosts = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    return [{**hosts, "labelSelector": {"matchLabels": labelled}}]


def on_nodes(names, zones=()):
    """Return the affinity to nodes by name and in zones, either of which may be empty for all; a term takes one name alone."""
    inside = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(zones)}]} if zones else {}
    named = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]} for name in names] or [{}]
    terms = [{**one, **inside} for one in named]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def tool(options, name):
    """Return the container that runs the tool."""
    argv = [argument.replace("{count}", str(options["count"])) for argument in options["argv"]]
    environment = variables({**options["environment"], "KUBEPROOF_WAIT": "yes" if options["start_together"] else ""})
    environment += [{"name": key, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}} for key in options["secrets"]]
    return {
        "name": TOOL,
        "image": options["image"],
        "command": ["sh", "-c", literal(RUN), "sh"],
        "args": [literal(argument) for argument in argv],
        "workingDir": RESULTS,
        "env": environment,
        "volumeMounts": mounts(options),
        "resources": options["resources"],
        "securityContext": confined(options),
    }


def keeper(options):
    """Return the container that keeps the results until they are read."""
    return {
        "name": KEEPER,
        "image": options["image"],
        "command": ["sh", "-c", KEEP.format(seconds=deadline(options))],
        "volumeMounts": [{"name": "results", "mountPath": RESULTS, "readOnly": True}, {"name": "state", "mountPath": STATE}],
        "resources": KEEPER_RESOURCES,
        "securityContext": confined(options),
    }


def variables(given):
    """Return the environment of a tool's container."""
    return [{"name": key, "value": literal(str(value))} for key, value in {"HOME": "/tmp", "LC_ALL": "C", **given}.items()]


def mounts(options):
    """Return where a tool finds the volumes that all pods have."""
    found = [{"name": "results", "mountPath": RESULTS}, {"name": "state", "mountPath": STATE}, {"name": "tmp", "mountPath": "/tmp"}]
    return [*found, {"name": "files", "mountPath": FILES, "readOnly": True}] if options["files"] else found


def confined(options):
    """Return what a container may do."""
    if options["security"] == "privileged":
        return {"privileged": True}
    if options["security"] == "baseline":
        return {"allowPrivilegeEscalation": False}
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def literal(text):
    """Return a text that Kubernetes leaves as it is: it fills $(NAME) in, and takes $$ as $."""
    return text.replace("$", "$$")
