# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detached signatures of a certificate, by minisign or gpg: who has the key made it, and nobody changed it since.

The certificate holds the hashes of all that its run left, so one signature covers them too. What verifies is in the gate as well, word for word: that
is one file, which pipelines fetch alone. A test compares the two.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tempfile

from .files import write_bytes

SUFFIXES = {"minisign": ".minisig", "gpg": ".asc"}
MINISIGN_KEY = re.compile(r"RW[0-9A-Za-z+/]{54}")
FINGERPRINT = re.compile(r"[0-9A-F]{40}(?:[0-9A-F]{24})?")
LARGEST_KEY = 1 << 20
SECONDS = 60
# What gpg reports of a good signature, and what it reports, beside the former, of one whose key must not be trusted any more.
GOOD = {"GOODSIG", "VALIDSIG"}
BAD = {"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY", "FAILURE"}
# The lower half of the number in gpg's line FAILURE.
GPG_REASONS = {11: "wrong", 17: "missing", 85: "asked"}
BY_ITSELF = "Nobody is asked for a passphrase: name a file that holds it in certify_sign_passphrase_file, or take a key without one"


class Unsigned(Exception):
    """There is no signature that can be relied on, or none could be made; the text says why."""


# In the gate too ---------------------------------------------------------------------------------------------------------------


def signed(data, path, public_key):
    """Return the signature that the public key verifies of `data`: the file at `path`, or at `path` with the suffix of the key's tool."""
    tool, key = _public_key(public_key)
    path = path if path.endswith(tuple(SUFFIXES.values())) else path + SUFFIXES[tool]
    detached = _small(path, "signature")
    with tempfile.TemporaryDirectory() as home:
        names = [os.path.join(home, name) for name in ("document", "signature", "key")]
        for name, content in zip(names, (data, detached, key)):
            with open(name, "wb") as stream:
                stream.write(content)
        if tool == "minisign":
            code, said, _why = _ask(["minisign", "-V", "-P", key.decode(), "-m", names[0], "-x", names[1]])
            good = code == 0 and "signature verified" in said
        else:
            # A home of its own, with this one key in it: what else the user trusts does not count.
            gpg = ["gpg", "--homedir", home, "--no-options", "--batch", "--no-tty", "--no-autostart", "--trust-model", "always", "--status-fd", "1"]
            _ask([*gpg, "--import", names[2]])
            code, said, _why = _ask([*gpg, "--verify", names[1], names[0]])
            words = {line.split()[1] for line in said.splitlines() if line.startswith("[GNUPG:] ")}
            good = code == 0 and GOOD <= words and not BAD & words
    if not good:
        raise Unsigned(f"{path} is no signature of this content by the key {public_key}, says {tool}")
    return path


def _public_key(public_key):
    """Return (tool, key) of a public key: a minisign key itself, or a file with one, or with what gpg --export wrote."""
    if MINISIGN_KEY.fullmatch(public_key):
        return "minisign", public_key.encode()
    content = _small(public_key, "public key")
    lines = content.decode("ascii", "replace").split("\n")
    found = [line.strip() for line in lines if MINISIGN_KEY.fullmatch(line.strip())]
    if len(found) == 1 and len(lines) <= 3:
        return "minisign", found[0].encode()
    # A packet of OpenPGP begins with the highest bit set.
    if "-----BEGIN PGP PUBLIC KEY BLOCK-----" in lines or content[:1] >= b"\x80":
        return "gpg", content
    raise Unsigned(f"{public_key} is no public key of minisign or gpg")


def _opened(path, flags):
    """Open a plain file, as the opener of `open`; OSError for anything else, since a pipe could be waited on for ever."""
    number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError("it is no plain file")
    return number


