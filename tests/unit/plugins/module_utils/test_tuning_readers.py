# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The readers of YAML, TOML and certificates for hosts that have no library for them: as the libraries read it, or refused."""

from __future__ import annotations

import base64
import json
import pathlib
import shutil
import subprocess
import tomllib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as some

from ansible_collections.kubeproof.certify.plugins.module_utils import tuning_certificates, tuning_containerd, tuning_toml, tuning_yaml

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures/tuning"
NAMES = some.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789.-/_", min_size=1, max_size=12).filter(lambda name: name[0].isalpha() and name.lower() not in (
    "y", "n", "yes", "no", "on", "off", "true", "false", "null"))  # fmt: skip
# Words that YAML 1.1 of the library reads otherwise than Kubernetes' (yes, on, 1_000, 1:30, dates) are no part of it.
TEXTS = some.text(some.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=20)
SCALARS = some.none() | some.booleans() | some.integers(-(10**9), 10**9) | TEXTS
DOCUMENTS = some.recursive(SCALARS, lambda inner: some.lists(inner, max_size=4) | some.dictionaries(NAMES, inner, max_size=4), max_leaves=12)


# YAML -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kube-apiserver.yaml", "etcd.yaml", "kubelet-config.yaml"])
def test_recorded_yaml(name):
    text = (FIXTURES / name).read_text(encoding="utf-8")
    assert tuning_yaml.load(text) == yaml.safe_load(text) != {}


@settings(max_examples=300, deadline=None)
@given(some.dictionaries(NAMES, DOCUMENTS, min_size=1, max_size=4), some.booleans(), some.sampled_from([None, False]))
def test_yaml_is_read_as_the_library_writes_it(document, is_wide, flow):
    text = yaml.safe_dump(document, width=10**6 if is_wide else 80, default_flow_style=flow, allow_unicode=True)
    try:
        found = tuning_yaml.load(text)
    except tuning_yaml.YamlError:
        # Refused is well: what the library folds over several lines, or marks with "? ".
        return
    assert found == yaml.safe_load(text)


@given(some.text(some.sampled_from("ab: -\n\"'{}[],#|>&*!%@0\t"), max_size=60))
def test_hostile_yaml_is_refused_or_read(text):
    try:
        tuning_yaml.load_all(text)
    except tuning_yaml.YamlError as error:
        assert str(error)


YAML = [
    ("a: 1 # one\n# two\nb: 'it''s'\nc: \"x\\ty\"", {"a": 1, "b": "it's", "c": "x\ty"}),
    ("- a: 1\n  b:\n  - x\n  - y\n-\n  c: ~", [{"a": 1, "b": ["x", "y"]}, {"c": None}]),
    ("a:\n  - --flag=x: y#z\n", None),
    ("command:\n- etcd\n- --initial-cluster=a=https://1:2380,b=https://2:2380\n", {"command": ["etcd", "--initial-cluster=a=https://1:2380,b=https://2:2380"]}),
    ("a: {x: 1, y: [a, 'b c', {}], z: \"q\"}", {"a": {"x": 1, "y": ["a", "b c", {}], "z": "q"}}),
    ("a: |\n  one\n  two\nb: |-\n  x\n", {"a": "one\ntwo\n", "b": "x"}),
    ("a: 10%\nb: 1.5\nc: 1h0m0s\nd: 0644", {"a": "10%", "b": 1.5, "c": "1h0m0s", "d": "0644"}),
    ('"a b": true', {"a b": True}),
    ("a: http://x:1/y", {"a": "http://x:1/y"}),
    ("---\na: 1\n", {"a": 1}),
    ("", None),
]
REFUSED = [
    "a: &x 1\nb: *x",
    "a: !!str 1",
    "a: one\n  two",
    "a: 1\na: 2",
    "a: 1\n   b: 2",
    "a: 'x",
    "\ta: 1",
    "a: [1,\n 2]",
    "? a\n: b",
    "a: b: c",
    "- 1\nb: 2",
    "%YAML 1.2\n---\na: 1",
]


@pytest.mark.parametrize("text,expected", YAML)
def test_yaml(text, expected):
    if expected is None and text:
        with pytest.raises(tuning_yaml.YamlError):
            tuning_yaml.load(text)
    else:
        assert tuning_yaml.load(text) == expected


@pytest.mark.parametrize("text", REFUSED)
def test_yaml_that_is_not_understood_is_refused(text):
    with pytest.raises(tuning_yaml.YamlError):
        tuning_yaml.load(text)


