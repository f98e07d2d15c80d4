#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_info
short_description: Everything to know about etcd and its host before load
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Finds the etcd process of this host and its effective settings, in containers too; the client credentials; what the member says of itself; certificates,
    disks, memory; and which load tools are present.
  - It reads only. It returns paths of keys, never what is in them. Needs C(become) to read another user's process and certificates.
options:
  name:
    description: Name of the etcd member, where several run on the host.
    type: str
  port:
    description: Client port of the etcd member, where several run on the host.
    type: int
  data_dir:
    description:
      - Data directory of the etcd member, where several run on the host.
      - When no etcd process is on the host, the directory whose disk is described.
    type: path
  endpoint:
    description: Client URL to use in place of the first that etcd advertises.
    type: str
  ca:
    description: CA file for the certificate of etcd, in place of its own trusted CA.
    type: path
  cert:
    description: Client certificate file, in place of the one that is found. Needs O(key).
    type: path
  key:
    description: Key file of O(cert).
    type: path
  host:
    description: Name of this host in the file names of Kubespray's certificates, which is its name in the inventory.
    type: str
  tools:
    description: Load tools to look for.
    type: list
    elements: str
    default: [etcdctl, benchmark, fio]
  tool_dirs:
    description: Directories to look in before C(PATH).
    type: list
    elements: path
    default: []
  timeout:
    description: Seconds to wait for each answer of etcd.
    type: float
    default: 5.0
attributes:
  check_mode:
    description: Reads the same.
    support: full
"""

EXAMPLES = r"""
- name: Read what there is to know about etcd
  kubeproof.certify.etcd_info:
    host: "{{ inventory_hostname }}"
  become: true

- name: Read about the etcd of the events
  kubeproof.certify.etcd_info:
    port: 2383
  become: true
"""

RETURN = r"""
facts:
  description:
    - What is known, in base units. What is not known is left out, and C(problems) says why.
    - The sample is one kubeadm host, shortened.
  returned: success
  type: dict
  sample:
    running: true
    pid: 1041
    name: cp1
    configured_by: flags
    data_dir: /var/lib/etcd
    wal_dir: /var/lib/etcd/member/wal
    advertise_client_urls: ["https://10.89.7.11:2379"]
    listen_client_urls: ["https://127.0.0.1:2379", "https://10.89.7.11:2379"]
    listen_metrics_urls: ["http://127.0.0.1:2381"]
    quota_backend_bytes: 2147483648
    quota_source: default
    snapshot_count: 10000
    heartbeat_interval: 0.1
    election_timeout: 1.0
    max_txn_ops: 128
    client_cert_auth: true
    server_cert: /etc/kubernetes/pki/etcd/server.crt
    endpoint: https://10.89.7.11:2379
    metrics_url: http://127.0.0.1:2381/metrics
    client:
      url: https://10.89.7.11:2379
      ca: /etc/kubernetes/pki/etcd/ca.crt
      cert: /etc/kubernetes/pki/etcd/healthcheck-client.crt
      key: /etc/kubernetes/pki/etcd/healthcheck-client.key
    healthy: true
    version: 3.6.8
    member_id: 5f860626a1f51781
    leader: true
    revision: 34760
    raft_term: 2
    db_size: 31236096
    db_in_use: 3018752
    alarm_count: 0
    member_count: 3
    certificates: {/etc/kubernetes/pki/etcd/server.crt: {expires_in: 31535000, not_after: "2027-11-21T03:31:00Z"}}
    certificate_seconds_left: 31535000
    certificates_expired: 0
    disk: {device: /dev/sdb1, filesystem: ext4, mount_point: /var/lib/etcd, own_mount: true, size: 21474836480, free: 20401094656, rotational: false}
    memory: 8589934592
    cpus: 4
    architecture: amd64
    kernel: 6.1.0
    tools: {etcdctl: {path: /usr/local/bin/etcdctl, version: 3.6.8}}
    problems: []
