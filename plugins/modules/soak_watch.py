#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: soak_watch
short_description: A watcher beside an etcd member that outlives the controller
version_added: "0.1.0"
description:
  - Installs a small systemd service that looks at the etcd member of the host every few seconds and appends what it sees to a file.
  - It goes on after a crash and after a reboot, ends by itself, and needs nothing of the controller.
  - It is not root where systemd (247 or newer) can hand it the client certificate; the certificate itself stays where it is.
  - The file is chained by checksums and never grows beyond a size that follows from O(soak).
author: kubeproof authors (@kubeproof)
options:
  state:
    description:
      - V(started) installs and starts it. A watcher of the same soak that already runs is left alone, and one that was stopped goes on. Another one is
        refused, since its recording would be lost.
      - V(shown) tells what it has seen so far.
      - V(collected) also returns its recording, whether it still runs or not.
      - V(absent) stops it, removes it with its recording, and sees that it is gone.
    type: str
    choices: [started, shown, collected, absent]
    default: shown
  name:
    description: Name of the etcd cluster, for the service kubeproof-soak-<name>.
    type: str
    default: etcd
  soak:
    description: Written at the beginning of the recording. Needed with O(state=started).
    type: dict
    suboptions:
      id:
        description: The same on every host of the cluster.
        type: str
        required: true
      host:
        description: Name of the host.
        type: str
        required: true
      seconds:
        description: How long it watches.
        type: float
        required: true
      interval:
        description: Seconds between two samples.
        type: float
        required: true
      by:
        description: Who started it.
        type: str
      controller:
        description: From where.
        type: str
      started:
        description: When, for people.
        type: str
      run:
        description: Whether a certification began it, whose cleanup may remove it.
        type: bool
  client:
    description: The client URL of the member and paths of files on the host. Needed with O(state=started).
    type: dict
    suboptions: &endpoint
      url:
        description: The URL.
        type: str
        required: true
      ca:
        description: CA file.
        type: path
      cert:
        description: Client certificate file.
        type: path
      key:
        description: Key file of the certificate.
        type: path
  metrics:
    description: The whole URL of the member's metrics, and the same files. Needed with O(state=started).
    type: dict
    suboptions: *endpoint
  raw:
    description: Absolute path on the controller for the recording, compressed with gzip. Needed with O(state=collected).
    type: str
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Watch for a day
  kubeproof.certify.soak_watch:
    state: started
    soak: {id: 20261121t160000z-5c1f, host: etcd1, seconds: 86400, interval: 5}
    client: &client
      url: https://10.0.0.11:2379
      ca: /etc/kubernetes/pki/etcd/ca.crt
      cert: /etc/kubernetes/pki/etcd/healthcheck-client.crt
      key: /etc/kubernetes/pki/etcd/healthcheck-client.key
    metrics: {url: "http://127.0.0.1:2381/metrics"}
  become: true

- name: Take what it has seen
  kubeproof.certify.soak_watch:
    state: collected
    raw: "{{ playbook_dir }}/results/soak/etcd1.gz"
  become: true
"""

RETURN = r"""
facts:
  description:
    - What the watcher has seen so far. C(state) is absent, running, finished, stopped (by somebody), full (the disk), limit, failed or broken.
    - C(coverage) is the share of the samples that should be there by now; C(bytes) and C(most) are the size of the recording and its limit.
  returned: success
  type: dict
  sample:
    state: running
    service: active
    id: 20261121t160000z-5c1f
    host: etcd1
    by: admin
    controller: bastion
    started: "2026-11-21T16:00:00Z"
    run: false
    seconds: 86400
    interval: 5
    elapsed: 3605.0
    samples: 722
    coverage: 1.0
    starts: 1
    first_term: 7
    term: 7
    leader: 8e9e05c52164694d
    changes: 0
    restarts: 0
    bytes: 340000
    most: 18744320
    damage: ""
"""

import base64
import gzip

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_file import too_large
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_service import Service, SoakError, summary

ENDPOINT = {"url": {"type": "str", "required": True}, "ca": {"type": "path"}, "cert": {"type": "path"}, "key": {"type": "path", "no_log": False}}
SOAK = {
    "id": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "seconds": {"type": "float", "required": True},
    "interval": {"type": "float", "required": True},
    "by": {"type": "str"},
    "controller": {"type": "str"},
    "started": {"type": "str"},
    "run": {"type": "bool"},
}
SPEC = {
    "state": {"type": "str", "choices": ["started", "shown", "collected", "absent"], "default": "shown"},
    "name": {"type": "str", "default": "etcd"},
    "soak": {"type": "dict", "options": SOAK},
    "client": {"type": "dict", "options": ENDPOINT},
    "metrics": {"type": "dict", "options": ENDPOINT},
    "raw": {"type": "str"},
}
IN_THE_WAY = (
    "A recording of the soak {id} is here ({state}; {seconds:g} s every {interval:g} s, by {by}). Take it with soak_state=collected, "
    "then remove it with soak_state=absent; it would be lost otherwise."
)


def given(options):
    """Return options without those that were left out."""
    return {name: value for name, value in options.items() if value is not None}


def start(service, options, check_mode):
    """Start the watcher if it does not run; return whether it was started."""
    found, soak = summary(service), given(options["soak"])
    if soak["interval"] < 0.5 or soak["seconds"] < 2 * soak["interval"]:
        raise SoakError(f"soak: {soak['seconds']:g} s every {soak['interval']:g} s. Write an interval of 0.5 s or more, and at least two of them.")
    is_same = all(found.get(name) == soak[name] for name in ("id", "seconds", "interval"))
    if is_same and found["state"] == "running":
        return False
    if is_same and found["state"] == "stopped":
        if not check_mode:
            service.resume()
        return True
    if "id" in found:
        raise SoakError(IN_THE_WAY.format(**{"by": "somebody", "seconds": 0, "interval": 0, **found}))
    large = too_large(soak["seconds"], soak["interval"])
    if large:
        raise SoakError(f"soak: {large}")
    if not check_mode:
        service.remove()
        service.install(soak, given(options["client"]), given(options["metrics"]))
    return True


def main():
    """Do what is asked for, and tell what there is."""
    needed = [("state", "started", ["soak", "client", "metrics"]), ("state", "collected", ["raw"])]
    module = AnsibleModule(argument_spec=SPEC, required_if=needed, supports_check_mode=True)
    options, changed, more = module.params, False, {}
    try:
        service = Service(options["name"])
        if options["state"] == "started":
            changed = start(service, options, module.check_mode)
        elif options["state"] == "absent":
            changed = service.is_installed() if module.check_mode else service.remove()
        facts = summary(service)
        if options["state"] == "collected" and facts["state"] not in ("absent", "broken"):
            with open(service.recording, "rb") as stream:
                more["recording"] = base64.b64encode(gzip.compress(stream.read(), mtime=0)).decode()
    except (SoakError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, facts=facts, **more)


if __name__ == "__main__":
    main()
