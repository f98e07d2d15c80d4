#!/bin/sh
# What the tools talk to: $1 and $2 iperf3, $3 sockperf, $4 a configuration of nginx or nothing. One that ends is started again.
keep() {
    while :; do
        "$@"
        sleep 0.2
    done
}
keep iperf3 --server --port "$1" --rcv-timeout 10000 >/dev/null &
keep iperf3 --server --port "$2" --rcv-timeout 10000 >/dev/null &
keep sockperf server --tcp --port "$3" >/dev/null &
[ -z "$4" ] || keep nginx -c "$4" -e stderr &
# The end of the first process is that of all.
trap 'exit 0' TERM INT
wait
