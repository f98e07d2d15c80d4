# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of containerd, effective and as written, of its versions 2 (containerd 1.x) and 3 (2.x); read only, standard library alone.

Only the settings named here are returned: the whole holds credentials of registries.
"""

from __future__ import annotations

import re
import subprocess

from . import tuning_toml

CONFIG = "/etc/containerd/config.toml"
TIMEOUT = 10.0
OLD, IMAGES, RUNTIME = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"
# Fact, where it is in version 3, where it is in version 2.
SETTINGS = (
    ("snapshotter", (IMAGES, "snapshotter"), (OLD, "containerd", "snapshotter")),
    ("max_concurrent_downloads", (IMAGES, "max_concurrent_downloads"), (OLD, "max_concurrent_downloads")),
    ("image_pull_progress_timeout", (IMAGES, "image_pull_progress_timeout"), (OLD, "image_pull_progress_timeout")),
    ("discard_unpacked_layers", (IMAGES, "discard_unpacked_layers"), (OLD, "containerd", "discard_unpacked_layers")),
    ("sandbox_image", (IMAGES, "pinned_images", "sandbox"), (OLD, "sandbox_image")),
    ("registry_config_path", (IMAGES, "registry", "config_path"), (OLD, "registry", "config_path")),
    ("default_runtime", (RUNTIME, "containerd", "default_runtime_name"), (OLD, "containerd", "default_runtime_name")),
    ("max_container_log_line_size", (RUNTIME, "max_container_log_line_size"), (OLD, "max_container_log_line_size")),
    ("restrict_oom_score_adj", (RUNTIME, "restrict_oom_score_adj"), (OLD, "restrict_oom_score_adj")),
)
RUNTIMES = {3: (RUNTIME, "containerd", "runtimes"), 2: (OLD, "containerd", "runtimes")}
VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+[\w.+~-]*)")


class ContainerdError(Exception):
    """The configuration cannot be read; the text says why."""


def dump(program, path):
    """Return the effective configuration as text: what is written in the files of `path`, with the defaults."""
    command = [program, *(["--config", path] if path else []), "config", "dump"]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        raise ContainerdError(f"{program} config dump cannot be run: {reason[:200]}") from error


def parsed(text):
    """Return the text of a configuration as data; ContainerdError when it is no TOML that is understood."""
    try:
        return tuning_toml.load(text)
    except tuning_toml.TomlError as error:
        raise ContainerdError(f"the configuration of containerd is not understood: {error}") from error


def effective(config):
    """Return the settings of a dumped configuration: config_version, root, cri_disabled, systemd_cgroup, and those of SETTINGS that it has."""
    version = config.get("version", 1)
    facts = {"config_version": version, "root": config.get("root", "/var/lib/containerd")}
    off = [name for name in config.get("disabled_plugins") or [] if isinstance(name, str)]
    facts["cri_disabled"] = any(name == "cri" or name.startswith(("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.")) for name in off)
    if version not in RUNTIMES:
        return facts
    plugins = config.get("plugins")
    for name, third, second in SETTINGS:
        value = inside(plugins, third if version == 3 else second)
        facts.update({name: value} if isinstance(value, (bool, int, str)) else {})
    runtimes = inside(plugins, RUNTIMES[version])
    runtime = inside(runtimes, (facts.get("default_runtime", "runc"),))
    driver = inside(runtime, ("options", "SystemdCgroup"))
    facts.update({"systemd_cgroup": driver} if isinstance(driver, bool) else {})
    kind = inside(runtime, ("runtime_type",))
    facts.update({"runtime_type": kind} if isinstance(kind, str) else {})
    registry = inside(plugins, (IMAGES if version == 3 else OLD, "registry"))
    facts["registry_deprecated"] = sorted(name for name in ("mirrors", "configs", "auths") if isinstance(registry, dict) and registry.get(name))
    return facts


def written(config):
    """Return {version, unread: [plugin tables that this version of a configuration does not read]} of a file as it is written."""
    version = config.get("version", 1)
    plugins = config.get("plugins") if isinstance(config.get("plugins"), dict) else {}
    old = plugins.get(OLD) if isinstance(plugins.get(OLD), dict) else {}
    # In version 3 this table is the one of the streaming server alone.
    streaming = {"disable_tcp_service", "stream_server_address", "stream_server_port", "stream_idle_timeout", "enable_tls_streaming", "x509_key_pair_streaming"}
    unread = {3: [OLD] if set(old) - streaming else [], 2: [name for name in (IMAGES, RUNTIME) if name in plugins]}
    return {"version": version, "unread": unread.get(version, [])}


def inside(data, path):
    """Return what is at a path in nested maps, or None."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def version(text):
    """Return the number in what `containerd --version` prints, or None."""
    match = VERSION.search(text)
    return match.group(1) if match else None
