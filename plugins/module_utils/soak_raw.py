# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The raw files of a soak, recordings or what a Prometheus answered: kept by the run, and read to the same facts by the run and by verify.yml.

They are in a directory, and `<directory>.json` beside it (evidence.py) says what was asked of them: {source, members, needed, put_rate, since, cluster},
as soak_facts takes them; `of`, the hosts of recordings; of a Prometheus `seconds`, how far back it was asked; and `sha256`, of each file, since one
number among thousands may change no fact.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib

from ansible_collections.kubeproof.certify.plugins.module_utils import evidence, soak_file
from ansible_collections.kubeproof.certify.plugins.module_utils.archive import sha256_of
from ansible_collections.kubeproof.certify.plugins.module_utils.files import DataFileError, write_bytes
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_facts import soak_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_prometheus import recordings

PARSER = "soak"
GZIP = b"\x1f\x8b"
WATCHER, PROMETHEUS = "watcher", "prometheus"
ANSWERS = "prometheus.gz"
# Bytes of answers that are kept and read, unpacked. A day of three members that are scraped every 15 s has 15 MB, and of five every 5 s 75 MB.
MOST_ANSWERS = 256 * 2**20


class Bounded:
    """Lines of a binary stream, up to `most` bytes: a small archive may unpack to more than there is memory."""

    def __init__(self, stream, most):
        self.stream, self.left = stream, most

    def readline(self, size):
        """Return the next line, of up to `size` bytes; OSError beyond the bound."""
        line = self.stream.readline(size)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("it is larger than a recording may be")
        return line


def recording(path):
    """Return what soak_file.read returns of a file, compressed or not; one that cannot be unpacked, or is larger than a recording may be, is damaged."""
    try:
        with open(path, "rb") as stream:
            packed = stream.read(len(GZIP)) == GZIP
        with gzip.open(path, "rb") if packed else open(path, "rb") as stream:
            return soak_file.read(Bounded(stream, soak_file.MOST))
    except (OSError, EOFError, zlib.error) as error:
        # Without the path: the run may be read at another one.
        return {"damage": f"it cannot be unpacked ({getattr(error, 'strerror', None) or str(error) or type(error).__name__})"}


def facts(found, how):
    """Return what recordings {host: recording} prove, as soak_facts does."""
    more = {"source": how["source"], "since": how["since"], "cluster": how["cluster"]}
    return soak_facts(found, list(how["members"]), how["needed"], how["put_rate"], **more)


def again(paths, how):
    """Return the facts that kept files prove, and the names of those `changed` since they were read first.

    ValueError, LookupError, TypeError or PrometheusError when the files or `how` are not those of a soak.
    """
    if len(how["sha256"]) != len(paths):
        raise ValueError(f"there are {len(paths)} files and {len(how['sha256'])} hashes")
    changed = [os.path.basename(path) for path, digest in zip(paths, how["sha256"]) if sha256_of(path) != digest]
    return {**facts(_found(paths, how), how), "changed": changed}


def _found(paths, how):
    """Return {host: recording} of kept files."""
    if how["source"] == PROMETHEUS:
        return recordings(_answers(paths[0]), how["members"], how["seconds"])
    if len(how["of"]) != len(paths):
        raise ValueError(f"there are {len(paths)} recordings of {len(how['of'])} hosts")
    return {host: recording(path) for host, path in zip(how["of"], paths)}


def _answers(path):
    with gzip.open(path, "rb") as stream:
        data = stream.read(MOST_ANSWERS + 1)
    if len(data) > MOST_ANSWERS:
        raise ValueError(f"it has more than {MOST_ANSWERS >> 20} MiB")
    return json.loads(data)


def keep_recordings(directory, paths):
    """Keep the recordings of `paths` {host: path} in the directory, compressed, and return where {host: path}; DataFileError when one cannot be."""
    kept = {host: os.path.join(directory, f"{host}.gz") for host in paths}
    for host, path in paths.items():
        if os.path.realpath(path) != os.path.realpath(kept[host]):
            data = _read(path)
            write_bytes(kept[host], data if data.startswith(GZIP) else gzip.compress(data, mtime=0))
    return kept


def _read(path):
    try:
        with open(path, "rb") as stream:
            data = stream.read(soak_file.MOST + 1)
    except OSError as error:
        raise DataFileError(f"Cannot read {path}: {error.strerror}.") from error
    if len(data) > soak_file.MOST:
        raise DataFileError(f"{path} has more than {soak_file.MOST >> 20} MiB, and so is no recording of a watcher. Copy it again.")
    return data


def keep_answers(directory, answers):
    """Keep what a Prometheus answered in the directory, and return where; DataFileError when that cannot be."""
    data, path = json.dumps(answers).encode(), os.path.join(directory, ANSWERS)
    if len(data) > MOST_ANSWERS:
        large = f"The Prometheus answered with {len(data) >> 20} MiB, and {MOST_ANSWERS >> 20} MiB are kept and read again."
        raise DataFileError(f"{large} Narrow soak_prometheus_selector to the members of one etcd cluster.")
    write_bytes(path, gzip.compress(data, mtime=0))
    return path


def say(directory, paths, how):
    """Write beside the directory what was asked of the files in it, by which they are read again; DataFileError when that cannot be written."""
    evidence.keep(directory, PARSER, paths, sha256=[sha256_of(path) for path in paths], **how)
