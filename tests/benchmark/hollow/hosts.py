# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many SSH hosts on one machine: one sshd, an address for each host, and behind it what runs on a control-plane node or on a worker.

Runs as root in namespaces of its own (mounts, processes, network), so nothing of it is seen or left outside of them.
"""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

import yaml

from . import cluster

ROOT = pathlib.Path(__file__).parents[3]
FIXTURE = ROOT / "tests/fixtures/tuning/kubeadm.json"
SSHD_CACHE = pathlib.Path.home() / ".cache" / "kubeproof" / "sshd"
PORT = 2222
PLANES = 3
CERTIFICATES = ("apiserver", "ca", "etcd/ca", "etcd/peer", "etcd/server", "front-proxy-ca")
# A process that stands for a component: its flags are all that is read of it.
PAUSE = "import signal; signal.pause()"
# By the address that was called: the host's name, and its box.
ENTER = """#!/bin/sh
set -- $SSH_CONNECTION
number=$((${3##*.} - 1))
box=worker
[ "$number" -ge %(planes)s ] || box=plane
exec unshare --uts nsenter --target "$(cat %(directory)s/$box.pid)" --pid --mount -- \\
  sh -c 'hostname "$0"; exec sh -c "$1"' "node$number" "$SSH_ORIGINAL_COMMAND"
"""
CONFIG = """
ListenAddress 0.0.0.0:%(port)s
HostKey %(directory)s/host_key
AuthorizedKeysFile %(directory)s/user_key.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 200
ForceCommand %(directory)s/enter
"""


def sshd():
    """Return (path of sshd, its environment): the machine's, or that of Debian's package, unpacked into the cache and not installed."""
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found:
        return found, dict(os.environ)
    if not (SSHD_CACHE / "usr/sbin/sshd").exists():
        SSHD_CACHE.mkdir(parents=True, exist_ok=True)
        for command in ("apt-get download openssh-server libwrap0", "for file in *.deb; do dpkg-deb -x $file .; done"):
            done = subprocess.run(command, shell=True, cwd=SSHD_CACHE, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"audit: there is no sshd, and {command} says: {done.stderr.strip()[-300:]} Install openssh-server.")
    libraries = ":".join(map(str, SSHD_CACHE.glob("usr/lib/*-linux-gnu")))
    return str(SSHD_CACHE / "usr/sbin/sshd"), {**os.environ, "LD_LIBRARY_PATH": libraries}


def parts():
    """Return what was recorded of a control-plane node and of a worker."""
    recorded = json.loads(FIXTURE.read_text(encoding="utf-8"))
    return {"plane": recorded["control_plane"], "worker": recorded["worker"]}


def argv(process, changed):
    """Return the arguments of a recorded process."""
    flags = {**process["flags"], **changed}
    return [f"--{name}={value}" for name, value in flags.items()]


class Hosts:
    """As many hosts as are called; everything that it starts ends with stop()."""

    def __init__(self, directory):
        self.directory, self.started = pathlib.Path(directory), []

    def start(self):
        """Start the boxes and sshd."""
        for box, recorded in parts().items():
            self._box(box, recorded)
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name], check=True)
        words = {"directory": self.directory, "port": PORT, "planes": PLANES}
        (self.directory / "enter").write_text(ENTER % words, encoding="utf-8")
        (self.directory / "enter").chmod(0o755)
        (self.directory / "sshd_config").write_text(CONFIG % words, encoding="utf-8")
        program, environment = sshd()
        # As root sshd asks for a user and a directory; both are in these namespaces alone.
        with open("/etc/passwd", "a", encoding="utf-8") as stream:
            stream.write("sshd:x:65500:65534::/run/sshd:/usr/sbin/nologin\n")
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        with open(self.directory / "sshd.log", "wb") as log:
            self.started.append(subprocess.Popen([program, "-D", "-e", "-f", self.directory / "sshd_config"], env=environment, stdout=log, stderr=log))

    def stop(self):
        """End what was started."""
        for process in reversed(self.started):
            process.kill()
            process.wait()

    def inventory(self, count):
        """Return the inventory of so many hosts, as data; the first are the control plane."""
        names = {f"node{number}": {"ansible_host": cluster.address(number)} for number in range(count)}
        planes = dict(list(names.items())[:PLANES])
        reach = {"ansible_port": PORT, "ansible_user": "root", "ansible_become": False, "ansible_ssh_private_key_file": str(self.directory / "user_key"),
                 "ansible_python_interpreter": sys.executable,
                 "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"}  # fmt: skip
        groups = {"etcd": planes, "kube_control_plane": planes, "kube_node": {name: one for name, one in names.items() if name not in planes}}
        return {"all": {"vars": reach, "children": {name: {"hosts": hosts} for name, hosts in groups.items()}}}

    def _box(self, name, recorded):
        """Start a box: its own files below /etc and /var/lib, and the processes of such a node."""
        folder = self.directory / name
        lines = ["set -e"]
        for place in ("etc", "var/lib"):
            own = folder / place
            (own / "up").mkdir(parents=True)
            (own / "work").mkdir()
            lines.append(f"mount -t overlay overlay -o lowerdir=/{place},upperdir={own}/up,workdir={own}/work /{place}")
        self._files(folder, recorded)
        for component, processes in recorded["processes"].items():
            lines += [self._command(component, one) for one in processes]
        lines += [f"touch {folder}/ready", "exec sleep infinity"]
        with open(folder / "log", "wb") as log:
            argv_ = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "bash", "-c", "\n".join(lines)]
            box = subprocess.Popen(argv_, stdout=log, stderr=log)
        self.started.append(box)
        deadline = time.monotonic() + 30
        while not (folder / "ready").exists():
            if box.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"audit: the box {name} did not start: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.1)
        [child] = pathlib.Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text(encoding="utf-8").split()
        (self.directory / f"{name}.pid").write_text(child, encoding="utf-8")

    def _command(self, component, process):
        """Return the shell's line that starts what stands for a component."""
        if component == "containerd":
            # The real one: what it is configured with, it has to say itself.
            program = cluster.program("containerd", "containerd")
            return f"containerd() {{ exec -a /usr/local/bin/containerd {shlex.quote(program)} --log-level=error; }}; containerd &"
        changed = {"listen-client-urls": "http://127.0.0.1:2379", "cert-file": ""} if component == "etcd" else {}
        words = " ".join(shlex.quote(one) for one in argv(process, changed))
        return f"(exec -a {process['program']} {sys.executable} -c {shlex.quote(PAUSE)} {words}) &"

    @staticmethod
    def _files(folder, recorded):
        """Write the files of a node: the kubelet's, the static pods, certificates."""
        etc, state = folder / "etc/up/kubernetes", folder / "var/lib/up/kubelet"
        for place in (etc / "manifests", etc / "pki/etcd", state / "pki"):
            place.mkdir(parents=True)
        (state / "config.yaml").write_text(yaml.safe_dump(recorded["configs"]["kubelet"]["settings"]), encoding="utf-8")
        for component, one in recorded["manifests"].items():
            container = {"name": component, "image": one["image"], "command": [recorded["processes"][component][0]["program"], *argv(one, {})]}
            (etc / f"manifests/{component}.yaml").write_text(yaml.safe_dump({"spec": {"containers": [container]}}), encoding="utf-8")
        names = CERTIFICATES if recorded["manifests"] else CERTIFICATES[1:2]
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /CN=a -days 365 -out"
        for name in names:
            subprocess.run([*command.split(), str(etc / f"pki/{name}.crt")], check=True, capture_output=True)
