# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures, with minisign and gpg themselves where they are installed, and keys that are thrown away."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.kubeproof.certify.plugins.module_utils import signature
from ansible_collections.kubeproof.certify.plugins.modules import sign as module
from ansible_collections.kubeproof.certify.tests.unit.scripts.test_kubeproof_gate import gate

SHARED = ("signed", "_public_key", "_opened", "_small", "_ask")
TOOLS = [pytest.param(tool, marks=pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed")) for tool in signature.SUFFIXES]
PASSPHRASE = "correct horse"
# A key that was thrown away, protected by a passphrase.
LOCKED = (
    "untrusted comment: minisign encrypted secret key\n"
    "RWRTY0IyJBa/X++8ghy2iQuG0wY79E3qMb5O5MpotY3QqKQjXj8AAAACAAAAAAAAAEAAAAAAywP+F4jiCSh/XqAUhD23XZS0CbffRPKo44"
    "YvlFEqEFG164kRwbYiUc378htZht9IpDIfOkgvMGr65yNaY4N+5sTpoKBcNbUFPokcAF9krntLWVvLveM9vdSIVmTJeL06AArr91GOSGk=\n"
)


class Keys:
    """Keys of one tool: `open`, `other` and `locked` are (key to sign with, public key)."""

    def __init__(self, tool, place):
        self.tool, self.place = tool, place
        self.open, self.other = self.make("open", ""), self.make("other", "")
        self.passphrase_file = str(place / "passphrase")
        (place / "passphrase").write_text(PASSPHRASE + "\n")

    def make(self, name, passphrase):
        public = self.place / f"{name}.pub"
        if self.tool == "minisign":
            secret = self.place / f"{name}.key"
            typed = f"{passphrase}\n" * 2
            _run(["minisign", "-G", "-p", str(public), "-s", str(secret)] + ([] if passphrase else ["-W"]), typed)
            return str(secret), str(public)
        asking = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase]
        _run([*asking, "--quick-generate-key", f"{name} <{name}@example.com>", "ed25519", "sign", "never"])
        listed = _run(["gpg", "--batch", "--with-colons", "--list-keys", f"{name}@example.com"])
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        public.write_text(_run(["gpg", "--batch", "--armor", "--export", fingerprint]))
        # The agent remembers the passphrase that it has just been told.
        _run(["gpgconf", "--kill", "gpg-agent"])
        return fingerprint, str(public)


def _run(argv, typed=""):
    return subprocess.run(argv, input=typed, check=True, capture_output=True, text=True, start_new_session=True).stdout


@pytest.fixture(name="keys", scope="module", params=TOOLS)
def fixture_keys(request, tmp_path_factory):
    # Short: the agent's socket is a path of at most 108 bytes.
    place = tmp_path_factory.mktemp("k")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", str(place))
        place.chmod(0o700)
        # As few rounds as may be: the key protects nothing.
        (place / "gpg-agent.conf").write_text("s2k-count 65536\n")
        yield Keys(request.param, place)
        if request.param == "gpg":
            _run(["gpgconf", "--kill", "gpg-agent"])


@pytest.fixture(name="path")
def fixture_path(tmp_path):
    path = tmp_path / "certificate.json"
    path.write_bytes(b'{"verdict": "PASS"}\n')
    return path


def verify(path, public_key):
    """Return what both copies say, which has to be the same."""
    answers = []
    for place in (signature, gate):
        try:
            answers.append(place.signed(path.read_bytes(), str(path), public_key))
        except place.Unsigned as error:
            answers.append(error)
    assert str(answers[0]) == str(answers[1])
    return answers[0]


def test_the_gate_verifies_word_for_word_as_we_do():
    for name in SHARED:
        assert inspect.getsource(getattr(signature, name)) == inspect.getsource(getattr(gate, name)), f"copy {name} from module_utils/signature.py"
    for name in ("SUFFIXES", "MINISIGN_KEY", "LARGEST_KEY", "SECONDS", "GOOD", "BAD"):
        assert getattr(signature, name) == getattr(gate, name)


def test_signed_by_the_key(keys, path):
    made = signature.sign(str(path), keys.tool, keys.open[0])
    assert made == str(path) + signature.SUFFIXES[keys.tool]
    assert verify(path, keys.open[1]) == made
    assert os.stat(made).st_mode & 0o777 == 0o600


def test_what_was_changed_is_not_signed(keys, path):
    signature.sign(str(path), keys.tool, keys.open[0])
    path.write_bytes(b'{"verdict": "PASS" }\n')
    assert "is no signature of this content" in str(verify(path, keys.open[1]))


def test_another_key_does_not_count(keys, path):
    signature.sign(str(path), keys.tool, keys.other[0])
    assert isinstance(verify(path, keys.open[1]), signature.Unsigned)


def test_a_missing_or_damaged_signature(keys, path):
    assert "cannot be read" in str(verify(path, keys.open[1]))
    made = path.with_name(path.name + signature.SUFFIXES[keys.tool])
    for content in (b"", b"nothing\n", b"\x00" * 200):
        made.write_bytes(content)
        assert isinstance(verify(path, keys.open[1]), signature.Unsigned)


def test_a_passphrase_comes_from_its_file_or_not_at_all(keys, path):
    if keys.tool == "minisign":
        # Its key takes seconds to make, and to open: what it says of a passphrase was recorded, below.
        locked = (str(keys.place / "locked.key"), "")
        (keys.place / "locked.key").write_text(LOCKED)
    else:
        locked = keys.make("locked", PASSPHRASE)
    with pytest.raises(signature.Unsigned, match="protected by a passphrase. Nobody is asked"):
        signature.tried(keys.tool, locked[0])
    if keys.tool == "gpg":
        wrong = keys.place / "wrong"
        wrong.write_text("incorrect\n")
        with pytest.raises(signature.Unsigned, match="does not hold the passphrase") as caught:
            signature.tried(keys.tool, locked[0], str(wrong))
        assert "incorrect" not in str(caught.value)
        signature.sign(str(path), keys.tool, locked[0], keys.passphrase_file)
        assert verify(path, locked[1]).endswith(".asc")


def test_what_minisign_says_of_a_passphrase(monkeypatch, path, tmp_path):
    (tmp_path / "locked.key").write_text(LOCKED)
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\nanother line\n")
    asked = []

    def ask(argv, answer=None):
        asked.append((argv, answer))
        return 2, "Deriving a key from the password and decrypting the secret key... done\n\n", "Password: Wrong password for that key\n"

    monkeypatch.setattr(signature, "_ask", ask)
    with pytest.raises(signature.Unsigned, match="does not hold the passphrase"):
        signature.sign(str(path), "minisign", str(tmp_path / "locked.key"), str(tmp_path / "passphrase"))
    assert asked[0][1] == PASSPHRASE.encode() + b"\n" and PASSPHRASE not in " ".join(asked[0][0])


def test_the_module(keys, path, capsys):
    def call(**arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    assert call(tool=keys.tool, key=keys.open[0])["changed"] is False
    assert call(tool=keys.tool, key=keys.open[0], directory=str(path.parent))["signature"] == verify(path, keys.open[1])
    assert "Name the directory" in call(tool=keys.tool, key=keys.open[0], directory=str(path.parent / "no"))["msg"]
    assert "certify_sign_key" in call(tool=keys.tool, key="A" * 40)["msg"]


def test_a_key_that_is_expired_or_revoked_does_not_count(monkeypatch):
    monkeypatch.setattr(signature, "_public_key", lambda key: ("gpg", b"key"))
    monkeypatch.setattr(signature, "_small", lambda path, what: b"signature")
    good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG X y\n[GNUPG:] VALIDSIG X\n"
    for said, code, fine in (
        (good, 0, True),
        (good, 1, False),
        (good + "[GNUPG:] EXPKEYSIG X y\n", 0, False),
        (good + "[GNUPG:] REVKEYSIG X y\n", 0, False),
        (good + "[GNUPG:] BADSIG X y\n", 0, False),
        ("[GNUPG:] VALIDSIG X\n", 0, False),
        ("gpg: Good signature\n", 0, False),
        ("", 0, False),
    ):
        monkeypatch.setattr(signature, "_ask", lambda argv, answer=None, said=said, code=code: (code, said, ""))
        if fine:
            assert signature.signed(b"", "c", "k") == "c.asc"
        else:
            with pytest.raises(signature.Unsigned):
                signature.signed(b"", "c", "k")


def test_minisign_that_ends_well_without_saying_so_verified_nothing(monkeypatch):
    monkeypatch.setattr(signature, "_small", lambda path, what: b"signature")
    monkeypatch.setattr(signature, "_ask", lambda argv, answer=None: (0, "", ""))
    with pytest.raises(signature.Unsigned):
        signature.signed(b"", "c", "RW" + "a" * 54)


@pytest.mark.parametrize("text", [b"", b"hello", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", b"untrusted comment: x\nRWshort\n", b"x" * 2_000_000])
def test_what_is_no_public_key(tmp_path, path, text):
    (tmp_path / "key").write_bytes(text)
    assert isinstance(verify(path, str(tmp_path / "key")), signature.Unsigned)
    assert isinstance(verify(path, str(tmp_path / "absent")), signature.Unsigned)


def test_a_tool_that_is_not_installed(monkeypatch, path):
    path.with_name(path.name + ".minisig").write_bytes(b"x")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "minisign is not installed here" in str(verify(path, "RW" + "a" * 54))
    with pytest.raises(signature.Unsigned, match="there is no file"):
        signature.sign(str(path), "minisign", str(path) + ".key")


@pytest.mark.parametrize("key", ["Alice", "alice@example.com", "0x1234ABCD", "", "A" * 39])
def test_gpg_wants_a_fingerprint(path, key):
    with pytest.raises(signature.Unsigned, match="Write a fingerprint"):
        signature.sign(str(path), "gpg", key)
