# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client credentials for etcd and how long certificates still hold; standard library and the host's openssl."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time

# Client certificate and key that installers leave for clients, relative to the directory of etcd's CA or certificate, the best first:
# kubeadm, kubeadm's API server, Kubespray's admin and member ({host}: this host, or any), RKE2.
CLIENT_PAIRS = (
    ("healthcheck-client.crt", "healthcheck-client.key"),
    ("../apiserver-etcd-client.crt", "../apiserver-etcd-client.key"),
    ("admin-{host}.pem", "admin-{host}-key.pem"),
    ("member-{host}.pem", "member-{host}-key.pem"),
    ("client.crt", "client.key"),
)
HOST_KEY = re.compile(r"(?:admin|member)-(.+)-key\.pem")
OPENSSL_TIMEOUT = 5.0


def client_pair(directories, host=None):
    """Return (certificate, key) of the first well-known client pair in `directories`, or None; the pair of `host` before that of another."""
    names = [one for one in (host, socket.gethostname(), socket.gethostname().split(".")[0]) if one]
    for pair in CLIENT_PAIRS:
        for directory in directories:
            for name in names + _hosts(directory):
                paths = tuple(os.path.normpath(os.path.join(directory, one.format(host=name))) for one in pair)
                if all(os.path.exists(path) for path in paths):
                    return paths
    return None


def _hosts(directory):
    """Return the names of hosts in Kubespray's key files."""
    try:
        found = [HOST_KEY.fullmatch(name) for name in sorted(os.listdir(directory))]
    except OSError:
        return []
    return [match.group(1) for match in found if match]


def expiry(paths, now=None):
    """Return ({path: {expires_in (s, negative when over), not_after (ISO 8601, UTC)}}, problems) of certificate files."""
    program = shutil.which("openssl")
    if not program:
        return {}, ["openssl is not on this host, so the expiry of the certificates is not measured: install it."] if paths else []
    now = time.time() if now is None else now
    found, problems = {}, []
    for path in paths:
        try:
            command = [program, "x509", "-enddate", "-noout", "-in", path]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=OPENSSL_TIMEOUT, check=True)
            end = ssl.cert_time_to_seconds(done.stdout.strip().partition("=")[2])
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
            problems.append(f"The certificate {path} cannot be read: {reason}.")
            continue
        found[path] = {"expires_in": int(end - now), "not_after": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))}
    return found, problems


def summary(certificates, problems=()):
    """Return {certificates, certificate_seconds_left (0 or more), certificates_expired}; the two numbers only if every certificate was read."""
    facts = {"certificates": certificates} if certificates else {}
    if certificates and not problems:
        left = [one["expires_in"] for one in certificates.values()]
        facts["certificate_seconds_left"] = max(0, min(left))
        facts["certificates_expired"] = sum(seconds <= 0 for seconds in left)
    return facts
