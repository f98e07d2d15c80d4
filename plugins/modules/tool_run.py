# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tool_run
short_description: Run a load tool, watch the cluster meanwhile, and return what it measured
version_added: "0.1.0"
description:
  - Runs a command in a process group of its own, with an outer timeout, without standard input and with C(LC_ALL=C).
    On success a parser turns its standard output, or what it wrote to O(result), into facts.
    An exit code of success without the expected output is a failure.
  - While it runs, abort conditions are watched on the host. The whole process group is ended (C(SIGTERM), three seconds later
    C(SIGKILL)) at the timeout, when a condition is met, when a condition cannot be watched, and when this module itself is told to stop.
  - The raw output is kept on the controller, also when the run failed.
author: kubeproof authors (@kubeproof)
options:
  argv:
    description:
      - The command and its arguments. No shell is involved. Pass secrets by file only; the command is returned.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds after which the tool is ended and the run has failed.
    type: float
    required: true
  parser:
    description:
      - The parser that reads standard output, such as V(etcd_benchmark), V(etcdctl) or V(fio), or O(result), such as V(k6) or V(kube_burner).
        Without it there are no facts.
    type: str
  result:
    description:
      - File or directory on the host that the tool writes, which a parser of files reads in place of standard output after the tool
        ended well. Such a parser needs it, and another refuses it.
      - A tool that ended well and left nothing there has failed. What stands there before the tool starts could be taken for its result,
        so it is refused, unless it is an empty file or directory.
      - The directory that it is in is made where it is missing, with mode 0700.
      - It stays on the host.
    type: path
  success_codes:
    description: Exit codes after which the output is worth reading.
    type: list
    elements: int
    default: [0]
  environment:
    description: Additional environment variables. Their values are neither logged nor returned.
    type: dict
    default: {}
  chdir:
    description: Directory to run in, on the host.
    type: path
  run_dir:
    description:
      - Directory of the run on the host. While the tool runs, C(process-<pid>.json) in it records the process group, so that a
        cleanup can end exactly this one.
    type: path
    required: true
  raw:
    description:
      - Path prefix on the controller. C(<raw>.stdout), C(<raw>.stderr) (unless it is empty) and C(<raw>.json) (command, exit code,
        time) are written.
    type: str
extends_documentation_fragment: [kubeproof.certify.watch]
attributes:
  check_mode:
    description: Never runs the tool in check mode.
    details: Fails instead, because a load that did not run measured nothing.
    support: partial
  action:
    description: The action part writes the raw output on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Write to etcd
  kubeproof.certify.tool_run:
    argv: [benchmark, --endpoints, "https://10.0.0.1:2379", --precise, put, --total, "3000", --key-space-size, "300", --sequential-keys]
    timeout: 60
    parser: etcd_benchmark
    run_dir: /var/tmp/kubeproof/20261121t040000z-1a2b
    raw: /home/me/results/prod/20261121t040000z-1a2b/raw/etcd/etcd1/put
    watch:
      rules:
        - endpoint:
            url: http://127.0.0.1:2381/metrics
          metric: etcd_mvcc_db_total_size_in_bytes
          value: "> 1717986918"
          reason: etcd's database is over 80 % of its quota
        - endpoint:
            url: http://127.0.0.1:2381/metrics
          metric: etcd_server_leader_changes_seen_total
          increase: "> 0"
          reason: etcd changed its leader
        - endpoint:
            url: http://127.0.0.1:2381/health
          reason: etcd is not healthy
"""

RETURN = r"""
facts:
  description: What the parser read, in base units. Without O(parser) it is empty.
  returned: success
  type: dict
  sample: {rate: 3505.46, errors: 0, latency: {count: 5000, p99: 0.0305}}
rc:
  description: Exit code; -N when the tool was ended by signal N.
  returned: when the tool ran
  type: int
  sample: 0
seconds:
  description: How long the tool ran.
  returned: when the tool ran
  type: float
  sample: 1.53
cpu_seconds:
  description:
    - Processor time, of the user and of the system, of the tool and of the children that it waited for.
    - Divided by RV(seconds) it is the number of cores that the tool used. One that used all that it may was itself the limit.
  returned: when the tool ran
  type: float
  sample: 0.87
started:
  description: When the tool started, in seconds since 1970.
  returned: when the tool ran
  type: float
  sample: 1795226570.9
command:
  description: The command, quoted for a shell.
  returned: always
  type: str
  sample: benchmark --endpoints https://10.0.0.1:2379 put
aborted:
  description: An abort condition was met or could not be watched.
  returned: when an abort condition ended the run
  type: bool
  sample: true
stderr:
  description: The end of standard error.
  returned: when the tool ran and failed
  type: str
  sample: "Error: context deadline exceeded"
"""

import shlex

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import tool_call
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.parsers.common import ParseError
from ansible_collections.kubeproof.certify.plugins.module_utils.run import RunError
from ansible_collections.kubeproof.certify.plugins.module_utils.watch import WATCH_SPEC, WatchError

SPEC = {
    "argv": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "float", "required": True},
    "parser": {"type": "str"},
    "result": {"type": "path"},
    "success_codes": {"type": "list", "elements": "int", "default": [0]},
    "environment": {"type": "dict", "default": {}},
    "chdir": {"type": "path"},
    "run_dir": {"type": "path", "required": True},
    "watch": WATCH_SPEC,
    "raw": {"type": "str"},
}


def main():
    """Run the tool and exit."""
    # no_log keeps the invocation, with the values of the environment, out of the host's syslog.
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True, no_log=True)
    options = module.params
    if not options["argv"]:
        module.fail_json(msg="argv is empty: name the tool to run.")
    shown = {**options, "environment": sorted(options["environment"])}
    result = {"changed": False, "command": shlex.join(options["argv"]), "invocation": {"module_args": shown}}
    if module.check_mode:
        module.fail_json(msg=f"Load tools do not run in check mode, so {options['argv'][0]} measured nothing.", **result)
    if options["timeout"] <= 0:
        module.fail_json(msg=f"timeout is {options['timeout']:g}: give the seconds after which {options['argv'][0]} is ended.", **result)
    try:
        outcome, reason = tool_call.execute(options)
    except (RunError, WatchError, ParseError, DataFileError) as error:
        module.fail_json(msg=str(error), **result)
    result.update(outcome, changed="rc" in outcome)
    if reason:
        module.fail_json(msg=reason, stderr=tool_call.stderr_of(outcome), **result)
    # Ansible takes any rc but 0 as a failure, unless told.
    module.exit_json(failed=False, **result)


if __name__ == "__main__":
    main()
