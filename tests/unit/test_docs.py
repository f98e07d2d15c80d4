# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation leads where it says, and the pipelines in it work: their own commands are run here, with programs that are played."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.filter.cluster_name import cluster_name
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
PIPELINES = DOCS / "pipelines"
GATE = ROOT / "scripts" / "kubeproof_gate.py"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)")


# Pages -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_table_is_cut_in_two(page):
    """A row that follows no head is shown as it is written."""
    lines = page.read_text(encoding="utf-8").splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith("|") and not (number and lines[number - 1].startswith("|"))]
    assert [lines[number] for number in begins if not re.fullmatch(r"\|[ :|-]+\|", lines[number + 1] if number + 1 < len(lines) else "")] == []


def test_the_index_names_a_page_once():
    rows = [line for line in (DOCS / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    links = [link for row in rows for link in LINK.findall(row)]
    assert sorted(links) == sorted(set(links))


def test_a_program_is_called_as_it_can_be_called():
    """It is not executable: neither git nor the tarball of a collection has to keep that."""
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"(?<!python3 )(?<![\w./])(?:scripts/)?kubeproof_gate\.py (?:-|results|\w+\.json)", line), line


def test_who_adds_a_format_is_told_of_the_registry():
    row = next(line for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines() if line.startswith("| a report format |"))
    words = ("plugins/module_utils/report_<name>.py", "`report_formats.py`", "roles/report/templates", "`report_formats` of the role")
    for text in (row, (DOCS / "adding.md").read_text(encoding="utf-8")):
        assert [word for word in words if word not in text] == []


def test_every_page_is_in_the_index():
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in DOCS.iterdir() if path.name != "README.md" and path.name not in text] == []


def test_the_pages_name_variables_and_playbooks_that_exist():
    roles = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    known = {name for role in roles for spec in role["argument_specs"].values() for name in spec.get("options", {})}
    playbooks = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "playbooks").glob("*.yml")}
    known.update(*(re.findall(r"\bcertify_[a-z_]*[a-z]", text) for text in playbooks.values()))
    wrong = []
    for page in PAGES + sorted(PIPELINES.glob("*.*")):
        text = page.read_text(encoding="utf-8")
        wrong += [f"{page.name}: {name}" for name in sorted(set(re.findall(r"\bcertify_[a-z_]*[a-z]", text))) if name not in known]
        wrong += [f"{page.name}: {name}" for name in re.findall(r"ansible-playbook\"? kubeproof\.certify\.(\w+)", text) if name not in playbooks]
    assert wrong == []


# The execution environment -----------------------------------------------------------------------------------------------------


def test_who_certifies_for_production_is_told_which_profile_fills_what():
    """A soak judges little but etcd, so that it takes the place of no load."""
    checks = {}
    for path in ROOT.glob("roles/*/defaults/main/checks.yml"):
        checks.update(*(value for name, value in yaml.safe_load(path.read_text(encoding="utf-8")).items() if name.endswith("_checks")))
    items = yaml.safe_load((ROOT / "roles/certify/defaults/main/checklist.yml").read_text(encoding="utf-8"))["certify_checklist"]
    filled = {
        profile: {
            name for name, item in items.items()
            if profile in item.get("profiles", [profile]) and all(profile in checks.get(one, item)["profiles"] for one in item["checks"])
        }
        for profile in ("load", "soak")
    }  # fmt: skip
    assert set(items) - filled["load"] == {"etcd_leader"} and filled["soak"] == {"etcd_leader", "etcd_write", "network_interzone"}
    rows = {row.split("|")[1].strip(): row for row in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if row.startswith("| ")}
    row = rows["certify for production, in hours"]
    assert "certify_profile: load" in row and "but for leader elections" in row and "soak" not in row
    assert "certify_profile: soak" in rows["add leader elections over 24 h"] and "kubeproof.certify.join" in rows["add leader elections over 24 h"]


def test_both_readers_of_the_execution_environment_find_the_same_files():
    definition = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text(encoding="utf-8"))
    for key in ("python", "system"):
        name = definition["dependencies"][key]
        assert (ROOT / "meta" / name).read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8"), f"copy {name} to meta/{name}"
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    assert f"kubeproof-certify-{version}.tar.gz" in definition["additional_build_files"][0]["src"]
    assert definition["dependencies"]["galaxy"]["collections"][1]["name"].endswith(f"kubeproof-certify-{version}.tar.gz")


