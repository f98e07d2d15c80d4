#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_exec
short_description: Run load tools in pods that are there already, and return what they measured
version_added: "0.1.0"
description:
  - Runs commands one after the other, each in a pod that M(kubeproof.certify.pod_group) made, with a timeout, and brings back what it wrote, whole or
    not at all. A run costs one connection and no start of a pod.
  - A run that fails does not fail the module unless O(stop_on_error) is set. Its RV(runs.error) says why, and it has no facts. What was to run in a
    pod that is lost fails at once. When no pod could be reached the module fails.
  - A tool goes on when the connection to its pod is cut, and the wait is taken up again. The pod itself ends it at its timeout, also when this module
    is killed. C(SIGTERM), C(SIGINT) and C(SIGHUP) to this module end it at once.
  - Standard output, standard error and every file that the tool writes in its working directory are compared with the size and the SHA-256 that the
    pod computed. Memory does not grow with their size.
author: kubeproof authors (@kubeproof)
options:
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  namespace:
    description: Namespace of the pods.
    type: str
    required: true
  raw:
    description:
      - Directory on the controller. C(<raw>/<name>/stdout), C(<raw>/<name>/stderr) and the files of the tool are written, also those that can be had of
        a run that failed. No C(<raw>/<name>) may exist unless it is empty.
    type: path
    required: true
  stop_on_error:
    description: Whether to stop and fail at the first run that fails.
    type: bool
    default: false
  runs:
    description: What to run, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the run is called, once.
        type: str
        required: true
      pod:
        description: Name of the pod in the cluster, as M(kubeproof.certify.pod_group) returns it.
        type: str
        required: true
      argv:
        description:
          - The command and its arguments. No shell is involved. It may be seen in the cluster's audit log, so pass no secrets.
          - It runs in a directory of its own below C(/kubeproof/results), which is empty, and finds the files of the group in C(/kubeproof/files).
        type: list
        elements: str
        required: true
      timeout:
        description: Seconds after which the tool is ended and the run has failed, in whole seconds.
        type: float
        required: true
      success_codes:
        description: Exit codes with which the tool ended well; V(99) is that of a C(k6) that stopped by itself, and what it measured until then counts.
        type: list
        elements: int
        default: [0]
      parser:
        description: The parser that reads standard output, such as V(iperf3) or V(fio), or the file O(runs[].result). Without it there are no facts.
        type: str
      result:
        description: Name of the file that the tool writes in its directory, for a parser that reads files. Such a parser needs it, and another refuses it.
        type: str
      environment:
        description: Additional environment variables, which may be seen in the cluster's audit log.
        type: dict
        default: {}
requirements:
  - kubernetes
notes:
  - "Rights in the namespace: C(get) and C(create) of C(pods/exec); C(list) of C(pods)."
attributes:
  check_mode:
    description: Never runs a tool in check mode.
    details: Fails instead, because a load that did not run measured nothing.
    support: partial
"""

EXAMPLES = r"""
- name: Measure the throughput between two pods, both ways
  kubeproof.certify.pod_exec:
    kubeconfig: ~/.kube/prod
    namespace: kubeproof-20261121t040000z-1a2b-network
    raw: /home/me/results/prod/20261121t040000z-1a2b/raw/network/throughput
    runs:
      - name: there
        pod: "{{ pair.pods.client.pod }}"
        argv: [iperf3, -c, "{{ pair.pods.server.ip }}", -J, -t, "10"]
        timeout: 20
        parser: iperf3
      - name: back
        pod: "{{ pair.pods.client.pod }}"
        argv: [iperf3, -c, "{{ pair.pods.server.ip }}", -J, -t, "10", -R]
        timeout: 20
        parser: iperf3
"""

RETURN = r"""
runs:
  description: What became of the runs, by their name. Those that did not begin, because an earlier one failed and O(stop_on_error) is set, are missing.
  returned: when a run was begun
  type: dict
  sample: {there: {facts: {protocol: tcp}, exit_code: 0, seconds: 10.05, cpu_seconds: 3.1, error: ""}}
  contains:
    facts:
      description: What the parser read, in base units. Without a parser it is empty.
      returned: when the run ended well
      type: dict
      sample: {protocol: tcp, streams: 1}
    exit_code:
      description: Exit code of the tool.
      returned: when it ended
      type: int
      sample: 0
    seconds:
      description: How long the tool ran.
      returned: when it ended
      type: float
      sample: 10.05
    cpu_seconds:
      description: Time that the tool and the processes it waited for spent on CPUs.
      returned: when it ended
      type: float
      sample: 3.1
    error:
      description: Why the run failed, in a sentence; empty when it ended well.
      type: str
      sample: iperf3 did not end within 20 s in pod pair-client.
