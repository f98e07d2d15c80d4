# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule finds what it is about: a cluster that is tuned badly in one way has that finding, and no other."""

from __future__ import annotations

import pytest

from ansible_collections.kubeproof.certify.tests.unit.plugins.tuning_fake import (
    every,
    flag,
    in_cluster,
    judged,
    kubeadm,
    kubelet,
    kubespray,
    off,
    on_hosts,
    rules,
)

AUDIT = {"audit_policy_file": "/etc/kubernetes/audit.yaml", "audit_log_path": "/var/log/audit/audit.log"}
ROTATED = {**AUDIT, "audit_log_maxage": "30", "audit_log_maxbackup": "10", "audit_log_maxsize": "100"}
QUIET = [{"level": "None", "verbs": ["watch"]}, {"level": "Metadata"}]
PLANES = "cp"
AGENT = {"wanted": 5, "ready": 5, "priority": "system-node-critical", "cpu_limited": False}
BUSY = ("", "coordination.k8s.io", "discovery.k8s.io")
DRIVER = {"csi.example.com": {"nodes": 5, "unlimited": 0, "used": 0.1, "topology": True}}


def policy(rows):
    return on_hosts("configs/apiserver", {"path": "/etc/kubernetes/audit.yaml", "changed": 1, "settings": {"rules": rows}}, PLANES)


def audited(*changes, **flags):
    return every(flag("apiserver", **{**ROTATED, **flags}), policy(QUIET), on_hosts("disks/audit", {"number": "8:32"}, PLANES), *changes)


def etcd(**flags):
    return flag("etcd", **flags)


def live(**facts):
    def change(measured):
        for host in measured["hosts"].values():
            for process in host["processes"].get("etcd", ()):
                process["live"].update(facts)

    return change


def written(component, **flags):
    """Write into the manifest of one host what its process does not run with."""

    def change(measured):
        measured["hosts"]["cp1"]["manifests"][component]["flags"].update({name.replace("_", "-"): value for name, value in flags.items()})

    return change


def on_one(component, **flags):
    """Set flags of one host, in its file as well."""

    def change(measured):
        one = {"hosts": {"cp1": measured["hosts"]["cp1"]}}
        flag(component, **flags)(one)

    return change


def flag_of_worker(**flags):
    def change(measured):
        flag("kubelet", **flags)({"hosts": {"worker1": measured["hosts"]["worker1"]}})

    return change


def process(component, name, value):
    def change(measured):
        for host in measured["hosts"].values():
            for one in host["processes"].get(component, ()):
                one[name] = value

    return change


def scheduler_file(**config):
    document = {"apiVersion": "kubescheduler.config.k8s.io/v1", **config}
    return every(
        flag("scheduler", config="/etc/kubernetes/scheduler.yaml"),
        on_hosts("configs/scheduler", {"path": "/etc/kubernetes/scheduler.yaml", "settings": document}, PLANES),
    )


def sysctl(name, value, only=""):
    return on_hosts(["node", "sysctl", name], value, only)


def nodes(**facts):
    def change(measured):
        for node in measured["cluster"]["nodes"].values():
            node.update(facts)

    return change


def hook(**facts):
    return in_cluster("webhooks", {"a b": {"timeout": 5, "holds_system": False, "hot": [], "stops_writes": False, **facts}})


def corefile(**facts):
    return lambda measured: measured["cluster"]["dns"]["corefile"].update(facts)


def storage_class(**facts):
    return lambda measured: measured["cluster"]["storage"]["classes"]["csi"].update(facts)


