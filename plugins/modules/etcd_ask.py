# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_ask
short_description: What the members of an etcd cluster say before load, how far their clocks are apart, and whether keys are free
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Asks the members with C(etcdctl), compares their clocks with this host's meanwhile, looks which load tools are present, and whether the keys exist
    that the load is going to write. In one module, since each one costs a host half a second.
  - It reads only. All questions are asked, whatever becomes of one of them.
options:
  etcdctl:
    description: The path of C(etcdctl), of 3.4 or later.
    type: path
    required: true
  flags:
    description: Flags of every question, such as C(--endpoints) and those of the certificates.
    type: list
    elements: str
    default: []
  questions:
    description: What to ask.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What the raw output is called by.
        type: str
        required: true
      argv:
        description: The command of C(etcdctl) with its arguments.
        type: list
        elements: str
        required: true
      codes:
        description: Exit codes after which the answer is worth reading.
        type: list
        elements: int
        default: [0]
  peers:
    description: Client URLs of the members whose clocks are compared with this host's.
    type: list
    elements: str
    default: []
  ca:
    description: CA file for the certificates of O(peers).
    type: path
  cert:
    description: Client certificate file for O(peers). Needs O(key).
    type: path
  key:
    description: Key file of O(cert).
    type: path
  tools:
    description: Load tools to look for.
    type: list
    elements: str
    default: []
  tool_dirs:
    description: Directories to look in before C(PATH).
    type: list
    elements: path
    default: []
  free:
    description: The keys of C(benchmark) to look for, as M(kubeproof.certify.etcd_keys) deletes them. Not looked for where a question failed.
    type: dict
    suboptions:
      endpoint:
        description: Client URL of one member of etcd, and the credentials for it.
        type: dict
        required: true
        suboptions:
          url:
            description: Client URL, without a path.
            type: str
            required: true
          ca:
            description: CA file that signed the certificate of etcd.
            type: path
          cert:
            description: Client certificate file.
            type: path
          key:
            description: Key file of the client certificate.
            type: path
          token:
            description: Token of a user of etcd.
            type: str
          timeout:
            description: Seconds to wait for each answer.
            type: float
            default: 10.0
      puts:
        description: The runs of C(benchmark put) whose keys are meant, with the values of its flags C(--total), C(--key-size) and C(--key-space-size).
        type: list
        elements: dict
        default: []
        suboptions:
          total:
            description: Number of puts.
            type: int
            required: true
          key_size:
            description: Size of a key in bytes, at least one more than the longest number needs.
            type: int
            required: true
          key_space_size:
            description: Number of different numbers.
            type: int
            required: true
      prefix:
        description: A prefix of our own, C(/kubeproof-…), whose keys are counted with the predicted ones.
        type: str
  timeout:
    description: Seconds after which a question has failed.
    type: float
    default: 30.0
  run_dir:
    description: Directory of the run on the host, in which the record of the process stands while it runs.
    type: path
    required: true
  raw:
    description: Directory on the controller. C(<raw>/<name>.stdout), C(<raw>/<name>.stderr) (unless it is empty) and C(<raw>/<name>.json) are written.
    type: str
attributes:
  check_mode:
    description: Reads the same.
    support: full
  action:
    description: The action part writes the raw output on the controller.
    support: full
"""

EXAMPLES = r"""
- name: Ask the members
  kubeproof.certify.etcd_ask:
    etcdctl: /usr/local/bin/etcdctl
    flags: ["--endpoints=https://10.0.0.11:2379,https://10.0.0.12:2379", --cacert=/etc/etcd/ca.crt]
    questions:
      - {name: members, argv: [member, list]}
      - {name: health, argv: [endpoint, health], codes: [0, 1]}
    peers: ["https://10.0.0.12:2379"]
    ca: /etc/etcd/ca.crt
    free:
      endpoint: {url: "https://10.0.0.11:2379", ca: /etc/etcd/ca.crt}
      puts: [{total: 30000, key_size: 256, key_space_size: 10000}]
    run_dir: /var/tmp/kubeproof/20261121t040000z-1a2b
  become: true
"""

RETURN = r"""
facts:
  description:
    - C(asked), what the parser V(etcdctl) read in the answers, together; C(clock), C(clock_difference) (seconds, the largest, as [at least, at most];
      only where every clock was read), C(tools) and C(problems) as in M(kubeproof.certify.etcd_info).
    - Where a question failed, C(asked) has what the others answered.
  returned: always
  type: dict
  sample:
    asked: {members_count: 3}
    clock: {"https://10.89.7.12:2379": [0.0, 0.049]}
    clock_difference: [0.0, 0.049]
    tools: {etcdctl: {path: /usr/local/bin/etcdctl, version: 3.6.8}}
    problems: []
