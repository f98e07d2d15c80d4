#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job_run
short_description: Run a load tool in pods of the cluster, and return what it measured
version_added: "0.1.0"
description:
  - Runs a command in one or many pods of an Indexed Job, with a deadline, and brings back what it wrote, whole or not at all. The twin of
    M(kubeproof.certify.tool_run) for load that one machine cannot make, or that must come from inside the cluster.
  - Every pod must end well. One that is evicted, killed for memory, deleted or on a lost node, and one whose tool ends with another exit code than 0,
    (O(success_codes)) fails the run with the pod, the node and the reason. It is never a smaller result.
  - Standard output, standard error and every file in C(/kubeproof/results) are read over WebSocket and compared with the size and the SHA-256 that
    the pod computed. Memory does not grow with their size.
  - Everything that was created is deleted in every case, also after C(SIGTERM), C(SIGINT) and C(SIGHUP), and the deletion is verified. What a killed
    controller leaves behind ends by its deadline, and is deleted by Kubernetes five minutes later.
author: kubeproof authors (@kubeproof)
options:
  kubeconfig:
    description: Path of the kubeconfig.
    type: path
    required: true
  namespace:
    description: Namespace, which must exist.
    type: str
    required: true
  run_id:
    description: The run that everything is labelled with.
    type: str
    required: true
  name:
    description: What the objects are called. Six random digits are added, so that nothing else can have the name.
    type: str
    required: true
  image:
    description: Image that has the tool, and C(sh), C(cat), C(tail), C(wc), C(sleep) and C(sha256sum), as Debian and Alpine do.
    type: str
    required: true
  argv:
    description:
      - The command and its arguments. No shell is involved. Pass secrets by O(secrets) only.
      - V({index}) becomes the number of the pod from 0 on, V({next}) the number after it, and V({count}) the number of pods.
      - It runs in C(/kubeproof/results). What it writes there, beside its output, comes back as well, without directories.
    type: list
    elements: str
    required: true
  environment:
    description: Additional environment variables.
    type: dict
    default: {}
  secrets:
    description: Environment variables that the tool gets from a Secret. They are neither logged nor returned.
    type: dict
    default: {}
  files:
    description: Content of files by their name. The tool finds them in C(/kubeproof/files). Together they must be smaller than 1 MiB.
    type: dict
    default: {}
  count:
    description: Number of pods, which all run at the same time.
    type: int
    default: 1
  nodes:
    description: Names of the nodes that the pods may run on; empty for all. They have Linux in any case.
    type: list
    elements: str
    default: []
  zones:
    description: Zones that the pods may run in, as nodes have them in the label C(topology.kubernetes.io/zone); empty for all.
    type: list
    elements: str
    default: []
  spread:
    description: Whether the pods shall run on different nodes as far as possible. Where they ran is returned.
    type: bool
    default: true
  host_aliases:
    description: Additional lines of the pods' C(/etc/hosts), lists of names by their IP address.
    type: dict
    default: {}
  tolerations:
    description: Tolerations of the pods.
    type: list
    elements: dict
    default: []
  resources:
    description: Requests and limits of the tool. A limit of CPU throttles the load, so there is none unless it is given here,
      and a pod that gets another one from a LimitRange or an admission policy is refused.
    type: dict
    default: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 1Gi}}
  results_limit:
    description: Largest size of what a pod's tool may write, as Kubernetes writes quantities. A pod that writes more is evicted.
    type: str
    default: 2Gi
  timeout:
    description: Seconds after which the tool is ended and the run has failed, counted from the common start.
    type: float
    required: true
  pull_timeout:
    description: Seconds that a pod has to start after it was scheduled, most of them for the pull of O(image).
    type: float
    default: 120
  ready_timeout:
    description: Seconds until all pods must be created and scheduled.
    type: float
    default: 60
  start_together:
    description: Whether no tool starts before all pods run.
    type: bool
    default: true
  security:
    description:
      - The Pod Security Standard that the pods meet.
      - V(restricted) runs as user 65532 without capabilities and with a read-only root filesystem; C(/tmp) and C(/kubeproof/results) can be written.
      - V(baseline) runs as the user of the image with the runtime's usual capabilities.
    type: str
    choices: [restricted, baseline]
    default: restricted
  success_codes:
    description:
      - Exit codes with which the tool ended well. Those of the pods are in RV(pods), and say which of them ended how.
      - C(k6) ends with 99 when it stopped by itself, and what it measured until then counts.
    type: list
    elements: int
    default: [0]
  parser:
    description:
      - The parser that turns results into facts, such as V(k6) or V(fio). Without it there are no facts.
      - One that reads text gets standard output, so O(count) must be 1. One that reads files gets the file O(result) of every pod.
    type: str
  result:
    description:
      - Name of the file in C(/kubeproof/results) that the tool writes, for a parser that reads files. Such a parser needs it, and another refuses it.
      - A tool that ended well and did not write it has failed.
    type: str
  raw:
    description:
      - Directory on the controller that must not exist or must be empty. C(<raw>/<index>/stdout), C(<raw>/<index>/stderr) and the files of the tool
        are written, also those that can be had of a run that failed.
    type: path
  wait:
    description:
      - Whether to wait until everything is gone. Without it the deletion is asked for, and whoever removes the namespace has to see that it happened.
      - The tools have ended by then. A job that failed is waited for in any case.
    type: bool
    default: true
