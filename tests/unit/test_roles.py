# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that hold for every role, now and later, and for what the checks of a layer ask of its facts."""

from __future__ import annotations

import functools
import pathlib
import re

import pytest
import yaml

from ansible_collections.kubeproof.certify.plugins.module_utils import apiserver_plan, dns_plan
from ansible_collections.kubeproof.certify.plugins.module_utils import checks as engine
from ansible_collections.kubeproof.certify.plugins.module_utils.check_data import PROFILES, load_checks
from ansible_collections.kubeproof.certify.plugins.module_utils.check_settings import load_catalogue
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_facts import cluster_facts, host_facts
from ansible_collections.kubeproof.certify.plugins.module_utils.etcd_plan import plan
from ansible_collections.kubeproof.certify.tests.unit.plugins import stress_fake

ROOT = pathlib.Path(__file__).parents[2]
ROLES = sorted(path.parent.name for path in (ROOT / "roles").glob("*/meta"))
TASKS_LINES = 100
README_LINES = 5
# What a layer's role hands to the role certify, which looks it up by name.
HANDED_OVER = ("cluster_inputs", "plan", "load_seconds")
# It has a verdict of its own, and is chosen by certify_tuning.
BESIDE = "tuning"
LAYER_TASKS = ("plan", "before", "load", "after", "clean")


