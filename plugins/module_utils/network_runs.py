# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of each pair, as runs of tools in pods. Pure: a layout and a load in, runs out; the same twice, so that results are found by name.

Every run is under `timeout` in its pod: one that ends by it is a failure that is known (124), not a run that was lost.
"""

from __future__ import annotations

from .network_layout import SAME

POD, HOST, SERVICE = "pod", "host", "service"
FORWARD, REVERSE = "forward", "reverse"
# Selected by the Service before a server.
SERVER_LABEL = "kubeproof.io/server"
# What the servers listen on in the pod network, and where they begin in the host network.
PORTS = {"iperf3": 5201, "iperf3-load": 5202, "sockperf": 11111, "http": 8080}
CONNECT_MS = 3000
# Seconds that a tool may need beyond those that it was told.
GRACE = 8
# The name of a test's second try ends with it.
AGAIN = "-again"
# A message as small as a request; the default of k8s-netperf for a stream is one that fills segments.
MESSAGE = 64
# Datagrams that show whether packets of the full size pass: so many bit/s for a second.
FULL_SIZE_RATE = 10_000_000
# A share of the free entries of the connection tracking table that our connections may take.
ROOM = 0.1
# What sockperf does. To that before 3.8, such as the 3.7 in the image of the tools, an IPv6 address is none: its client shows its help and ends with 0,
# and its server listens at 0.0.0.0 alone.
BY_SOCKPERF = ("rtt", "loaded", "ramp")
WITH_IPV6 = (3, 8)
NO_IPV4 = "sockperf {version} has no IPv6 (3.8 and later have), and {server} has no IPv4 address"

# Opens connections one after the other until one fails, as the parser curl reads it. $1 seconds, $2 URL.
CONNECT = """
timeout -k 1 "$1" curl --silent --fail-early --output /dev/null --connect-timeout 5 --header 'Connection: close' \\
  --write-out '%{http_code} %{time_connect} %{time_total}\\n' "$2"
