# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of etcd that is proved before it has its name: etcd's own SHA-256, then etcdutl; standard library alone."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import re
import subprocess
import time

from ansible_collections.kubeproof.certify.plugins.module_utils import files, web
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_maintenance_plan import mebibytes

PATH = "/v3/maintenance/snapshot"
DIGEST = 32
# A database is whole pages, which are whole sectors; etcd appends its SHA-256 to it.
SECTOR = 512
# What a database may grow by while it is read.
GROWTH = 1.1
NAME = re.compile(r"etcd-[0-9a-f]{1,16}-\d{8}T\d{6}Z-r\d+\.db")
PART = re.compile(r"\.etcd-[0-9a-f]{1,16}-\d{8}T\d{6}Z\.part")
WRITER = "kubeproof.certify"
# What etcdutl says of a snapshot, and our name for it.
STATUS = {"hash": "hash", "revision": "revision", "totalKey": "keys", "totalSize": "size"}


class SnapshotError(Exception):
    """There is no proved snapshot; the text says why and what to do. Nothing of it is left."""


@contextlib.contextmanager
def directory(path):
    """Make the directory, hold it alone while the maintenance runs, and remove what a killed one had not finished."""
    try:
        files.make_directory(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SnapshotError(f"The directory {path} cannot be used: {error.strerror}. Correct etcd_maintenance_snapshot_directory.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SnapshotError(f"Another maintenance holds {path}: wait until it has ended, then run again.") from error
        for name in unfinished(os.listdir(path)):
            os.unlink(os.path.join(path, name))
        yield
    finally:
        os.close(descriptor)


def unfinished(names):
    """Return those of `names` in the directory that a killed maintenance left: parts of snapshots, and records without their snapshot."""
    records = {name + ".json": name for name in names if NAME.fullmatch(name)}
    return [name for name in names if PART.fullmatch(name) or (name.endswith(".json") and NAME.fullmatch(name[: -len(".json")]) and name not in records)]


def check_room(path, size):
    """Raise SnapshotError unless the file system that holds (or will hold) `path` has room for a database of `size` bytes."""
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    found, wanted = free(path), int(size * GROWTH)
    if found < wanted:
        raise SnapshotError(
            f"{path} has {mebibytes(found)} free, and a snapshot needs {mebibytes(wanted)}. Free the space, or set etcd_maintenance_snapshot_directory."
        )


def free(path):
    """Return the bytes that are free on the file system that holds `path`; OSError when it is not there."""
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize


def check_tool(etcdutl):
    """Raise SnapshotError unless etcdutl is a program."""
    if not os.access(etcdutl, os.X_OK) or not os.path.isfile(etcdutl):
        raise SnapshotError(f"{etcdutl} is no program. Install etcdutl of etcd, or set etcd_maintenance_etcdutl to its path.")


def take(cluster, member, settings, cluster_id):
    """Write a snapshot of `member` ({url, ...}), prove it, give it its name; return {path, sha256, hash, revision, keys, size, seconds}.

    What etcdutl finds in it must lie between what the member says before and after.
    """
    began, folder = time.monotonic(), settings["snapshot_directory"]
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    part = os.path.join(folder, f".etcd-{cluster_id}-{stamp}.part")
    try:
        before = _status(cluster, member)
        sha256, size = _receive(cluster.endpoint(member["url"], settings["timeout"]), part, settings["timeout"])
        after = _status(cluster, member)
        found = inspect(settings["etcdutl"], part, settings["timeout"])
        reason = mismatch(found, size, before, after)
        if reason:
            raise SnapshotError(f"The snapshot of {member['url']} is not what the member holds: {reason} Look at the disks of both hosts, then run again.")
        path = os.path.join(folder, f"etcd-{cluster_id}-{stamp}-r{found['revision']}.db")
        record = dict(found, sha256=sha256, writer=WRITER, file=os.path.basename(path), taken_from=member["url"], at=stamp)
        files.write_json(path + ".json", record)
        os.replace(part, path)
        _sync(folder)
    except OSError as error:
        raise SnapshotError(f"The snapshot cannot be written to {folder}: {error.strerror}.") from error
    except files.DataFileError as error:
        raise SnapshotError(str(error)) from error
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return dict(found, path=path, sha256=sha256, seconds=round(time.monotonic() - began, 3))


def mismatch(found, size, before, after):
    """Return why what etcdutl says is not a snapshot of `size` bytes, taken between two statuses of the member; None if it is."""
    if found["size"] != size:
        return f"etcdutl finds {found['size']} bytes in {size}."
    for name, low, high in (("revision", before["revision"], after["revision"]), ("size", before["db_size"], after["db_size"])):
        if not low <= found[name] <= high:
            return f"its {name} is {found[name]}, and the member's was {low} before and {high} after."
    return None


def inspect(etcdutl, path, timeout):
    """Return {hash, revision, keys, size} as `etcdutl snapshot status` finds them; SnapshotError when it does not say all of them."""
    argv = [etcdutl, "snapshot", "status", path, "--write-out=json"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, cwd="/", check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise SnapshotError(f"{etcdutl} cannot prove the snapshot: {error}. Install etcdutl of the version of etcd.") from error
    try:
        said = json.loads(done.stdout)
        found = {ours: said[theirs] for theirs, ours in STATUS.items()}
    except (ValueError, TypeError, KeyError):
        found = {}
    if done.returncode or not found or not all(isinstance(value, int) and not isinstance(value, bool) for value in found.values()):
        text = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()[-1:] or ["it says nothing"]
        raise SnapshotError(f"etcdutl refuses the snapshot ({done.returncode}): {text[0][:300]}. Look at the member's disk, then run again.")
    return found


def prune(folder, keep, cluster_id):
    """Remove all but the newest `keep` snapshots of this cluster that were written here; return the names of the removed.

    A file is ours only if its name is of our form and its record names it.
    """
    ours = []
    for name in sorted(os.listdir(folder)):
        if NAME.fullmatch(name) and name.startswith(f"etcd-{cluster_id}-"):
            try:
                record = files.read_json(os.path.join(folder, name + ".json"))
            except files.DataFileError:
                continue
            if isinstance(record, dict) and record.get("writer") == WRITER and record.get("file") == name:
                ours.append(name)
    # Names sort by time.
    old = ours[: max(0, len(ours) - keep)]
    for name in old:
        os.unlink(os.path.join(folder, name))
        os.unlink(os.path.join(folder, name + ".json"))
    return old


def _status(cluster, member):
    """Return {revision, db_size} of a member now."""
    answer = cluster.call(member["url"], "/v3/maintenance/status", {})
    return {"revision": int(answer["header"]["revision"]), "db_size": int(answer["dbSize"])}


def _receive(endpoint, path, timeout):
    """Write what the member sends to `path`; return (SHA-256 of the file, bytes of the database in it) when etcd's own SHA-256 agrees."""
    whole, database, tail, size = hashlib.sha256(), hashlib.sha256(), b"", 0
    limit = time.monotonic() + timeout
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, files.FILE_MODE)
    with os.fdopen(descriptor, "wb") as stream, web.request(endpoint, PATH, {}) as response:
        for line in response:
            blob = _blob(line, endpoint.url)
            stream.write(blob)
            whole.update(blob)
            # The last bytes are the SHA-256 of those before them.
            tail += blob
            database.update(tail[:-DIGEST])
            size += len(blob)
            tail = tail[-DIGEST:]
            if time.monotonic() > limit:
                raise SnapshotError(f"{endpoint.url} did not send its snapshot within {timeout:g} s. Raise etcd_maintenance_timeout.")
        stream.flush()
        os.fsync(stream.fileno())
    size -= DIGEST
    if size <= 0 or size % SECTOR or database.digest() != tail:
        raise SnapshotError(f"The snapshot that {endpoint.url} sent is damaged or cut off: its SHA-256 is another. Look at the network, then run again.")
    return whole.hexdigest(), size


def _blob(line, url):
    """Return the bytes in one message of the stream; SnapshotError for an error of etcd, or what is no message."""
    try:
        message = json.loads(line)
        if "error" in message:
            raise SnapshotError(f"{url} broke off its snapshot: {message['error']}. Look at its log, then run again.")
        return base64.b64decode(message["result"].get("blob", ""), validate=True)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SnapshotError(f"{url} sent no snapshot but {line[:80]!r}. Set the endpoint to a client URL of etcd.") from error


def _sync(folder):
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