# The rules that are judged and must be found, and the change; a rule of another name is not found.
JUDGED = [
    ("apiserver_watch_cache", flag("apiserver", watch_cache="false")),
    ("apiserver_consistent_list", flag("apiserver", feature_gates="ConsistentListFromCache=true")),
    ("apiserver_list_snapshot", flag("apiserver", feature_gates="ListFromCacheSnapshot=false,WatchList=true")),
    ("apiserver_cache_check", flag("apiserver", feature_gates="DetectCacheInconsistency=false")),
    ("apiserver_list_cost", flag("apiserver", feature_gates="SizeBasedListCostEstimate=false")),
    ("apiserver_seats", flag("apiserver", max_requests_inflight="200")),
    ("apiserver_fairness", flag("apiserver", enable_priority_and_fairness="0")),
    ("apiserver_goaway_most", flag("apiserver", goaway_chance="0.05")),
    ("apiserver_event_ttl", flag("apiserver", event_ttl="24h")),
    ("apiserver_compaction", flag("apiserver", etcd_compaction_interval="0s")),
    ("apiserver_compaction_slow", flag("apiserver", etcd_compaction_interval="1h")),
    ("apiserver_media_type", flag("apiserver", storage_media_type="application/json")),
    ("apiserver_cache_default", flag("apiserver", default_watch_cache_size="0")),
    ("apiserver_request_timeout", flag("apiserver", request_timeout="5m0s")),
    ("apiserver_verbosity", flag("apiserver", v="9")),
    ("apiserver_audit_policy", audited(audit_policy_file="")),
    ("apiserver_audit_catch_all", audited(policy([*({"level": "Metadata", "resources": [{"group": name}]} for name in BUSY), {"level": "Request"}]))),
    ("apiserver_audit_noise", audited(policy([{"level": "RequestResponse", "resources": [{"group": "", "resources": ["events"]}]}, *QUIET]))),
    ("apiserver_audit_rotation", audited(audit_log_maxsize="0")),
    ("apiserver_audit_disk", audited(on_hosts("disks/audit", {"number": "8:1"}, PLANES))),
    ("apiserver_stale", written("apiserver", goaway_chance="0.001")),
    ("apiserver_drift", on_one("apiserver", max_requests_inflight="800")),
    ("manager_drift", on_one("manager", kube_api_qps="50")),
    ("scheduler_drift", on_one("scheduler", kube_api_qps="80")),
    ("etcd_drift", on_one("etcd", heartbeat_interval="110", election_timeout="1100")),
    ("apiserver_collector", flag("manager", enable_garbage_collector="false")),
    ("apiserver_available", in_cluster("unavailable_apis", ["v1beta1.metrics.k8s.io"])),
    ("apiserver_objects", in_cluster("metrics/objects", {"pods": 200000, "events": 10})),
    ("apiserver_events", in_cluster("metrics/objects", {"pods": 20, "events": 2000000})),
    ("apiserver_alpha", in_cluster("metrics/alpha", ["CoordinatedLeaderElection"])),
    ("apiserver_webhook_timeout", hook(timeout=30)),
    ("apiserver_webhook_system", hook(holds_system=True)),
    ("apiserver_webhook_backends", hook(stops_writes=True, backends=1)),
    ("apiserver_webhook_busy", hook(hot=["coordination.k8s.io/leases"])),
    ("manager_qps_least", flag("manager", kube_api_qps="5")),
    ("manager_grace", flag("manager", node_monitor_grace_period="20s")),
    ("manager_leader", flag("manager", leader_elect="false")),
    ("manager_verbosity", flag("manager", v="6")),
    ("manager_stale", written("manager", kube_api_qps="100")),
    ("manager_lease", in_cluster("leases/manager", 400.0)),
    ("manager_addresses", flag("manager", cluster_cidr="10.244.0.0/22")),
    ("scheduler_plugins", scheduler_file(profiles=[{"plugins": {"score": {"enabled": [{"name": "NodeResourcesMostAllocated"}]}}}])),
    ("scheduler_api", scheduler_file(apiVersion="kubescheduler.config.k8s.io/v1beta3")),
    ("scheduler_parallelism", scheduler_file(parallelism=4)),
    ("scheduler_qps_least", scheduler_file(clientConnection={"qps": 10, "burst": 100})),
    ("scheduler_batching", flag("scheduler", feature_gates="OpportunisticBatching=false")),
    ("scheduler_hints", flag("scheduler", feature_gates="SchedulerQueueingHints=false")),
    ("scheduler_leader", scheduler_file(leaderElection={"leaderElect": False})),
    ("scheduler_verbosity", flag("scheduler", v="10")),
    ("scheduler_stale", written("scheduler", v="4")),
    ("scheduler_lease", in_cluster("leases/scheduler", 90.0)),
    ("etcd_fsync", etcd(unsafe_no_fsync="true")),
    ("etcd_force_new", etcd(force_new_cluster="true")),
    ("etcd_alarms", live(alarm_count=1, alarms=["CORRUPT of member 1"])),
    ("etcd_used", live(db_size=2100000000, db_in_use=2000000000)),
    ("etcd_quota", etcd(quota_backend_bytes="536870912")),
    ("etcd_quota_most", etcd(quota_backend_bytes="17179869184")),
    ("etcd_snapshots", etcd(snapshot_count="100000")),
    ("etcd_heartbeat", etcd(heartbeat_interval="10")),
    ("etcd_heartbeat_most", etcd(heartbeat_interval="1000", election_timeout="10000")),
    ("etcd_election", etcd(election_timeout="500")),
    ("etcd_election_most", etcd(election_timeout="30000")),
    ("etcd_compactor", etcd(auto_compaction_retention="5m")),
    ("etcd_compactor_mode", etcd(auto_compaction_mode="revision", auto_compaction_retention="1000")),
    ("etcd_rotational", on_hosts("disks/etcd/rotational", True, PLANES)),
    ("etcd_network_disk", on_hosts("disks/etcd/network", True, PLANES)),
    ("etcd_filesystem", on_hosts("disks/etcd/filesystem", "btrfs", PLANES)),
    ("etcd_room", on_hosts("disks/etcd/free", 3000000000, PLANES)),
    ("etcd_corrupt_check", etcd(feature_gates="")),
    ("etcd_experimental", etcd(experimental_initial_corrupt_check="true")),
    ("etcd_request_size", etcd(max_request_bytes="5000000")),
    ("etcd_pre_vote", etcd(pre_vote="false")),
    ("etcd_reconfig", etcd(strict_reconfig_check="false")),
    ("etcd_log_level", etcd(log_level="debug")),
    ("etcd_open_files", process("etcd", "open_files", 1024)),
    ("etcd_stale", written("etcd", quota_backend_bytes="8589934592")),
    ("etcd_members", live(member_count=4)),
    ("etcd_scripts", on_hosts("etcd_jobs/compact", ["/etc/cron.d/etcd"], "cp1")),
    ("etcd_jobs", in_cluster("jobs/compact", ["kube-system/compact"])),
    ("etcd_defrag_scripts", on_hosts("etcd_jobs/defrag_all", ["/etc/cron.d/etcd"], "cp1")),
    ("etcd_defrag_jobs", in_cluster("jobs/defrag_all", ["kube-system/defrag"])),
    ("kubelet_max_pods", every(kubelet(maxPods=125), nodes(pod_addresses=512))),
    ("kubelet_addresses", nodes(pod_addresses=128)),
    ("kubelet_enforced", kubelet(enforceNodeAllocatable=["pods", "kube-reserved"])),
    ("kubelet_eviction", kubelet(evictionHard={"memory.available": "200Mi"})),
    ("kubelet_sync", kubelet(syncFrequency="5m0s")),
    ("kubelet_parallel_pulls", kubelet(serializeImagePulls=False)),
    ("kubelet_qps", kubelet(kubeAPIQPS=5)),
    ("kubelet_burst", kubelet(kubeAPIBurst=10)),
    ("kubelet_events", kubelet(eventRecordQPS=0)),
    ("kubelet_events_most", kubelet(eventRecordQPS=500)),
    ("kubelet_status_report", kubelet(nodeStatusReportFrequency="10s")),
    ("kubelet_status_update", kubelet(nodeStatusUpdateFrequency="60s")),
    ("kubelet_rotation", kubelet(rotateCertificates=False)),
    ("kubelet_image_gc_order", kubelet(evictionHard={"imagefs.available": "20%"}, mergeDefaultEvictionSettings=True)),
    ("kubelet_content", kubelet(contentType="application/json")),
    ("kubelet_changes", kubelet(configMapAndSecretChangeDetectionStrategy="Get")),
    ("kubelet_verbosity", kubelet(logging={"verbosity": 8})),
    ("kubelet_stale", lambda measured: measured["hosts"]["worker1"]["units"]["kubelet.service"]["flags"].update({"v": "2"})),
    ("kubelet_unlike", on_hosts("configs/kubelet/settings/podsPerCore", 10, "worker")),
    ("containerd_state", on_hosts("versions/containerd", "2.1.1", "worker")),
    ("containerd_unread", on_hosts("containerd/written/unread", ["io.containerd.grpc.v1.cri"], "worker")),
    ("containerd_downloads", on_hosts("containerd/max_concurrent_downloads", 1)),
    ("containerd_registries", on_hosts("containerd/registry_deprecated", ["mirrors"])),
    ("containerd_cri", on_hosts("containerd/cri_disabled", True, "worker1")),
    ("containerd_filesystem", on_hosts("disks/images/filesystem", "ext2", "worker")),
    ("containerd_network_disk", on_hosts("disks/images/network", True, "worker")),
    ("containerd_inodes", on_hosts("disks/images/inodes_free", 0.05, "worker")),
    ("containerd_open_files", process("containerd", "open_files", 1024)),
    ("containerd_tasks", on_hosts(["units", "containerd.service", "tasks"], "4915", "worker")),
    ("containerd_changed", on_hosts("containerd/changed", 1790001000.0, "worker1")),
    ("proxy_mode", in_cluster("proxy/config/mode", "ipvs")),
    ("proxy_kernel", every(in_cluster("proxy/config/mode", "nftables"), nodes(kernel="5.10.0-30-amd64"))),
    ("proxy_sync", in_cluster("proxy/config/iptables/minSyncPeriod", "30s")),
    ("proxy_one", in_cluster("proxy/cilium_replaces", True)),
    ("coredns_replicas_share", nodes(cpus=200)),
    ("coredns_nodes", in_cluster("dns/nodes", 1)),
    ("coredns_plugins", corefile(lacks=["ready"])),
    ("coredns_kubernetes", corefile(kubernetes=False)),
    ("coredns_concurrent", corefile(concurrent=100)),
    ("coredns_lameduck", corefile(lameduck=False)),
    ("coredns_logs", corefile(logs=True)),
    ("coredns_memory", in_cluster("dns/memory_limit", 52428800)),
    ("coredns_cpu", in_cluster("dns/cpu_limited", True)),
    ("coredns_autopath", corefile(autopath=True)),
    ("coredns_priority", in_cluster("dns/priority", "none")),
    ("cni_ready", in_cluster("workloads/agents", {"kube-system/cilium": {"wanted": 5, "ready": 4, "priority": "system-node-critical", "cpu_limited": False}})),
    ("cni_priority", in_cluster("workloads/agents", {"kube-system/cilium": {"wanted": 5, "ready": 5, "priority": "none", "cpu_limited": False}})),
    ("cni_policies", every(in_cluster("policies", True), in_cluster("workloads/agents", {"kube-flannel/kube-flannel-ds": AGENT}))),
    ("cni_mtu", on_hosts("node/network/pod_mtus", [9000], "worker")),
    ("cni_mtus", on_hosts("node/network/pod_mtus", [1400, 1450], "worker")),
    ("storage_provisioner", storage_class(kind="removed", provisioner="kubernetes.io/gce-pd")),
    ("storage_binding_local", storage_class(local=True, binding="Immediate")),
    ("storage_defaults", in_cluster("storage/default_classes", 2)),
    ("storage_volumes_removed", in_cluster("volumes/removed", ["pv-1"])),
    ("storage_attached", in_cluster("csi", {"csi.example.com": {**DRIVER["csi.example.com"], "used": 0.9}})),
    ("node_somaxconn", sysctl("net.core.somaxconn", 128)),
    ("node_kubelet_kernel", sysctl("vm.panic_on_oom", 1)),
    ("node_forward", sysctl("net.ipv4.ip_forward", 0)),
    ("node_bridge", sysctl("net.bridge.bridge-nf-call-iptables", 0)),
    ("node_ports", sysctl("net.ipv4.ip_local_port_range", [40000, 50000])),
    ("node_node_ports", sysctl("net.ipv4.ip_local_port_range", [20000, 60999])),
    ("node_file_max", sysctl("fs.file-max", 65536)),
    ("node_nr_open", sysctl("fs.nr_open", 65536)),
    ("node_governor", on_hosts("node/governors", ["powersave"], PLANES)),
    ("node_kernel", on_hosts("node/kernel", "5.4.0-200-generic")),
    ("node_cgroup", on_hosts("node/cgroup", 1)),
    ("node_swap", on_hosts("node/swap", 2147483648, "worker")),
    ("node_clock", on_hosts("node/clock", {"synchronised": False, "offset": 0, "error": 16.0}, "worker1")),
    ("node_clock_offset", on_hosts("node/clock/offset", 0.3, "worker1")),
    ("node_conntrack", sysctl("net.netfilter.nf_conntrack_count", 120000)),
    ("node_conntrack_max", sysctl("net.netfilter.nf_conntrack_max", 65536)),
    ("cluster_certificates", on_hosts(["certificates", "/etc/kubernetes/pki/apiserver.crt", "expires_in"], 86400, "cp1")),
    ("cluster_authorities", on_hosts(["certificates", "/etc/kubernetes/pki/ca.crt", "expires_in"], 86400 * 20)),
    ("cluster_namespaces", in_cluster("counts/namespaces", 20000)),
    ("cluster_services_namespace", in_cluster("services/in_namespace", 6000)),
    ("cluster_deployments_namespace", in_cluster("workloads/in_namespace", 3000)),
    ("cluster_kubeadm", in_cluster("kubeadm/version", "v1.35.0")),
    ("cluster_kubeadm", in_cluster("kubeadm/networking/podSubnet", "10.0.0.0/8")),
    ("cluster_kubeadm", in_cluster("kubeadm/networking/serviceSubnet", "10.0.0.0/8")),
    ("cluster_not_ready", in_cluster("nodes/worker1/ready", False)),
    ("cluster_pressure", in_cluster("nodes/worker1/pressures", ["DiskPressure"])),
    ("cluster_tainted", in_cluster("nodes/cp1/tainted", False)),
    ("cluster_budgets", in_cluster("stuck_budgets", ["shop/web"])),
]  # fmt: skip
# Information, which is not judged.
SHOWN = [
    ("apiserver_audit_mode", audited(audit_log_mode="blocking")),
    ("apiserver_cache_size", flag("apiserver", watch_cache_sizes="pods#1000")),
    ("apiserver_removed", in_cluster("metrics/deprecated", [{"resource": "flowcontrol.apiserver.k8s.io/v1beta3 flowschemas", "removed": "1.37"}])),
    ("manager_pod_gc", flag("manager", terminated_pod_gc_threshold="50000")),
    ("scheduler_strategy", scheduler_file(profiles=[{"pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}]}])),
    ("scheduler_share", scheduler_file(percentageOfNodesToScore=5)),
    ("scheduler_profiling", flag("scheduler", profiling="true")),
    ("etcd_metrics", etcd(metrics="extensive")),
    ("etcd_profiling", etcd(enable_pprof="true")),
    ("kubelet_pull_rate", kubelet(registryPullQPS=1)),
    ("kubelet_drift", flag_of_worker(v="1")),
    ("kubelet_lease", kubelet(nodeLeaseDurationSeconds=10)),
    ("kubelet_images", kubelet(nodeStatusMaxImages=-1)),
    ("kubelet_gates_off", kubelet(featureGates={"NodeSwap": False})),
    ("kubelet_open_files", kubelet(maxOpenFiles=1000)),
    ("kubelet_quota_period", kubelet(cpuCFSQuotaPeriod="10ms")),
    ("kubelet_flags", flag("kubelet", max_pods="110")),
    ("kubelet_requests", in_cluster("pending_requests", 3)),
    ("containerd_snapshotter", on_hosts("containerd/snapshotter", "stargz")),
    ("containerd_runtime", on_hosts("containerd/runtime_type", "io.containerd.runc.v1")),
    ("containerd_progress", on_hosts("containerd/image_pull_progress_timeout", "0s")),
    ("coredns_cache_times", corefile(contradictions=[".:53 cache 3600, success 30"])),
    ("storage_options", storage_class(options=["nodiratime"])),
    ("storage_volume_options", in_cluster("volumes/options", ["pv-1"])),
    ("storage_limits", in_cluster("csi", {"csi.example.com": {**DRIVER["csi.example.com"], "unlimited": 2}})),
    ("node_hugepages", on_hosts("node/transparent_hugepages", "always")),
    ("node_reserved_pages", on_hosts("node/huge_pages", 512)),
    ("node_insert_failed", on_hosts("node/insert_failed", 17)),
    ("node_swappiness", sysctl("vm.swappiness", 90)),
    ("node_drift", sysctl("net.ipv4.conf.all.rp_filter", 1, "worker1")),
    ("containerd_drift", on_hosts("containerd/max_container_log_line_size", 65536, "worker1")),
    ("proxy_prefer", in_cluster("services/prefer_close", ["shop/web"])),
    ("etcd_metrics_url", etcd(listen_metrics_urls="")),
    ("cni_cpu", in_cluster("workloads/agents", {"kube-system/cilium": {"wanted": 5, "ready": 5, "priority": "system-node-critical", "cpu_limited": True}})),
]  # fmt: skip
# What cannot be had alone: the rules that are found with it.
WITH = {
    "kubelet_rotation": {"kubelet_unlike"},
    # kubeadm's ConfigMap has the former range.
    "manager_addresses": {"cluster_kubeadm"},
}


@pytest.fixture(scope="module")
def stock():
    findings = judged(kubeadm())
    return {True: off(findings), False: off(findings, False)}


def changed(change):
    measured = kubeadm()
    change(measured)
    return judged(measured)


@pytest.mark.parametrize("rule,change", JUDGED, ids=[rule for rule, dummy in JUDGED])
def test_one_bad_setting_is_one_finding(rule, change, stock):
    assert off(changed(change)) - stock[True] == {rule, *WITH.get(rule, ())}


@pytest.mark.parametrize("rule,change", SHOWN, ids=[rule for rule, dummy in SHOWN])
def test_one_information(rule, change, stock):
    findings = changed(change)
    assert off(findings) == stock[True]
    assert off(findings, False) - stock[False] == {rule}


def test_everything_bad_at_once_is_found(stock):
    """Settings that do not exclude each other, in one cluster: all are found, and nothing else."""
    chosen = [rule for rule in ALONE if rule in dict(JUDGED)]
    measured = kubeadm()
    for rule in chosen:
        dict(JUDGED)[rule](measured)
    assert len(chosen) >= 25
    assert off(judged(measured)) - stock[True] == set(chosen)


ALONE = (
    "apiserver_watch_cache", "apiserver_fairness", "apiserver_event_ttl", "apiserver_compaction", "apiserver_media_type", "apiserver_verbosity",
    "apiserver_alpha",
    "apiserver_webhook_timeout", "manager_grace", "manager_leader", "scheduler_parallelism", "etcd_fsync", "etcd_alarms", "etcd_rotational", "etcd_log_level",
    "etcd_pre_vote", "etcd_scripts", "kubelet_sync", "kubelet_eviction", "kubelet_events", "kubelet_status_report", "containerd_tasks", "containerd_registries",
    "proxy_mode", "coredns_logs", "coredns_priority", "storage_defaults", "node_somaxconn", "node_kubelet_kernel", "node_clock", "cluster_budgets",
)  # fmt: skip


def test_most_rules_are_tried():
    """What a stock cluster has off already, and what needs a size or another layout, is tried elsewhere."""
    tried = {rule for rule, dummy in [*JUDGED, *SHOWN]}
    stock_off = off(judged(kubeadm())) | off(judged(kubeadm()), False) | off(judged(kubespray())) | off(judged(kubespray()), False)
    assert tried <= {identifier[7:] for identifier in rules()}
    assert len(tried | stock_off) >= 0.8 * len(rules())
