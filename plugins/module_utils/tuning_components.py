# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane and etcd of one host: what they run with, with the defaults of their version. Pure; runs on the controller only.

`host` is what the module host_config returned. What is not known is left out, and `missing` {path: sentence} says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict, List, Optional

from . import tuning_known, tuning_units
from .tuning_drift import stale

PROTOBUF = "application/vnd.kubernetes.protobuf"
PARALLELISM = 16
LEVELS = ("None", "Metadata", "Request", "RequestResponse")
# What the system itself writes and reads all the time: (group, resource, verb, user, group of the user).
NOISE = (
    ("coordination.k8s.io", "leases", "update", "system:node:a", "system:nodes"),
    ("", "events", "create", "system:node:a", "system:nodes"),
    ("discovery.k8s.io", "endpointslices", "watch", "system:serviceaccount:kube-system:kube-proxy", "system:serviceaccounts"),
    ("", "nodes", "get", "system:node:a", "system:nodes"),
)
GIB = 2**30
DEFAULT_QUOTA = 2 * GIB


def component(host: Mapping, name: str, image: str = "") -> Dict[str, Any]:
    """Return {settings, gates, version, minor, where, stale, missing} of a component of Kubernetes; `image` is the one that the cluster says it runs."""
    process = next(iter(host["processes"].get(name, ())), None)
    if process is None:
        return {"missing": {"": f"{PROGRAMS[name]} does not run on this host"}}
    manifest = host["manifests"].get(name)
    unit = host["units"].get(process.get("unit", ""))
    written = manifest or unit or {}
    facts: Dict[str, Any] = {"where": written.get("path") or process.get("program", ""), "missing": {}}
    if written:
        facts["stale"] = stale(process["flags"], written["flags"], written["path"])
        if image and manifest and manifest.get("image") != image:
            facts["stale"].append(f"the image is {manifest.get('image')} in {manifest['path']}, {image} runs")
    else:
        facts["missing"]["stale"] = f"neither a static pod nor a unit of {PROGRAMS[name]} was found"
    source = image or (manifest or {}).get("image") or host["versions"].get(name)
    version = tuning_units.version(source)
    why = tuning_known.unknown(PROGRAMS[name], version, tuning_known.KUBERNETES, str(source or ""))
    if why:
        # All but what was found above.
        facts["missing"][""] = why
        return facts
    settings = tuning_known.settings(name, process["flags"], version[1])
    facts.update(version=".".join(map(str, version)), minor=version[1], settings=settings)
    facts["missing"].update(_unreadable(settings, process["flags"], name))
    if name in tuning_known.GATES:
        facts["gates"] = tuning_known.gates(name, process["flags"])
    return facts


PROGRAMS = {"apiserver": "kube-apiserver", "manager": "kube-controller-manager", "scheduler": "kube-scheduler", "kubelet": "kubelet", "etcd": "etcd"}


def _unreadable(settings: Mapping, flags: Mapping, name: str) -> Dict[str, str]:
    """Return why a setting is not known although its flag is there."""
    names = [flag for flag in tuning_known.FLAGS[name] if flag.replace("-", "_") not in settings]
    return {f"settings.{flag.replace('-', '_')}": f"--{flag}={flags.get(flag)} is no value that these rules understand" for flag in names}


def apiserver(host: Mapping, image: str = "") -> Dict[str, Any]:
    """Return the facts of an API server."""
    facts = component(host, "apiserver", image)
    settings = facts.get("settings")
    if settings is None:
        return facts
    both = [settings.get("max_requests_inflight"), settings.get("max_mutating_requests_inflight")]
    if None not in both:
        facts["seats"] = sum(both)
    facts["events_separate"] = "/events#" in settings["etcd_servers_overrides"]
    facts["collector"] = settings.get("enable_garbage_collector")
    facts["audit"] = audit(host, settings)
    return {name: value for name, value in facts.items() if value is not None}


def audit(host: Mapping, settings: Mapping) -> Dict[str, Any]:
    """Return {on, to_file, policy, unbounded, shares_disk, catch_all, noisy} of the audit log."""
    log, hook = settings["audit_log_path"], settings["audit_webhook_config_file"]
    facts: Dict[str, Any] = {"on": bool(log or hook), "to_file": bool(log and log != "-"), "policy": bool(settings["audit_policy_file"])}
    facts["mode"] = settings["audit_log_mode"] if log else settings["audit_webhook_mode"]
    facts["unbounded"] = [f"--audit-log-{name}" for name in ("maxage", "maxbackup", "maxsize") if not settings.get(f"audit_log_{name}")]
    disks = host.get("disks", {})
    if "audit" in disks:
        facts["shares_disk"] = any(disks[use]["number"] == disks["audit"]["number"] for use in ("etcd", "etcd_wal") if use in disks)
    policy = host["configs"].get("apiserver", {}).get("settings")
    if policy is not None:
        rules = [rule for rule in policy.get("rules") or [] if isinstance(rule, Mapping)]
        facts["catch_all"] = level(rules, ("any.example", "things", "get", "somebody", "somebodies"))
        facts["noisy"] = sorted(case[1] for case in NOISE if level(rules, case) not in ("None", "Metadata"))
    return facts


