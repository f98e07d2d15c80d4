#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_config
short_description: How Kubernetes and the system are configured on a host
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - Reads what the components on this host run with (the API server, the controller manager, the scheduler, the kubelet, etcd, containerd, kube-proxy),
    what their static pod manifests, systemd units and configuration files say, and how kernel, disks, network, clock and certificates are set.
  - It reads only. Keys, tokens, passwords and environment variables that are no settings of etcd never leave the host. Needs C(become).
options:
  manifests:
    description: Directory of the static pods, where the kubelet does not say it.
    type: path
    default: /etc/kubernetes/manifests
  certificates:
    description: Shell patterns of certificates and kubeconfigs whose expiry is read. Those that are not there are left out.
    type: list
    elements: path
    default:
      - /etc/kubernetes/pki/*.crt
      - /etc/kubernetes/pki/etcd/*.crt
      - /etc/kubernetes/ssl/*.crt
      - /etc/kubernetes/*.conf
      - /etc/ssl/etcd/ssl/*.pem
      - /var/lib/kubelet/pki/kubelet-client-current.pem
      - /var/lib/kubelet/pki/kubelet-server-current.pem
attributes:
  check_mode:
    description: Reads the same.
    support: full
"""

EXAMPLES = r"""
- name: Read the configuration of this host
  kubeproof.certify.host_config:
  become: true
"""

RETURN = r"""
facts:
  description:
    - What is known, in base units. What is not there or cannot be read is left out, and C(problems) says why.
    - C(processes) and C(manifests) by component (apiserver, manager, scheduler, kubelet, etcd, containerd, proxy), C(units) by name.
    - The sample is shortened.
  returned: success
  type: dict
  sample:
    name: cp1
    processes:
      apiserver: [{pid: 900, program: kube-apiserver, flags: {secure-port: "6443"}, on_host: false, started: 1795273920.1, open_files: 1048576}]
    manifests:
      apiserver: {path: /etc/kubernetes/manifests/kube-apiserver.yaml, changed: 1795273900.2, flags: {secure-port: "6443"}, image: "registry/a:v1.36.3"}
    units:
      kubelet.service: {path: /etc/systemd/system/kubelet.service, changed: 1795273900.2, flags: {config: /var/lib/kubelet/config.yaml}, reload: false}
    configs:
      kubelet: {path: /var/lib/kubelet/config.yaml, changed: 1795273900.2, settings: {maxPods: 110}}
    containerd: {version: 2.2.1, config_version: 3, snapshotter: overlayfs, systemd_cgroup: true}
    versions: {kubelet: v1.36.3}
    node: {cpus: 4, memory: 8589934592, kernel: 6.1.0, cgroup: 2, swap: 0, sysctl: {net.core.somaxconn: 4096}}
    disks: {etcd: {device: /dev/sdb1, filesystem: ext4, own_mount: true, rotational: false, scheduler: none}}
    certificates: {/etc/kubernetes/pki/apiserver.crt: {expires_in: 31535000, ca: false}}
    problems: []
"""

import glob
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.kubeproof.certify.plugins.module_utils import (
    tuning_certificates,
    tuning_containerd,
    tuning_etcd,
    tuning_files,
    tuning_node,
    tuning_process,
)

SPEC = {
    "manifests": {"type": "path", "default": tuning_files.MANIFESTS},
    "certificates": {
        "type": "list",
        "elements": "path",
        "default": [
            "/etc/kubernetes/pki/*.crt",
            "/etc/kubernetes/pki/etcd/*.crt",
            "/etc/kubernetes/ssl/*.crt",
            "/etc/kubernetes/*.conf",
            "/etc/ssl/etcd/ssl/*.pem",
            "/var/lib/kubelet/pki/kubelet-client-current.pem",
            "/var/lib/kubelet/pki/kubelet-server-current.pem",
        ],
    },
}
# Components whose settings are in a file that a flag names.
CONFIGS = {"kubelet": "config", "scheduler": "config", "apiserver": "audit-policy-file"}
# Units that are looked at wherever they are; the others are those of the processes.
UNITS = ("containerd.service", "kubelet.service")
KUBELET_ROOT = "/var/lib/kubelet"
# A key beside a certificate is never opened.
KEYS = ("-key.pem", ".key")


class Look:
    """Gathers the facts of one host; what cannot be read becomes a problem."""

    def __init__(self, options):
        self.options, self.problems = options, []
        self.processes, others = tuning_process.processes()
        self.facts = {"name": os.uname().nodename, "processes": self.processes, "problems": self.problems}
        if others:
            self.facts["distribution"] = others[0]
            self.problems.append(f"{others[0]} runs here, whose components are one process: their settings are not read.")

    def all(self):
        """Return every fact."""
        self.facts["configs"] = self.configs()
        directory = self.facts["configs"].get("kubelet", {}).get("settings", {}).get("staticPodPath") or self.options["manifests"]
        self.facts["manifests"] = tuning_files.manifests(directory, self.problems)
        names = {one["unit"] for found in self.processes.values() for one in found if "unit" in one and one["on_host"]}
        self.facts["units"] = tuning_files.units(names.union(UNITS if names else ()), self.problems)
        self.facts["versions"] = self.versions()
        self.facts.update(self.containerd())
        self.etcd()
        self.facts["node"] = tuning_node.node()
        self.facts["disks"] = self.disks()
        self.facts["certificates"] = self.certificates()
        return self.facts

    def first(self, component):
        """Return the first process of a component, or {}."""
        return self.processes.get(component, [{}])[0]

    def place(self, component, path):
        """Return where a path of a component is for us: as it is, or below /proc/<pid>/root when its container hides it."""
        process = self.first(component)
        inside = f"/proc/{process.get('pid')}/root{path}"
        return inside if not process.get("on_host", True) and not os.path.exists(path) and os.path.exists(inside) else path

    def configs(self):
        """Return {component: {path, changed, settings}} of the configuration files that running components name."""
        found = {}
        for component, flag in CONFIGS.items():
            path = self.first(component).get("flags", {}).get(flag)
            if not path:
                continue
            try:
                place = self.place(component, path)
                settings = tuning_files.settings(tuning_files.document(place))
                folder = self.first(component)["flags"].get("config-dir")
                for part in sorted(glob.glob(os.path.join(folder, "*.conf"))) if folder else ():
                    settings = tuning_files.merged(settings, tuning_files.settings(tuning_files.document(part)))
                found[component] = {"path": path, "changed": tuning_files.changed(place), "settings": settings}
            except (OSError, ValueError) as error:
                self.problems.append(f"The file {path} cannot be read: {getattr(error, 'strerror', None) or error}.")
        return found

    def versions(self):
        """Return {component: version} of the programs of the host; what a container brings is never run here."""
        found = {}
        for component in ("kubelet", "etcd", "containerd", "proxy"):
            process = self.first(component)
            program = f"/proc/{process['pid']}/exe" if process.get("on_host") else None
            version = tuning_containerd.version(tuning_files.version_of(program, self.problems)) if program else None
            found.update({component: version} if version else {})
        return found

    def containerd(self):
        """Return {containerd} where it runs."""
        process = self.first("containerd")
        if not process.get("on_host"):
            return {}
        path = process["flags"].get("config") or process["flags"].get("c") or tuning_containerd.CONFIG
        facts = {"path": path, "changed": tuning_files.changed(path)}
        try:
            facts.update(tuning_containerd.effective(tuning_containerd.parsed(tuning_containerd.dump(f"/proc/{process['pid']}/exe", path))))
            with open(path, encoding="utf-8") as stream:
                facts["written"] = tuning_containerd.written(tuning_containerd.parsed(stream.read()))
        except tuning_containerd.ContainerdError as error:
            self.problems.append(f"{str(error)[0].upper()}{str(error)[1:]}.")
        except (OSError, UnicodeDecodeError):
            # Without a file there are the defaults.
            facts["written"] = {"version": 0, "unread": []}
        return {"containerd": {name: value for name, value in facts.items() if value is not None}}

    def etcd(self):
        """Add to each etcd where its settings come from and what it answers, and to the host the jobs for etcd."""
        for process in self.processes.get("etcd", []):
            path = process["flags"].get("config-file") or process["environment"].get("config-file")
            try:
                # With a config file etcd looks at neither flags nor variables.
                process.update({"flags": tuning_etcd.from_file(self.place("etcd", path)), "environment": {}, "config_file": path} if path else {})
            except (OSError, ValueError) as error:
                self.problems.append(f"The file {path} cannot be read: {getattr(error, 'strerror', None) or error}.")
                continue
            process["live"] = tuning_etcd.ask({**process["environment"], **process["flags"]}, lambda path: self.place("etcd", path))
        if "etcd" in self.processes or "apiserver" in self.processes:
            self.facts["etcd_jobs"] = tuning_etcd.jobs()

    def disks(self):
        """Return {use: disk} of what etcd, the container images, the kubelet and the audit log lie on."""
        etcd, apiserver = self.first("etcd"), self.first("apiserver")
        settings = {**etcd.get("environment", {}), **etcd.get("flags", {})}
        data = settings.get("data-dir")
        log = apiserver.get("flags", {}).get("audit-log-path")
        places = {
            "etcd": data and self.place("etcd", data),
            "etcd_wal": data and self.place("etcd", settings.get("wal-dir") or os.path.join(data, "member", "wal")),
            "images": self.facts.get("containerd", {}).get("root"),
            "kubelet": KUBELET_ROOT if "kubelet" in self.processes else None,
            "audit": self.place("apiserver", os.path.dirname(log)) if log and log != "-" else None,
            "root": "/",
        }
        found = {}
        for use, path in places.items():
            try:
                found.update({use: tuning_node.disk(path)} if path else {})
            except OSError as error:
                self.problems.append(f"The directory {path} cannot be read: {error.strerror}.")
        return found

    def certificates(self):
        """Return {path: {expires_in, ca}} of the certificates that are there."""
        found = {}
        named = [value for one in self.processes.values() for process in one for name, value in process["flags"].items()
                 if name.endswith(("cert-file", "ca-file", "kubeconfig", "client-certificate", "certfile", "cafile")) and value.startswith("/")]  # fmt: skip
        paths = {path for pattern in self.options["certificates"] for path in glob.glob(pattern)}.union(named)
        for path in sorted(one for one in paths if not one.endswith(KEYS) and os.path.isfile(one)):
            try:
                dates = tuning_certificates.read(path)
                found.update({path: dates} if dates else {})
            except (OSError, ValueError) as error:
                self.problems.append(f"The certificate in {path} cannot be read: {getattr(error, 'strerror', None) or error}.")
        return found


def main():
    """Look at the host and return facts."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.exit_json(changed=False, facts=Look(module.params).all())


if __name__ == "__main__":
    main()
