# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that hold for the whole collection."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
import zlib

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
OURS = "ansible_collections.kubeproof.certify.plugins.module_utils"
OLDEST = (3, 8)
# In the standard library of this Python, but not of the oldest one on managed hosts.
NEWER_MODULES = {"graphlib", "zoneinfo", "tomllib"}
NEWER_NAMES = {"removeprefix", "removesuffix", "pairwise", "bit_count", "BooleanOptionalAction"}
# Run on the controller, with the kubernetes library.
ON_THE_CONTROLLER = {
    "api_identity", "api_streams", "apiserver_info", "cluster_config", "cluster_health", "cluster_info", "compare", "dns_info", "ingress_info", "ingress_route",
    "job_run",
    "join", "network_info", "network_nodes", "node_reboot", "pod_exec", "pod_group", "pod_startup", "record", "render", "resume", "run_access",
    "scale_info", "scale_load", "scale_nodes", "seal",
    "service_probe", "sign", "storage_info", "verify", "volume_run",
    "monitoring_files", "monitoring_info", "monitoring_objects",
}  # fmt: skip
# Names in pieces, so that this file has none of them.
REGISTRIES = [
    ".".join(pieces)
    for pieces in (
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("registry", "k8s", "io"),
        ("pkgs", "k8s", "io"),
        ("dl", "k8s", "io"),
        ("docker", "io"),
        ("hub", "docker", "com"),
        ("quay", "io"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("galaxy", "ansible", "com"),
        ("crates", "io"),
    )
]
# A host below one of them is meant too, but not a name that only ends or begins like one.
REGISTRY = re.compile(rb"(?<![\w-])(?:" + b"|".join(re.escape(name.encode()) for name in REGISTRIES) + rb")(?![\w-])", re.IGNORECASE)
# The home of root or the checkout on one machine; nodes/<name>/root/etc is below another directory.
LOCAL_PATH = re.compile(r"(?<![\w.}~/-])/(?:work|root)/")
SHIPPED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "certify.yml", "docs", "roles", "playbooks", "plugins", "inventories")


def load(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def tracked():
    """Return every file that is, or is going to be, in the repository."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no checkout")
    return [path for path in (ROOT / name for name in listed.split("\0") if name) if path.is_file()]


def test_one_version():
    version = load("galaxy.yml")["version"]
    assert version == load("roles/certify/vars/main.yml")["__certify_version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", version)


# What runs on managed hosts --------------------------------------------------------------------------------------------------


def module_utils(tree, path):
    """Yield the files of our own module_utils that a parsed file imports."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split(".")) if node.module else path.parents[node.level - 1]
        elif (node.module or "").startswith(OURS):
            base = ROOT.joinpath("plugins", "module_utils", *node.module[len(OURS) :].strip(".").split("."))
        else:
            continue
        for candidate in [base, *(base / name.name for name in node.names)]:
            yield from (one for one in (candidate.with_suffix(".py"), candidate / "__init__.py") if one.is_file())


def on_hosts():
    """Return {path: tree} of the modules for managed hosts and of everything of ours that they import."""
    found, rest = {}, [path for path in sorted((ROOT / "plugins" / "modules").glob("*.py")) if path.stem not in ON_THE_CONTROLLER]
    while rest:
        path = rest.pop()
        if path not in found:
            found[path] = ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=OLDEST)
            rest += module_utils(found[path], path)
    return found


def foreign(tree, is_module):
    """Return the names of imported packages that a managed host may lack."""
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.append(node.module)
    allowed = (OURS, "ansible.module_utils") if is_module else (OURS,)
    known = sys.stdlib_module_names - NEWER_MODULES
    return [name for name in imported if name.split(".")[0] not in known and not any(name == one or name.startswith(one + ".") for one in allowed)]


def test_the_list_is_derived():
    names = {path.relative_to(ROOT / "plugins").as_posix() for path in on_hosts()}
    assert {"modules/tool_run.py", "module_utils/run.py", "module_utils/files.py", "module_utils/watch.py", "module_utils/web.py"} <= names
    assert {"module_utils/parsers/__init__.py", "module_utils/parsers/fio.py", "module_utils/etcd_keyspace.py"} <= names
    assert not {"modules/cluster_info.py", "module_utils/checks.py", "module_utils/certificate.py"} & names


