# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watcher of a soak as a systemd service on a host of etcd: installed, looked at, removed; standard library alone."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time

from ansible_collections.kubeproof.certify.plugins.module_utils import files, soak_file
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_member import Member, number
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_program import program
from ansible_collections.kubeproof.certify.plugins.module_utils.soak_watcher import CONFIG, FULL, OTHER, Clock

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
# What may stand in a unit without quotes.
PLAIN = re.compile(r"[\w./:@+,=-]+")
SECRETS = ("ca", "cert", "key")
# From this version on systemd hands files of root to a service that is not root.
CREDENTIALS = 247
TIMEOUT = 60
# Where etcd_info finds the files of an etcd in a container.
INSIDE = "/proc/"
PYTHON_FLAGS = "-I -S"

UNIT = """\
[Unit]
Description=kubeproof: watches etcd for elections (soak {id})
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart={python} {flags} {program} {config}
Restart=on-failure
RestartSec={again}
RestartPreventExitStatus={final}
{identity}
StateDirectory={state}
StateDirectoryMode=0700
UMask=0077
MemoryMax=48M
MemorySwapMax=0
TasksMax=8
CPUQuota=20%
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""
# A service that is not root, with copies of the files that it cannot read itself; on an older systemd root without root's rights.
UNPRIVILEGED = "DynamicUser=yes\nCapabilityBoundingSet="
ROOT = "CapabilityBoundingSet=CAP_DAC_READ_SEARCH"


class SoakError(Exception):
    """The watcher cannot be started, read or removed; the sentence says what was found and what to do."""


class Service:
    """The watcher `name` on this host; `root` is where its files begin, / but in tests."""

    def __init__(self, name, root="/"):
        if not NAME.fullmatch(name):
            raise SoakError(f"The name {name!r} cannot be a part of a service's name: use small letters, digits and -.")
        self.unit = f"kubeproof-soak-{name}.service"
        self.path = os.path.join(root, "etc/systemd/system", self.unit)
        self.directory = os.path.join(root, f"usr/local/lib/kubeproof/soak-{name}")
        self.program, self.config = (os.path.join(self.directory, one) for one in ("watcher.pyz", "config.json"))
        self.state = os.path.join(root, f"var/lib/kubeproof-soak-{name}")
        # Where systemd keeps the state of a dynamic user.
        self.private = os.path.join(root, f"var/lib/private/kubeproof-soak-{name}")
        self.recording = os.path.join(self.state, "recording")

    def is_installed(self):
        """Say whether anything of it is on the host."""
        return any(os.path.lexists(path) for path in (self.path, self.directory, self.state, self.private))

    def install(self, soak, client, metrics):
        """Write program, configuration and unit, start the service, and return when it has written its first good sample.

        SoakError says what keeps it from that; nothing is left then.
        """
        most = soak_file.limit(math.floor(soak["seconds"] / soak["interval"]) + 1)
        self._check(soak, client, metrics, most)
        settings = {"soak": soak, "member": {"client": client, "metrics": metrics}, "path": self.recording, "limit": most}
        try:
            for path in (self.directory, os.path.dirname(self.directory)):
                os.makedirs(path, exist_ok=True)
                os.chmod(path, 0o755)
            self._write(self.program, program(), 0o644)
            self._write(self.config, json.dumps(settings, indent=1, sort_keys=True).encode() + b"\n", 0o644)
            self._write(self.path, self.text(soak, client).encode(), 0o644)
            systemctl("daemon-reload")
            systemctl("enable", "--now", self.unit)
            self._begun(soak["interval"])
        except (files.DataFileError, OSError) as error:
            self.remove()
            raise SoakError(f"The watcher cannot be installed: {error}") from error
        except SoakError:
            self.remove()
            raise

    def resume(self):
        """Start the service again; it goes on in its recording."""
        run("systemctl", "reset-failed", self.unit)
        systemctl("enable", "--now", self.unit)

    def _check(self, soak, client, metrics, most):
        paths = [endpoint[name] for endpoint in (client, metrics) for name in SECRETS if endpoint.get(name)]
        hidden = [path for path in paths if path.startswith(INSIDE)]
        if hidden:
            raise SoakError(f"{hidden[0]} is inside of a container, and gone when etcd is started again. Give ca, cert and key of the host in etcd_clusters.")
        strange = [text for text in [*paths, sys.executable, soak["id"]] if not PLAIN.fullmatch(text)]
        if strange:
            raise SoakError(f"{strange[0]!r} cannot stand in a unit of systemd. Use a path, or an id, without blanks.")
        place = os.path.dirname(self.state)
        free = shutil.disk_usage(place).free
        if free < 2 * most:
            raise SoakError(f"{place} has {free} bytes free, and the recording may take {most}: free {2 * most} bytes, or raise soak_interval.")

    def text(self, soak, client, version=None):
        """Return the unit."""
        version = systemd() if version is None else version
        identity = ROOT
        if version >= CREDENTIALS:
            identity = "\n".join([UNPRIVILEGED, *(f"LoadCredential={name}:{client[name]}" for name in SECRETS if client.get(name))])
        return UNIT.format(
            id=soak["id"],
            python=sys.executable,
            flags=PYTHON_FLAGS,
            program=self.program,
            config=self.config,
            again=max(1, math.floor(soak["interval"])),
            final=" ".join(str(code) for code in (FULL, OTHER, CONFIG)),
            identity=identity,
            state=os.path.basename(self.state),
        )

    @staticmethod
    def _write(path, data, mode):
        files.write_bytes(path, data)
        os.chmod(path, mode)

    def _begun(self, interval):
        """Wait for the first good sample."""
        deadline, why = time.monotonic() + 20 + 2 * interval, "it has written nothing"
        while time.monotonic() < deadline:
            recording = self.read()
            if recording:
                member = Member("", recording)
                if member.samples:
                    return
                why = next((one["error"] for one in member.all if isinstance(one.get("error"), str)), why)
            if self.active() in ("failed", "inactive"):
                break
            time.sleep(0.2)
        raise SoakError(f"The watcher does not work: {why}. {self._journal()}".strip())

    def _journal(self):
        done = run("journalctl", "--unit", self.unit, "--lines", "3", "--output", "cat", "--no-pager")
        return " ".join(done.stdout.split())[:300]

    def read(self):
        """Return the recording, or None when there is none."""
        try:
            with open(self.recording, "rb") as stream:
                return soak_file.read(stream)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SoakError(f"{self.recording} cannot be read: {error.strerror}. Run with become.") from error

    def active(self):
        """Return systemd's word for the state of the unit."""
        return run("systemctl", "is-active", self.unit).stdout.strip() or "unknown"

    def remove(self):
        """Stop the service, remove all of it, and see that it is gone; return whether there was anything."""
        there = self.is_installed() or self.active() not in ("inactive", "unknown")
        if there:
            run("systemctl", "disable", "--now", self.unit)
            run("systemctl", "reset-failed", self.unit)
            for path in (self.directory, self.private, self.state, self.path):
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path, ignore_errors=True)
                elif os.path.lexists(path):
                    os.unlink(path)
            with contextlib.suppress(OSError):
                # Where nothing else of ours is in it.
                os.rmdir(os.path.dirname(self.directory))
            run("systemctl", "daemon-reload")
        left = [path for path in (self.path, self.directory, self.state, self.private) if os.path.lexists(path)]
        if left or self.active() == "active":
            raise SoakError(f"Could not remove {', '.join(left) or self.unit}. Remove it by hand.")
        return there


