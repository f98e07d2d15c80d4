# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of every layer is made of recorded output by the code that makes runs; then output, inputs or facts are changed, and each change is seen."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import pathlib
import re
import shutil

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.action import metrics_window as window_action
from ansible_collections.kubeproof.certify.plugins.module_utils import (
    apiserver_plan,
    dns_plan,
    etcd_plan,
    evidence,
    files,
    ingress_plan,
    network_plan,
    pod_rows,
    report_verify_raw,
    scale_plan,
    storage_fio,
    storage_plan,
    window_prometheus,
)

ROOT = pathlib.Path(__file__).parents[4]
FIXTURES = ROOT / "tests/fixtures"
REQUESTS = [{"name": name, "as": name, "by": [], "where": {}, "except": {}}
            for name in ("etcd_disk_wal_fsync_duration_seconds", "etcd_server_proposals_committed_total")]  # fmt: skip
LOOK = "123 45 8:16 / /volume rw,relatime - ext4 /dev/sdb rw\nspace 4096 2621440 2500000\nMemTotal: 8000000 kB\nwritten\n"
PODS = [{"accepted": True, "created": 0.01, "scheduled": 0.02, "started": 0.4 + number, "ready": 0.4 + number, "pod": f"p{number}", "node": "worker1",
         "image_was": "present", "pods_made": 1} for number in range(3)] + [{"accepted": True, "waited": 9.5}]  # fmt: skip


def planned(module, layer, profile="smoke", **more):
    """Return the plan of a layer with the defaults of its role."""
    defaults = yaml.safe_load((ROOT / "roles" / layer / "defaults/main/settings.yml").read_text(encoding="utf-8"))
    own = {"nodes": 2, "capacity": {}, "live": False, "stress": {"shares": None, "bisect": False}, "time_scale": 1.0}
    return module.plan(profile, {**defaults, **own, **more})