code=$?
[ "$code" -lt 124 ] || exit "$code"
echo "end $code"
"""
# Sends datagrams that fill a packet of the pod network and must not be fragmented. $1 address, $2 port, $3 bytes of headers, $4 bit/s, $5 an option.
# The route says how large that is (Cilium sets it there), else its device. fibmatch leaves out what the kernel learned of the way, which is to be
# found out here; with IPv6 iperf3 cannot keep it from fragmenting by that, so that it is asked afterwards.
FULL_SIZE = """
size() { sed -n 's/.* mtu \\(lock \\)*\\([0-9][0-9]*\\).*/\\2/p'; }
route=$(ip -o route get fibmatch "$1") || exit 125
device=$(echo "$route" | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')
mtu=$(echo "$route" | size)
[ -n "$mtu" ] || mtu=$(cat "/sys/class/net/$device/mtu") || exit 125
timeout -k 1 10 iperf3 -c "$1" -p "$2" -u -b "$4" -t 1 -l $((mtu - $3)) $5 -J --connect-timeout 3000 2>said.txt || { code=$?; cat said.txt >&2; exit "$code"; }
passed=$(ip -o route get "$1" | size)
[ "${passed:-$mtu}" -ge "$mtu" ] || { echo "packets of $mtu bytes were sent, and the way to $1 carries $passed" >&2; exit 1; }
"""
DONT_FRAGMENT = "--dont-fragment"
# Bytes of IP and UDP before a datagram.
HEADERS = {4: 28, 6: 48}
# Streams of $4 bit/s each, $6 of them for $5 seconds, and meanwhile round trips; both are printed. $1 address, $2 and $3 ports.
RAMP = """
timeout -k 1 $(($5 + 10)) iperf3 -c "$1" -p "$2" -b "$4" -P "$6" -t "$5" -J --connect-timeout 3000 >ramp.json 2>&1 &
sleep 1
timeout -k 1 $(($5 + 8)) sockperf ping-pong --tcp -i "$1" -p "$3" -t $(($5 - 2)) -m 64 --full-rtt >ramp.txt
code=$?
wait $! || { tail -n 3 ramp.json >&2; exit 123; }
cat ramp.json ramp.txt
exit "$code"
"""
# Round trips while a stream of $4 bit/s runs beside them. $1 address, $2 and $3 ports, $5 seconds.
LOADED = """
timeout -k 1 $(($5 + 10)) iperf3 -c "$1" -p "$2" -b "$4" -t $(($5 + 2)) -J --connect-timeout 3000 >load.json 2>&1 &
sleep 1
timeout -k 1 $(($5 + 8)) sockperf ping-pong --tcp -i "$1" -p "$3" -t "$5" -m 64 --full-rtt
code=$?
wait $! || { tail -n 3 load.json >&2; exit 123; }
exit "$code"
"""


def pods(layout, network, first_port=0):
    """Return the pods of pod_group in one of the networks: on each node a server, which is a client too, and in the pod network a second client."""
    ports = host_ports(first_port) if network == HOST else PORTS
    listening = [ports["iperf3"], ports["iperf3-load"], ports["sockperf"]]
    argv = ["sh", "/kubeproof/files/serve.sh", *map(str, listening), *([] if network == HOST else ["/kubeproof/files/nginx.conf"])]
    found = {}
    for number, node in enumerate(layout["taking_part"]):
        name = f"{network}-{number}"
        found[name] = {"node": node, "host_network": network == HOST, "ports": list(listening), "argv": argv}
        if network == POD:
            found[name]["ports"].append(PORTS["http"])
            found[name]["labels"] = {SERVER_LABEL: name}
    if network == POD and layout["taking_part"]:
        found["peer-0"] = {"node": layout["taking_part"][0]}
    return found


def host_ports(first):
    """Return the ports of the servers in the host network."""
    return {"iperf3": first, "iperf3-load": first + 1, "sockperf": first + 2}


def numbered(layout):
    """Yield (pair, number of its first node, number of its second) of the pairs that are measured."""
    number = {name: place for place, name in enumerate(layout["taking_part"])}
    for pair in layout["pairs"]:
        if pair["measured"]:
            yield pair, number[pair["from"]], number[pair["to"]]


def tests(kind, layout, load):
    """Return the tests of one kind (see OF_KIND): [{name, pair, test, network, client, server, repeat, ...}].

    test: tcp (streams, way), rtt, connect, udp, full_size, loaded. `client` and `server` are pods; `network` service stands for the Service
    before the server. A name is unique and can be that of a directory.
    """
    found = []
    for place, (pair, start, end) in enumerate(numbered(layout)):
        for network, test, more in OF_KIND[kind](pair, load):
            client = f"host-{start}" if network == HOST else "peer-0" if pair["kind"] == SAME else f"pod-{start}"
            server = f"{HOST if network == HOST else POD}-{end}"
            detail = "".join(f"-{value}" for value in more.values())
            for repeat in range(load["samples"] if (network, test) in REPEATED else 1):
                name = f"{place}-{network}-{test}{detail}-{repeat}"
                one = {"name": name, "pair": pair["name"], "kind": pair["kind"], "test": test, "network": network, "client": client, "server": server}
                found.append({**one, "repeat": repeat, **more})
    return found


def _throughput(pair, load):
    for streams in load["streams"] if load["tcp"] else ():
        for way in (FORWARD, REVERSE) if streams in load["reverse"] else (FORWARD,):
            yield POD, "tcp", {"streams": streams, "way": way}
            if streams in load["host"] and pair["kind"] != SAME:
                yield HOST, "tcp", {"streams": streams, "way": way}


def _latency(pair, load):
    if load["rtt"]:
        yield POD, "rtt", {}
        if pair["kind"] != SAME:
            yield HOST, "rtt", {}
            yield SERVICE, "rtt", {}
    if load["connections"] and pair["kind"] != SAME:
        yield SERVICE, "connect", {}


def _loss(pair, load):
    if load["udp"]:
        yield POD, "udp", {}
        yield POD, "full_size", {}


def _loaded(pair, load):
    if load["loaded"] and pair["kind"] != SAME:
        yield POD, "loaded", {}


def _ramp(pair, load):
    if load["ramp"] and pair["kind"] != SAME:
        yield POD, "ramp", {}


OF_KIND = {"ramp": _ramp, "throughput": _throughput, "latency": _latency, "loss": _loss, "loaded": _loaded}


# What a number is judged by that takes several samples. Round trips elsewhere are there to compare with.
REPEATED = {(POD, "tcp"), (HOST, "tcp"), (POD, "rtt"), (SERVICE, "connect")}


def runs(kinds, layout, plan, places):
    """Return the runs of these kinds of tests for pod_exec: [{name, pod, argv, timeout, parser}].

    `plan`: network_plan, with `step`, the one that runs, where that is one of a ramp. `places`: pods {pod: what pod_group returned}, services
    {server: cluster IP}, host_port, looks {pod: facts of network_nodes before the load}, pairs {pair: its facts until now}. A test whose address or rate
    is not known has no run.
    """
    found = []
    for test in (test for kind in kinds for test in tests(kind, layout, plan["load"])):
        client = places["pods"].get(test["client"]) or {}
        address = _address(test, places)
        argv = _argv(test, address, plan, places) if address and client else None
        if argv:
            seconds = limit(test, plan["load"]) if test["test"] != "ramp" else plan["step"]["each"] + 2 + GRACE
            under = argv if argv[0] == "sh" else ["timeout", "-k", "1", str(seconds), *argv]
            found.append({"name": test["name"], "pod": client["pod"], "argv": under, "timeout": seconds + GRACE, "parser": PARSER[test["test"]]})
    return found


def _addresses(test, places):
    """Return the addresses at which the server of a test is, that of its own family first; [] where none is known."""
    if test["network"] == SERVICE:
        return [one for one in [(places.get("services") or {}).get(test["server"])] if one]
    server = (places.get("pods") or {}).get(test["server"]) or {}
    return [one for one in [server.get("ip"), *(server.get("ips") or ())] if one]


def _address(test, places):
    """Return the address that the client of a test asks, None where there is none that its tool can reach."""
    has_ipv6 = test["test"] not in BY_SOCKPERF or (oldest(test, places) or (0,)) >= WITH_IPV6
    return next((one for one in _addresses(test, places) if ":" not in one or has_ipv6), None)


def oldest(test, places):
    """Return the lower version of sockperf, as numbers, in the pods of a test; None unless both tell it."""
    told = [((places.get("looks") or {}).get(test[end]) or {}).get("sockperf") for end in ("client", "server")]
    return min(tuple(map(int, one.split("."))) for one in told) if all(told) else None


def unable(test, places):
    """Return why the tool of a test cannot reach its server, of which an address is known; "" otherwise. `places`: pods, services and looks, as `runs`."""
    if not _addresses(test, places) or _address(test, places):
        return ""
    version = oldest(test, places)
    server = f"the {'Service before the pod' if test['network'] == SERVICE else 'pod'} {test['server']}"
    return NO_IPV4.format(version=".".join(map(str, version)) if version else "of a version that is not known", server=server)


def packet(test, places, datagram):
    """Return the bytes of the packet that holds a datagram of a test."""
    return datagram + HEADERS[family(_address(test, places) or "")]


def family(address):
    return 6 if ":" in address else 4


PARSER = {"tcp": "iperf3", "udp": "iperf3", "full_size": "iperf3", "rtt": "sockperf", "loaded": "sockperf", "ramp": "iperf3_sockperf", "connect": "curl"}


def limit(test, load):
    """Return the seconds after which the tool of a test is ended."""
    wanted = {"tcp": load["tcp"], "rtt": load["rtt"], "udp": load["udp"], "full_size": 1, "loaded": load["loaded"] + 2}
    # A connection that takes ten times the bound of its latency.
    return round(wanted.get(test["test"], load["connections"] * 0.02) + GRACE)


def _argv(test, address, plan, places):
    load, ports = plan["load"], host_ports(places["host_port"]) if test["network"] == HOST else PORTS
    iperf3 = ["iperf3", "-c", address, "-p", str(ports["iperf3"]), "-J", "--connect-timeout", str(CONNECT_MS)]
    kind = test["test"]
    if kind == "tcp":
        return [*iperf3, "-t", str(load["tcp"]), "-P", str(test["streams"]), *(["-R"] if test["way"] == REVERSE else [])]
    if kind == "udp":
        return [*iperf3, "-u", "-b", str(round(plan["udp_rate"])), "-t", str(load["udp"])]
    if kind == "full_size":
        option = DONT_FRAGMENT if family(address) == 4 else ""
        return ["sh", "-c", FULL_SIZE, "sh", address, str(ports["iperf3"]), str(HEADERS[family(address)]), str(FULL_SIZE_RATE), option]
    if kind == "rtt":
        return ["sockperf", "ping-pong", "--tcp", "-i", address, "-p", str(ports["sockperf"]), "-t", str(load["rtt"]), "-m", str(MESSAGE), "--full-rtt"]
    if kind == "loaded":
        rate = ((places["pairs"].get(test["pair"]) or {}).get("tcp") or {}).get("rate")
        values = [address, ports["iperf3-load"], ports["sockperf"], rate and round(rate / 2), load["loaded"]]
        return ["sh", "-c", LOADED, "sh", *map(str, values)] if rate else None
    if kind == "ramp":
        step = plan["step"]
        values = [address, ports["iperf3-load"], ports["sockperf"], round(step["rates"][test["kind"]] / step["streams"]), step["each"], step["streams"]]
        return ["sh", "-c", RAMP, "sh", *map(str, values)] if step["rates"].get(test["kind"]) else None
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{PORTS['http']}/?[1-{connections(load, places['looks'])}]"
    return ["sh", "-c", CONNECT, "sh", str(limit(test, load)), url]


def connections(load, looks):
    """Return how many connections one run makes: all of a pair's take no more than a part of what the fullest connection tracking table has free."""
    tables = [look.get("conntrack") or {} for look in looks.values()]
    free = [table["max"] - table["count"] for table in tables if "max" in table and "count" in table]
    # One of the repeats may be tried once more.
    return max(1, min([load["connections"], *(int(one * ROOM / (load["samples"] + 1)) for one in free)]))
