#!/usr/bin/python
# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_window
short_description: Count what servers did between two readings of /metrics
version_added: "0.1.0"
author: "kubeproof authors (@kubeproof)"
description:
  - O(state=open) reads the metrics of each endpoint and keeps the families asked for in a file on the host.
    O(state=close) reads them again, with the same O(endpoints) and O(families), and returns what was counted in between.
  - Percentiles come from histogram buckets, so they are intervals of bucket bounds, the lower end excluded and the upper end
    included. Fractions at a bucket bound are exact. Nothing is interpolated.
  - A restart, a counter that went down, a family that is missing, changed bucket bounds and an incomplete answer are said in
    C(problems), and the numbers concerned are absent.
  - Reads the Prometheus text format and OpenMetrics, with TLS verified, and needs nothing but Python's standard library.
options:
  state:
    description: Whether the window is opened or closed.
    type: str
    choices: [open, close]
    required: true
  path:
    description: File of the window, on the host. It is left there after O(state=close).
    type: path
    required: true
  endpoints:
    description:
      - "What is read, as C({name: {url, ca, cert, key, token, timeout, pin}}). The name is the one under which the facts are returned."
      - C(url) with the path, C(ca) the file of the certificate authority, C(cert) and C(key) the files of a client certificate,
        C(token) a bearer token, C(timeout) the seconds in which the whole answer has to come, 10 unless given.
      - With C(pin) the certificate that the server shows is the one that is trusted. Only for a server on loopback that signs for itself, such
        as kube-scheduler.
      - With C(selector), label matchers such as C(job="apiserver",instance="10.0.0.11:6443"), C(url) is that of a Prometheus, up to where C(/api/v1)
        begins, and the scrapes that it has of this server are taken, the last one at O(state=open) and the next one at O(state=close). So the window is
        up to one scrape interval longer at each end.
      - Name each server itself, never a load balancer. Two readings of different servers are refused as a restart.
    type: dict
    required: true
  tokens:
    description:
      - "Bearer tokens, as C({name of the endpoint: token})."
      - A C(token) within O(endpoints) is moved here before anything is sent to the host, so that no log shows it.
    type: dict
    default: {}
  families:
    description: Which families are read.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the family as in the C(# TYPE) line. For a histogram that is without C(_bucket), C(_sum) and C(_count).
        type: str
        required: true
      as:
        description: Name of the fact. Needed when the same family is asked for twice. The name of the family if left out.
        type: str
      by:
        description: Labels to group by. Without them all series are summed.
        type: list
        elements: str
        default: []
      where:
        description: "Only series with these values of labels, as C({label: [values]}). A label that no series of the family has is a problem."
        type: dict
        default: {}
      except:
        description: "No series with one of these values of labels, as C({label: [values]})."
        type: dict
        default: {}
  raw:
    description:
      - Absolute path prefix on the controller. What each endpoint answered is kept there, as C(<raw>-<name>-open.txt.gz) and C(<raw>-<name>-close.txt.gz).
    type: str
attributes:
  check_mode:
    description: Works as always. The endpoints are only read, and nothing is written but the file of the window and the raw output.
    support: full
"""

EXAMPLES = r"""
- name: Open the window
  kubeproof.certify.metrics_window:
    state: open
    path: /var/tmp/kubeproof/run-1/etcd-window.json
    endpoints: &endpoints
      etcd:
        url: https://127.0.0.1:2379/metrics
        ca: /etc/ssl/etcd/ca.pem
        cert: /etc/ssl/etcd/client.pem
        key: /etc/ssl/etcd/client-key.pem
    families: &families
      - name: etcd_disk_wal_fsync_duration_seconds
      - name: etcd_server_leader_changes_seen_total
      - name: grpc_server_handled_total
        by: [grpc_method]
        where: {grpc_service: [etcdserverpb.KV]}
        except: {grpc_code: [OK]}
        as: grpc_errors
    raw: "{{ playbook_dir }}/results/raw/etcd/metrics"

- name: Close the window
  kubeproof.certify.metrics_window:
    state: close
    path: /var/tmp/kubeproof/run-1/etcd-window.json
    endpoints: *endpoints
    families: *families
    raw: "{{ playbook_dir }}/results/raw/etcd/metrics"
  register: etcd_window
"""

RETURN = r"""
facts:
  description: What was counted, for each endpoint. Numbers that are not known are absent.
  returned: O(state=close)
  type: dict
  sample:
    etcd:
      seconds: 61.5
      etcd_server_leader_changes_seen_total: {increase: 0, rate: 0.0}
      etcd_disk_wal_fsync_duration_seconds:
        {count: 4000, sum: 12.0, mean: 0.003, p50: [0.002, 0.004], p90: [0.004, 0.008], p95: [0.004, 0.008], p99: [0.008, 0.016],
         p999: [8.192, null], below: {"0.001": 0.1, "0.002": 0.4, "0.004": 0.8, "0.008": 0.98, "0.016": 0.99, "8.192": 0.99}}
      grpc_errors: {Put: {increase: 12, rate: 0.2}}
      problems: ["Family etcd_server_proposals_failed_total is not exposed."]
  contains:
    <endpoint>:
      description:
        - C(seconds) of the window, one entry for each family, and C(problems), sentences that say what is not known and why.
        - A counter has C(increase) and C(rate) in 1/s, a gauge C(first) and C(last), a histogram C(count), C(sum), C(mean), C(p50), C(p90), C(p95),
          C(p99), C(p999) as C([low, high]), and C(below), the exact fraction at or below each bucket bound. C(high) is null when there is no upper end.
        - C(unknown) has the names of families that are exposed and could not be understood.
        - With O(families[].by) an entry has these for each group, under the values of the labels joined by one space. A group of
          which nothing is known is empty.
      type: dict
      returned: when the endpoint could be read at both ends
failed_endpoints:
  description: "Why an endpoint could not be read, as C({name: sentence})."
  returned: always
  type: dict
  sample: {etcd: "https://127.0.0.1:2379/metrics: Connection refused."}
"""

import base64
import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kubeproof.certify.plugins.module_utils import files, window
from ansible_collections.kubeproof.certify.plugins.module_utils.web import ENDPOINT_SPEC, Endpoint, HttpError
from ansible_collections.kubeproof.certify.plugins.module_utils.window_prometheus import Stored

ENDPOINT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TOKEN = re.compile(r"[\x21-\x7e]+")
SPEC = {
    "state": {"type": "str", "choices": ["open", "close"], "required": True},
    "path": {"type": "path", "required": True},
    "endpoints": {"type": "dict", "required": True},
    "tokens": {"type": "dict", "default": {}, "no_log": True},
    "families": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "as": {"type": "str"},
            "by": {"type": "list", "elements": "str", "default": []},
            "where": {"type": "dict", "default": {}},
            "except": {"type": "dict", "default": {}},
        },
    },
    "raw": {"type": "str"},
}


class OptionError(Exception):
    """An option cannot be used; the sentence names it."""


def label_values(condition):
    """Return a condition on labels as {label: [texts]}; one value may stand without a list, and YAML's true is the label value "true"."""
    texts = {}
    for label, values in condition.items():
        values = values if isinstance(values, list) else [values]
        texts[label] = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    return texts


def requests_of(families):
    """Return the requests of a window; OptionError when two of them would be the same fact."""
    requests = [
        {
            "name": family["name"],
            "as": family["as"] or family["name"],
            "by": family["by"],
            "where": label_values(family["where"]),
            "except": label_values(family["except"]),
        }
        for family in families
    ]
    facts = [wanted["as"] for wanted in requests]
    for fact in facts:
        if facts.count(fact) > 1 or fact in ("seconds", "problems"):
            raise OptionError(f"families has the fact {fact!r} twice, or it is a name of the window's own: give it another name by `as`.")
    return requests


def endpoint_of(name, options, token):
    """Return the Endpoint of an entry of `endpoints`; OptionError or HttpError names what cannot be used."""
    if not ENDPOINT_NAME.fullmatch(name):
        raise OptionError(f"endpoints has the name {name!r}: use letters, digits, dots, dashes and underscores, as it is part of a file name.")
    if not isinstance(options, dict):
        raise OptionError(f"endpoints.{name} is not a mapping with url: correct it.")
    spec = {**{key: value for key, value in ENDPOINT_SPEC.items() if key != "token"}, "pin": {"type": "bool", "default": False}, "selector": {"type": "str"}}
    unknown = sorted(str(key) for key in options if key not in spec)
    if unknown:
        raise OptionError(f"endpoints.{name} has {', '.join(unknown)}: use {', '.join(sorted(spec))}, and tokens for a token.")
    checked = ArgumentSpecValidator(spec).validate({key: value for key, value in options.items() if value is not None})
    if checked.error_messages:
        raise OptionError(f"endpoints.{name} cannot be used: {' '.join(checked.error_messages)}.")
    if token and not TOKEN.fullmatch(token):
        raise OptionError(f"The token of endpoint {name} has blanks, line ends or other characters that no token has: correct it.")
    if not TOKEN.fullmatch(checked.validated_parameters["url"]):
        raise OptionError(f"endpoints.{name}.url has blanks or other characters that no URL has: correct it.")
    try:
        given = dict(checked.validated_parameters)
        selector = given.pop("selector", None)
        endpoint = Endpoint(token=token or None, **given)
        # Python looks at these only when it connects, and then ends in a traceback.
        endpoint.parts.hostname.encode("idna")
        endpoint.parts.port
    except ValueError as error:
        raise OptionError(f"endpoints.{name}.url is not a valid URL: {error}. Correct it.") from error
    return Stored(endpoint, selector) if selector else endpoint


def endpoints_of(endpoints, tokens):
    """Return ({name: Endpoint}, {name: sentence}) of the option `endpoints`; OptionError when an entry is malformed."""
    if not endpoints:
        raise OptionError("endpoints is empty: name at least one.")
    usable, failed = {}, {}
    for name, options in endpoints.items():
        try:
            usable[name] = endpoint_of(name, options, tokens.get(name))
        except HttpError as error:
            failed[name] = str(error)
    return usable, failed


def main():
    """Open or close the window, return facts."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    path, keep = options["path"], bool(options["raw"])
    facts, seconds = {}, {}
    try:
        requests = requests_of(options["families"])
        endpoints, unusable = endpoints_of(options["endpoints"], options["tokens"])
        if options["state"] == "open":
            document, failed, bodies = window.open_window(endpoints, requests, keep)
            failed.update(unusable)
            files.write_json(path, document)
        else:
            facts, failed, bodies, seconds = window.close_window(files.read_json(path), endpoints, requests, keep)
            failed.update(unusable)
    except files.DataFileError as error:
        module.fail_json(msg=f"{error} The window has to be opened before it is closed." if options["state"] == "close" else str(error))
    except window.WindowError as error:
        module.fail_json(msg=f"The window {path} cannot be closed: {error}")
    except OptionError as error:
        module.fail_json(msg=str(error))
    result = {"failed_endpoints": failed}
    if options["state"] == "close":
        result["facts"] = facts
    if keep:
        result["raw"] = {name: base64.b64encode(body).decode() for name, body in bodies.items()}
    if keep and options["state"] == "close":
        # By which whoever verifies the run computes it again from what is kept.
        result["window"] = {"requests": requests, "seconds": seconds}
    if failed and not (set(endpoints) - set(failed)):
        reasons = " ".join(f"{name}: {reason}" for name, reason in sorted(failed.items()))
        module.fail_json(msg=f"No endpoint could be read. {reasons}", **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