@functools.lru_cache(maxsize=None)
def load(path):
    """Return the YAML document in a file below the checkout; it is read once, and nobody changes it."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def check_files():
    return {path.parents[2].name: path.relative_to(ROOT) for path in sorted((ROOT / "roles").glob("*/defaults/main/checks.yml"))}


LAYERS = check_files()


def defaults(role):
    """Return the defaults of a role without its checks."""
    folder = ROOT / "roles" / role / "defaults"
    paths = [*folder.glob("main.yml"), *folder.glob("main/*.yml")]
    return {name: value for path in paths if path.name != "checks.yml" for name, value in load(path).items()}


def variables(role):
    """Return the variables of a role that no user sets."""
    folder = ROOT / "roles" / role / "vars"
    return {name: value for path in [*folder.glob("main.yml"), *folder.glob("main/*.yml")] for name, value in load(path).items()}


def entry_points(role):
    return load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]


# Every role -----------------------------------------------------------------------------------------------------------------


def test_there_are_roles():
    assert {"certify", "etcd", "report"} <= set(ROLES) and ROLES == sorted(path.name for path in (ROOT / "roles").iterdir())


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_the_options(role):
    points = entry_points(role).values()
    options = {name: option for point in points for name, option in point.get("options", {}).items()}
    required = {name for name, option in options.items() if option.get("required")}
    assert set(defaults(role)) == set(options) - required
    assert all(name.startswith(f"{role}_") for name in options)
    assert all(option.get("description") and option.get("type") for option in options.values())


@pytest.mark.parametrize("role", ROLES)
def test_the_written_default_is_the_default(role):
    """One that is computed or long is left out of the specification, or described there in words."""
    own = defaults(role)
    for point in entry_points(role).values():
        for name, option in point.get("options", {}).items():
            if "default" in option and not isinstance(option["default"], str):
                assert option["default"] == own[name], name


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_has_tasks(role):
    assert {point for point in entry_points(role) if not (ROOT / "roles" / role / "tasks" / f"{point}.yml").is_file()} == set()


@pytest.mark.parametrize("role", ROLES)
def test_names_of_variables(role):
    name = re.compile(rf"(__)?{role}_[a-z0-9_]+")
    assert [one for one in [*variables(role), *defaults(role)] if not name.fullmatch(one)] == []
    assert not set(variables(role)) & set(defaults(role))


@pytest.mark.parametrize("role", ROLES)
def test_tasks_are_short(role):
    long = {path.name for path in (ROOT / "roles" / role / "tasks").rglob("*.yml") if len(path.read_text(encoding="utf-8").splitlines()) > TASKS_LINES}
    assert long == set()


@pytest.mark.parametrize("role", ROLES)
def test_what_may_fail_says_why(role):
    silent = []
    for path in (ROOT / "roles" / role / "tasks").rglob("*.yml"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            # ignore_unreachable may stand between the reason and it.
            if line.strip() == "failed_when: false" and not any(one.strip().startswith("#") for one in lines[number - 2 : number]):
                silent.append(f"{path.name}:{number + 1}")
    assert silent == []


@pytest.mark.parametrize("role", ROLES)
def test_readme_is_short_and_points_to_the_documentation(role):
    lines = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= README_LINES and re.fullmatch(rf"# (kubeproof\.certify\.)?{role}", lines[0])
    assert f"ansible-doc -t role kubeproof.certify.{role}" in lines[-1]


# Every layer ----------------------------------------------------------------------------------------------------------------


def test_there_is_a_layer():
    assert "etcd" in LAYERS and set(LAYERS) <= set(ROLES)


@pytest.mark.parametrize("layer", LAYERS)
def test_checks_are_valid(layer):
    document = load(LAYERS[layer])
    assert list(document) == [f"{layer}_checks"]
    checks = load_checks(document[f"{layer}_checks"], str(LAYERS[layer]))
    assert checks
    for identifier, check in checks.items():
        assert identifier.startswith(f"{layer}_") and set(check["profiles"]) <= set(PROFILES)
        assert len(check["fix"]) > 20 and check["fix"].endswith("."), identifier
        assert re.fullmatch(r"https://\S+", check["reference"]), identifier
        assert not check["title"].endswith("."), identifier


@pytest.mark.parametrize("layer", LAYERS)
def test_titles_differ(layer):
    titles = [check["title"] for check in load(LAYERS[layer])[f"{layer}_checks"].values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("layer", LAYERS)
def test_certify_knows_the_layer(layer):
    known = variables("certify")
    assert layer in known["__certify_roles"] + known["__certify_alone"] or layer == BESIDE
    assert [one["layer"] for one in known["__certify_sources"]].count(layer) == 1
    source = next(one for one in known["__certify_sources"] if one["layer"] == layer)
    assert source == {"source": str(LAYERS[layer]), "layer": layer, "path": "{{ role_path }}/../%s/defaults/main/checks.yml" % layer}
    assert layer in entry_points("certify")["preflight"]["options"]["certify_layers"]["choices"] or layer == BESIDE


@pytest.mark.parametrize("layer", LAYERS)
def test_the_layer_has_what_certify_asks_for(layer):
    assert {f"{layer}_{name}" for name in HANDED_OVER} <= set(variables(layer))
    assert {name for name in LAYER_TASKS if not (ROOT / "roles" / layer / "tasks" / f"{name}.yml").is_file()} == set()


@pytest.mark.parametrize("kind", ["certify_checklist", "certify_slas"])
def test_checklist(kind):
    items = defaults("certify")[kind]
    assert engine.checklist(items, [], "load", False, [])
    named = [(item, identifier) for item in items.values() for identifier in item["checks"]]
    assert all(identifier.startswith(f"{item['layer']}_") for item, identifier in named)
    missing = [identifier for item, identifier in named if item["layer"] in LAYERS and identifier not in all_checks()]
    assert missing == []


@pytest.mark.parametrize("kind", ["certify_checklist", "certify_slas"])
def test_what_fills_the_checklist_is_judged(kind):
    """An item whose check is not part of the verdict in any profile that fills it would stay open for ever."""
    for item in defaults("certify")[kind].values():
        for identifier in item["checks"]:
            check = all_checks().get(identifier)
            if check is not None:
                filled_by = set(item.get("profiles", engine.FILLED_BY))
                assert filled_by & set(check["profiles"]) and {"target", "critical", "capacity"} & set(check), identifier


def test_links_between_checks_lead_to_checks():
    parts = [{"source": str(path), "checks": load(path)[f"{layer}_checks"]} for layer, path in LAYERS.items()]
    assert any("explained_by" in check for check in load_catalogue(parts).values())


def all_checks():
    return {identifier: check for layer, path in LAYERS.items() for identifier, check in load(path)[f"{layer}_checks"].items()}


RATES = {"etcd": plan, "apiserver": apiserver_plan.plan, "dns": dns_plan.plan}
RATED = [(layer, name, check) for layer, path in LAYERS.items() for name, check in load(path)[f"{layer}_checks"].items() if "capacity" in check]


@pytest.mark.parametrize(("layer", "name", "check"), RATED, ids=[name for dummy, name, dummy in RATED])
def test_a_declared_rate_is_judged_only_where_more_than_that_is_offered(layer, name, check):
    """What is not offered cannot be carried: such a profile could never pass."""
    settings = {**defaults(layer), "capacity": {check["capacity"]: 12_345}, "nodes": 3, "live": False, "engines": ["k6"], "stress": {}}
    step = check["query"].split(".")[0]
    offered = {profile: [one["rate"] for one in RATES[layer](profile, settings)["steps"] if one["name"] == step] for profile in check["profiles"]}
    assert {profile for profile, rates in offered.items() if not rates or min(rates) <= 12_345} == set()


# What the checks of etcd ask ------------------------------------------------------------------------------------------------


def etcd_documents(profile):
    """Return {scope: {name: document}} as the role etcd hands them over after a run of three members."""
    measured = load("tests/fixtures/etcd_facts/measured.yml")
    planned = plan(profile, dict(defaults("etcd"), capacity={"etcd_put_rate": 100}, nodes=0))
    put = measured["steps"]["write"]
    steps = {step["name"]: measured["steps"].get(step["name"], dict(put, rate=step["rate"])) for step in planned["steps"]}
    sources = {name: measured[name] for name in ("hosts", "asked", "clock", "keys", "clean", "after")}
    sources["stress"] = stress_fake.known(load(LAYERS["etcd"])["etcd_checks"], planned) if profile == "stress" else {}
    seconds = {step["name"]: step["seconds"] for step in planned["steps"]}
    extra = {"fio": measured["fio"], "window": measured["window"], "members_count": measured["asked"]["members_count"], "host_access": True}
    # The role soak hands over only what its watchers have seen.
    soak = load("tests/fixtures/etcd_facts/soak.yml") if profile == "soak" else {"host": {}, "cluster": {}}
    return {
        "host": {name: {**host_facts(info, planned, extra), **soak["host"]} for name, info in measured["hosts"].items()},
        "cluster": {"etcd": {**cluster_facts(dict(sources, plan=planned, steps=steps, seconds=seconds, host_access=True)), **soak["cluster"]}},
    }


def etcd_findings(profile, facts):
    checks = load(LAYERS["etcd"])["etcd_checks"]
    return engine.judge(checks, facts, "etcd", profile, {"host": ["etcd1", "etcd2", "etcd3"], "cluster": ["etcd"]})


@pytest.mark.parametrize("profile", PROFILES)
def test_every_etcd_check_of_a_profile_finds_its_fact(profile):
    findings = etcd_findings(profile, etcd_documents(profile))
    judged = [one for one in findings if one["judged"]]
    missing = sorted({one["id"]: one["reason"] for one in judged if one["reason"].startswith("Not measured")}.items())
    assert missing == [] and judged


def test_every_etcd_check_finds_its_fact_in_some_profile():
    found = {one["id"] for profile in PROFILES for one in etcd_findings(profile, etcd_documents(profile)) if one["value"] is not None}
    assert found == set(load(LAYERS["etcd"])["etcd_checks"])


def test_a_good_etcd_passes():
    results = {(one["id"], one["host"]): (one["result"], one["reason"]) for one in etcd_findings("load", etcd_documents("load")) if one["judged"]}
    bad = {name: result for name, result in results.items() if result[0] not in ("PASS", "NOT_APPLICABLE")}
    # Its quota is the lab's 256 MiB: too little for this load.
    assert {name for name, dummy in bad} <= {"etcd_database_share", "etcd_run_share"}, bad


def test_without_facts_no_etcd_check_passes():
    results = {one["result"] for profile in PROFILES for one in etcd_findings(profile, {}) if one["judged"]}
    assert results == {"INCONCLUSIVE"}