def level(rules: List[Mapping], request: tuple) -> str:
    """Return the level of the first rule of an audit policy that fits a request (group, resource, verb, user, user's group); without one it is None."""
    group, resource, verb, user, user_group = request
    for rule in rules:
        fits = [
            not rule.get("users") or user in rule["users"],
            not rule.get("userGroups") or bool({user_group, "system:authenticated"} & set(rule["userGroups"])),
            not rule.get("verbs") or verb in rule["verbs"],
            not rule.get("namespaces"),
            not rule.get("nonResourceURLs") or bool(rule.get("resources")),
            not rule.get("resources") or any(_names(one, group, resource) for one in rule["resources"]),
        ]
        if all(fits):
            return rule.get("level") if rule.get("level") in LEVELS else "RequestResponse"
    return "None"


def _names(resources: Mapping, group: str, resource: str) -> bool:
    wanted = resources.get("resources") or ["*"]
    return (resources.get("group") or "") == group and ("*" in wanted or resource in wanted)


def manager(host: Mapping, image: str = "") -> Dict[str, Any]:
    """Return the facts of a controller manager."""
    facts = component(host, "manager", image)
    if "settings" in facts:
        facts["collector"] = facts["settings"].get("enable_garbage_collector")
    return facts


def scheduler(host: Mapping, image: str = "") -> Dict[str, Any]:
    """Return the facts of a scheduler, with its configuration file: {api, parallelism, share, qps, burst, strategy, removed, leader_elect}."""
    facts = component(host, "scheduler", image)
    settings = facts.get("settings")
    if settings is None:
        return facts
    config = host["configs"].get("scheduler", {}).get("settings")
    if settings["config"] and config is None:
        facts["missing"]["config"] = f"{settings['config']} could not be read"
        return facts
    config = config or {}
    connection, election = config.get("clientConnection") or {}, config.get("leaderElection") or {}
    profiles = [profile for profile in config.get("profiles") or [] if isinstance(profile, Mapping)]
    own = facts["config"] = {
        "file": bool(settings["config"]),
        "api": config.get("apiVersion", ""),
        "parallelism": config.get("parallelism") or PARALLELISM,
        "share": config.get("percentageOfNodesToScore") or 0,
        # With a file the flags are ignored.
        "qps": connection.get("qps") or (50 if settings["config"] else settings.get("kube_api_qps")),
        "burst": connection.get("burst") or (100 if settings["config"] else settings.get("kube_api_burst")),
        "leader_elect": election.get("leaderElect", True) if settings["config"] else settings.get("leader_elect"),
        "strategies": sorted({strategy for strategy in map(_strategy, profiles) if strategy}) or ["LeastAllocated"],
        "removed": sorted({name for profile in profiles for name in _plugins(profile) if name in tuning_known.REMOVED_PLUGINS}),
    }
    facts["config"] = {name: value for name, value in own.items() if value is not None}
    return facts


def _strategy(profile: Mapping) -> Optional[str]:
    for plugin in profile.get("pluginConfig") or []:
        if plugin.get("name") == "NodeResourcesFit":
            return ((plugin.get("args") or {}).get("scoringStrategy") or {}).get("type")
    return None


def _plugins(profile: Mapping) -> List[str]:
    """Return the names of plugins that a profile turns on."""
    points = (profile.get("plugins") or {}).values()
    return [one.get("name") for point in points if isinstance(point, Mapping) for one in point.get("enabled") or [] if isinstance(one, Mapping)]


# etcd -----------------------------------------------------------------------------------------------------------------------


def members(host: Mapping, image: str = "") -> Dict[str, dict]:
    """Return {name of the member: facts} of the etcd processes of a host."""
    return {(_given(process).get("name") or "default"): etcd(host, process, image) for process in host["processes"].get("etcd", ())}


def _given(process: Mapping) -> Dict[str, str]:
    return {**process.get("environment", {}), **process["flags"]}