requirements:
  - kubernetes
notes:
  - "Rights in the namespace: C(create) and C(delete) of C(jobs.batch), of C(configmaps) and of C(secrets); C(list), C(watch) and C(deletecollection) of
    C(pods); C(get) and C(create) of C(pods/exec); C(list) of C(events)."
  - C(get) of C(nodes) in the cluster is used for zones where pods do not carry them. Without it zones are missing.
attributes:
  check_mode:
    description: Never runs the tool in check mode.
    details: Fails instead, because a load that did not run measured nothing.
    support: partial
"""

EXAMPLES = r"""
- name: Read from the API server, one third of the rate from each of three pods
  kubeproof.certify.job_run:
    kubeconfig: ~/.kube/prod
    namespace: kubeproof-20261121t040000z-1a2b
    run_id: 20261121t040000z-1a2b
    name: k6
    image: registry.example.com/kubeproof/tools:0.3.0
    count: 3
    argv:
      - k6
      - run
      - --execution-segment={index}/{count}:{next}/{count}
      - --execution-segment-sequence=0,1/3,2/3,1
      - --out
      - csv=samples.csv
      - /kubeproof/files/read.js
    result: samples.csv
    files:
      read.js: "{{ lookup('ansible.builtin.file', 'read.js') }}"
    secrets:
      TOKEN: "{{ apiserver_token }}"
    timeout: 330
    parser: k6
    raw: /home/me/results/prod/20261121t040000z-1a2b/raw/apiserver/k6
"""

RETURN = r"""
facts:
  description: What the parser read, in base units. Without O(parser) it is empty.
  returned: success
  type: dict
  sample: {rate: 3505.46, errors: 0}
pods:
  description: The pods, by their index.
  returned: when the Job was created
  type: list
  elements: dict
  sample: [{index: 0, pod: k6-3fa9c1-0-x7k2p, node: worker1, zone: a, exit_code: 0, seconds: 300.4, cpu_seconds: 212.7}]
  contains:
    index:
      description: Number of the pod from 0 on.
      type: int
      sample: 0
    pod:
      description: Its name.
      type: str
      sample: k6-3fa9c1-0-x7k2p
    node:
      description: Its node.
      returned: when it was scheduled
      type: str
      sample: worker1
    zone:
      description: The zone of its node.
      returned: when it has one that can be read
      type: str
      sample: a
    exit_code:
      description: Exit code of the tool.
      returned: when the tool ended
      type: int
      sample: 0
    seconds:
      description: How long the tool ran.
      returned: when the tool ended by itself
      type: float
      sample: 300.4
    cpu_seconds:
      description: Time that the tool and the processes it waited for spent on CPUs. Near O(resources) or the node's CPUs it was saturated.
      returned: when the tool ended by itself
      type: float
      sample: 212.7
    reason:
      description: Why the pod was lost, was waiting, or its tool was killed.
      returned: when there is a reason
      type: str
      sample: OOMKilled
seconds:
  description: Time from the start of the tools until all had ended.
  returned: when all tools ended well
  type: float
  sample: 301.2
left:
  description: What could not be deleted, or whose deletion could not be seen. The module fails unless it is empty.
  returned: always
  type: list
  elements: str
  sample: []
command:
  description: The command, quoted for a shell.
  returned: always
  type: str
  sample: k6 run /kubeproof/files/read.js
