#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Verify that a certificate follows from what its run left
version_added: "0.1.0"
description:
  - Compares the hashes that the certificate was sealed with, and those of each layer's end; reads raw output again, makes the facts again, judges them
    again and assembles the certificate again. Every difference fails.
  - What tools printed, windows of metrics, starts of pods and the recordings of a soak (or what a Prometheus answered in their place) are read again from raw
    output, and have to be what the facts were made of, C(inputs/). Of what no tool printed, such as answers of the Kubernetes API, only the hashes are
    compared; RV(notes) says how many files of each layer were read again.
  - A run without its C(inputs/) fails, since nobody can say that they were not taken away.
  - The checks that the run recorded have to be those of its version, O(catalogue), where that is O(version); else RV(notes) says that they were not compared.
  - Renders the certificate again and compares that with the files beside it (O(templates)).
  - Says in RV(notes) that the certificate, or a waiver that it counts on, has expired.
  - On request, asks for a signature (O(public_key)), and compares what the certificate stands on with the cluster as it is now (O(live)); then
    one that has expired fails.
  - Writes nothing. Runs on the controller.
author: kubeproof authors (@kubeproof)
options:
  directory:
    description: Directory of the run.
    type: path
    required: true
  catalogue:
    description: The checks of all roles by id, which are those of O(version), and stand in for those that a run did not record.
    type: dict
  settings:
    description: What the user says about checks, for runs that did not record it.
    type: dict
  templates:
    description:
      - Directory of the templates of the role report. What was rendered beside the certificate has to be what is rendered of it now.
      - Without it, rendered files are not looked at.
    type: path
  version:
    description:
      - Version of this collection. What another version has rendered may look otherwise, so that a difference is a note.
      - A run of this version has to have asked the checks in O(catalogue).
    type: str
  public_key:
    description: The certificate has to be signed by it. A minisign key or its file, or a file of C(gpg --export).
    type: str
  live:
    description: What the certificate stands on, as it is now; what differs voids it.
    type: dict
    suboptions:
      cluster:
        description: UID, version, number of nodes and configuration, as M(kubeproof.certify.cluster_info) returns them.
        type: dict
        required: true
      hosts:
        description: How many hosts of the cluster the inventory has.
        type: int
        required: true
      audit:
        description: Directory of an audit of today, for the fingerprint of the configuration and the versions of etcd's members.
        type: path
attributes:
  check_mode:
    description: Reads only, so it does in check mode what it always does.
    support: full
"""

EXAMPLES = r"""
- name: Verify a run
  kubeproof.certify.verify:
    directory: results/prod/20261121t040000z-1a2b
    public_key: prod.pub
"""

RETURN = r"""
directory:
  description: The run that was verified.
  returned: success
  type: str
verdict:
  description: What its certificate says; that it follows from the run makes no FAIL better.
  returned: success
  type: str
  sample: PASS
valid_until:
  description: Until when the certificate is valid; null of a run that did not end.
  returned: success
  type: str
  sample: "2027-02-19T05:00:00Z"
problems:
  description: A sentence for each difference.
  returned: always
  type: list
  elements: str
  sample: [raw/etcd/etcd1/write.stdout was changed after the certificate was sealed.]
notes:
  description: What could not be computed again, and why.
  returned: always
  type: list
  elements: str
done:
  description: How much of each was compared.
  returned: always
  type: dict
  sample: {hashes: 241, left by layers: 230, facts: 10, raw outputs: 85, checks: 583, findings: 769, certificate: 21, rendered: 6, signatures: 1}