def etcd(host: Mapping, process: Mapping, image: str = "") -> Dict[str, Any]:
    """Return the facts of a member: its version, what it runs with and what follows from that, what it answers (live), and its disk."""
    given, live = _given(process), process.get("live", {})
    manifest, unit = host["manifests"].get("etcd"), host["units"].get(process.get("unit", ""))
    written = manifest or unit or {}
    where = process.get("config_file") or _variables_file(process, unit) or written.get("path") or "etcd"
    facts: Dict[str, Any] = {"where": where, "missing": {}, "given": given, "open_files": process.get("open_files")}
    if written and not process.get("config_file"):
        facts["stale"] = stale(given, {**written.get("environment", {}), **written["flags"]}, written["path"])
    if not process.get("environment_read", True):
        facts["missing"]["settings"] = "the environment of etcd cannot be read: run with become"
    facts["live"] = {name: live[name] for name in ("healthy", "db_size", "db_in_use", "alarm_count", "alarms", "member_count") if name in live}
    if live.get("error"):
        facts["missing"]["live"] = f"etcd does not answer: {live['error']}"
    facts.update(_disk(host))
    if "disk" not in facts:
        facts["missing"].update(dict.fromkeys(("disk", "dedicated", "room"), "the directory of etcd could not be read"))
    version = tuning_units.version(live.get("version") or image or (manifest or {}).get("image") or host["versions"].get("etcd"))
    why = tuning_known.unknown("etcd", version, tuning_known.ETCD)
    if why or "settings" in facts["missing"]:
        facts["missing"][""] = why or facts["missing"]["settings"]
        return _known(facts)
    facts.update(version=".".join(map(str, version)), minor=version[1], state=tuning_known.etcd_state(version), progress=tuning_known.has_progress(version))
    settings = facts["settings"] = tuning_known.settings("etcd", given, version[1])
    facts.update(_derived(settings, given, facts["live"]))
    memory = host.get("node", {}).get("memory")
    if memory:
        facts["quota_of_memory"] = facts["quota"] / memory
    if facts.get("free"):
        facts["room"] = facts["free"] / facts["quota"]
    return _known(facts)


def _variables_file(process: Mapping, unit: Optional[Mapping]) -> str:
    """Return the file of variables from which the unit takes all settings, as Kubespray has it, or ""."""
    files = [path for path in (unit or {}).get("paths") or () if not path.endswith((".service", ".conf"))]
    return files[-1] if files and process.get("environment") and not process["flags"] else ""


def _known(facts: Mapping) -> Dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _derived(settings: Mapping, given: Mapping, live: Mapping) -> Dict[str, Any]:
    """Return what follows from the settings."""
    quota = settings.get("quota_backend_bytes") or DEFAULT_QUOTA
    facts: Dict[str, Any] = {"quota": quota, "quota_set": bool(settings.get("quota_backend_bytes")), "election": settings.get("election_timeout", 0) / 1000}
    facts["heartbeat"] = settings.get("heartbeat_interval", 0) / 1000
    if facts["heartbeat"] > 0:
        facts["ratio"] = facts["election"] / facts["heartbeat"]
    facts["retention"] = retention(settings["auto_compaction_mode"], settings["auto_compaction_retention"])
    facts["experimental"] = sorted(f"--{name}" for name in given if name.startswith("experimental-"))
    gates = dict(pair.partition("=")[::2] for pair in given.get("feature-gates", "").split(","))
    check = gates.get("InitialCorruptCheck") or given.get("experimental-initial-corrupt-check") or given.get("initial-corrupt-check") or "false"
    facts["corrupt_check"] = tuning_known.BOOLEANS.get(check, False)
    interval = given.get("watch-progress-notify-interval") or given.get("experimental-watch-progress-notify-interval")
    facts["notify"] = tuning_units.seconds(interval) if interval else settings.get("watch_progress_notify_interval")
    if live.get("db_size"):
        facts["used"] = live["db_size"] / quota
        facts["in_use"] = live.get("db_in_use", live["db_size"]) / live["db_size"]
    return facts


def retention(mode: str, text: str) -> Optional[float]:
    """Return for how long etcd's own compactor keeps history (s), 0 when it is off; None when it counts revisions or cannot be read."""
    if text in ("", "0", "0s"):
        return 0
    if mode != "periodic":
        return None
    # A number alone is hours.
    return float(text) * 3600 if text.replace(".", "", 1).isdigit() else tuning_units.seconds(text)


def _disk(host: Mapping) -> Dict[str, Any]:
    """Return {disk, dedicated, free} of what etcd's data lies on; dedicated: neither the system, nor images, nor the kubelet are on it."""
    disks = host.get("disks", {})
    if "etcd" not in disks:
        return {}
    own = {disks[use]["number"] for use in ("etcd", "etcd_wal") if use in disks}
    others = {disks[use]["number"] for use in ("root", "images", "kubelet", "audit") if use in disks}
    return {"disk": disks["etcd"], "dedicated": not own & others, "free": disks["etcd"]["free"]}
