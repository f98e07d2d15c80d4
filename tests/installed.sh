#!/usr/bin/env bash
# Install the built tarball in a scratch path and run its playbook from outside the checkout by its full name: an inventory
# without etcd hosts must end with a certificate that says so, and not with exit status 0.
set -euo pipefail
tarball=$(realpath "$1")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd "$scratch"
unset ANSIBLE_CONFIG
# kubernetes.core, the dependency, is the one of the PyPI package ansible.
export ANSIBLE_COLLECTIONS_PATH="$scratch/collections:$site"
ansible-galaxy collection install --no-deps -p collections "$tarball" >install.log
printf 'all:\n  hosts: {}\n' >hosts.yml
status=0
ansible-playbook kubeproof.certify.certify -i hosts.yml -e certify_cluster_name=none >run.log 2>&1 || status=$?
certificate=$(find results/none -name certificate.json)
if [ "$status" -eq 0 ] || [ "$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["verdict"])' "$certificate")" != INCONCLUSIVE ]; then
  cat run.log
  echo "installed: exit status $status; expected an INCONCLUSIVE certificate and another status than 0" >&2
  exit 1
fi
echo "installed: $(basename "$tarball") runs by its full name, and an empty inventory is INCONCLUSIVE"
