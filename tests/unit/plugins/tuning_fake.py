# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters as the modules of the tuning describe them: kubeadm of several versions, Kubespray; and ways to tune them badly."""

from __future__ import annotations

import copy
import functools
import json
import pathlib

import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import load_checks
from ansible_collections.kubeproof.certify.plugins.module_utils.tuning_facts import cluster_facts

ROOT = pathlib.Path(__file__).parents[3]
FIXTURES = ROOT / "tests/fixtures/tuning"
RULES = "roles/tuning/defaults/main/checks.yml"
# What each minor version of kubeadm comes with: etcd, containerd, its configuration's version.
RELEASES = {33: ("3.5.21", "1.7.28", 2), 34: ("3.6.4", "2.1.4", 3), 35: ("3.6.6", "2.2.0", 3), 36: ("3.6.8", "2.2.1", 3)}
# etcd 3.5 has other names for these.
OLD_FLAGS = {
    "feature-gates": ("experimental-initial-corrupt-check", "true"),
    "watch-progress-notify-interval": ("experimental-watch-progress-notify-interval", "5s"),
}


@functools.lru_cache(maxsize=1)
def rules():
    """Return the rules."""
    return load_checks(yaml.safe_load((ROOT / RULES).read_text(encoding="utf-8"))["tuning_checks"], RULES)


@functools.lru_cache(maxsize=1)
def _fixture():
    return (FIXTURES / "kubeadm.json").read_text(encoding="utf-8")


def kubeadm(minor=36, planes=3, workers=2):
    """Return what is measured of a stock kubeadm cluster."""
    parts = json.loads(_fixture())
    etcd, runtime, config_version = RELEASES[minor]
    version = f"v1.{minor}.3"
    for host in (parts["control_plane"], parts["worker"]):
        host["versions"] = {"kubelet": version[1:], "containerd": runtime}
        host["containerd"].update(config_version=config_version, written={"version": config_version, "unread": []})
    plane = parts["control_plane"]
    for name, manifest in plane["manifests"].items():
        manifest["image"] = f"registry.example.com/etcd:{etcd}-0" if name == "etcd" else manifest["image"].replace("v1.36.3", version)
    if etcd.startswith("3.5"):
        for flags in (plane["manifests"]["etcd"]["flags"], plane["processes"]["etcd"][0]["flags"]):
            for name, (old, value) in OLD_FLAGS.items():
                del flags[name]
                flags[old] = value
    plane["processes"]["etcd"][0]["live"]["version"] = etcd
    names = {"control_plane": [f"cp{n + 1}" for n in range(planes)], "nodes": [f"worker{n + 1}" for n in range(workers)]}
    hosts = {name: {**copy.deepcopy(plane), "name": name} for name in names["control_plane"]}
    hosts.update((name, {**copy.deepcopy(parts["worker"]), "name": name}) for name in names["nodes"])
    cluster = parts["cluster"]
    _scaled(cluster, names["control_plane"], names["nodes"], version, runtime)
    everyone = names["control_plane"] + names["nodes"]
    return {"hosts": hosts, "expected": {"etcd": names["control_plane"], "control_plane": names["control_plane"], "nodes": everyone}, "cluster": cluster}


def _scaled(cluster, planes, workers, version, runtime):
    """Make the cluster one with these nodes."""
    node = cluster["nodes"]["worker1"]
    cluster["version"] = cluster["kubeadm"]["version"] = version
    cluster["nodes"] = {
        name: {**node, "control_plane": name in planes, "tainted": name in planes, "kubelet": version, "runtime": f"containerd://{runtime}"}
        for name in planes + workers
    }
    cluster["kubelets"][0]["nodes"] = planes + workers
    cluster["apiservers"] = len(planes)
    for component, images in cluster["instances"].items():
        image = images["cp1"].replace("v1.36.3", version)
        cluster["instances"][component] = dict.fromkeys(planes, image)
    cluster["instances"].pop("etcd")