"""

import os
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_certificates, etcd_host, etcd_machine, etcd_status, etcd_tools
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint, HttpError

SPEC = {
    "name": {"type": "str"},
    "port": {"type": "int"},
    "data_dir": {"type": "path"},
    "endpoint": {"type": "str"},
    "ca": {"type": "path"},
    "cert": {"type": "path"},
    "key": {"type": "path", "no_log": False},
    "host": {"type": "str"},
    "tools": {"type": "list", "elements": "str", "default": ["etcdctl", "benchmark", "fio"]},
    "tool_dirs": {"type": "list", "elements": "path", "default": []},
    "timeout": {"type": "float", "default": 5.0},
}
# Fact, setting of etcd, and how its text is converted.
NUMBERS = {
    "heartbeat_interval": ("heartbeat-interval", lambda text: int(text) / 1000),
    "election_timeout": ("election-timeout", lambda text: int(text) / 1000),
    "snapshot_count": ("snapshot-count", int),
    "max_txn_ops": ("max-txn-ops", int),
    "quota_backend_bytes": ("quota-backend-bytes", int),
}
PATHS = {
    "server_cert": "cert-file",
    "server_key": "key-file",
    "trusted_ca": "trusted-ca-file",
    "peer_cert": "peer-cert-file",
    "peer_key": "peer-key-file",
    "peer_trusted_ca": "peer-trusted-ca-file",
}
CERTIFICATES = ("server_cert", "peer_cert", "trusted_ca", "peer_trusted_ca")
URLS = {"listen_client_urls": "listen-client-urls", "advertise_client_urls": "advertise-client-urls", "listen_metrics_urls": "listen-metrics-urls"}
DEFAULT_QUOTA = 2**31
# etcd 3.6 lowered its default from the second number to the first.
SNAPSHOT_COUNTS = (10000, 100000)
ANY_ADDRESS = ("0.0.0.0", "::")


def from_process(process):
    """Return the facts in the settings of an etcd Process."""
    facts = {"running": True, "pid": process.pid, "name": process.get("name"), "data_dir": process.path("data-dir")}
    facts["configured_by"] = ", ".join(sorted(set(process.sources.values()))) or "default"
    facts["wal_dir"] = process.path("wal-dir") or os.path.join(facts["data_dir"], "member", "wal")
    facts["client_cert_auth"] = process.get("client-cert-auth") == "true"
    facts.update((name, process.urls(setting)) for name, setting in URLS.items())
    facts.update((name, process.path(setting)) for name, setting in PATHS.items() if process.get(setting))
    for name, (setting, convert) in NUMBERS.items():
        text = process.get(setting)
        try:
            facts.update({name: convert(text)} if text is not None else {})
        except ValueError:
            process.problems.append(f"The setting {setting} of etcd is {text!r}, which is not a number.")
    quota = facts.pop("quota_backend_bytes", None)
    if quota is not None:
        facts["quota_source"] = "disabled" if quota < 0 else process.sources.get("quota-backend-bytes", "default") if quota else "default"
        facts.update({"quota_backend_bytes": quota or DEFAULT_QUOTA} if quota >= 0 else {})
    hidden = sorted(value for value in facts.values() if isinstance(value, str) and value.startswith("/proc/"))
    return dict(facts, container_paths=hidden) if hidden else facts


def reachable(url, endpoint):
    """Return a listening URL with an address that can be asked: one that means "any" becomes the host of `endpoint`."""
    parts = urlsplit(url)
    if parts.hostname not in ANY_ADDRESS:
        return url.rstrip("/")
    host = urlsplit(endpoint).netloc.rpartition(":")[0] or urlsplit(endpoint).netloc
    return f"{parts.scheme}://{host}:{parts.port}"


def connections(process, facts, options):
    """Return {endpoint, metrics_url, client: {url, ca, cert, key}}: client is where HTTP is served, ready for other modules."""
    advertised = facts.get("advertise_client_urls", [])
    endpoint = options["endpoint"] or (advertised[0] if advertised else None)
    if endpoint is None:
        return {}
    http_urls = process.urls("listen-client-http-urls") if process else []
    url = reachable(http_urls[0], endpoint) if http_urls else endpoint.rstrip("/")
    metrics = facts.get("listen_metrics_urls")
    client = {"url": url}
    if "https" in (urlsplit(endpoint).scheme, urlsplit(url).scheme):
        client.update(credentials(facts, options))
    return {"endpoint": endpoint.rstrip("/"), "metrics_url": (reachable(metrics[0], endpoint) if metrics else url) + "/metrics", "client": client}


def credentials(facts, options):
    """Return {ca, cert, key} as far as they are known: the options, else a pair for clients, else the server's own."""
    found = {"ca": options["ca"] or facts.get("trusted_ca")}
    pair = (options["cert"], options["key"])
    if not options["cert"]:
        directories = [os.path.dirname(facts[name]) for name in ("trusted_ca", "server_cert") if name in facts]
        pair = etcd_certificates.client_pair(directories, options["host"]) or (facts.get("server_cert"), facts.get("server_key"))
    found.update(zip(("cert", "key"), pair))
    return {name: value for name, value in found.items() if value}


def from_member(facts, timeout):
    """Return what the member answers, with the defaults that depend on its version."""
    try:
        answer = etcd_status.ask(Endpoint(timeout=timeout, **facts["client"]))
    except HttpError as error:
        return {"error": str(error)}
    version = answer.get("version", "").split(".")
    if facts["running"] and "snapshot_count" not in facts and version[1:]:
        answer["snapshot_count"] = SNAPSHOT_COUNTS[[int(part) for part in version[:2]] < [3, 6]]
    return answer


def disks(facts, problems):
    """Return {disk, wal_disk} of the data directory and the WAL directory."""
    found = {}
    for fact, directory in (("disk", "data_dir"), ("wal_disk", "wal_dir")):
        try:
            found.update({fact: etcd_machine.disk(facts[directory])} if directory in facts else {})
        except OSError as error:
            problems.append(f"The directory {facts[directory]} of etcd cannot be read: {error.strerror}. Run with become, or correct data_dir.")
    return found


def gather(options):
    """Return the facts; EtcdHostError when it cannot be told which etcd is meant."""
    running = etcd_host.processes()
    process = etcd_host.choose(running, options["name"], options["port"], options["data_dir"])
    facts = from_process(process) if process else {"running": False}
    problems = list(process.problems) if process else []
    if not process and options["data_dir"]:
        facts["data_dir"] = options["data_dir"]
    facts.update(connections(process, facts, options))
    if facts.get("client_cert_auth") and "cert" not in facts.get("client", {}):
        problems.append("etcd asks for a client certificate and none was found: give cert and key.")
    if "client" in facts:
        facts.update(from_member(facts, options["timeout"]))
    paths = [facts[name] for name in CERTIFICATES if name in facts] + [facts.get("client", {}).get("cert")]
    certificates, unread = etcd_certificates.expiry(list(dict.fromkeys(path for path in paths if path)))
    facts.update(etcd_certificates.summary(certificates, unread))
    facts.update(disks(facts, problems))
    facts.update(etcd_machine.machine())
    facts["tools"], unusable = etcd_tools.present(options["tools"], options["tool_dirs"])
    return dict(facts, problems=problems + unread + unusable)


def main():
    """Read the arguments, look at the host, return facts."""
    module = AnsibleModule(argument_spec=SPEC, required_together=[("cert", "key")], supports_check_mode=True)
    try:
        module.exit_json(changed=False, facts=gather(module.params))
    except etcd_host.EtcdHostError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