seconds:
  description: Time that all runs took together, with the connections.
  returned: when a run was begun
  type: float
  sample: 20.4
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, job_results, job_stop
from ansible_collections.kubeproof.certify.plugins.module_utils.job_pods import JobError
from ansible_collections.kubeproof.certify.plugins.module_utils.job_spec import FILE, VARIABLE
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError
from ansible_collections.kubeproof.certify.plugins.module_utils.pod_exec import Exec

RUN_SPEC = {
    "name": {"type": "str", "required": True},
    "pod": {"type": "str", "required": True},
    "argv": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "float", "required": True},
    "success_codes": {"type": "list", "elements": "int", "default": [0]},
    "parser": {"type": "str"},
    "result": {"type": "str"},
    "environment": {"type": "dict", "default": {}},
}
SPEC = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "raw": {"type": "path", "required": True},
    "stop_on_error": {"type": "bool", "default": False},
    "runs": {"type": "list", "elements": "dict", "required": True, "options": RUN_SPEC},
}


def problem_of(options):
    """Return in a sentence why these arguments cannot be used, or None."""
    if not options["runs"]:
        return "runs is empty: name what to run."
    names = set()
    for run in options["runs"]:
        try:
            problem = "its name is used twice." if run["name"] in names else run_problem(options, run)
        except ParseError as error:
            problem = f"parser: {error}"
        if problem:
            return f"runs: {run['name']}: {problem}"
        names.add(run["name"])
    return None


def run_problem(options, run):
    """Return in a sentence why one run cannot be used, or None; ParseError when there is no such parser."""
    if not FILE.fullmatch(run["name"]):
        return "use letters, digits and ._- in its name."
    # env takes a word with = in it for a variable.
    if not run["argv"] or not run["argv"][0] or "=" in run["argv"][0] or run["argv"][0].startswith("-"):
        return "argv must begin with the name of a tool."
    if run["timeout"] <= 0:
        return f"timeout is {run['timeout']:g}: give seconds."
    for name in run["environment"]:
        if not VARIABLE.fullmatch(str(name)):
            return f"environment: {name!r} cannot be the name of a variable."
    directory = os.path.join(options["raw"], run["name"])
    try:
        if os.path.lexists(directory) and os.listdir(directory):
            return f"{directory} is not empty: what a former run left there would be taken for its results."
    except OSError as error:
        return f"{directory} is no directory that can be read: {error.strerror}."
    return job_results.parser_problem(run["parser"], run["result"])


def execute(server, options, runs):
    """Run all and fill `runs` {name: outcome}; return why that failed, or None. No tool runs afterwards."""
    tools = Exec(server, options["namespace"])

    def measure():
        for run in options["runs"]:
            outcome = runs[run["name"]] = tools.run(run, os.path.abspath(os.path.join(options["raw"], run["name"])))
            if outcome["error"] and options["stop_on_error"]:
                raise JobError(f"{run['name']}: {outcome['error']}")
        if not tools.reached:
            raise JobError(f"No pod could be reached: {'; '.join(dict.fromkeys(outcome['error'].rstrip('.') for outcome in runs.values()))}")

    reason = job_stop.guarded(measure, "The run", "pod_exec")
    pod = tools.current and tools.current[0]
    if not tools.end():
        reason = f"{reason} What runs in pod {pod} could not be ended; it ends by itself at its timeout."
    return reason


def main():
    """Run the tools and exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options, runs = module.params, {}
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    problem = problem_of(options)
    if problem:
        module.fail_json(msg=problem)
    if module.check_mode:
        module.fail_json(msg=f"Load tools do not run in check mode, so {options['runs'][0]['argv'][0]} measured nothing.")
    try:
        server = cluster.Cluster(options["kubeconfig"])
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The cluster cannot be reached: {error}.")
    began = time.monotonic()
    reason = execute(server, options, runs)
    result = {"changed": True, "runs": runs, "seconds": round(time.monotonic() - began, 3)}
    if reason:
        module.fail_json(msg=reason, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