def kubespray(minor=35, stacked=False):
    """Return what is measured of a Kubespray cluster: etcd and containerd as units, etcd by variables, on hosts of its own or on the control plane.

    The kubelet's file and the certificates are where Kubespray puts them, its add-ons (NodeLocal DNSCache, an autoscaler of CoreDNS) are there, and
    kube-proxy is in its mode.
    """
    measured = kubeadm(minor)
    hosts = measured["hosts"]
    for host in hosts.values():
        host["configs"]["kubelet"]["path"] = "/etc/kubernetes/kubelet-config.yaml"
        host["certificates"] = {path.replace("/etc/kubernetes/pki/", "/etc/kubernetes/ssl/"): one for path, one in host["certificates"].items()}
        flags = {**host["processes"]["kubelet"][0]["flags"], "config": "/etc/kubernetes/kubelet-config.yaml", "v": "2"}
        unit = host["units"]["kubelet.service"]
        host["processes"]["kubelet"][0]["flags"], unit["flags"] = flags, dict(flags)
        unit.update(path="/etc/systemd/system/kubelet.service", paths=["/etc/systemd/system/kubelet.service", "/etc/kubernetes/kubelet.env"])
    cluster = measured["cluster"]
    cluster["proxy"]["config"]["mode"] = "ipvs"
    cluster["workloads"]["node_local_dns"] = cluster["dns"]["autoscaled"] = True
    for number in (1, 2, 3):
        plane = hosts[f"cp{number}"]
        process, manifest = plane["processes"].pop("etcd")[0], plane["manifests"].pop("etcd")
        unset = {*OLD_FLAGS, *(old for old, dummy in OLD_FLAGS.values())}
        variables = {name: value for name, value in manifest["flags"].items() if name not in unset}
        variables.update(
            {"auto-compaction-retention": "8", "metrics": "basic", "heartbeat-interval": "250", "election-timeout": "5000", "quota-backend-bytes": "2147483648"}
        )
        process.update(flags={}, environment=variables, unit="etcd.service", on_host=True, program="/usr/local/bin/etcd")
        unit = {
            "path": "/etc/systemd/system/etcd.service",
            "paths": ["/etc/systemd/system/etcd.service", "/etc/etcd.env"],
            "changed": 1.0,
            "flags": {},
            "environment": dict(variables),
            "reload": False,
        }
        process["live"]["version"] = "3.5.26"
        if stacked:
            plane["processes"]["etcd"], plane["units"]["etcd.service"] = [process], unit
            continue
        disks = {
            "etcd": dict(plane["disks"].pop("etcd"), number="8:16"),
            "etcd_wal": dict(plane["disks"].pop("etcd_wal"), number="8:16"),
            "root": plane["disks"]["root"],
        }
        hosts[f"etcd{number}"] = {
            **{name: copy.deepcopy(plane[name]) for name in ("node", "certificates", "problems")}, "name": f"etcd{number}", "processes": {"etcd": [process]},
            "manifests": {},
            "units": {"etcd.service": unit}, "configs": {}, "versions": {"etcd": "3.5.26"}, "disks": disks, "etcd_jobs": {"compact": [], "defrag_all": []},
        }  # fmt: skip
    measured["expected"]["etcd"] = measured["expected"]["control_plane"] if stacked else ["etcd1", "etcd2", "etcd3"]
    return measured


def judged(measured, profile="smoke", settings=None):
    """Return the findings."""
    document = cluster_facts(measured)
    return engine.judge(rules(), {"cluster": {"a": document}}, "tuning", profile, {"cluster": ["a"]}, settings)


def off(findings, is_judged=True):
    """Return the ids of the rules (without tuning_) that are not met."""
    return {one["id"][7:] for one in findings if one["judged"] == is_judged and one["result"] not in ("PASS", "NOT_APPLICABLE")}


# Ways to tune badly ---------------------------------------------------------------------------------------------------------


def flag(component, **values):
    """Return a change that gives the processes of a component other flags, in their files as well."""

    def change(measured):
        for host in measured["hosts"].values():
            for process in host["processes"].get(component, ()):
                own = [process["flags"], *([host["manifests"][component]["flags"]] if component in host["manifests"] else [])]
                own += [host["units"][process["unit"]]["flags"]] if process.get("unit") in host["units"] else []
                for flags in own:
                    flags.update({name.replace("_", "-"): value for name, value in values.items()})

    return change


def kubelet(**values):
    """Return a change of the effective configuration of all kubelets."""
    return lambda measured: [group["config"].update(values) for group in measured["cluster"]["kubelets"]]


def on_hosts(path, value, only=""):
    """Return a change of a fact of the hosts whose name begins with `only`."""

    def change(measured):
        for name, host in measured["hosts"].items():
            if name.startswith(only):
                put(host, path, value)

    return change


def in_cluster(path, value):
    """Return a change of a fact of the cluster."""
    return lambda measured: put(measured["cluster"], path, value)


def put(data, path, value):
    """Set the value at a path of names (or numbers of lists); a path is a list, or text with slashes."""
    *parents, last = path.split("/") if isinstance(path, str) else path
    for name in parents:
        data = data[int(name)] if isinstance(data, list) else data.setdefault(name, {})
    data[int(last) if isinstance(data, list) else last] = value


def every(*changes):
    """Return several changes as one."""

    def change(measured):
        for one in changes:
            one(measured)

    return change
