# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig with certificates, in files and in itself: who is trusted, who is asked, and that no key stays in a file."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import os
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest
import urllib3
import yaml
from ansible_collections.kubeproof.certify.plugins.module_utils import api_streams_wire, cluster
from ansible_collections.kubeproof.certify.plugins.modules import apiserver_info
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, FakeCluster, write_kubeconfig

USUAL = {"certificate-authority": "ca.crt", "client-certificate": "client.crt", "client-key": "client.key"}


@pytest.fixture(name="scratch", autouse=True)
def fixture_scratch(tmp_path, monkeypatch):
    """Return the directory of temporary files."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture(name="api")
def fixture_api(mutual_tls):
    """An API server that wants a certificate of its CA from the client, and its token."""
    with FakeCluster({"GET /x": {"good": True}}, tls=mutual_tls) as api:
        yield api


@pytest.fixture(name="kubeconfig")
def fixture_kubeconfig(api, authority, tmp_path):
    """Return kubeconfig(inline, url="", more={}, **files): the path of one that has the files in itself, or names them; `more` is of its cluster."""

    def write(inline, url="", more=None, **files):
        path = tmp_path / "kubeconfig"
        config = yaml.safe_load(open(write_kubeconfig(path, url or api.url), encoding="utf-8"))
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        server.update(more or {})
        for key, name in {**USUAL, **{key.replace("_", "-"): name for key, name in files.items()}}.items():
            place = server if key == "certificate-authority" else user
            if name and inline:
                place[f"{key}-data"] = base64.b64encode((authority / name).read_bytes()).decode()
            elif name:
                place[key] = str(authority / name)
        path.write_text(yaml.safe_dump(config))
        return str(path)

    return write


INLINE = pytest.mark.parametrize("inline", [True, False], ids=["in itself", "in files"])


@INLINE
def test_nothing_of_it_is_left_in_a_file(kubeconfig, scratch, authority, inline):
    server = cluster.Cluster(kubeconfig(inline))
    assert list(scratch.iterdir()) == []
    assert server.get("/x") == {"good": True}
    assert server.authority == (authority / "ca.crt").read_bytes()
    # A second one in the same process, as a run has it with a token of its own.
    assert cluster.Cluster(kubeconfig(inline), timeout=5).get("/x") == {"good": True}
    assert list(scratch.iterdir()) == []


PLUGIN = """#!/usr/bin/env python3
import json, os, pathlib
home = pathlib.Path(__file__).parent
first = not (home / "asked").exists()
(home / "asked").touch()
key = {"clientCertificateData": (home / "crt").read_text(), "clientKeyData": (home / "key").read_text()}
status = {"token": "%s", "expirationTimestamp": "2001-01-01T00:00:00Z"} if first else key
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""


def test_a_plugin_that_answers_with_a_key_later_leaves_nothing(kubeconfig, scratch, authority, tmp_path):
    plugin = tmp_path / "plugin"
    plugin.write_text(PLUGIN % TOKEN)
    plugin.chmod(0o755)
    (tmp_path / "crt").write_bytes((authority / "client.crt").read_bytes())
    (tmp_path / "key").write_bytes((authority / "client.key").read_bytes())
    path = kubeconfig(True)
    config = yaml.safe_load(open(path, encoding="utf-8"))
    config["users"][0]["user"] = {
        **{key: value for key, value in config["users"][0]["user"].items() if key != "token"},
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"},
    }
    with open(path, "w", encoding="utf-8") as stream:
        yaml.safe_dump(config, stream)
    assert cluster.Cluster(path).get("/x") == {"good": True}
    assert (tmp_path / "asked").exists() and list(scratch.iterdir()) == []


def test_threads_do_not_take_each_others_files(kubeconfig, scratch):
    path = kubeconfig(True)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda dummy: cluster.Cluster(path).get("/x"), range(24))) == [{"good": True}] * 24
    assert list(scratch.iterdir()) == []


def test_a_library_that_is_too_old_says_so(kubeconfig, monkeypatch):
    monkeypatch.setattr(urllib3, "__version__", "1.26.20")
    with pytest.raises(cluster.ClusterError, match="urllib3 is 1.26.20, which is too old: pip install 'urllib3>=2'"):
        cluster.Cluster(kubeconfig(True))