"""

import datetime
import os

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.kubeproof.certify.plugins.module_utils import report_formats, report_live, report_plots, report_text
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError, read_json
from ansible_collections.kubeproof.certify.plugins.module_utils.report_seal import CERTIFICATE, facts
from ansible_collections.kubeproof.certify.plugins.module_utils.report_verify import verify
from ansible_collections.kubeproof.certify.plugins.module_utils.report_words import ReportError, require
from ansible_collections.kubeproof.certify.plugins.module_utils.signature import Unsigned, signed

LIVE = {"cluster": {"type": "dict", "required": True}, "hosts": {"type": "int", "required": True}, "audit": {"type": "path"}}


def check_signature(made, path, public_key):
    """Add to what was verified whether the file at `path` is signed."""
    try:
        with open(path, "rb") as stream:
            signed(stream.read(), path, public_key)
    except Unsigned as error:
        made["problems"].append(f"The signature cannot be relied on: {error}.")
    else:
        made["done"]["signatures"] = 1


def check_rendered(made, directory, certificate, templates, version):
    """Add to what was verified whether the files beside the certificate, and what is drawn in them, say what follows from it and from the facts."""
    by = certificate["run"].get("version")
    # Another version may render the same otherwise, and draw something else.
    told, but = (made["problems"], "") if version in (None, by) else (made["notes"], f" It was made by the version {by}, and this is {version}.")
    try:
        different, made["done"]["rendered"] = report_formats.different(directory, templates)
        # How it went over the runs before, those runs alone say.
        drawn = [one for one in certificate.get("plots") or [] if one.get("kind") != "trend"]
        # One that is not sealed, which is said already, draws nothing yet.
        as_drawn = "digest" not in certificate or drawn == report_plots.collect(facts(directory))
    except (AttributeError, DataFileError, ReportError, TypeError, ValueError) as error:
        made["problems"].append(f"It cannot be rendered again: {error}")
        return
    told += [f"{name} is not what is rendered of certificate.json.{but} Render it again with playbooks/report.yml." for name in different]
    told += [] if as_drawn else [f"certificate.json: plots is not what follows from the facts.{but}"]


def check_age(made, certificate, live):
    """Add to what was verified what has come to its end; whoever asks about now must not rely on it."""
    ended = report_live.expired(certificate, now())
    if live:
        made["problems"] += [f"Void: {one}" for one in ended]
    else:
        made["notes"] += [one[0].upper() + one[1:] for one in ended]


def is_whole(certificate):
    """Say whether the document is a certificate that can be read to its end."""
    try:
        return bool(require(certificate))
    except ReportError:
        return False


def now():
    """Return the time in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def check_live(made, certificate, live):
    """Add to what was verified what has changed since."""
    findings, known = (read_json(os.path.join(live["audit"], name)) if live["audit"] else None for name in ("findings.json", "facts.json"))
    try:
        seen = report_live.seen(live["cluster"], live["hosts"], findings, known)
    except (AttributeError, KeyError, TypeError) as error:
        raise DataFileError(f"{live['audit']} is damaged: its findings.json or facts.json is not what playbooks/audit.yml writes. Audit again.") from error
    problems, notes = report_live.compare(certificate.get("voided_by"), seen)
    made["problems"] += problems
    made["notes"] += notes
    made["done"]["against now"] = len(seen)


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "catalogue": {"type": "dict"},
            "settings": {"type": "dict"},
            "templates": {"type": "path"},
            "version": {"type": "str"},
            "public_key": {"type": "str", "no_log": False},
            "live": {"type": "dict", "options": LIVE},
        },
        supports_check_mode=True,
    )
    if module.params["templates"] and report_text.jinja2 is None:
        module.fail_json(msg=missing_required_lib("jinja2"), exception=report_text.IMPORT_ERROR)
    directory, live = module.params["directory"], module.params["live"]
    path = os.path.join(directory, CERTIFICATE)
    try:
        made = verify(directory, module.params["catalogue"], module.params["settings"], module.params["version"])
        if module.params["public_key"]:
            check_signature(made, path, module.params["public_key"])
        certificate = read_json(path)
        # Of what is damaged, that is said already.
        if is_whole(certificate):
            check_age(made, certificate, live)
            if module.params["templates"]:
                check_rendered(made, directory, certificate, module.params["templates"], module.params["version"])
        if live and isinstance(certificate, dict):
            check_live(made, certificate, live)
    except DataFileError as error:
        module.fail_json(msg=str(error), problems=[str(error)], notes=[], done={})
    told = {key: made[key] for key in ("problems", "notes", "done")}
    if made["problems"]:
        kind = "The certificate cannot be relied on: " if made["valid"] else "The certificate does not follow from what the run left: "
        module.fail_json(msg=kind + " ".join(made["problems"]), **told)
    module.exit_json(changed=False, directory=directory, verdict=certificate["verdict"], valid_until=certificate.get("valid_until"), **told)


if __name__ == "__main__":
    main()
