# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus scrapes every component of the lab, loads the rules, and has an answer to every query of every dashboard."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import monitoring_dashboards, monitoring_proof, window
from ansible_collections.kubeproof.certify.plugins.module_utils.web import Endpoint
from ansible_collections.kubeproof.certify.plugins.module_utils.window_prometheus import Stored
from ansible_collections.kubeproof.certify.tests.lab import prometheus as beside
from ansible_collections.kubeproof.certify.tests.lab.conftest import ADDRESSES, ANSIBLE, ETCD, PKI, STATE, wait_for

pytestmark = pytest.mark.long

COLLECTION = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg")}
NAMESPACE = "kubeproof-monitoring-test"
ACCOUNT = "kubeproof-prometheus"
NODES = ("cp1", "worker1", "worker2")
# This machine, as the lab's hosts reach it.
BRIDGE = "10.89.77.1"
# Shorter than in production, so that a run of some minutes fills it.
WINDOW = "1m"
# Enough to make every component count something: pods are started and Services made in each.
LAYERS = ["dns", "ingress"]
# Queries that cannot have an answer on this lab, by the title of their panel.
NOT_HERE = {
    "Alerts": "no alert fires in a healthy cluster",
    "Admission webhooks, P99": "the lab has no webhook",
    "Calls to CSI drivers, P99": "local-path is no CSI driver",
    "Containers, read": "the nodes are containers on cgroups v1, where cAdvisor finds no block device",
    "Containers, written": "the nodes are containers on cgroups v1, where cAdvisor finds no block device",
    "CoreDNS throttled by its limit": "kubeadm gives CoreDNS no limit of processors",
    "Files left in volumes": "local-path keeps no count",
    "From a change of a Service to its name, P99": "no run makes a headless Service",
    "Image pulls, P99": "the nodes have the images already",
    "Not passed": "everything passed, when it did",
    "Resolvers behind, P99": "the lab has no name outside",
    "Room left in volumes": "local-path keeps no count",
}
TARGETS = {
    "kube-etcd": ETCD, "kubelet": NODES, "kube-proxy": NODES, "kube-scheduler": ("cp1",), "kube-controller-manager": ("cp1",), "node-exporter": ("here",),
    "kubeproof": ("here",),
}  # fmt: skip


