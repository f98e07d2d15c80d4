# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all unit tests share: no test fails because the machine is slow; certificates of a CA."""

from __future__ import annotations

import ssl
import subprocess

import pytest
from hypothesis import settings

settings.register_profile("kubeproof", deadline=None)
settings.load_profile("kubeproof")


def openssl(directory, *arguments):
    """Run openssl in a directory."""
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(name="authority", scope="session")
def fixture_authority(tmp_path_factory):
    """Return a directory with ca, other-ca, server and client certificates and keys."""
    directory = tmp_path_factory.mktemp("authority")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for name in ("ca", "other-ca"):
        openssl(directory, "req", "-x509", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")
    for name in ("server", "client"):
        openssl(directory, "req", *key[:-2], "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(
            directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-copy_extensions", "copy",
            "-out", f"{name}.crt",
        )
    return directory


@pytest.fixture(name="mutual_tls")
def fixture_mutual_tls(authority):
    """Return the SSLContext of a server that wants a client certificate of its own CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.crt", authority / "server.key")
    context.load_verify_locations(authority / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context
