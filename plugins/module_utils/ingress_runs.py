# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the steps of the ingress layer are run: URLs, names in the clients' hosts file, and the command of each step. Pure.

wrk takes the name for SNI from its URL and nowhere else, so that clients find the controller's address by the host name: it is in their
hosts file, for k6 as well.
"""

from __future__ import annotations

import json
import math
from urllib.parse import urlsplit

from ansible_collections.kubeproof.certify.plugins.module_utils import api_generators, ingress_path

FILES = "/kubeproof/files"
SAMPLES = "samples.csv.gz"
K6 = ["k6", "run", "--quiet", "--no-color", "--no-usage-report", "--address=", "--summary-mode=disabled", "--include-system-env-vars"]
# A node's own limit of files that are open at once may be 1,024, which is one for each connection; what a pod may raise it to is higher.
FILES_OPEN = 'ulimit -Sn "$(ulimit -Hn)" 2>/dev/null'
# Where a node has no IPv6 (ipv6.disable=1), nginx that shall listen there does not start; a cluster of IPv6 alone reaches it nowhere else. $1 its file.
SERVE = f"""
{FILES_OPEN}
[ ! -e /proc/net/if_inet6 ] || echo 'listen [::]:8080 backlog=4096;' >/tmp/listen-ipv6.conf || exit
exec nginx -e stderr -c "$1"
"""
# Runs a tool, and says in the samples $1, or where that is empty after what it printed, for how long its threads were ready to run and had no processor
# (the second number of /proc/<pid>/task/<thread>/schedstat, in ns, which a kernel without it leaves out): on a full node a generator is not busy.
WATCH = FILES_OPEN + r"""
samples=$1
shift
late=$(mktemp) || exit
"$@" &
tool=$! most=-1
while [ -d "/proc/$tool" ]; do
  sum=-1
  for one in /proc/"$tool"/task/*/schedstat; do
    read -r ran waited rest <"$one" && sum=$((sum + waited + (sum < 0)))
  done
  [ "$sum" -le "$most" ] || { most=$sum; echo "$sum" >"$late"; }
  sleep 0.5
done 2>/dev/null &
watch=$!
wait "$tool"
code=$?
kill "$watch"
if read -r sum <"$late"; then
  said=$(printf "%d.%03d" "$((sum / 1000000000))" "$((sum / 1000000 % 1000))")
  if [ -z "$samples" ]; then
    echo "KUBEPROOF_WAITED $said"
  elif [ -s "$samples" ] && command -v gzip >/dev/null; then
    echo "kubeproof_waited,0000000000000,$said,,,,,," | gzip >>"$samples"
  fi
fi
exit "$code"
"""
# Prepared for answers as slow as the highest bound: a client that k6 has to make while it loads costs it a request each time, and with few
# cores many more, which would count against the ingress. More clients than for twice that would measure what has failed already.
PREPARED = (20, 0.2)
CLIENTS = (100, 0.4)


def runs(plan, setup):
    """Return {urls, aliases: {address: [names]}, pods, probe: run, steps: [run], skipped: {step: why}}.

    A run is {name, argv, environment, timeout, success_codes?, parser?, result?}, pods are as pod_group takes them: backends of our own, and the client.

    `setup`: host, plain (the host name without TLS), url (the owner's own, or ""), path (ingress_info's), mark (what our backend's answers begin with,
    the host follows), marker (what the answers of the owner's URL contain, or ""), nodes, backends, ca (whether there is a file of the authority),
    cpus, generators, request_timeout, ready_timeout, grace, answers (the probe's, {} before it).
    """
    urls, aliases, markers = _urls(plan, setup)
    steps, skipped = [], {}
    for step in plan["steps"]:
        why = _skipped(step["to"], urls, plan, setup)
        if why:
            skipped[step["name"]] = why
            continue
        command = _wrk if step["kind"] == "wrk" else _k6
        run = command(step, urls[step["to"]], markers[step["to"]], setup)
        steps.append({"name": step["name"], "timeout": step["seconds"] + setup["grace"], **run})
    probe = {
        "name": "probe",
        "argv": [*K6, "--log-output=stdout", "--log-format=raw", f"{FILES}/probe.js"],
        "environment": {
            "URLS": json.dumps({name: urls[name] for name in ("main", "plain", "stranger") if name in urls}),
            "WANTED": json.dumps(["main"]),
            "OTHERWISE": json.dumps({name: urls[name] for name in ("straight",) if name in urls}),
            "MARKER": markers["main"] if setup["url"] else setup["mark"],
            "WAIT": str(setup["ready_timeout"]),
            "REQUEST_TIMEOUT": f"{min(5, setup['request_timeout'])}s",
            **_trust(setup),
        },
        "timeout": setup["ready_timeout"] + setup["grace"],
    }
    return {"urls": urls, "aliases": aliases, "pods": _pods(setup), "probe": probe, "steps": steps, "skipped": skipped}


def _pods(setup):
    """Return backends on the nodes in turn, and the client on the next one."""
    nodes, count = setup["nodes"], 0 if setup["url"] else setup["backends"]
    backend = {"argv": ["sh", "-c", SERVE, "sh", f"{FILES}/nginx.conf"], "ports": [8080], "labels": {"kubeproof.io/part": "backend"}}
    pods = {f"backend-{number}": {**backend, "node": nodes[number % len(nodes)]} for number in range(count)}
    return {**pods, "client": {"node": nodes[count % len(nodes)]}}


def _urls(plan, setup):
    """Return ({name: URL}, {address: [names]}, {name: what its answers contain})."""
    path, host = setup["path"], setup["host"]
    if setup["url"]:
        name = urlsplit(setup["url"]).hostname
        return {"main": setup["url"]}, {one: [name] for one in path["addresses"]}, {"main": setup["marker"]}
    plain, stranger = setup["plain"], f"stranger-{host}"
    urls = {"straight": _url("http", "backend", {"http": 80})}
    if uses_tls(plan, path):
        urls.update(main=_url("https", host, path), tls=_url("https", host, path))
        urls.update({"plain": _url("http", plain, path)} if path["http"] else {})
    else:
        urls.update(main=_url("http", host, path), plain=_url("http", plain, path))
    # Without TLS where that is possible, so that no certificate stands in for the host name that nobody knows.
    urls["stranger"] = _url("http" if path["http"] else "https", stranger, path)
    markers = {"straight": setup["mark"], "main": setup["mark"] + host, "tls": setup["mark"] + host, "plain": setup["mark"] + plain}
    return urls, {one: list(dict.fromkeys([host, plain, stranger])) for one in path["addresses"]}, markers


def uses_tls(plan, path):
    """Say whether TLS is measured: as it is planned, but for a way that has none. Where TLS is needed, such a way is refused before."""
    return plan["tls"] and path.get("https", True) is not None


def _url(scheme, host, path):
    return f"{scheme}://{_authority(scheme, host, path[scheme])}/"


def _authority(scheme, host, port):
    # As clients outside write it in their Host header: some controllers know no other (emissary-ingress#3625).
    return host if port == ingress_path.PORTS[scheme][0] else f"{host}:{port}"


def _with_port(url):
    """Return (URL with its port, Host header): wrk looks for a port that is not there in a list of services, which the image need not have."""
    parts = urlsplit(url)
    port = parts.port or ingress_path.PORTS[parts.scheme][0]
    return parts._replace(netloc=f"{parts.hostname}:{port}").geturl(), parts.netloc


def _skipped(to, urls, plan, setup):
    """Return in a sentence why a step is left out, or ""."""
    answers = setup["answers"]
    if to not in urls:
        return f"The way to the ingress has no port for {'https' if to == 'tls' else 'http'}."
    # A redirect to https is as it should be, and no rate of answers.
    if to == "plain" and uses_tls(plan, setup["path"]) and answers.get("plain", {}).get("answer", "our backend") != "our backend":
        return f"Without TLS the ingress answers: {answers['plain']['answer']}."
    return ""


def _trust(setup):
    """Return the environment that names the only authority that k6 trusts, where one is given."""
    return {"SSL_CERT_FILE": f"{FILES}/ca.crt", "SSL_CERT_DIR": "/dev/null"} if setup["ca"] else {}


def _watched(samples):
    return ["sh", "-c", WATCH, "sh", samples]


def _wrk(step, url, marker, setup):
    # At least one for each of its threads.
    connections = max(setup["cpus"], math.ceil(step["connections"] / setup["generators"]))
    url, host = _with_port(url)
    argv = ["wrk", f"-t{setup['cpus']}", f"-c{connections}", f"-d{math.ceil(step['seconds'])}s", f"--timeout={math.ceil(setup['request_timeout'])}s"]
    argv += ["-s", f"{FILES}/report.lua", "-H", f"Host: {host}", *([] if step["keep_alive"] else ["-H", "Connection: close"])]
    argv = [*_watched(""), *argv, url, "--", "200", *([marker] if marker else [])]
    return {"argv": argv, "environment": {}, "parser": "wrk_files", "result": "stdout"}


def _k6(step, url, marker, setup):
    argv = [*_watched(SAMPLES), *K6, "--log-output=file=/dev/stderr,level=error"]
    if setup["generators"] > 1:
        count = setup["generators"]
        cuts = ["0", *(f"{number}/{count}" for number in range(1, count)), "1"]
        argv += [f"--execution-segment={{index}}/{count}:{{next}}/{count}", f"--execution-segment-sequence={','.join(cuts)}"]
    rate = step.get("rate")
    environment = {
        "URL": url,
        "MARKER": marker,
        "DURATION": f"{step['seconds']}s",
        "VUS": str(_clients(PREPARED, rate) if rate else max(step["connections"], setup["generators"])),
        "REQUEST_TIMEOUT": f"{setup['request_timeout']}s",
        "GOMAXPROCS": str(setup["cpus"]),
        "K6_CSV_TIME_FORMAT": "unix_milli",
        "K6_AUTO_EXTENSION_RESOLUTION": "false",
        **({"RATE": str(rate), "MAX_VUS": str(_clients(CLIENTS, rate))} if rate else {}),
        **_trust(setup),
    }
    argv += [f"--out=csv={SAMPLES}", f"{FILES}/get.js"]
    # It stopped by itself, since too much failed. What it measured until then says so.
    codes = [0, api_generators.GAVE_UP]
    return {"argv": argv, "environment": environment, "success_codes": codes, "parser": "k6", "result": SAMPLES}


def _clients(sizing, rate):
    """Return how many clients a rate takes, when answers take so many seconds."""
    least, seconds = sizing
    return max(least, math.ceil(rate * seconds))
