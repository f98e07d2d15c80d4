# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance of etcd as a command, for a timer or a CronJob: it reads a JSON file, says what it does, and exits with 0 only when it could be done."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from ansible_collections.kubeproof.certify.plugins.module_utils import files
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance import Stop, maintain
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_look import Cluster
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_plan import PlanError, check_settings
from ansible_collections.kubeproof.certify.plugins.module_utils.web import HttpError


def prepare(document):
    """Return (Cluster, settings) of a document {endpoint: {url, ca, cert, key, timeout}, endpoints, local, settings}; PlanError when it is not one."""
    if not isinstance(document, dict) or set(document) - {"endpoint", "endpoints", "local", "settings"}:
        raise PlanError("The configuration is not {endpoint, endpoints, local, settings}. Let the role write it.")
    try:
        cluster = Cluster(urls=document.get("endpoints") or (), local=document.get("local"), **document["endpoint"])
        return cluster, check_settings(dict(document["settings"]))
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"The configuration cannot be used ({type(error).__name__} {error}). Let the role write it.") from error


def say(text, stream=None):
    """Write a line where the journal takes it at once."""
    stream = stream or sys.stdout
    stream.write(text + "\n")
    stream.flush()


def ended(*dummy):
    """End as a failure."""
    raise SystemExit(1)


def main(arguments):
    """Run the maintenance that the file named in `arguments` describes; return the exit status."""
    parser = argparse.ArgumentParser(description="Maintain an etcd cluster.")
    parser.add_argument("configuration", help="JSON file")
    parser.add_argument("--check", action="store_true", help="only say what would be done")
    options = parser.parse_args(arguments)
    # What is half written is removed when the service is stopped.
    signal.signal(signal.SIGTERM, ended)
    try:
        cluster, settings = prepare(files.read_json(options.configuration))
        facts = maintain(cluster, settings, options.check, say)
    except Stop as stop:
        say(json.dumps(stop.facts, sort_keys=True))
        say(f"Stopped. {stop}", sys.stderr)
        return 1
    except (files.DataFileError, HttpError, PlanError) as error:
        say(str(error), sys.stderr)
        return 1
    say(json.dumps(facts, sort_keys=True))
    return 0