class Run:
    """The directory of a run in which tools leave their output."""

    def __init__(self, top, layer):
        self.top, self.layer = top, layer
        self.raw = top / "raw" / layer

    def write(self, path, content):
        """Write what a tool left, a file, a directory or a text, and return where."""
        path = self.raw / path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pathlib.Path):
            (shutil.copytree if content.is_dir() else shutil.copy)(content, path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def tool(self, place, parser, *contents, name="stdout", **more):
        """Leave the output of a tool at a place, as the modules do, and return what its parser made of it."""
        below = [f"{place}/{number}/{name}" for number in range(len(contents))] if len(contents) > 1 else [f"{place}{'/' if name else ''}{name}"]
        paths = [self.write(path, content) for path, content in zip(below, contents)]
        evidence.keep(str(self.raw / place), parser, paths, **more)
        return report_verify_raw.parsed(paths, {"parser": parser, **more})

    def window(self, place, first=None, last=None):
        """Leave two snapshots of /metrics, and return what was counted between them."""
        for state, body in (("open", first), ("close", last)):
            self.write(f"{place}-{state}.txt.gz", body or FIXTURES / "metrics" / f"etcd-{'before' if state == 'open' else 'after'}.txt.gz")
        prefix, dash, name = str(self.raw / place).rpartition("-")
        for suffix, text in window_action.read_from(prefix, {"requests": REQUESTS, "seconds": {name: 60.5}}).items():
            files.write_text(f"{prefix}{suffix}", text)
        paths = [f"{prefix}-{name}-{state}.txt.gz" for state in ("open", "close")]
        return report_verify_raw.parsed(paths, {"parser": "window", "requests": REQUESTS, "seconds": 60.5})

    def pods(self, place, rows):
        """Leave what was seen of pods."""
        text = "".join(json.dumps({"index": index, **row}) + "\n" for index, row in enumerate(rows))
        return self.tool(place, "pods", gzip.compress(text.encode()), name="", preload=True, beside={"rate": 5.0, "left": 0, "reasons": []})


def etcd(run):
    benchmark = run.tool("etcd1/write", "etcd_benchmark", FIXTURES / "etcd_benchmark/put-3.6.out")
    names = ("members-one", "status-three", "health-one", "alarm-none")
    answers = {question: run.tool(f"etcd1/{question}", "etcdctl", FIXTURES / "etcdctl" / f"{name}.json")
               for question, name in zip(("members", "status", "health", "alarms"), names)}  # fmt: skip
    asked = {key: value for answer in answers.values() for key, value in answer.items()}
    after = run.tool("etcd1/status-after", "etcdctl", FIXTURES / "etcdctl/status-three.json")
    plan = planned(etcd_plan, "etcd", etcd_rate_factor={"smoke": 1.1}, latency="")
    extra = {"fio": run.tool("etcd2/fio", "fio", FIXTURES / "fio/fdatasync.json"), "window": run.window("etcd2/metrics-etcd")}
    whole = {"plan": plan, "hosts": {}, "asked": asked, "steps": {"write": benchmark}, "seconds": {"write": 60}, "after": after, "runner": "etcd1",
             "soak": {"missing": {"soak": "why"}}}  # fmt: skip
    return {"cluster/etcd": whole, "etcd2": {"info": {"endpoint": "https://x:2379"}, "plan": plan, "extra": extra, "soak": {"missing": {"soak": "why"}}}}


def apiserver(run):
    plan = planned(apiserver_plan, "apiserver", engines=["k6", "kube_burner"])
    objects = next(step["name"] for step in plan["steps"] if step["kind"] == "objects")
    generators = [FIXTURES / "k6/two-generators" / f"generator-{number}.csv.gz" for number in (0, 1)]
    steps = {
        objects: {"facts": run.tool(objects, "k6", *generators, name="samples.csv.gz"), "windows": {"api": {"cp1": run.window(f"{objects}-api-cp1")}}},
        "pods": {"facts": run.pods("pods", PODS)},
        "kube_burner": {"facts": run.tool("kube_burner", "kube_burner", FIXTURES / "kube_burner/smoke", name="index")},
        "streams": {"facts": {"exec": {"seconds": 0.1}}},
    }
    return {"cluster/lab": {"plan": plan, "steps": {name: {"took": 5, "cpu_seconds": 1, "cpus": 2, **step} for name, step in steps.items()}}}


def network(run):
    outputs = {"0-pod-tcp-8-forward-0": ("iperf3", "iperf3/tcp-p8.json"), "0-pod-rtt-0": ("sockperf", "sockperf/udp.out"),
               "0-pod-loaded-0": ("iperf3_sockperf", "iperf3_sockperf/pair.out"), "0-service-connect-0": ("curl", "curl/connections.out")}  # fmt: skip
    runs = {name: {"error": "", "exit_code": 0, "facts": run.tool(f"pairs/{name}", parser, FIXTURES / path)} for name, (parser, path) in outputs.items()}
    # A test that failed, of whose output no parser made anything, and its second try.
    runs["0-pod-rtt-1"] = {"error": "cannot read the output: messages went to and fro for 0.051 s only, of 0.55 s.", "exit_code": 0}
    again = run.tool("pairs/0-pod-rtt-1-again", "sockperf", FIXTURES / "sockperf/pause-end.out")
    runs["0-pod-rtt-1-again"] = {"error": "", "exit_code": 0, "facts": again}
    netperf = run.tool("k8s-netperf/run", "k8s_netperf", FIXTURES / "k8s_netperf/netperf.json")
    steps = {"pairs": {"runs": runs, "facts": {}}, "programming": {"facts": {"count": 3}, "runs": {}}, "k8s-netperf": {"facts": netperf, "runs": {}}}
    return {"cluster/lab": {"plan": planned(network_plan, "network", pairs=1, engine="auto", found=True), "steps": steps}}


def dns(run):
    plan = planned(dns_plan, "dns")
    service = next(step["name"] for step in plan["steps"] if step["kind"] == "service")
    outputs = [FIXTURES / "dnsperf_files/two-coredns" / f"{number}-stdout" for number in (0, 1)]
    each = {name: run.tool(f"pods/{number}", "dnsperf_files", output) for number, (name, output) in enumerate(zip("ba", outputs))}
    job = {"rate": 150, "count": 2, "seconds": 3, "threads": 1, "outstanding": 100, "searched": 1, "lines": 3, "names": ["b", "a"]}
    ran = {"job": job, "took": 3, "pods": [{"cpu_seconds": 0.1, "index": number} for number in (0, 1)]}
    steps = {service: {**ran, "facts": run.tool(service, "dnsperf_files", *outputs), "metrics": {"a": run.window(f"{service}-metrics-a")}},
             "pods": {**ran, "facts": {}, "each": each}}  # fmt: skip
    return {"cluster/lab": {"plan": plan, "steps": steps}}


def storage(run):
    plan = planned(storage_plan, "storage", engine="fio", default_class="fast", storage_classes=[{"name": "fast", "required_iops": 100}])
    recorded = (FIXTURES / "fio/lat-percentiles.json").read_text(encoding="utf-8")
    jobs = {}
    for job in ("random_read-1", "random_write-1"):
        jobs[job] = storage_fio.result(job, run.tool(f"fast-1/{job}", "fio", recorded.replace('"lat"', f'"{job}"')))
    run.tool("fast-1/verify", "fio", recorded)
    run.write("fast-1/look/stdout", LOOK)
    run.write("fast-1/resident/stdout", f"{2**26}\n")
    cached = storage_fio.result("cached", run.tool("fast-1/cached", "fio", recorded.replace('"lat"', '"cached"')))
    facts = {"class": "fast", "outcome": "works", "errors": 0, "jobs": jobs, "space": storage_fio.look(LOOK, 2**30), "cached": {"rate": cached["read"]["rate"]},
             "file": 2**28, "resident": 0.25, "integrity": {"same": True}}  # fmt: skip
    kbench = {"kbench-1": run.tool("fast-2/kbench-1", "kbench_files", FIXTURES / "kbench_files/quick", name="")}
    stressed = {"ramp-150": {"fast-1": {"facts": run.tool("ramp-150/fast-1", "fio", recorded)}}}
    volumes = {"fast-1": {"facts": facts}, "fast-2": {"facts": {"class": "fast", "jobs": kbench}}}
    disks = {"worker1": run.tool("disk-worker1", "fio", FIXTURES / "fio/lat-percentiles.json")}
    return {"cluster/lab": {"plan": plan, "volumes": volumes, "ran": {"fast": stressed}, "disks": disks}}


def ingress(run):
    plan = planned(ingress_plan, "ingress", tier="")
    steps = {}
    for step in plan["steps"]:
        wrk = step["kind"] == "wrk"
        own, name, parser = (FIXTURES / "wrk/keepalive.out", "stdout", "wrk_files") if wrk else (FIXTURES / "k6/get-only.csv.gz", "samples.csv.gz", "k6")
        steps[step["name"]] = {"facts": run.tool(step["name"], parser, own, name=name), "seconds": step["seconds"], "cpu_seconds": 0.1}
    run.write("probe/stdout", 'said\n{"answers": {"main": {"status": 200}}}\n')
    return {"cluster/lab": {"plan": plan, "steps": steps, "cpus": 1, "probe": {"answers": {"main": {"status": 200}}}}}


def scale(run):
    plan = planned(scale_plan, "scale", run="20261121t020000z-1a2b", engine="x")
    name = plan["sizes"][0]["name"]
    steps = {name: {"latency": run.pods("latency-1", PODS), "windows": {"api": {"cp1": run.window("0-api-cp1")}}},
             "clusterloader2": {"clusterloader": run.tool("clusterloader2", "clusterloader2", FIXTURES / "clusterloader2/smoke", name="report")}}  # fmt: skip
    return {"cluster/lab": {"plan": plan, "limits": {}, "steps": steps}}


LAYERS = {one.__name__: one for one in (etcd, apiserver, network, dns, storage, ingress, scale)}


def plain(value):
    return json.loads(json.dumps(value))


@pytest.fixture(name="made", scope="module")
def fixture_made(tmp_path_factory):
    """Return a function that makes a run of one layer and returns (its directory, its facts {path: document}). It is made once."""
    tops, copies = {}, iter(range(10**6))

    def make(layer):
        if layer not in tops:
            tops[layer] = top = tmp_path_factory.mktemp(layer)
            inputs = {f"{layer}/{document}": plain(one) for document, one in LAYERS[layer](Run(top, layer)).items()}
            for path, one in inputs.items():
                keep(top, path, one)
        top = tops[layer].parent / f"copy-{next(copies)}"
        shutil.copytree(tops[layer], top)
        return top, {path: made_of(path, kept(top, path)) for path in paths_of(top)}

    return make


def paths_of(top):
    return sorted(path.relative_to(top / "inputs").as_posix()[: -len(".json.gz")] for path in (top / "inputs").rglob("*.gz"))


def keep(top, path, inputs):
    files.write_json(str(top / "inputs" / f"{path}.json.gz"), inputs)


def kept(top, path):
    return files.read_json(str(top / "inputs" / f"{path}.json.gz"))


def made_of(path, inputs):
    return plain(report_verify_raw.FACTS[f"{path.split('/')[0]}/{'cluster' if '/cluster/' in path else 'host'}"](inputs))


def problems(top, facts):
    return [text for one in report_verify_raw.compare(str(top), facts).values() for text in one.problems]


@pytest.mark.parametrize("layer", LAYERS)
def test_what_was_recorded_says_the_same_again(made, layer):
    top, facts = made(layer)
    found = report_verify_raw.compare(str(top), facts)[layer]
    assert (found.problems, found.facts) == ([], len(facts))
    unread = {path.relative_to(top / "raw" / layer).as_posix() for path in (top / "raw").rglob("*") if path.is_file()} - found.read
    assert all(path.endswith(".json") for path in unread), unread


# One number of each kind of output: what stands in the file, and what is written in its place.
NUMBERS = [
    ("etcd", "etcd1/write/stdout", r"99% in [0-9.]+", "99% in 0.0001"),
    ("etcd", "etcd2/fio/stdout", r'"99.000000" : [0-9]+', '"99.000000" : 5'),
    ("etcd", "etcd1/status/stdout", r'"raftTerm": ?[0-9]+', '"raftTerm":99'),
    ("etcd", "etcd2/metrics-etcd-close.txt.gz", r"(etcd_server_proposals_committed_total) [0-9.e+]+", r"\1 9e+15"),
    ("etcd", "etcd2/metrics-etcd-open.txt.gz", r'(fsync_duration_seconds_bucket\{le="0.001"\}) [0-9.e+]+', r"\1 1"),
    ("apiserver", "*/1/samples.csv.gz", r"(http_req_duration,[0-9]+),[0-9.]+,,,", r"\1,98765.4,,,"),
    ("apiserver", "pods", r'"started": 2.4', '"started": 0.3'),
    ("apiserver", "*-api-cp1-close.txt.gz", r"(etcd_server_proposals_committed_total) [0-9.e+]+", r"\1 9e+15"),
    ("apiserver", "kube_burner/index/podLatencyMeasurement-*", '"podReadyLatency":1000', '"podReadyLatency":1'),
    ("network", "pairs/0-pod-tcp-8-forward-0/stdout", r'("sum_received":\s*\{[^}]*"bits_per_second":\s*)[0-9.e+]+', r"\g<1>99999999999"),
    ("network", "pairs/0-pod-rtt-0/stdout", r"(percentile 99\.000 ?=) +[0-9.]+", r"\1 1.000"),
    ("network", "pairs/0-pod-rtt-1-again/stdout", r"(percentile 99\.000 ?=) +[0-9.]+", r"\1 700.000"),
    ("network", "k8s-netperf/run/stdout", r'"throughput": [0-9.]+', '"throughput": 99999.9'),
    ("dns", "service-*/1/stdout", r"(Queries lost:\s+)[0-9]+", r"\g<1>77"),
    ("dns", "service-*-metrics-a-open.txt.gz", r"(etcd_server_proposals_committed_total) [0-9.e+]+", r"\1 1"),
    ("storage", "fast-1/random_read-1/stdout", r'"iops" : [0-9.]+', '"iops" : 999999.0'),
    ("storage", "fast-1/look/stdout", "MemTotal: 8", "MemTotal: 9"),
    ("storage", "fast-1/resident/stdout", "67108864", "0"),
    ("storage", "fast-1/cached/stdout", r'"iops" : [0-9.]+', '"iops" : 999999.0'),
    ("storage", "fast-2/kbench-1/*latency*.json", r'"iops" : [0-9.]+', '"iops" : 999999.0'),
    ("storage", "disk-worker1/stdout", r'"iops" : [0-9.]+', '"iops" : 999999.0'),
    ("storage", "ramp-150/fast-1/stdout", r'"iops" : [0-9.]+', '"iops" : 999999.0'),
    ("ingress", "rps/stdout", r"(Requests/sec:\s+)[0-9.]+", r"\g<1>999999.00"),
    ("ingress", "latency-*/samples.csv.gz", r"(http_req_duration,[0-9]+),[0-9.]+", r"\1,98765.4"),
    ("ingress", "probe/stdout", "200", "404"),
    ("scale", "latency-1", r'"started": 2.4', '"started": 0.3'),
    ("scale", "clusterloader2/report/PodStartup*", r'"Perc99": ?[0-9.]+', '"Perc99": 1'),
]


def change(path, pattern, text):
    data = path.read_bytes()
    small = data[:2] == b"\x1f\x8b"
    before = (gzip.decompress(data) if small else data).decode()
    after = re.sub(pattern, text, before, count=1)
    assert after != before, (path, pattern, before[:2000])
    path.write_bytes(gzip.compress(after.encode()) if small else after.encode())


@pytest.mark.parametrize(("layer", "name", "pattern", "text"), NUMBERS)
def test_one_number_of_raw_output_is_changed(made, layer, name, pattern, text):
    top, facts = made(layer)
    path = sorted((top / "raw" / layer).glob(name))[0]
    change(path, pattern, text)
    told = problems(top, facts)
    # A parser that finds a contradiction in the output says so.
    words = (f"says something else than what the facts of {layer} were made of: ", "cannot be read again (")
    assert len(told) == 1 and told[0].startswith(f"raw/{layer}/") and any(one in told[0] for one in words), told


def forged(top, layer, facts):
    """Have the inputs say what raw output says now, as one does who forges a run; return those parts that were changed."""
    changed = []
    for path in facts:
        inputs = kept(top, path)
        raw, document = report_verify_raw.Raw(str(top), layer), path.partition("/")[2]
        for part in report_verify_raw.PARTS[f"{layer}/{'cluster' if '/cluster/' in path else 'host'}"]:
            for names, value in report_verify_raw._matches(inputs, part.at.split("."), report_verify_raw.named(document, inputs)):
                again = []
                for place in (found for template in part.places for found in raw.find(template, names)):
                    with contextlib.suppress(report_verify_raw.Unread):
                        again.append(plain(part.again(raw, place, names, value)))
                if value and again and value not in again:
                    changed.append(part.at.format(**names))
                    value.clear()
                    value.update(again[0])
        keep(top, path, inputs)
    return changed


# Output that no parser finds a fault with.
FORGED = [
    ("etcd", "etcd2/metrics-etcd-close.txt.gz", r"(etcd_server_proposals_committed_total) [0-9.e+]+", r"\1 9e+15"),
    ("ingress", "latency-*/samples.csv.gz", r"(http_req_duration,[0-9]+),[0-9.]+", r"\1,98765.4"),
]


@pytest.mark.parametrize(("layer", "name", "pattern", "text"), FORGED)
def test_who_changes_the_inputs_as_well_is_found_by_the_facts(made, layer, name, pattern, text):
    top, facts = made(layer)
    change(sorted((top / "raw" / layer).glob(name))[0], pattern, text)
    assert len(forged(top, layer, facts)) == 1
    told = problems(top, facts)
    assert len(told) == 1 and re.match(f"facts/{layer}/.*json does not follow from inputs/{layer}/.*json.gz, ", told[0]), told


@pytest.mark.parametrize("layer", LAYERS)
def test_output_that_is_taken_away_or_is_none(made, layer):
    top, facts = made(layer)
    found = report_verify_raw.compare(str(top), facts)[layer].read
    for number, name in enumerate(sorted(found)):
        path = top / "raw" / layer / name
        whole = path.read_bytes()
        path.unlink()
        if number % 2:
            path.write_bytes(gzip.compress(b"garbage\n") if name.endswith(".gz") else b"garbage\n")
        # What says the same once more, no parser needs.
        assert problems(top, facts) or any(one in name for one in ("Quantiles", ".log", ".xml", "Stateful", "Stateless", "metadata")), name
        path.write_bytes(whole)
    assert problems(top, facts) == []


@pytest.mark.parametrize("layer", LAYERS)
def test_without_any_output_each_part_is_named(made, layer):
    top, facts = made(layer)
    parts = len(report_verify_raw.compare(str(top), facts)[layer].read)
    for path in (top / "raw").rglob("*.json"):
        if evidence_in(path):
            path.unlink()
    told = problems(top, facts)
    assert told and all("there is no raw output of it" in one for one in told)
    shutil.rmtree(top / "raw")
    assert 0 < len(told) <= len(problems(top, facts)) <= parts


def evidence_in(path):
    document = json.loads(path.read_text(encoding="utf-8").partition("\x00")[0] or "0") if path.stat().st_size < 10**4 else 0
    return isinstance(document, dict) and {"parser", "files"} <= set(document)


@pytest.mark.parametrize("layer", LAYERS)
def test_inputs_that_are_taken_away_or_changed(made, layer):
    top, facts = made(layer)
    path = sorted(facts)[0]
    inputs = kept(top, path)
    keep(top, path, {**inputs, "plan": {}})
    assert f"facts/{path}.json does not follow from inputs/{path}.json.gz" in problems(top, facts)[0]
    (top / "inputs" / f"{path}.json.gz").unlink()
    assert problems(top, facts) == [f"inputs/{path}.json.gz is missing, so that facts/{path}.json cannot be made again."]
    keep(top, path, inputs)
    assert problems(top, facts) == []
    # Facts that are changed, or added.
    assert f"facts/{path}.json does not follow from" in problems(top, {**facts, path: {**facts[path], "made_up": 1}})[0]
    added = {**facts, f"{layer}/cluster/other": facts[path], "unknown/cluster/x": {}}
    assert problems(top, added) == [
        f"inputs/{layer}/cluster/other.json.gz is missing, so that facts/{layer}/cluster/other.json cannot be made again.",
        "facts/unknown/cluster/x.json: nothing says how such facts are made.",
    ]


@pytest.mark.parametrize(
    "how",
    [{}, {"parser": "sockperf"}, {"parser": "sockperf", "files": []}, {"parser": "sockperf", "files": [1]}, {"parser": "none", "files": ["0-pod-rtt-0/stdout"]},
     {"parser": "sockperf", "files": ["../../../../etc/passwd"]}, {"parser": "sockperf", "files": ["/etc/passwd"]},
     {"parser": "window", "files": ["0-pod-rtt-0"]},
     {"parser": ["sockperf"], "files": ["0-pod-rtt-0/stdout"]}, [1], {"parser": "pods", "files": ["0-pod-rtt-0/stdout"], "beside": {}, "preload": 1}],
)  # fmt: skip
def test_what_is_said_beside_output_is_of_no_use(made, how):
    top, facts = made("network")
    (top / "raw/network/pairs/0-pod-rtt-0.json").write_text(json.dumps(how), encoding="utf-8")
    [told] = problems(top, facts)
    assert told.startswith("raw/network/pairs/0-pod-rtt-0 cannot be read again (steps.pairs.runs.0-pod-rtt-0.facts): "), told


def test_what_was_not_measured_needs_no_output(made):
    """A result is no better for it: its checks are INCONCLUSIVE."""
    top, facts = made("network")
    shutil.rmtree(top / "raw")
    for path in facts:
        keep(top, path, {"plan": kept(top, path)["plan"]})
    assert problems(top, {path: made_of(path, kept(top, path)) for path in facts}) == []


def test_of_clusters_that_share_hosts_each_has_its_own_output(made):
    top, facts = made("etcd")
    run, inputs = Run(top, "etcd"), kept(top, "etcd/cluster/etcd")
    other = run.tool("events/etcd1/write", "etcd_benchmark", FIXTURES / "etcd_benchmark/put-short-3.6.out")
    keep(top, "etcd/cluster/events", {"plan": inputs["plan"], "steps": {"write": plain(other)}, "seconds": {"write": 60}})
    facts["etcd/cluster/events"] = made_of("etcd/cluster/events", kept(top, "etcd/cluster/events"))
    assert problems(top, facts) == []
    (top / "raw/etcd/events/etcd1/write/stdout").unlink()
    [told] = problems(top, facts)
    assert told.startswith("raw/etcd/etcd1/write says something else than what the facts of etcd were made of: steps.write, ")


def test_a_window_that_a_prometheus_had_stored(made):
    top, facts = made("dns")
    series = [{"metric": {"__name__": "coredns_panics_total"}, "value": [1, "3"]}]
    answers = {"coredns_panics_total": series}
    first, last = ({"time": 1.0, "start": 5.0, "kinds": {"coredns_panics_total": "counter"}, "answers": answers} for dummy in range(2))
    last = copy.deepcopy(last)
    last["answers"]["coredns_panics_total"][0]["value"][1] = "8"
    assert window_prometheus.kept(json.dumps(first))[0] == 5.0
    paths = [str(top / f"{name}.gz") for name in ("first", "last")]
    for path, document in zip(paths, (first, last)):
        files.write_bytes(path, gzip.compress(json.dumps(document).encode()))
    requests = [{"name": "coredns_panics_total", "as": "panics", "by": [], "where": {}, "except": {}}]
    found = report_verify_raw.parsed(paths, {"parser": "window", "requests": requests, "seconds": 10.0})
    assert found == {"seconds": 10.0, "panics": {"increase": 5, "rate": 0.5}}


def test_rows_say_all_numbers_of_pods():
    assert set(pod_rows.of_rows(PODS, True)) == set(pod_rows.OF_ROWS)
