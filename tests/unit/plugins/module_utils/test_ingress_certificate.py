# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import ssl
import threading

import pytest

from ansible_collections.kubeproof.certify.plugins.module_utils.ingress_certificate import issue

HOST = "run-1.ingress.example.com"


@pytest.mark.parametrize(("name", "said"), [(HOST, ""), (f"plain-{HOST}", "Hostname mismatch")])
def test_a_client_that_trusts_the_authority_takes_it_for_its_host_alone(tmp_path, name, said):
    issued = issue(HOST)
    for part, text in issued.items():
        (tmp_path / part).write_text(text, encoding="ascii")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    ours, theirs = socket.socketpair()

    def serve():
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        ssl.create_default_context(cadata=issued["ca"]).wrap_socket(ours, server_hostname=name).close()
        found = ""
    except ssl.SSLCertVerificationError as error:
        found = str(error)
    finally:
        ours.close()
        thread.join(5)
    assert said in found and bool(said) is bool(found)


def test_each_call_makes_another():
    assert issue(HOST)["key"] != issue(HOST)["key"]