def run(*argv):
    """Run a program of the host; return how it ended."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise SoakError(f"{argv[0]} cannot be run ({error}). The watcher needs a host with systemd.") from error


def systemctl(*argv):
    """Run systemctl; SoakError with what it said when it fails."""
    done = run("systemctl", *argv)
    if done.returncode:
        raise SoakError(f"systemctl {' '.join(argv)}: {done.stderr.strip() or done.returncode}")


def systemd():
    """Return the version of systemd."""
    match = re.match(r"systemd (\d+)", run("systemctl", "--version").stdout)
    if not match:
        raise SoakError("systemctl --version does not tell a version. The watcher needs a host with systemd.")
    return int(match.group(1))


def summary(service, clock=None):
    """Return what there is to say of the watcher on this host while it runs, and afterwards; {state: absent} without one."""
    recording = service.read()
    if recording is None:
        return {"state": "absent" if not service.is_installed() else "broken"}
    active, member = service.active(), Member("", recording)
    begin = recording["begin"]
    facts = {name: begin[name] for name in ("id", "host", "by", "controller", "started", "run", "seconds", "interval") if name in begin}
    facts.update(
        state=recording["state"] or ("running" if active in ("active", "activating") else "stopped"),
        service=active,
        damage=recording["damage"],
        bytes=os.path.getsize(service.recording),
        most=soak_file.limit(member.slots) if not member.problem else 0,
        samples=len(member.samples),
        starts=len(member.starts),
    )
    if member.samples and not member.problem:
        first, last = member.samples[0], member.samples[-1]
        passed = last["at"] if recording["state"] else min(member.seconds, max(last["at"], _since(recording, member, clock or Clock())))
        expected = math.floor(passed / member.interval) + 1
        facts.update(
            elapsed=round(passed, 1),
            coverage=round(min(1.0, member.coverage * member.slots / expected), 4),
            first_term=first["term"],
            term=last["term"],
            leader=last["leader"],
            changes=member.changes,
            restarts=len(member.segments) - 1,
        )
    return facts


def _since(recording, member, clock):
    """Return the seconds since the soak began: by the boot's own clock, or across a boot by the wall's."""
    wall, running = clock.now()
    start = recording["starts"][-1] if recording["starts"] else {}
    if start.get("boot") == clock.boot != "" and number(start.get("at")) and number(start.get("running")):
        return start["at"] + running - start["running"]
    return wall - member.wall
