#!/bin/sh
# What the tools talk to: $1 and $2 iperf3, $3 sockperf, $4 a configuration of nginx or nothing. One that ends is started again.
keep() {
    while :; do
        "$@"
        sleep 0.2
    done
}
if [ -n "$4" ]; then
    # On a node without IPv6 (ipv6.disable=1) nothing can listen there, and nginx would not start.
    [ ! -e /proc/net/if_inet6 ] || echo 'listen [::]:8080;' >/tmp/listen-ipv6.conf || exit
    # What it says against its start is what the pod ends with, and is shown.
    nginx -t -q -c "$4" -e stderr || exit
fi
keep iperf3 --server --port "$1" --rcv-timeout 10000 >/dev/null &
keep iperf3 --server --port "$2" --rcv-timeout 10000 >/dev/null &
keep sockperf server --tcp --port "$3" >/dev/null &
[ -z "$4" ] || keep nginx -c "$4" -e stderr &
# The end of the first process is that of all.
trap 'exit 0' TERM INT
wait
