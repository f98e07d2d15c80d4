#!/usr/bin/env bash
# Build a cluster with Kubespray, and hand it over only when it is certified:
#
#     after-kubespray.sh <directory of Kubespray> <its inventory, such as inventory/prod/hosts.yaml or inventory/prod>
#
# Kubespray has a virtual environment of its own in venv/, since it pins another Ansible. In its inventory, group_vars/all/certify.yml holds what
# inventories/example of this collection shows, and kubeconfig_localhost: true has Kubespray leave a kubeconfig in artifacts/. The groups are the same.
set -euo pipefail

kubespray=$(realpath "$1")
inventory=$(realpath "$2")
# Its directory, which names the cluster.
home=$inventory
[ -d "$home" ] || home=$(dirname "$home")
kubeconfig=${KUBEPROOF_KUBECONFIG:-$home/artifacts/admin.conf}
gate=${KUBEPROOF_GATE:-$HOME/.ansible/collections/ansible_collections/kubeproof/certify/scripts/kubeproof_gate.py}
results=${KUBEPROOF_RESULTS:-$PWD/results}

(cd "$kubespray" && venv/bin/ansible-playbook -i "$inventory" --become cluster.yml)

# A new cluster: its UID is not known before, so it is what the kubeconfig says now.
uid=$(kubectl --kubeconfig "$kubeconfig" get namespace kube-system -o 'jsonpath={.metadata.uid}')

# What is wrong with the configuration costs half a minute to find; hours of load come after it.
ansible-playbook kubeproof.certify.audit -i "$inventory" -e certify_kubeconfig="$kubeconfig" -e certify_results="$results"

ansible-playbook kubeproof.certify.certify -i "$inventory" \
  -e certify_kubeconfig="$kubeconfig" -e certify_results="$results" \
  -e certify_profile="${KUBEPROOF_PROFILE:-load}" -e certify_cluster_uid="$uid" \
  -e '{"certify_accept": ["PASS", "CONDITIONAL", "INCONCLUSIVE", "FAIL"]}'

# The name of a run sorts by time.
certificate=$(printf '%s\n' "$results/$(basename "$home")"/*/certificate.json | sort | tail -n 1)
exec python3 "$gate" --cluster "$uid" --profile "${KUBEPROOF_PROFILE:-load}" --live "$kubeconfig" "$certificate"
