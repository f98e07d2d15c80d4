# shellcheck shell=sh
# dnsperf.sh NUMBER ADDRESS,… ARGUMENT…: asks the address of this number, counted from 0, or the last one.
# Percentiles need a histogram, which dnsperf has from 2.11.2 on; before, a line for each answer (-v), which every version can print.
number=$1 servers=$2
shift 2
while [ "$number" -gt 0 ] && [ "${servers#*,}" != "$servers" ]; do
  servers=${servers#*,} number=$((number - 1))
done
version=$(dnsperf -h 2>&1 | sed -n 's/^Version //p')
case $version in
  "" | 1.* | 2.[0-9] | 2.[0-9].* | 2.10 | 2.10.* | 2.11.0 | 2.11.1) set -- "$@" -v ;;
  *) set -- "$@" -O latency-histogram ;;
esac
exec dnsperf -s "${servers%%,*}" -d /kubeproof/files/queries "$@"