"""

import os
import shlex
import tempfile

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, evidence, job_results, job_spec, job_stop, parsers
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.job_runner import Runner
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError
from ansible_collections.kubeproof.certify.plugins.module_utils.run import OUTPUT_LIMIT

SPEC = {
    **job_spec.ARGUMENTS,
    "image": {"type": "str", "required": True},
    "argv": {"type": "list", "elements": "str", "required": True},
    "environment": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "count": {"type": "int", "default": 1},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "zones": {"type": "list", "elements": "str", "default": []},
    "spread": {"type": "bool", "default": True},
    "timeout": {"type": "float", "required": True},
    "start_together": {"type": "bool", "default": True},
    "security": {"type": "str", "choices": ["restricted", "baseline"], "default": "restricted"},
    "success_codes": {"type": "list", "elements": "int", "default": [0]},
    "parser": {"type": "str"},
    "result": {"type": "str"},
    "raw": {"type": "path"},
    "wait": {"type": "bool", "default": True},
}


def problem_of(options):
    """Return in a sentence why these arguments cannot be used, or None."""
    raw = options["raw"]
    try:
        if raw and os.path.lexists(raw) and os.listdir(raw):
            return f"raw is {raw}, which is not empty: what a former run left there would be taken for results of this one."
        return job_spec.problem_of(options) or parser_problem(options["parser"], options["result"], options["count"])
    except ParseError as error:
        return f"parser: {error}"
    except OSError as error:
        return f"raw is {raw}, which is no directory that can be read: {error.strerror}."


def parser_problem(parser, result, count):
    """Return in a sentence why the parser does not fit the other arguments, or None; ParseError when there is no such parser."""
    problem = job_results.parser_problem(parser, result)
    if problem or not parser or result or count == 1:
        return problem
    return f"The parser {parser} reads one text, so count must be 1; it is {count}."


def facts_of(options, directories, scratch):
    """Return the facts in the results of all pods ({index: directory}); ParseError when they cannot be trusted."""
    if not options["parser"]:
        return {}
    if not options["result"]:
        path = os.path.join(directories[0], "stdout")
        if os.path.getsize(path) > OUTPUT_LIMIT:
            raise ParseError(f"it is longer than {OUTPUT_LIMIT} bytes.")
        with open(path, encoding="utf-8", errors="replace") as stream:
            return kept(options, [path], parsers.parse(options["parser"], stream.read()))
    # A parser of files reads one file of each generator in one directory.
    together, paths = os.path.join(scratch, "together"), []
    os.mkdir(together)
    # By their index, not as they ended: so are they called, and so are they read again.
    for index, directory in sorted(directories.items()):
        path = os.path.join(directory, options["result"])
        missing = parsers.absent(path)
        if missing:
            raise ParseError(f"the tool ended well in the pod with index {index}, but did not write it: {missing}")
        os.symlink(path, os.path.join(together, f"{index}-{options['result']}"))
        paths.append(path)
    return kept(options, paths, parsers.parse_path(options["parser"], together))


def kept(options, paths, facts):
    """Return the facts; beside raw output that is kept is said what read it."""
    if options["raw"]:
        evidence.keep(options["raw"], options["parser"], paths)
    return facts


def execute(runner, scratch):
    """Run the job; return (result, why it failed or None). Everything is deleted afterwards, whatever happened."""
    options = runner.options
    reason = job_stop.guarded(runner.measure, runner.tool, runner.module)
    result = {} if runner.begun is None else {"pods": runner.pods()}
    if not reason:
        result["seconds"] = round(runner.ended - runner.started, 3)
    result["left"] = runner.remove() if reason or options["wait"] else runner.leave()
    if result["left"]:
        text = f"{', '.join(result['left'])} could not be deleted, or their deletion could not be seen"
        text += f"; pods end by themselves {job_spec.deadline(options)} s after their start. Delete what has the label kubeproof.io/run={options['run_id']}."
        reason = f"{reason} {text}" if reason else text
    if not reason:
        directories = {runner.states[name].index: directory for name, directory in runner.collected.items()}
        try:
            result["facts"] = facts_of(options, directories, scratch)
        except DataFileError as error:
            reason = str(error)
        except ParseError as error:
            reason = f"Cannot read the {'result' if options['result'] else 'output'} of {runner.tool}: {error}"
    return result, reason


def main():
    """Run the tool in the cluster and exit."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    result = {"changed": False, "left": [], "command": shlex.join(options["argv"])}
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR, **result)
    problem = problem_of(options)
    if problem:
        module.fail_json(msg=problem, **result)
    if module.check_mode:
        module.fail_json(msg=f"Load tools do not run in check mode, so {options['argv'][0]} measured nothing.", **result)
    try:
        server = cluster.Cluster(options["kubeconfig"])
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The cluster cannot be reached: {error}.", **result)
    # Not the module's own directory: in Ansible's process nothing would take that away.
    with tempfile.TemporaryDirectory(prefix="kubeproof-") as scratch:
        runner = Runner(server, options, os.path.abspath(options["raw"] or scratch))
        outcome, reason = execute(runner, scratch)
    result.update(outcome, changed=bool(runner.created))
    if reason:
        module.fail_json(msg=reason, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