def test_several_documents():
    assert tuning_yaml.load_all("a: 1\n---\n# none\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    with pytest.raises(tuning_yaml.YamlError, match="several"):
        tuning_yaml.load("a: 1\n---\nb: 2\n")


# TOML -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.glob("*.toml")))
def test_recorded_toml(name):
    text = (FIXTURES / name).read_text(encoding="utf-8")
    assert tuning_toml.load(text) == tomllib.loads(text) != {}


TOML = [
    'a = "x\\ny"\nb = \'\\\'\nc.d = 1_000\n"e f" = true # five',
    "[a.'b.c'.d]\nx = [1, 2,\n  # two\n  3]\n[a]\ny = -0.5",
    "x = {a = 1, b = {c = 'd'}}\ny = []\nz = {}",
    "[[p]]\na = 1\n[p.q]\nb = 2\n[[p]]\na = 3",
    "a = '''\none\ntwo'''\nb = 0x1F\nc = 1e3",
]
BAD_TOML = [
    "a = ",
    "a = 1\na = 2",
    "[a\nx = 1",
    "a 1",
    "a = 1979-05-27",
    "a = nan",
    "[a]\nb = 1\n[a]\nc = 2",
    "a = 01",
    "x = [1",
    "x = {a = 1",
    'a = "\\q"',
    "a = 1 b = 2",
]


@pytest.mark.parametrize("text", TOML)
def test_toml_as_the_library_reads_it(text):
    assert tuning_toml.load(text) == tomllib.loads(text)


@pytest.mark.parametrize("text", BAD_TOML)
def test_toml_that_is_not_understood_is_refused(text):
    with pytest.raises(tuning_toml.TomlError, match="line"):
        tuning_toml.load(text)


@given(some.text(some.sampled_from("ab=.\n\"'{}[],# 01"), max_size=40))
def test_hostile_toml_is_refused_or_read_as_the_library(text):
    try:
        found = tuning_toml.load(text)
    except tuning_toml.TomlError:
        return
    try:
        assert found == tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # What the library refuses and we read says the same twice, or not quite in order.
        pass


# containerd -----------------------------------------------------------------------------------------------------------------


def test_effective_settings_of_version_3():
    found = tuning_containerd.effective(tuning_containerd.parsed((FIXTURES / "containerd-2.2.dump.toml").read_text(encoding="utf-8")))
    assert found["config_version"] == 3 and found["snapshotter"] == "overlayfs" and found["systemd_cgroup"] is False
    assert found["max_concurrent_downloads"] == 3 and found["registry_config_path"] == "/etc/containerd/certs.d" and found["cri_disabled"] is False


def test_effective_settings_of_version_2_without_what_is_secret():
    found = tuning_containerd.effective(tuning_containerd.parsed((FIXTURES / "containerd-1.7.dump.toml").read_text(encoding="utf-8")))
    assert found["config_version"] == 2 and found["systemd_cgroup"] is True and found["sandbox_image"] == "registry.example.com/pause:3.8"
    assert found["registry_deprecated"] == ["configs", "mirrors"] and found["discard_unpacked_layers"] is True
    assert "s3cret" not in json.dumps(found)


@pytest.mark.parametrize(
    "text,unread",
    [
        ("version = 3\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\nsnapshotter = 'stargz'", ["io.containerd.grpc.v1.cri"]),
        ("version = 3\n[plugins.'io.containerd.grpc.v1.cri']\nstream_server_port = '0'", []),
        ("version = 2\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'stargz'", ["io.containerd.cri.v1.images"]),
        ("version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'x'", []),
    ],
)
def test_tables_of_another_version_are_not_read(text, unread):
    assert tuning_containerd.written(tuning_containerd.parsed(text))["unread"] == unread


def test_a_configuration_that_is_no_toml():
    with pytest.raises(tuning_containerd.ContainerdError, match="line 1"):
        tuning_containerd.parsed("version: 3")


@pytest.mark.parametrize(
    "text,version",
    [
        ("containerd github.com/containerd/containerd/v2 2.2.1 abc", "2.2.1"),
        ("Kubernetes v1.36.3", "1.36.3"),
        ("etcd Version: 3.6.8\nGit SHA: 1", "3.6.8"),
        ("x", None),
    ],
)
def test_version(text, version):
    assert tuning_containerd.version(text) == version


# Certificates ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the path of a certificate that signed itself and holds for 40 days, and of one that it signed for 10."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificates of this test")
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-days",
        "40",
        "-subj",
        "/CN=ca",
    )
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf")
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "leaf.crt", "-days", "10")
    return folder


def days(found):
    return round(found["expires_in"] / 86400)


def test_how_long_certificates_hold(certificate):
    authority, leaf = tuning_certificates.read(certificate / "ca.crt"), tuning_certificates.read(certificate / "leaf.crt")
    assert (days(authority), authority["ca"], days(leaf), leaf["ca"]) == (40, True, 10, False)


def test_the_certificate_beside_a_key_and_inside_a_kubeconfig(certificate, tmp_path):
    text = (certificate / "leaf.crt").read_text()
    both = tmp_path / "kubelet-client-current.pem"
    both.write_text(text + (certificate / "leaf.key").read_text())
    config = tmp_path / "admin.conf"
    config.write_text("users:\n- user:\n    client-certificate-data: " + base64.b64encode(text.encode()).decode() + "\n    client-key-data: c2VjcmV0\n")
    assert days(tuning_certificates.read(both)) == days(tuning_certificates.read(config)) == 10


def test_a_date_far_away_has_another_form(certificate):
    subprocess.run(
        ["openssl", "req", "-x509", "-key", "ca.key", "-out", "far.crt", "-days", "36500", "-subj", "/CN=far"], cwd=certificate, check=True, capture_output=True
    )
    found = tuning_certificates.read(certificate / "far.crt")
    assert abs(days(found) - 36500) <= 1


def test_a_file_without_a_certificate_and_a_damaged_one(certificate, tmp_path):
    (tmp_path / "a").write_text("nothing")
    assert tuning_certificates.read(tmp_path / "a") is None
    lines = (certificate / "ca.crt").read_text().splitlines()
    (tmp_path / "b").write_text("\n".join([lines[0], lines[1][:20], lines[-1]]))
    with pytest.raises(ValueError):
        tuning_certificates.read(tmp_path / "b")


@given(some.binary(max_size=200))
def test_hostile_der(data):
    with pytest.raises(ValueError):
        tuning_certificates.dates(data)