free:
  description: Number of different keys that the load is going to write, how many of them exist, and the revision of etcd then.
  returned: with O(free), when the keys could be looked for
  type: dict
  sample: {predicted: 10064, present: 0, revision: 75123}
"""

import threading

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_clock, etcd_keyspace, etcd_tools, tool_call
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_gateway import Gateway
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError
from ansible_collections.kubeproof.certify.plugins.module_utils.run import RunError
from ansible_collections.kubeproof.certify.plugins.module_utils.web import ENDPOINT_SPEC, Endpoint, HttpError

QUESTION = {
    "name": {"type": "str", "required": True},
    "argv": {"type": "list", "elements": "str", "required": True},
    "codes": {"type": "list", "elements": "int", "default": [0]},
}
FREE = {
    "endpoint": {"type": "dict", "required": True, "options": ENDPOINT_SPEC},
    "puts": etcd_keyspace.PUTS_SPEC,
    "prefix": {"type": "str"},
}
SPEC = {
    "etcdctl": {"type": "path", "required": True},
    "flags": {"type": "list", "elements": "str", "default": []},
    "questions": {"type": "list", "elements": "dict", "required": True, "options": QUESTION},
    "peers": {"type": "list", "elements": "str", "default": []},
    "ca": {"type": "path"},
    "cert": {"type": "path"},
    "key": {"type": "path", "no_log": False},
    "tools": {"type": "list", "elements": "str", "default": []},
    "tool_dirs": {"type": "list", "elements": "path", "default": []},
    "free": {"type": "dict", "options": FREE},
    "timeout": {"type": "float", "default": 30.0},
    "run_dir": {"type": "path", "required": True},
    "raw": {"type": "str"},
}
PARSER = "etcdctl"


class Clocks(threading.Thread):
    """The clocks of the members, read while they are asked."""

    def __init__(self, options):
        super().__init__(daemon=True)
        self.found, self.failed, self.problems, self.peers = {}, {}, [], []
        secrets = {name: options[name] for name in ("ca", "cert", "key") if options[name]}
        try:
            self.peers = [Endpoint(url, timeout=1.0, **secrets) for url in options["peers"]]
        except HttpError as error:
            self.problems = [f"The clocks of the other members were not compared: {error}"]

    def run(self):
        """Read the clocks; this takes a second, until each has been seen to change."""
        self.found, self.failed = etcd_clock.compare(self.peers)

    def facts(self):
        """Return {clock, clock_difference}, the second only when every clock was read."""
        if not self.peers:
            return {}
        self.problems = [f"The clock of {url} was not compared: {reason}." for url, reason in sorted(self.failed.items())]
        return {"clock": self.found, **({} if self.failed else {"clock_difference": etcd_clock.worst(self.found.values())})}


def ask(options):
    """Return ({name: the result of one question}, [why one failed])."""
    answers, reasons = {}, []
    fixed = {"timeout": options["timeout"], "parser": PARSER, "run_dir": options["run_dir"], "result": None, "environment": {}, "chdir": None, "watch": None}
    for question in options["questions"]:
        argv = [options["etcdctl"], "--write-out=json", *options["flags"], *question["argv"]]
        try:
            answer, reason = tool_call.execute({**fixed, "argv": argv, "success_codes": question["codes"]})
        except (RunError, DataFileError) as error:
            answer, reason = {}, str(error)
        answers[question["name"]] = {**answer, "argv": argv}
        reasons += [reason] if reason else []
    return answers, reasons


def look(options):
    """Return ({free: how many keys of the load exist}, None), or ({}, why it is not known); `options` are those of FREE, or None."""
    if not options:
        return {}, None
    try:
        with Gateway(Endpoint(**options["endpoint"])) as gateway:
            return {"free": gateway.seen(gateway.meant(options["puts"], options["prefix"]))}, None
    except (HttpError, etcd_keyspace.KeyspaceError) as error:
        return {}, str(error)


def main():
    """Ask, and return what was said."""
    module = AnsibleModule(argument_spec=SPEC, required_together=[("cert", "key")], supports_check_mode=True)
    options = module.params
    clocks = Clocks(options)
    clocks.start()
    answers, reasons = ask(options)
    free, unknown = look(None if reasons else options["free"])
    tools, unusable = etcd_tools.present(options["tools"], options["tool_dirs"])
    clocks.join()
    asked = {}
    for answer in answers.values():
        asked.update(answer.pop("facts", {}))
    facts = {"asked": asked, **clocks.facts(), "tools": tools, "problems": [*clocks.problems, *unusable]}
    result = {"facts": facts, "answers": answers, **free}
    if reasons or unknown:
        module.fail_json(msg=reasons[0] if reasons else unknown, **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
