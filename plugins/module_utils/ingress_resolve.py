# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IP addresses for the names on the way to an ingress, as this machine resolves them. Runs on the controller only."""

from __future__ import annotations

import ipaddress
import socket

from .ingress_path import PathError


def resolved(path):
    """Return the path with IP addresses for its names; PathError for a name that this machine does not know."""
    found = []
    for one in path["addresses"]:
        try:
            ipaddress.ip_address(one)
            found.append(one)
        except ValueError:
            found += addresses_of(one)
    return {**path, "addresses": list(dict.fromkeys(found))}


def addresses_of(name):
    """Return the IP addresses of a name, those of IPv4 first."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PathError(f"{name} cannot be resolved on this machine ({error.strerror}). Name an IP address in ingress_address.") from error
    return [one[4][0] for one in sorted(found, key=lambda one: one[0] != socket.AF_INET)]