def test_a_process_that_ends_at_once_leaves_nothing(kubeconfig, scratch):
    """A worker of Ansible ends in this way."""
    path, child = kubeconfig(True), os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            cluster.Cluster(path).get("/x")
        os._exit(0)
    os.waitpid(child, 0)
    assert list(scratch.iterdir()) == []


@INLINE
def test_a_kubeconfig_that_is_refused_leaves_nothing(kubeconfig, scratch, inline):
    with pytest.raises(cluster.ClusterError):
        cluster.Cluster(kubeconfig(inline, client_key="other-ca.key"))
    assert list(scratch.iterdir()) == []


@INLINE
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"certificate_authority": "other-ca.crt"}, "certificate verify failed"),
        ({"certificate_authority": None}, "certificate verify failed"),
        ({"client_certificate": None, "client_key": None}, "GET /x: "),
    ],
    ids=["another CA", "no CA", "no certificate"],
)
def test_both_ends_are_verified(api, kubeconfig, inline, files, said):
    with pytest.raises(cluster.ClusterError, match=said):
        cluster.Cluster(kubeconfig(inline, **files)).get("/x")
    assert api.asked == []


def test_the_name_on_the_certificate_is_verified(api, kubeconfig):
    with pytest.raises(cluster.ClusterError, match="not valid for 'other'"):
        cluster.Cluster(kubeconfig(True, more={"tls-server-name": "other"})).get("/x")
    assert cluster.Cluster(kubeconfig(True, more={"tls-server-name": "127.0.0.1"})).get("/x") == {"good": True}


def test_who_asks_not_to_verify_is_not_stopped(kubeconfig):
    server = cluster.Cluster(kubeconfig(True, certificate_authority=None, more={"insecure-skip-tls-verify": True}))
    with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
        assert server.get("/x") == {"good": True}
    assert server.authority is None


def test_a_token_leaves_the_certificate_out(api, kubeconfig):
    with pytest.raises(cluster.ClusterError, match="GET /x: "):
        cluster.Cluster(kubeconfig(True), token=TOKEN).get("/x")
    assert api.asked == []


def test_an_encrypted_key_asks_nobody(kubeconfig, authority):
    subprocess.run(["openssl", "pkey", "-in", "client.key", "-aes256", "-passout", "pass:a", "-out", "encrypted.key"], cwd=authority, check=True)
    with pytest.raises(cluster.ClusterError, match="the client's key is encrypted: name one that is not"):
        cluster.Cluster(kubeconfig(True, client_key="encrypted.key"))


def test_another_address_of_the_same_cluster(api, kubeconfig):
    server = cluster.Cluster(kubeconfig(True, url="https://127.0.0.1:1"))
    assert apiserver_info.straight(server, api.url, 5).get("/x") == {"good": True}


@INLINE
def test_a_websocket_has_the_same_certificates(api, kubeconfig, inline):
    def opened(path):
        with pytest.raises(api_streams_wire.StreamError) as caught:
            api_streams_wire.Stream(cluster.Cluster(path), "/x", [], api_streams_wire.CHANNELS, 5)
        return str(caught.value)

    assert "answered 200 instead of switching" in opened(kubeconfig(inline))
    assert "certificate verify failed" in opened(kubeconfig(inline, certificate_authority="other-ca.crt"))
    assert "not valid for 'other'" in opened(kubeconfig(inline, more={"tls-server-name": "other"}))


def test_a_proxy_with_tls_is_verified_by_the_same_ca(kubeconfig, authority):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority / "server.crt", authority / "server.key")
    heads = []

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                with contextlib.suppress(ssl.SSLError), tls.wrap_socket(listener.accept()[0], server_side=True) as client:
                    heads.append(client.recv(65536).split(b" ")[0])
                    client.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        # A file of a CA may say in any words whose it is.
        (authority / "said.crt").write_bytes("d\u00e9j\u00e0\n".encode("latin-1") + (authority / "ca.crt").read_bytes())
        for name, said in (("said.crt", "403"), ("other-ca.crt", "certificate verify failed")):
            server = cluster.Cluster(kubeconfig(True, certificate_authority=name))
            # Not every version of the library reads a proxy where the newest does.
            server.configuration.proxy = f"HTTPS://127.0.0.1:{listener.getsockname()[1]}"
            server.pool = server.connect()
            with pytest.raises(cluster.ClusterError, match=said):
                server.get("/x")
        listener.shutdown(socket.SHUT_RDWR)
    assert heads == [b"CONNECT"]
