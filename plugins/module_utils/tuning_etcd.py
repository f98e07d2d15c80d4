# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an etcd of this host says of itself, and the jobs on this host that compact or defragment it; read only, standard library alone."""

from __future__ import annotations

import glob
import os
import re

from . import etcd_certificates, etcd_status, tuning_files
from .tuning_process import shown
from .web import Endpoint, HttpError

TIMEOUT = 5.0
ASKED = ("healthy", "version", "leader", "db_size", "db_in_use", "alarms", "alarm_count", "member_count", "quota_backend_bytes", "error")
# Where jobs are written; what is in them stays here.
JOBS = ("/etc/crontab", "/etc/cron.*/*", "/etc/anacrontab", "/var/spool/cron/*", "/var/spool/cron/crontabs/*", "/etc/systemd/system/*.service")
LINE = re.compile(r"^(?!\s*#).*\betcdctl\b.*$", re.MULTILINE)
COMPACT = re.compile(r"\s(compact|compaction)\s+(\S.*)?")
DEFRAG_ALL = re.compile(r"\sdefrag\b.*--cluster|--cluster.*\sdefrag\b")
BLOCKS = {"client-transport-security": "", "peer-transport-security": "peer-"}
LARGEST = 1 << 18


def from_file(path):
    """Return {setting: text} of etcd's config file; ValueError or OSError when it cannot be read."""
    found = {}
    for name, value in tuning_files.document(path).items():
        block = value if name in BLOCKS and isinstance(value, dict) else {name: value}
        found.update((BLOCKS.get(name, "") + key, one) for key, one in block.items())
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in found.items() if value is not None}
    return {name: shown(name, value) for name, value in texts.items()}


def ask(settings, place):
    """Return what the member with these settings answers; `place` says where its files are for us. {} when it has no client URL."""
    urls = [url.strip() for url in (settings.get("advertise-client-urls") or "").split(",") if url.strip()]
    if not urls:
        return {}
    secrets = {}
    if urls[0].startswith("https"):
        paths = {name: place(settings[name]) for name in ("trusted-ca-file", "cert-file", "key-file") if name in settings}
        directories = [os.path.dirname(paths[name]) for name in ("trusted-ca-file", "cert-file") if name in paths]
        pair = etcd_certificates.client_pair(directories) or (paths.get("cert-file"), paths.get("key-file"))
        found = {"ca": paths.get("trusted-ca-file"), "cert": pair[0], "key": pair[1]}
        secrets = {name: path for name, path in found.items() if path}
    try:
        answer = etcd_status.ask(Endpoint(urls[0], timeout=TIMEOUT, **secrets))
    except HttpError as error:
        answer = {"error": str(error)}
    return {name: answer[name] for name in ASKED if name in answer}


def jobs(patterns=JOBS):
    """Return {compact, defrag_all}: the files whose jobs compact etcd by something else than a revision, or defragment all members at once."""
    found = {"compact": [], "defrag_all": []}
    for path in sorted({path for pattern in patterns for path in glob.glob(pattern) if os.path.isfile(path)}):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read(LARGEST)
        except OSError:
            continue
        for name, sentence in suspicious(text).items():
            found[name] += [path] if sentence else []
    return found


def suspicious(text):
    """Return {compact, defrag_all}: whether a script or a job does that."""
    lines = LINE.findall(text)
    compacted = [match.group(2) or "" for match in map(COMPACT.search, lines) if match]
    # A revision is a number, or what a variable holds; the time of day is none.
    return {"compact": any("date" in rest for rest in compacted), "defrag_all": any(DEFRAG_ALL.search(line) for line in lines)}
