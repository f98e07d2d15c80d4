# The only entry point. Every target can be run twice and finishes what an interrupted one began.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/.ready
LINK := .ansible/collections/ansible_collections/kubeproof/certify
GET_PIP := $(HOME)/.ansible/test/cache/get_pip_24_2.py
VERSION := $(shell sed -n 's/^version: //p' galaxy.yml)
TARBALL := build/kubeproof-certify-$(VERSION).tar.gz
export PATH := $(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PYTHONDONTWRITEBYTECODE := 1
# What the caller adds to a certification, for example: make certify ARGS='-e certify_profile=load'
ARGS ?=
# For a test: whether this machine is fast is not ours to pass or fail, but every layer has to be measured. INCONCLUSIVE is still an error.
MEASURED := {"certify_accept": ["PASS", "CONDITIONAL", "FAIL"], "certify_continue": true}

# Programs of Debian's that some tests run, and that are skipped without: a page in a real browser, a signature by a real signer.
TRIED := chromium gpg minisign

.PHONY: help certify test lab lab-down tools lint unit docs sanity molecule installed labtest faults bench build clean tried

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

certify: lab tools ## Certify the lab: boots it if it is not running, then runs certify.yml
	ansible-playbook certify.yml -i inventories/lab $(ARGS)

test: lint docs sanity molecule installed labtest ## Every check and test, with the lab in it; make faults has the long ones

# The virtual environment is made anew whenever the requirements change.
$(READY): requirements.txt tests/requirements.txt
	@command -v python3 >/dev/null || { echo "python3 is missing. Install Python 3.11 or newer."; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "python3 is too old. Install Python 3.11 or newer."; exit 1; }
	python3 -m venv --clear $(VENV) || { rm -rf $(VENV); echo "python3 -m venv failed. On Debian: apt-get install python3-venv."; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# Beside the collection itself stands kubernetes.core, its dependency, as the PyPI package ansible brings it.
$(LINK): $(READY)
	@mkdir -p $(@D) $(@D)/../kubernetes
	@ln -sfn "$$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ansible_collections/kubernetes/core" $(@D)/../kubernetes/core
	@ln -sfn ../../../.. $@

# ansible-test fetches this script; where it cannot, Python's own ensurepip does the same.
$(GET_PIP):
	@mkdir -p $(@D)
	@printf 'import ensurepip\n\nensurepip.bootstrap(default_pip=True)\n' > $@

lab: $(READY) $(LINK) ## Build and boot the lab, if it is not running
	ansible-playbook playbooks/lab.yml -i inventories/lab $(ARGS)

lab-down: $(READY) $(LINK) ## Remove the lab; what was built stays in the cache
	ansible-playbook playbooks/lab.yml -i inventories/lab -e lab_state=absent

tools: $(READY) $(LINK) ## Build the load tools from Go modules, and fetch those of tools_downloads
	ansible-playbook playbooks/tools.yml -i inventories/lab

lint: $(READY) $(LINK) ## ansible-lint, production profile
	ansible-lint

docs: $(READY) $(LINK) ## Check the documentation and the changelog
	antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all .
	antsibull-changelog lint

sanity: $(READY) $(LINK) | $(GET_PIP) ## ansible-test sanity, no ignore file
	ANSIBLE_TEST_CONTENT_ROOT=$(CURDIR)/$(LINK) ansible-test sanity --python $$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

unit: $(READY) $(LINK) ## The tests that need no lab
	pytest tests/unit

molecule: tools ## Whole runs against hosts that are played
	molecule test --all --report

installed: $(READY) build ## Install the tarball in a scratch path and run its playbook from outside the checkout
	tests/installed.sh $(TARBALL)

labtest: lab tools tried ## pytest with the lab's tests, and one certification of the lab
	pytest -m "not long"
	ansible-playbook certify.yml -i inventories/lab -e '$(MEASURED)'

tried: ## Install the programs that some tests run
	@missing=$$(for name in $(TRIED); do command -v $$name >/dev/null || echo $$name; done); \
	if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; fi

faults: lab tools ## The faults that take a minute or more each, layer by layer
	pytest tests/lab -m long

bench: $(READY) $(LINK) ## Throughput of parsers, windows and judge, as ratios in one run
	@failed=0; for file in tests/benchmark/*.py; do python "$$file" || failed=1; done; exit $$failed

build: $(READY) $(LINK) ## The collection's tarball
	ansible-galaxy collection build --force --output-path build

clean: ## Remove what make has made here; the lab and its cache stay
	rm -rf $(VENV) .ansible build tests/output .hypothesis