def _small(path, what):
    """Return the content of a small file; Unsigned where it cannot be read."""
    try:
        with open(path, "rb", opener=_opened) as stream:
            content = stream.read(LARGEST_KEY + 1)
    except (OSError, ValueError) as error:
        raise Unsigned(f"the {what} {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not 0 < len(content) <= LARGEST_KEY:
        raise Unsigned(f"the {what} {path} is empty or larger than {LARGEST_KEY} bytes")
    return content


def _ask(argv, answer=None):
    """Return (exit status, standard output, standard error) of a program that can ask nobody: no terminal, and `answer` or nothing to read."""
    environment = dict(os.environ, LC_ALL="C")
    try:
        done = subprocess.run(
            argv, input=answer or b"", stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS, env=environment, start_new_session=True, check=False
        )
    except FileNotFoundError as error:
        raise Unsigned(f"{argv[0]} is not installed here, or not on PATH") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unsigned(f"{argv[0]} did not end as it should: {type(error).__name__}") from error
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


# Signing -----------------------------------------------------------------------------------------------------------------------


def sign(path, tool, key, passphrase_file=None):
    """Sign the file at `path` and return the signature's path; Unsigned says what is wrong with the key, DataFileError with the place.

    `key`: of minisign the file of the secret key, of gpg the fingerprint of a key in the user's keyring.
    """
    answer = _small(passphrase_file, "passphrase file").split(b"\n")[0] + b"\n" if passphrase_file else None
    with tempfile.TemporaryDirectory() as place:
        made = os.path.join(place, "signature")
        if tool == "minisign":
            _minisign(path, made, key, answer)
        else:
            _gpg(path, made, key, answer)
        if not os.path.isfile(made):
            raise Unsigned(f"{tool} said that it signed {path}, but there is no signature")
        content = _small(made, "signature")
    write_bytes(path + SUFFIXES[tool], content)
    return path + SUFFIXES[tool]


def _minisign(path, made, key, answer):
    if not os.path.isfile(key):
        raise Unsigned(f"certify_sign_key: there is no file {key}. Name the secret key that minisign -G wrote")
    run = os.path.basename(os.path.dirname(os.path.abspath(path)))
    code, _said, why = _ask(["minisign", "-S", "-s", key, "-m", path, "-x", made, "-t", f"kubeproof run {run}"], answer)
    if code == 0:
        return
    if "Wrong password" in why:
        raise Unsigned(_wrong(key))
    if "Password" in why and answer is None:
        raise Unsigned(f"certify_sign_key: {key} is protected by a passphrase. {BY_ITSELF} (minisign -G -W)")
    raise Unsigned(f"certify_sign_key: minisign could not sign with {key} (exit status {code}). Name the secret key that minisign -G wrote")


def _gpg(path, made, key, answer):
    key = key.replace(" ", "").upper()
    if not FINGERPRINT.fullmatch(key):
        raise Unsigned(f"certify_sign_key is {key}. Write a fingerprint of 40 digits, as gpg --list-secret-keys shows it: a name can mean several keys")
    asking = ["--pinentry-mode", "loopback", "--passphrase-fd", "0"] if answer else ["--pinentry-mode", "error"]
    gpg = ["gpg", "--batch", "--no-tty", "--yes", "--status-fd", "1", *asking]
    code, said, _why = _ask([*gpg, "--local-user", key, "--armor", "--detach-sign", "--output", made, path], answer)
    lines = [line.split() for line in said.splitlines() if line.startswith("[GNUPG:] ")]
    if code == 0 and any(line[1] == "SIG_CREATED" for line in lines):
        return
    numbers = [int(line[-1]) & 0xFFFF for line in lines if line[1] == "FAILURE" and line[-1].isdigit()]
    reason = next((GPG_REASONS[number] for number in numbers if number in GPG_REASONS), None)
    if reason == "wrong":
        raise Unsigned(_wrong(key))
    if reason == "asked":
        raise Unsigned(f"certify_sign_key: {key} is protected by a passphrase. {BY_ITSELF}")
    if reason == "missing":
        raise Unsigned(f"certify_sign_key: gpg has no secret key {key}. Import it, or set GNUPGHOME to where it is")
    raise Unsigned(f"certify_sign_key: gpg could not sign with {key} (exit status {code}). Try gpg --local-user {key} --detach-sign on any file")


def _wrong(key):
    return f"certify_sign_passphrase_file does not hold the passphrase of {key}. Correct its first line"


def tried(tool, key, passphrase_file=None):
    """Sign a few bytes with the key, so that hours of load do not end without a signature; Unsigned as with `sign`."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "tried")
        write_bytes(path, b"kubeproof\n")
        sign(path, tool, key, passphrase_file)
