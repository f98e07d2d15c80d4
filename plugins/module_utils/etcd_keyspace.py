# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys etcd's `benchmark` leaves behind, and which keys nobody but their owner may delete; pure functions."""

from __future__ import annotations

PROTECTED_PREFIX = b"/registry"
OWN_PREFIX = b"/kubeproof-"
PROTECTED_KEYS = frozenset((b"compact_rev_key",))
# etcd compares keys as bytes; a range end of one zero byte means "to the end of the keyspace".
UNPROTECTED_RANGES = ((b"\0", PROTECTED_PREFIX), (PROTECTED_PREFIX[:-1] + b"z", b"\0"))
# Defaults of etcd's --max-txn-ops, and two thirds of --max-request-bytes.
BATCH_KEYS = 128
BATCH_BYTES = 2**20
# Prediction is done in memory on a host of etcd, which needs its memory itself.
PREDICTED_BYTES = 2**28
NUMBER = {"type": "int", "required": True}
# Runs of `benchmark put`, as an option of a module.
PUTS_SPEC = {"type": "list", "elements": "dict", "default": [], "options": {"total": NUMBER, "key_size": NUMBER, "key_space_size": dict(NUMBER, no_log=False)}}


class KeyspaceError(Exception):
    """Keys that cannot be predicted, or must not be deleted; the text says which and why."""


def varint(number):
    """Return `number` (0 or more) as Go's binary.PutVarint writes it: zig-zag, seven bits a byte, lowest first."""
    rest, encoded = number << 1, bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def benchmark_keys(total, key_size, key_space_size):
    """Return the sorted keys (bytes) that `benchmark put --sequential-keys` writes with these sizes; KeyspaceError if they are no safe prediction.

    The tool writes the varint of i % key_space_size over one buffer that starts with zeros and is never cleared.
    In the first pass numbers only get longer, so every key is its varint and zeros. After the first wrap a number keeps
    the tail of the longest number before it, which is always key_space_size - 1: the second and every later pass are equal.
    """
    if total < 1 or key_space_size < 1:
        raise KeyspaceError(f"total ({total}) and key_space_size ({key_space_size}) must be at least 1.")
    first = min(total, key_space_size)
    longest = varint(first - 1)
    # One zero byte at the end tells every key from text, whatever the numbers are: see check_deletable.
    if key_size <= len(longest):
        raise KeyspaceError(f"key_size {key_size} is too small for {first} different keys: use at least {len(longest) + 1}.")
    keys = [varint(number).ljust(key_size, b"\0") for number in range(first)]
    shorter = 1 << 7 * (len(longest) - 1) - 1 if len(longest) > 1 else 0
    for number in range(min(total - first, shorter)):
        start = varint(number)
        keys.append((start + longest[len(start):]).ljust(key_size, b"\0"))
    return sorted(keys)


def predict(puts):
    """Return the sorted keys of all runs, given as PUTS_SPEC has them; KeyspaceError if they would fill the memory of the host."""
    size = sum(min(run["total"], run["key_space_size"]) * (run["key_size"] + 64) for run in puts)
    if size > PREDICTED_BYTES:
        raise KeyspaceError(f"The predicted keys need {size} bytes, more than {PREDICTED_BYTES}: lower key_space_size or key_size.")
    return sorted(set().union(*(benchmark_keys(**run) for run in puts)))


def check_deletable(key, prefix=PROTECTED_PREFIX):
    """Raise KeyspaceError unless `key` is ours: under our own prefix, or not of Kubernetes and not readable as text."""
    if is_own(key):
        return
    if key.startswith(prefix) or key in PROTECTED_KEYS or is_text(key):
        raise KeyspaceError(f"Refused to delete the key {key!r}: it is not one that benchmark writes.")


def is_own(key):
    """Say whether `key` begins with our own prefix and goes on after it."""
    return key.startswith(OWN_PREFIX) and len(key) > len(OWN_PREFIX)


def is_text(key):
    """Say whether `key` reads as printable text, as every key of Kubernetes and of its add-ons does and none of benchmark's."""
    try:
        return key.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def batches(keys, count=BATCH_KEYS, size=BATCH_BYTES):
    """Yield lists of at most `count` keys and about `size` bytes, in order."""
    batch, filled = [], 0
    for key in keys:
        if batch and (len(batch) >= count or filled + len(key) > size):
            yield batch
            batch, filled = [], 0
        batch.append(key)
        filled += len(key)
    if batch:
        yield batch