def test_ansible_builder_accepts_the_execution_environment(tmp_path):
    pytest.importorskip("ansible_builder", reason="ansible-builder is not installed")
    meta = tmp_path / "meta"
    shutil.copytree(ROOT / "meta", meta)
    source = tmp_path / yaml.safe_load((meta / "execution-environment.yml").read_text(encoding="utf-8"))["additional_build_files"][0]["src"].removeprefix("../")
    source.parent.mkdir()
    source.write_bytes(b"")
    command = [sys.executable, "-m", "ansible_builder", "create", "-f", str(meta / "execution-environment.yml"), "-c", str(tmp_path / "context")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "context" / "_build" / "requirements.txt").read_text(encoding="utf-8") == (ROOT / "requirements.txt").read_text(encoding="utf-8")


# Pipelines ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in PIPELINES.glob("*.yml")))
def test_the_files_are_clean(name):
    rules = "{extends: default, rules: {line-length: {max: 160}}}"
    done = subprocess.run([sys.executable, "-m", "yamllint", "-s", "-d", rules, str(PIPELINES / name)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "schema"), [("gitlab-ci.yml", "vendor.gitlab-ci"), ("github-actions.yml", "vendor.github-workflows")])
def test_the_files_are_what_the_service_reads(name, schema):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(PIPELINES / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


PLAYED = {
    # What it was called with; and a run, where one was made.
    "ansible-playbook": """printf '%s\\n' "$*" >>"$PLAYED/calls"
case "$*" in
*kubeproof.certify.certify*)
  results=$(printf '%s\\n' "$@" | sed -n 's/^certify_results=//p')
  [ ! -d "$PLAYED/run" ] || {
    mkdir -p "$results/prod"
    cp -r "$PLAYED/run" "$results/prod/20261121t020000z-1a2b"
    cp -r "$PLAYED/old" "$results/prod/20251121t020000z-1a2b"
  } ;;
esac
[ ! -e "$PLAYED/fails" ]""",
    "ansible-galaxy": """eval "to=\\${$(($# - 2))}"
mkdir -p "$to/ansible_collections/kubeproof/certify"
cp -r """ + shlex.quote(str(ROOT / "scripts")) + """ "$to/ansible_collections/kubeproof/certify/" """,
    "pip": "exit 0",
    "minisign": "echo Signature and comment signature verified",
    "kubectl": """case "$*" in
*jsonpath*) printf '%s' """ + fake.UID + """ ;;
*/version) echo '{"gitVersion": "v1.36.3"}' ;;
*/nodes*) echo '{"metadata": {"remainingItemCount": 4}, "items": [{}]}' ;;
*) echo '{"metadata": {"uid": \"""" + fake.UID + """\"}}' ;;
esac""",
    "python3": """[ "$1 $2" = "-m venv" ] || exec """ + shlex.quote(sys.executable) + """ "$@"
mkdir -p "$3/bin"
cp "$PLAYED"/bin/* "$3/bin/" """,
}  # fmt: skip


class Place:
    """A directory in which the commands of a pipeline find programs that are played, and a run."""

    def __init__(self, path):
        self.path, self.played = path / "work", path / "played"
        (self.played / "bin").mkdir(parents=True)
        self.path.mkdir()
        for name, body in PLAYED.items():
            program = self.played / "bin" / name
            program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
            program.chmod(0o755)
        for name in ("kubeconfig", "ssh.key", "sign.key"):
            (self.path / name).write_text("", encoding="utf-8")

    def made(self, found=None, **of_run):
        """Leave a run for the certification, with the findings; and an older one that is good."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name, document in (("run", fake.certificate(found, started=now, finished=now, **of_run)), ("old", fake.certificate(started=now, finished=now))):
            (self.played / name).mkdir()
            for file, text in (("certificate.json", json.dumps(document)), ("certificate.json.minisig", "x"), ("summary.md", "summary\n")):
                (self.played / name / file).write_text(text, encoding="utf-8")

    def run(self, script, **environment):
        """Return (exit status, output) of a script, as the runners of the services call it."""
        environment = {"PATH": f"{self.played}/bin:{os.environ['PATH']}", "PLAYED": str(self.played), "HOME": str(self.path), "LC_ALL": "C", **environment}
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=self.path, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=60)  # fmt: skip
        return done.returncode, done.stdout

    def called(self):
        """Return what Ansible was called with."""
        calls = self.played / "calls"
        return calls.read_text(encoding="utf-8") if calls.exists() else ""


@pytest.fixture(name="place")
def fixture_place(tmp_path):
    return Place(tmp_path)


def bad(**more):
    return {"etcd": [fake.finding("etcd"), fake.finding("etcd", 1, **more)]}


# What was made of it: the findings, and the exit status of the gate.
ENDS = [
    ({}, 0),
    (bad(result="CONDITIONAL", value=0.03), 10),
    (bad(result="FAIL", value=1), 20),
    (bad(result="INCONCLUSIVE", value=None), 30),
    (None, 50),
]


@pytest.mark.parametrize(("found", "status"), ENDS)
def test_gitlab(place, found, status):
    pipeline = yaml.safe_load((PIPELINES / "gitlab-ci.yml").read_text(encoding="utf-8"))
    if found is not None:
        place.made(found)
    files = {f"KUBEPROOF_{name}": str(place.path / file) for name, file in (("KUBECONFIG", "kubeconfig"), ("SSH_KEY", "ssh.key"), ("SIGN_KEY", "sign.key"))}
    environment = {**pipeline["variables"], **files, "KUBEPROOF_GATE": str(GATE), "KUBEPROOF_CLUSTER_UID": fake.UID, "KUBEPROOF_PUBLIC_KEY": "RW" + "a" * 54,
                   "CI_PROJECT_DIR": str(place.path)}  # fmt: skip
    certify, gate = pipeline["certify"], pipeline["gate"]
    done, said = place.run("\n".join(certify["script"]), **environment)
    assert done == 0, said
    assert place.run("\n".join(certify["after_script"]), **environment)[0] == (0 if found is not None else 1)
    done, said = place.run("\n".join(gate["script"]), **environment)
    assert done == status, said
    assert gate["allow_failure"]["exit_codes"] == [10] and "certificate/" in certify["artifacts"]["paths"]
    assert "certify_profile=load" in place.called() and f"certify_cluster_uid={fake.UID}" in place.called()


def steps(environment):
    """Yield (name, whether it runs after a failure, script, environment) of the steps on GitHub, with the expressions as the service fills them in."""
    workflow = yaml.safe_load((PIPELINES / "github-actions.yml").read_text(encoding="utf-8"))
    values = {"inputs.profile || 'load'": "load", "runner.temp": environment["RUNNER_TEMP"], "vars.KUBEPROOF_CLUSTER_UID": fake.UID,
              "vars.KUBEPROOF_PUBLIC_KEY": "RW" + "a" * 54}  # fmt: skip

    def filled(text):
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda match: values.get(match.group(1), f"the text of {match.group(1)}"), text)

    general = {key: filled(value) for key, value in workflow["env"].items()}
    for step in workflow["jobs"]["certify"]["steps"]:
        if "run" in step:
            own = {key: filled(value) for key, value in step.get("env", {}).items()}
            assert "${{" not in step["run"], "an expression in a script is code that somebody else may write: give it by env"
            yield step["name"], step.get("if") == "always()", step["run"], {**general, **environment, **own}


@pytest.mark.parametrize(("found", "status"), ENDS)
def test_github(place, found, status):
    if found is not None:
        place.made(found)
    temporary = place.path / "temp"
    temporary.mkdir()
    failed, ends = False, {}
    for name, always, script, environment in steps({"RUNNER_TEMP": str(temporary), "GITHUB_STEP_SUMMARY": str(place.path / "summary")}):
        if always or not failed:
            ends[name], said = place.run(script, **environment)
            failed = failed or ends[name] != 0
            assert ends[name] == 0 or name in ("Gate", "Take the newest run"), said
            if name == "Unpack the secrets":
                assert (temporary / "ssh.key").stat().st_mode & 0o777 == 0o600
                assert (temporary / "ssh.key").read_text() == "the text of secrets.KUBEPROOF_SSH_KEY\n"
    assert ends["Gate"] == status and ends["Certify"] == 0
    assert not list(temporary.glob("*.key")) and not (temporary / "kubeconfig").exists()
    if found is not None:
        assert (place.path / "summary").read_text() == "summary\n"


# Where a pipeline is told to find the inventory, and what a run made of it is called.
PLACES = {"gitlab-ci.yml": r"KUBEPROOF_INVENTORY: (\S+)", "github-actions.yml": r"INVENTORY: (\S+)"}


@pytest.mark.parametrize("name", sorted(PLACES))
def test_a_pipeline_finds_the_runs_of_its_inventory(tmp_path, monkeypatch, name):
    """Its inventory is a copy of the example; test_cluster_name.py looks where a run of that is written."""
    inventory = tmp_path / re.search(PLACES[name], (PIPELINES / name).read_text(encoding="utf-8")).group(1)
    shutil.copytree(ROOT / "inventories" / "example", inventory)
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "results" / cluster_name([str(inventory)]) / "20261121t020000z-1a2b" / "certificate.json"
    run.parent.mkdir(parents=True)
    run.write_text("{}", encoding="utf-8")
    looked = re.search(r'results/(\S*certificate\.json)', (PIPELINES / name).read_text(encoding="utf-8")).group(1)
    assert list((tmp_path / "results").glob(looked)) == [run] and inventory.name == "prod"


@pytest.mark.parametrize("given", ["prod", "prod/", "prod/hosts.yaml"])
def test_after_kubespray_finds_the_runs_of_its_inventory(place, given):
    """Kubespray takes a directory as well as the file in it."""
    place.made({})
    (place.path / "kubespray" / "venv").mkdir(parents=True)
    (place.path / "kubespray" / "venv" / "bin").symlink_to(place.played / "bin")
    shutil.copytree(ROOT / "inventories" / "example", place.path / "prod")
    (place.path / "prod" / "hosts.yml").rename(place.path / "prod" / "hosts.yaml")
    done, said = place.run(f"{shlex.quote(str(PIPELINES / 'after-kubespray.sh'))} kubespray {given}", KUBEPROOF_GATE=str(GATE))
    assert done == 0 and cluster_name([str(place.path / given)]) == "prod", said
    assert f"certify_kubeconfig={place.path}/prod/artifacts/admin.conf" in place.called()


@pytest.mark.parametrize(("found", "status"), ENDS)
def test_after_kubespray(place, found, status):
    if found is not None:
        place.made(found)
    inventory = place.path / "prod" / "hosts.yaml"
    (place.path / "kubespray" / "venv").mkdir(parents=True)
    (place.path / "kubespray" / "venv" / "bin").symlink_to(place.played / "bin")
    inventory.parent.mkdir()
    inventory.write_text("all: {}\n", encoding="utf-8")
    script = f"{shlex.quote(str(PIPELINES / 'after-kubespray.sh'))} kubespray prod/hosts.yaml"
    done, said = place.run(script, KUBEPROOF_GATE=str(GATE))
    assert done == status, said
    calls = place.called().splitlines()
    played = [re.search(r"cluster\.yml|kubeproof\.certify\.\w+", call).group() for call in calls]
    assert played == ["cluster.yml", "kubeproof.certify.audit", "kubeproof.certify.certify"]
    assert f"certify_cluster_uid={fake.UID}" in calls[2] and f"-i {inventory}" in calls[0]


def test_nothing_is_certified_where_the_cluster_was_not_built(place):
    (place.played / "fails").write_text("")
    (place.path / "kubespray" / "venv").mkdir(parents=True)
    (place.path / "kubespray" / "venv" / "bin").symlink_to(place.played / "bin")
    (place.path / "hosts.yaml").write_text("all: {}\n", encoding="utf-8")
    assert place.run(f"{shlex.quote(str(PIPELINES / 'after-kubespray.sh'))} kubespray hosts.yaml", KUBEPROOF_GATE=str(GATE))[0] != 0
    assert len(place.called().splitlines()) == 1