def test_hosts_need_the_standard_library_alone():
    bad = {path.name: foreign(tree, path.parent.name == "modules") for path, tree in on_hosts().items()}
    assert {name: found for name, found in bad.items() if found} == {}


def test_hosts_need_no_python_newer_than_ours():
    bad = {}
    for path, tree in on_hosts().items():
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & NEWER_NAMES
        # The grammar of 3.8 has str | None as an expression, which only an annotation that is not evaluated may hold.
        later = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
        bad[path.name] = sorted(names) + ([] if later else ["annotations are evaluated"])
    assert {name: found for name, found in bad.items() if found} == {}


def test_hosts_wait_by_no_clock_that_can_be_set():
    """The Events of Python 3.8 and 3.9 do; stop.py says more."""
    waits = {"Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"}
    used = {path.name: {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & waits for path, tree in on_hosts().items()}
    assert {name: found for name, found in used.items() if found} == {"stop.py": {"Event"}}


@pytest.mark.parametrize(
    ("text", "is_module", "expected"),
    [
        ("import yaml", False, ["yaml"]),
        ("from ansible.module_utils.basic import AnsibleModule", False, ["ansible.module_utils.basic"]),
        ("from ansible.module_utils.basic import AnsibleModule", True, []),
        ("from ansible.errors import AnsibleError", True, ["ansible.errors"]),
        ("import os.path, json\nfrom . import files\nimport zoneinfo", False, ["zoneinfo"]),
        ("def f():\n    import requests.adapters", True, ["requests.adapters"]),
    ],
)
def test_foreign_imports_are_seen(text, is_module, expected):
    assert foreign(ast.parse(text), is_module) == expected


IMPORTS = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path("plugins/filter").glob("*.py")):
    importlib.import_module("ansible_collections.kubeproof.certify.plugins.filter." + path.stem)
print(*sorted({"kubernetes", "requests", "urllib3"} & set(sys.modules)))
"""


def test_filters_are_light():
    """Ansible imports them anew for every task that uses one."""
    heavy = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, env={"PYTHONPATH": ".ansible/collections"}, check=True, capture_output=True, text=True)
    assert heavy.stdout.split() == []


def test_newer_grammar_is_seen():
    with pytest.raises(SyntaxError):
        ast.parse("match a:\n    case 1: pass", feature_version=OLDEST)


# What is in the files --------------------------------------------------------------------------------------------------------


def test_no_file_names_a_registry():
    found = {}
    for path in tracked():
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = zlib.decompress(data, 31)
        lines = sorted({data[: match.start()].count(b"\n") + 1 for match in REGISTRY.finditer(data)})
        if lines:
            found[str(path.relative_to(ROOT))] = lines[:10]
    assert found == {}


def test_registries_are_seen():
    assert all(REGISTRY.search(f"image: {name}/pause".encode()) and REGISTRY.search(f"x.{name}".encode()) for name in REGISTRIES)
    assert not REGISTRY.search(b"k8s.io/kubernetes go.etcd.io/etcd mydocker.iox docker.ios")


def test_no_shipped_file_has_a_path_of_one_machine():
    found = {}
    for path in tracked():
        name = path.relative_to(ROOT)
        if name.parts[0] in SHIPPED and path.suffix not in (".gz", ".png"):
            lines = [number for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if LOCAL_PATH.search(line)]
            if lines:
                found[str(name)] = lines[:10]
    assert found == {}


def test_paths_of_one_machine_are_seen():
    assert all(LOCAL_PATH.search(text) for text in ("/work/main", "see /root/.cache", "'/root/x'", "=/work/x"))
    assert not any(LOCAL_PATH.search(text) for text in ("nodes/etcd1/root/etc", "{{ a }}/root/etc", "https://a/work/x", "/var/work/x", "~/work/"))