def made(directory, **variables):
    """Run playbooks/monitoring.yml; return what it showed."""
    given = {"monitoring_directory": str(directory), "monitoring_namespace": NAMESPACE, "monitoring_exporters": ["node-exporter"], **variables}
    argv = [ANSIBLE, "playbooks/monitoring.yml", "-i", "inventories/lab", "-e", json.dumps(given)]
    done = subprocess.run(argv, cwd=COLLECTION, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def stack():
    with contextlib.ExitStack() as found:
        yield found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("monitoring")


@pytest.fixture(scope="module")
def scraped(lab, stack, place):
    """Return a Prometheus with the role's own configuration, that has scraped every component."""
    kubectl, made_here, textfile = lab.kubectl, place / "made", place / "textfile"
    textfile.mkdir()
    made(made_here, monitoring_discovery="none")
    kubectl("create", "namespace", NAMESPACE)
    stack.callback(kubectl, "delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")
    kubectl("apply", "-f", made_here / "access.yml")
    stack.callback(kubectl, "delete", "--ignore-not-found", "-f", made_here / "access.yml")
    (place / "token").touch(mode=0o600)
    (place / "token").write_text(beside.token_of(lab, NAMESPACE, ACCOUNT))
    config = yaml.safe_load((STATE / "kubeconfig").read_text())["clusters"][0]["cluster"]
    (place / "ca.pem").write_bytes(base64.b64decode(config["certificate-authority-data"]))
    loopback = {"scheduler": (10259, ["cp1"]), "manager": (10257, ["cp1"]), "proxy": (10249, NODES)}
    node = beside.free_port()
    beside.started(
        stack, [beside.programs() / "prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{node}", f"--collector.textfile.directory={textfile}"],
        place / "node.log",
    )  # fmt: skip
    here = {"here": f"127.0.0.1:{node}"}
    own = {"insecure_skip_verify": True}
    made(
        made_here, monitoring_discovery="static", monitoring_interval=f"{beside.INTERVAL}s", monitoring_window=WINDOW, monitoring_etcd_version="3.6.8",
        monitoring_api={"server": config["server"], "ca_file": str(place / "ca.pem"), "token_file": str(place / "token")},
        monitoring_targets={**beside.tunnels(stack, lab, ADDRESSES, loopback, place), "node": here, "certificate": here},
        monitoring_tls={"scheduler": own, "manager": own,
                        "etcd": {"ca_file": f"{PKI}/ca.pem", "cert_file": f"{PKI}/admin-etcd1.pem", "key_file": f"{PKI}/admin-etcd1-key.pem"}},
    )  # fmt: skip
    found = beside.Prometheus(stack, made_here / "prometheus.yml", place, BRIDGE)
    found.began, found.made, found.textfile = time.time(), made_here, textfile
    wait_for(lambda: set(found.targets().values()) == {""} or time.time() - found.began > 30, 40)
    return found


def certified(results, layers, **variables):
    """Certify layers of the lab; return the directory of the run, its certificate, and what was shown."""
    given = {"certify_results": str(results), "certify_layers": layers, "certify_accept": ["PASS", "CONDITIONAL", "FAIL", "INCONCLUSIVE"], **variables}
    argv = [ANSIBLE, "certify.yml", "-i", "inventories/lab", "-e", json.dumps(given)]
    done = subprocess.run(argv, cwd=COLLECTION, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    [path] = results.rglob("certificate.json")
    certificate = json.loads(path.read_text())
    assert certificate["run"]["load_seconds"] > 0, done.stdout[-3000:]
    return path.parent, certificate, done.stdout


@pytest.fixture(scope="module")
def loaded(scraped, place):
    """Certify layers of the lab while it is watched, and hand the certificate to the textfile collector."""
    directory, scraped.run, dummy = certified(place / "results", LAYERS)
    (scraped.textfile / "kubeproof.prom").write_text((directory / "certificate.prom").read_text())
    wait_for(lambda: scraped.ask("query", query="kubeproof_certificate_info")["result"], 30)
    time.sleep(2 * beside.INTERVAL)
    return scraped


def promtool(*arguments):
    done = subprocess.run([beside.programs() / "promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_component_is_scraped(scraped):
    found = scraped.targets()
    assert {name: error for name, error in found.items() if error} == {}
    for job, instances in TARGETS.items():
        assert {instance for one, instance in found if one == job} == set(instances), job
    assert {job for job, dummy in found} == {*TARGETS, "apiserver", "coredns", "traefik"}
    assert len([1 for job, dummy in found if job == "coredns"]) == 2


def test_rules_are_loaded_and_record(loaded):
    groups = loaded.ask("rules")["groups"]
    wrong = {rule["name"]: rule["lastError"] for group in groups for rule in group["rules"] if rule["health"] != "ok"}
    assert wrong == {} and sum(len(group["rules"]) for group in groups) > 150


def test_promtool_accepts_the_rules(scraped):
    said = promtool("check", "rules", *sorted(map(str, (scraped.made / "rules").glob("*.yml"))))
    assert "FAILED" not in said and said.count("SUCCESS") >= 7


def test_every_alert_fires_beyond_its_bound_and_not_at_it(scraped):
    tests = sorted((scraped.made / "tests").glob("*.yml"))
    promtool("test", "rules", *map(str, tests))
    asked = {moment["alertname"] for path in tests for case in yaml.safe_load(path.read_text())["tests"] for moment in case["alert_rule_test"]}
    named = {rule["alert"] for path in (scraped.made / "rules").glob("*.yml") for group in yaml.safe_load(path.read_text())["groups"]
             for rule in group["rules"] if "alert" in rule}  # fmt: skip
    assert named - asked == set() and len(named) > 50


def test_every_query_gives_what_its_check_means(place):
    """The queries themselves on series that are given: histograms with a percentile at the bound, the others out of a table."""
    made(place / "plain", monitoring_discovery="none", monitoring_exporters=["node-exporter", "kube-state-metrics"])
    selectors = yaml.safe_load((COLLECTION / "roles/monitoring/vars/main.yml").read_text())["__monitoring_selectors"]
    labels = {job: ",".join(f'{name}="{text}"' for name, text in monitoring_proof.matching(selector).items()) for job, selector in selectors.items()}
    given = yaml.safe_load((COLLECTION / "tests/fixtures/monitoring/records.yml").read_text())
    cases, recorded = [], set()
    for path in sorted((place / "plain/rules").glob("*.yml")):
        for rule in (rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"] if "record" in rule):
            check = rule["record"].split(":")[1]
            if rule["record"].endswith(":samples"):
                continue
            recorded.add(check)
            case = histogram(rule) if rule["expr"].startswith("histogram_quantile") else given.get(check)
            assert case, f"tests/fixtures/monitoring/records.yml has no series for {check}"
            series = [{"series": WORD.sub(lambda word: labels[word[1]], name), "values": values} for name, values in case["given"].items()]
            samples = [{"labels": WORD.sub(lambda word: labels[word[1]], name), "value": round(value * 100000)} for name, value in case["is"].items()]
            cases.append({"name": check, "interval": "1m", "input_series": series,
                          "promql_expr_test": [{"expr": f"round(100000 * {rule['record']})", "eval_time": "30m", "exp_samples": samples}]})  # fmt: skip
    (place / "plain/records.test.yml").write_text(yaml.safe_dump({"rule_files": ["rules/*.yml"], "evaluation_interval": "5m", "tests": cases}))
    promtool("test", "rules", str(place / "plain/records.test.yml"))
    assert len(recorded) >= 45 and set(given) <= recorded


WORD = re.compile(r"\$(\w+)")
RULE = re.compile(r"histogram_quantile\(([0-9.]+), sum by \((.*)\) \(rate\((\w+)_bucket\{(.*)\}\[\w+\]\)\)\)")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def histogram(rule):
    """Return series whose percentile is 0.5: of 100 in a minute as many as the percentile asks for are not above it."""
    quantile, by, metric, matchers = RULE.fullmatch(rule["expr"]).groups()
    chosen = {name: text.split("|")[0] or text.split("|")[1] for name, sign, text in MATCHER.findall(matchers) if sign in ("=", "=~") and text.strip("|")}
    chosen = {name: text.replace(".*", "").strip("()") for name, text in chosen.items()}
    grouped = {label: chosen.get(label, "one") for label in by.replace(" ", "").split(",") if label != "le"}
    texts = {**chosen, **grouped}
    inside = ",".join(f'{name}="{text}"' for name, text in texts.items())
    below = round(float(quantile) * 100)
    series = {f'{metric}_bucket{{{inside},le="{bound}"}}': f"0+{count}x30" for bound, count in (("0.25", 0), ("0.5", below), ("1.0", 100), ("+Inf", 100))}
    said = ",".join(f'{name}="{text}"' for name, text in sorted(grouped.items()))
    return {"given": {**series, f"{metric}_count{{{inside}}}": "0+100x30"}, "is": {f"{{{said}}}": 0.5}}


def unanswered(found):
    """Return ([query without an answer that is not excused], [title that is excused], how many queries) of all dashboards of a Prometheus."""
    end, empty, excused, count = time.time(), [], [], 0
    for path in sorted((found.made / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        asked = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
        asked += [(one["name"], one["expr"]) for one in board["annotations"]["list"]]
        asked += [(one["name"], monitoring_dashboards.BY_CLUSTER) for one in board["templating"]["list"] if one["type"] == "query"]
        for title, expr in asked:
            count += 1
            query = expr.replace(monitoring_dashboards.PANEL_WINDOW, WINDOW).replace("$cluster", ".*")
            if not found.values(query, found.began, end):
                # The run is of some layers.
                other = title == "Last certificate" and board["uid"].rpartition("-")[2] not in LAYERS
                (excused if title in NOT_HERE or other else empty).append(f"{board['uid']}: {title}: {expr}")
    return empty, excused, count


def test_every_query_of_every_dashboard_has_an_answer(loaded):
    empty, excused, count = unanswered(loaded)
    print(f"{count} queries, {len(excused)} cannot have an answer here:", *excused, sep="\n")
    assert empty == [] and count > 150


SDK = "grafana-foundation-sdk==1769699998!10.1.0"
# Reads each dashboard as Grafana's published schema has it, and writes it again: what the schema does not know is lost.
READ_AGAIN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
register_default_plugins()
print(json.dumps([Dashboard.from_json(json.load(open(path))) for path in sys.argv[2:]], cls=JSONEncoder))
"""


def lost(given, read, path=""):
    """Return the paths of what is in the first document and not in the second."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [one for key, value in given.items() for one in (lost(value, read[key], f"{path}.{key}") if key in read else [f"{path}.{key}"])]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [one for place, pair in enumerate(zip(given, read)) for one in lost(*pair, f"{path}[{place}]")]
    return [] if given == read else [path]


def test_dashboards_are_those_of_grafanas_published_schema(place):
    """By Grafana's own package, which is made of its schema; it is fetched for this test alone."""
    library = beside.CACHE / "sdk"
    if not library.is_dir():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", library, SDK], check=True, capture_output=True)
    made(place / "boards", monitoring_discovery="none")
    paths = sorted((place / "boards/dashboards").glob("*.json"))
    boards = [json.loads(path.read_text()) for path in paths]
    odd = {**boards[0], "panels": [{**boards[0]["panels"][0], "strange": 1, "fieldConfig": {**boards[0]["panels"][0]["fieldConfig"], "colour": 1}}]}
    (place / "odd.json").write_text(json.dumps(odd))
    done = subprocess.run([sys.executable, "-c", READ_AGAIN, library, *paths, place / "odd.json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert {path.name: lost(board, again) for path, board, again in zip(paths, boards, read)} == {path.name: [] for path in paths}
    assert sorted(lost(odd, read[-1])) == [".panels[0].fieldConfig.colour", ".panels[0].strange"]


def test_the_run_is_marked(loaded):
    """The annotation begins and ends with the run that the certificate is of."""
    [moments] = loaded.ask("query_range", query=monitoring_dashboards.RUN, start=loaded.began, end=time.time(), step=1)["result"]
    times = [moment for moment, dummy in moments["values"]]
    started, finished = (loaded.ask("query", query=f"kubeproof_run_{edge}_timestamp_seconds")["result"][0]["value"][1] for edge in ("started", "finished"))
    assert abs(times[0] - float(started)) <= 1.5 or times[0] - loaded.began < 1.5
    assert abs(times[-1] - float(finished)) <= 1.5


ETCD_FAMILIES = [
    "etcd_disk_wal_fsync_duration_seconds", "etcd_disk_backend_commit_duration_seconds", "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_failed_total",
]  # fmt: skip


def request(name, by=()):
    return {"name": name, "as": name, "by": list(by), "where": {}, "except": {}}


def test_a_window_out_of_prometheus_is_that_of_the_servers(scraped):
    """Same families, same percentiles within a bucket, and as many observations, but for the scrape interval at each end."""
    secrets = {"ca": f"{PKI}/ca.pem", "cert": f"{PKI}/admin-etcd1.pem", "key": f"{PKI}/admin-etcd1-key.pem"}
    stored = Endpoint(scraped.url, timeout=30)
    etcd = [request(name) for name in ETCD_FAMILIES]
    pairs = [
        (etcd, {host: Endpoint(f"https://{ADDRESSES[host]}:2379/metrics", timeout=30, **secrets) for host in ETCD},
         {host: Stored(stored, f'job="kube-etcd",instance="{host}"') for host in ETCD}),
    ]  # fmt: skip
    opened = [[window.open_window(endpoints, families)[0] for endpoints in both] for families, *both in pairs]
    time.sleep(60)
    for documents, (families, *both) in zip(opened, pairs):
        facts = [window.close_window(document, endpoints, families)[0] for document, endpoints in zip(documents, both)]
        for host in ETCD:
            mine, theirs = (one[host] for one in facts)
            assert "problems" not in mine and "problems" not in theirs
            assert 0 <= theirs["seconds"] - mine["seconds"] < 4 * beside.INTERVAL
            for name in ETCD_FAMILIES:
                if "below" not in mine[name]:
                    assert mine[name]["increase"] == theirs[name]["increase"] == 0
                    continue
                # All that the server counted in its window is in that of the Prometheus, and beyond it no more than was counted at its ends.
                more = theirs[name]["count"] - mine[name]["count"]
                assert 0 <= more < mine[name]["count"]
                for bound, share in mine[name]["below"].items():
                    beyond = round(theirs[name]["below"][bound] * theirs[name]["count"]) - round(share * mine[name]["count"])
                    assert 0 <= beyond <= more, (name, bound)


SHORT = {"smoke": {"write": 15, "write_all": 0, "read": 3, "read_serializable": 0, "watch": 0, "check_perf": "", "fsync": 0}}


def test_a_certificate_out_of_prometheus(scraped, place):
    """Checks of what servers count have values of as many observations, although no member and no API server was asked for its metrics."""
    # Whatever the disk of this machine does to the verdict.
    more = {"certify_prometheus_url": scraped.url, "certify_continue": True, "etcd_load": SHORT}
    directory, certificate, shown = certified(place / "stored", ["etcd", "apiserver"], **more)
    found = {(one["id"], one["host"]): one for one in certificate["findings"]}
    for check in ("etcd_wal_fsync_p99", "etcd_backend_commit_p99"):
        # An interval may lie on both sides of a bound, which is then undecided, and is a value all the same.
        assert all(found[check, host]["value"] and found[check, host]["samples"] > 100 for host in ETCD), shown[-3000:]
    assert found["apiserver_mutating_p99", "lab"]["samples"] > 300
    read = [*(directory / "raw/etcd").glob("*/metrics-etcd-close*"), *(directory / "raw/apiserver").glob("*-api-cp1-close*")]
    assert len(read) >= 4 and all(json.loads(gzip.decompress(path.read_bytes()))["answers"] for path in read)


CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "prometheusrules.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com", "scope": "Namespaced",
        "names": {"kind": "PrometheusRule", "listKind": "PrometheusRuleList", "plural": "prometheusrules", "singular": "prometheusrule"},
        "versions": [{"name": "v1", "served": True, "storage": True,
                      "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
    },
}  # fmt: skip


def test_objects_in_the_cluster_come_and_go(lab, scraped, tmp_path):
    """ConfigMaps without the operator, PrometheusRules with it; once more changes nothing, and absent leaves nothing."""
    kubectl, cluster = lab.kubectl, {"monitoring_delivery": ["files", "cluster"], "monitoring_discovery": "none"}

    def ours():
        kinds = "configmaps,prometheusrules.monitoring.coreos.com" if with_rules else "configmaps"
        wanted = ("-l", "app.kubernetes.io/managed-by=kubeproof,kubeproof.io/run=monitoring", "-o", "json")
        return [(one["kind"], one["metadata"]["name"]) for one in kubectl("-n", NAMESPACE, "get", kinds, *wanted)["items"]]

    with_rules = False
    assert "no PrometheusRules" in made(tmp_path / "made", **cluster)
    boards = {("ConfigMap", f"kubeproof-dashboard-{name}") for name in ("apiserver", "certificate", "dns", "etcd", "ingress", "network", "node", "storage")}
    assert set(ours()) == boards
    found = kubectl("-n", NAMESPACE, "get", "configmap", "kubeproof-dashboard-etcd", "-o", "json")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1" and json.loads(found["data"]["kubeproof-etcd.json"])["panels"]
    kubectl("apply", "-f", "-", data=json.dumps(CRD))
    try:
        kubectl("wait", "--for=condition=Established", "crd/prometheusrules.monitoring.coreos.com", "--timeout=30s")
        # The API server has to make room for the new kind first.
        wait_for(lambda: kubectl("get", "prometheusrules.monitoring.coreos.com", "-A", "-o", "json", check=False), 30)
        with_rules = True
        made(tmp_path / "made", **cluster)
        assert boards < set(ours()) and ("PrometheusRule", "kubeproof-etcd") in ours()
        assert "changed=0" in made(tmp_path / "made", **cluster)
        made(tmp_path / "made", monitoring_state="absent", **cluster)
        assert ours() == [] and not (tmp_path / "made").exists()
    finally:
        kubectl("delete", "crd", "prometheusrules.monitoring.coreos.com", "--ignore-not-found", "--timeout=30s")
