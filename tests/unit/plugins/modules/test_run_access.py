# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json
import stat
import time

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubeproof.certify.plugins.module_utils import cluster, run_removal, run_tokens
from ansible_collections.kubeproof.certify.plugins.modules import run_access
from ansible_collections.kubeproof.certify.tests.unit.plugins.cluster_fake import TOKEN, Asked, FakeCluster, status, write_kubeconfig

RUN, SPACE = "run-1", "kubeproof-run-1"
OURS = {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": RUN}
SPACES, WIDE = "/api/v1/namespaces", "/apis/rbac.authorization.k8s.io/v1"
HOME = f"{WIDE}/namespaces/{SPACE}"
RULES = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "get"]}]
METRICS = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
LOAD = {"name": "load", "rules": RULES, "cluster_rules": METRICS}
REVIEW = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews"
RIGHTS = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
VOLUMES = "/api/v1/persistentvolumes"
LISTS = [VOLUMES, SPACES, f"{WIDE}/clusterrolebindings", f"{WIDE}/clusterroles", "/apis/scheduling.k8s.io/v1/priorityclasses", "/api/v1/nodes"]


class Store(FakeCluster):
    """A fake API server that keeps objects {path: object}, and whose lists ignore the selector; `holds` is for how long its tokens hold, in seconds."""

    def __init__(self):
        super().__init__()
        self.objects, self.holds, self.refused = {}, 3600, {}

    def respond(self, asked, authorization):
        token = (authorization or "").removeprefix("Bearer ")
        if token != TOKEN and not token.startswith("minted-"):
            return 401, status(401, "Unauthorized", "Unauthorized")
        key = f"{asked.method} {asked.path}"
        if key in self.refused:
            return self.refused[key]
        if key in (REVIEW, RIGHTS):
            return 201, {"status": self.who(token) if key == REVIEW else self.rights()}
        if key in self.answers or asked.path.endswith("/token"):
            return super().respond(asked, f"Bearer {self.token}") if key in self.answers else (201, self.mint(asked))
        answer = getattr(self, asked.method.lower())(asked)
        return answer if isinstance(answer, tuple) else (200, answer)

    def who(self, token):
        return {"userInfo": {"username": f"system:serviceaccount:{SPACE}:{token.removeprefix('minted-')}"}}

    def rights(self):
        rules = [rule for one in self.objects.values() for rule in one.get("rules") or ()]
        return {"resourceRules": [one for one in rules if "resources" in one], "nonResourceRules": [one for one in rules if "nonResourceURLs" in one]}

    def mint(self, asked):
        expires = time.strftime("2026-11-21T%H:%M:%SZ", time.gmtime(3600 * 5 + self.holds))
        token = f"minted-{asked.path.split('/')[-2]}"
        return {"metadata": {"creationTimestamp": "2026-11-21T05:00:00Z"}, "status": {"token": token, "expirationTimestamp": expires}}

    def post(self, asked):
        path = f"{asked.path}/{asked.body['metadata']['name']}"
        if path in self.objects:
            return 409, status(409, "AlreadyExists", "it exists")
        self.objects[path] = {**copy.deepcopy(asked.body), "metadata": {"uid": f"uid of {path}", **asked.body["metadata"]}}
        return 201, self.objects[path]

    def put(self, asked):
        self.objects[asked.path] = asked.body
        return asked.body

    def get(self, asked):
        if asked.path in LISTS or asked.path.endswith(("/pods", "/persistentvolumeclaims", "/services")):
            found = [one for path, one in self.objects.items() if path.rpartition("/")[0] == asked.path]
            limit = int(asked.query.get("limit", 500))
            return {"items": found[:limit], "metadata": {"remainingItemCount": len(found) - limit} if found[limit:] else {}}
        return self.objects.get(asked.path) or (404, status(404, "NotFound", "not found"))

    def patch(self, asked):
        found, change = self.objects[asked.path], asked.body
        if found["metadata"].get("resourceVersion") != change["metadata"].pop("resourceVersion"):
            return 409, status(409, "Conflict", "it was changed")
        found["metadata"].setdefault("labels", {}).update(change["metadata"].get("labels", {}))
        found["spec"].update(change["spec"])
        return found

    def delete(self, asked):
        found = self.objects.get(asked.path)
        if found is None:
            return 404, status(404, "NotFound", "not found")
        if asked.body and asked.body["preconditions"]["uid"] != found["metadata"]["uid"]:
            return 409, status(409, "Conflict", "another uid")
        if found["metadata"].get("finalizers"):
            found["metadata"]["deletionTimestamp"] = "2026-11-21T04:00:00Z"
        else:
            del self.objects[asked.path]
        return {}

    def add(self, path, labels=None, **metadata):
        name = path.rpartition("/")[2]
        self.objects[path] = {"metadata": {"name": name, "uid": f"uid {name}", "labels": OURS if labels is None else labels, **metadata}}

    def add_volume(self, name, space, labels=None, phase="Bound", policy="Retain"):
        self.add(f"{VOLUMES}/{name}", labels or {}, annotations={"pv.kubernetes.io/provisioned-by": "a.csi"})
        spec = {"persistentVolumeReclaimPolicy": policy, "claimRef": {"namespace": space, "name": "data"}}
        self.objects[f"{VOLUMES}/{name}"].update(spec=spec, status={"phase": phase})


@pytest.fixture(name="store")
def fixture_store(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(run_removal, "PAUSE", 0.001)
    monkeypatch.setattr(run_tokens, "IN_FORCE", 0.02)
    monkeypatch.setattr(run_tokens, "IN_FORCE_PAUSE", 0.001)
    with Store() as store:
        yield store


@pytest.fixture(name="call")
def fixture_call(store, capsys, tmp_path):
    """Return a function that runs the module and returns its answer, in which no token is."""

    def call(**arguments):
        given = {"kubeconfig": store.kubeconfig(tmp_path / "operator"), "run_id": RUN, "directory": str(tmp_path / "run" / "access"), "timeout": 1, **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            run_access.main()
        out = capsys.readouterr()
        assert "minted-" not in out.out + out.err and TOKEN not in out.out + out.err
        return json.loads(out.out)

    call.directory = tmp_path / "run" / "access"
    return call


def refused(answer, *said):
    """Assert that the module failed with sentences that say what was found, and without a traceback."""
    assert answer["failed"] is True and "exception" not in answer and "\n" not in answer["msg"]
    assert all(text in answer["msg"] for text in said), answer["msg"]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_present_gives_exactly_these_rights(call, store):
    answer = call(namespace=SPACE, accounts=[LOAD, {"name": "bare"}], pod_security="baseline")
    files = {name: {"kubeconfig": f"{call.directory}/{name}.kubeconfig", "token_file": f"{call.directory}/{name}.token"} for name in ("load", "bare")}
    assert answer["accounts"] == {name: {**paths, "expires": "2026-11-21T06:00:00Z"} for name, paths in files.items()}
    assert (answer["changed"], answer["namespace"], answer["server"], answer["ca"]) == (True, SPACE, store.url, None)
    assert set(store.objects) == {
        f"{SPACES}/{SPACE}", f"{SPACES}/{SPACE}/serviceaccounts/load", f"{SPACES}/{SPACE}/serviceaccounts/bare", f"{HOME}/roles/load",
        f"{HOME}/rolebindings/load", f"{WIDE}/clusterroles/kubeproof-{RUN}-load", f"{WIDE}/clusterrolebindings/kubeproof-{RUN}-load",
    }
    for one in store.objects.values():
        assert OURS.items() <= one["metadata"]["labels"].items()
    assert store.objects[f"{SPACES}/{SPACE}"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    assert store.objects[f"{HOME}/roles/load"]["rules"] == RULES
    assert store.objects[f"{WIDE}/clusterroles/kubeproof-{RUN}-load"]["rules"] == METRICS
    for kind, name in (("rolebindings", "load"), ("clusterrolebindings", f"kubeproof-{RUN}-load")):
        bound = next(one for path, one in store.objects.items() if path.endswith(f"/{kind}/{name}"))
        assert bound["subjects"] == [{"kind": "ServiceAccount", "name": "load", "namespace": SPACE}]
        assert bound["roleRef"]["name"] == name
    assert all(asked.query == {"fieldValidation": "Strict"} for asked in store.asked if asked.method == "POST" and "rbac" in asked.path)


def test_objects_are_there_from_the_beginning(call, store):
    route = {"api_version": "networking.k8s.io/v1", "kind": "Ingress", "name": "a", "annotations": {"x/y": "z"}, "content": {"spec": {"rules": []}}}
    secret = {"kind": "Secret", "name": "c", "content": {"type": "kubernetes.io/tls"}, "secret": {"tls.key": "very-private"}}
    arguments = {"namespace": SPACE, "objects": [secret, {"kind": "Service", "name": "b", "content": {"spec": {"clusterIP": "10.96.0.7"}}}, route]}
    answer = call(**arguments)
    assert answer["addresses"] == {"b": "10.96.0.7"} and "very-private" not in json.dumps(answer)
    paths = [f"{SPACES}/{SPACE}/secrets/c", f"{SPACES}/{SPACE}/services/b", f"/apis/networking.k8s.io/v1/namespaces/{SPACE}/ingresses/a"]
    assert [path for path in store.objects if path in paths] == paths
    made = [store.objects[path] for path in paths]
    assert all(one["metadata"]["namespace"] == SPACE and OURS.items() <= one["metadata"]["labels"].items() for one in made)
    assert made[0]["stringData"] == {"tls.key": "very-private"} and made[0]["type"] == "kubernetes.io/tls" and "stringData" not in made[1]
    assert [one["metadata"]["annotations"] for one in made] == [{}, {}, {"x/y": "z"}]
    # Once more: what is there stays as it is.
    assert call(**arguments)["addresses"] == {"b": "10.96.0.7"} and made == [store.objects[path] for path in paths]


def test_an_object_that_is_refused_is_named(call, store):
    store.refused[f"POST {SPACES}/{SPACE}/services"] = (403, status(403, "Forbidden", "exceeded quota: few"))
    refused(call(namespace=SPACE, objects=[{"kind": "Service", "name": "b"}]), "objects: Service b: ", "exceeded quota: few")


PULL = f"{SPACES}/registry/secrets/pull"
CREDENTIALS = "eyJhdXRocyI6e319"


def credentials(sort="kubernetes.io/dockerconfigjson", **data):
    return {"metadata": {"name": "pull", "annotations": {"a": "mine"}}, "type": sort, "data": {".dockerconfigjson": CREDENTIALS, "more": "bXk=", **data}}


@pytest.mark.parametrize("there", [None, {"imagePullSecrets": [{"name": "own"}]}, {}])
def test_every_pod_pulls_with_the_secret(call, store, there):
    """By the ServiceAccounts, of which Kubernetes makes the one of pods without any itself, before or after us."""
    accounts, copy_of = f"{SPACES}/{SPACE}/serviceaccounts", f"{SPACES}/{SPACE}/secrets/kubeproof-pull"
    store.objects[PULL] = credentials()
    default = f"{accounts}/default"
    if there is not None:
        store.add(default, {})
        store.objects[default].update(there)
    store.answers[f"PATCH {default}"] = lambda asked: store.objects[default].update(asked.body) or store.objects[default]
    store.answers[f"PATCH {accounts}/load"] = lambda asked: store.objects[f"{accounts}/load"].update(asked.body) or {}
    for dummy in "once", "again":
        answer = call(namespace=SPACE, accounts=[LOAD], pull_secret="registry/pull")
        assert "failed" not in answer and CREDENTIALS not in json.dumps(answer)
        pulled = [{"name": "kubeproof-pull"}]
        assert store.objects[default]["imagePullSecrets"] == [*(there or {}).get("imagePullSecrets", []), *pulled]
        assert store.objects[f"{accounts}/load"]["imagePullSecrets"] == pulled and store.objects[f"{accounts}/load"]["metadata"]["labels"] == OURS
    made = store.objects[copy_of]
    # What kubelets read, and nothing else of it.
    assert made["data"] == {".dockerconfigjson": CREDENTIALS} and made["type"] == "kubernetes.io/dockerconfigjson" and made["immutable"] is True
    assert made["metadata"]["labels"] == OURS and "annotations" not in made["metadata"]
    assert not [path for path in call.directory.iterdir() if CREDENTIALS in path.read_text()]


def test_without_a_pull_secret_no_account_is_touched(call, store):
    call(namespace=SPACE, accounts=[LOAD])
    assert not [asked for asked in store.asked if "/secrets" in asked.path or asked.path.endswith("/default")]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "pull_secret: the Secret registry/pull cannot be read: GET /api/v1/namespaces/registry/secrets/pull: 404"),
        (credentials("Opaque"), "pull_secret: the Secret registry/pull is of the type Opaque: name one that kubectl create secret docker-registry has made."),
        (credentials(**{".dockerconfigjson": ""}), "is of the type kubernetes.io/dockerconfigjson"),
        (credentials("kubernetes.io/dockercfg"), "is of the type kubernetes.io/dockercfg"),
    ],
)
def test_a_pull_secret_that_cannot_be_used_is_refused_before_anything_is_made(call, store, found, said, check):
    store.objects = {PULL: found} if found else {}
    answer = call(namespace=SPACE, accounts=[LOAD], pull_secret="registry/pull", _ansible_check_mode=check)
    refused(answer, said)
    assert CREDENTIALS not in json.dumps(answer) and len(store.objects) == bool(found)


def test_a_copy_that_is_refused_is_named(call, store):
    store.objects[PULL] = credentials()
    store.refused[f"POST {SPACES}/{SPACE}/secrets"] = (403, status(403, "Forbidden", "exceeded quota: few"))
    refused(call(namespace=SPACE, pull_secret="registry/pull"), f"pull_secret: it cannot be given to the pods of {SPACE}", "exceeded quota: few")


def test_files_are_of_the_user_alone_and_work(call, store):
    call(namespace=SPACE, accounts=[LOAD])
    assert mode(call.directory) == 0o700 and {mode(path) for path in call.directory.iterdir()} == {0o600}
    assert (call.directory / "load.token").read_text() == "minted-load"
    config = yaml.safe_load((call.directory / "load.kubeconfig").read_text())
    assert config["clusters"][0]["cluster"] == {"server": store.url} and config["contexts"][0]["context"]["namespace"] == SPACE
    assert config["users"] == [{"name": "load", "user": {"token": "minted-load"}}]


def test_present_again_and_with_other_rules(call, store):
    call(namespace=SPACE, accounts=[LOAD])
    store.objects[f"{SPACES}/{SPACE}"]["metadata"]["resourceVersion"] = "7"
    store.asked.clear()
    assert call(namespace=SPACE, accounts=[LOAD])["accounts"].keys() == {"load"}
    assert not [asked for asked in store.asked if asked.method in ("PUT", "DELETE")]
    call(namespace=SPACE, accounts=[{"name": "load", "rules": METRICS}], pod_security="privileged")
    assert store.objects[f"{HOME}/roles/load"]["rules"] == METRICS
    assert not [path for path in store.objects if "clusterrole" in path]
    assert store.objects[f"{SPACES}/{SPACE}"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert store.objects[f"{SPACES}/{SPACE}"]["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize("labels", [{}, {**OURS, "kubeproof.io/run": "run-2"}, {"kubeproof.io/run": RUN}, {"app.kubernetes.io/managed-by": "kubeproof"}])
@pytest.mark.parametrize("check", [True, False])
def test_what_is_not_ours_is_left_alone(call, store, labels, check):
    store.add(f"{SPACES}/{SPACE}", labels)
    before = copy.deepcopy(store.objects)
    refused(call(namespace=SPACE, accounts=[LOAD], _ansible_check_mode=check), f"Namespace {SPACE} exists and is not of the run {RUN}")
    assert store.objects == before


def test_a_foreign_role_is_not_bound(call, store):
    store.add(f"{WIDE}/clusterroles/kubeproof-{RUN}-load", {})
    refused(call(namespace=SPACE, accounts=[LOAD]), "ClusterRole kubeproof-run-1-load exists and is not of the run")
    assert f"{WIDE}/clusterrolebindings/kubeproof-{RUN}-load" not in store.objects


def test_a_namespace_that_is_going_is_not_used(call, store):
    store.add(f"{SPACES}/{SPACE}", deletionTimestamp="2026-11-21T04:00:00Z", finalizers=["a/b"])
    refused(call(namespace=SPACE), f"Namespace {SPACE} is being deleted", "a/b", "Wait until it is gone")


def test_check_mode_makes_nothing(call, store):
    answer = call(namespace=SPACE, accounts=[LOAD], _ansible_check_mode=True)
    assert answer["changed"] and answer["accounts"] == {} and not store.objects and not call.directory.exists()


def test_escalation_names_the_account_and_the_right(call, store):
    text = 'roles "load" is forbidden: user "op" is attempting to grant RBAC permissions not currently held:\n{Resources:["configmaps"], Verbs:["get"]}'
    store.refused[f"POST {HOME}/roles"] = (403, status(403, "Forbidden", text))
    refused(call(namespace=SPACE, accounts=[LOAD]), "accounts: load: the operator may not give a right", '{Resources:["configmaps"], Verbs:["get"]}. Use')


@pytest.mark.parametrize(
    ("code", "reason", "said"), [(403, "Forbidden", "more rights"), (422, "Invalid", "Correct the rules"), (400, "BadRequest", "Correct the rules")]
)
def test_a_refused_rule(call, store, code, reason, said):
    store.refused[f"POST {HOME}/roles"] = (code, status(code, reason, "because"))
    refused(call(namespace=SPACE, accounts=[LOAD]), "accounts: load: its Role was refused", "because", said)


@pytest.mark.parametrize(("holds", "good"), [(3600, True), (3599, True), (3598, True), (3597, False), (600, False), (90000 // 5, True)])
def test_a_shortened_token(call, store, holds, good):
    store.holds = holds
    answer = call(namespace=SPACE, accounts=[LOAD])
    if good:
        assert "failed" not in answer
    else:
        refused(answer, f"the token holds for {holds} s, but the run needs 3600 s", "--service-account-max-token-expiration")
        assert not (call.directory / "load.token").exists()


def test_a_token_that_is_no_object(call, store):
    store.answers[f"POST {SPACES}/{SPACE}/serviceaccounts/load/token"] = 5
    refused(call(namespace=SPACE, accounts=[LOAD]), "accounts: load: the API server gives no token", "something else than an API server")


@pytest.mark.parametrize(
    "state", [{}, {"token": "minted-load"}, {"expirationTimestamp": "2026-11-21T06:00:00Z"}, {"token": "minted-load", "expirationTimestamp": "soon"}]
)
def test_an_answer_without_a_token(call, store, state):
    store.answers[f"POST {SPACES}/{SPACE}/serviceaccounts/load/token"] = {"status": state}
    refused(call(namespace=SPACE, accounts=[LOAD]), "accounts: load", "has no token or does not say when it expires")


def test_somebody_elses_credentials_are_noticed(call, store, monkeypatch):
    monkeypatch.setattr(store, "who", lambda token: {"userInfo": {"username": "system:admin"}})
    refused(call(namespace=SPACE, accounts=[LOAD]), "takes its token for 'system:admin'")


def test_a_token_that_is_not_accepted(call, store):
    store.refused[REVIEW] = (401, status(401, "Unauthorized", "Unauthorized"))
    refused(call(namespace=SPACE, accounts=[LOAD]), "accounts: load: the server refuses its token", "Where a proxy authenticates the users")


@pytest.mark.parametrize(
    ("rights", "good"), [({"resourceRules": RULES}, False), ({"incomplete": True}, True), ({"resourceRules": RULES, "nonResourceRules": METRICS}, True)]
)
def test_rights_must_be_in_force(call, store, monkeypatch, rights, good):
    monkeypatch.setattr(store, "rights", lambda: rights)
    answer = call(namespace=SPACE, accounts=[LOAD])
    assert good == ("failed" not in answer)
    if not good:
        refused(answer, "accounts: load: the right", "/metrics", "is not in force")


@pytest.mark.parametrize("code", [403, 404])
def test_a_server_that_cannot_be_asked_who_we_are(call, store, code):
    store.refused.update({REVIEW: (code, status(code, "", "")), RIGHTS: (code, status(code, "", ""))})
    assert "failed" not in call(namespace=SPACE, accounts=[LOAD])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"run_id": "*"}, "run_id is '*'"),
        ({"run_id": ""}, "run_id is ''"),
        ({"run_id": "a,b"}, "run_id is 'a,b'"),
        ({"run_id": "a\n"}, "cannot be the value of a label"),
        ({"namespace": "A"}, "namespace: 'A'"),
        ({"namespace": "a/../kube-system"}, "namespace: 'a/../kube-system'"),
        ({"accounts": [{"name": "../x"}]}, "accounts: '../x'"),
        ({"accounts": [{"name": "a"}, {"name": "a"}]}, "names a twice"),
        ({"token_seconds": 599}, "token_seconds is 599"),
        ({"pull_secret": "pull"}, "pull_secret is 'pull': write the namespace and the name of a Secret"),
        ({"pull_secret": "a/../b"}, "pull_secret is 'a/../b'"),
        ({"directory": "access"}, "not an absolute path"),
        ({"state": "absent", "run_id": "a=b"}, "run_id is 'a=b'"),
    ],
)
def test_arguments_that_cannot_be_used(call, store, arguments, said):
    refused(call(**{"namespace": SPACE, **arguments}), said)
    assert not store.asked


@pytest.mark.parametrize("kind", ["open", "file", "link"])
def test_a_directory_that_others_could_read(call, tmp_path, kind):
    path = tmp_path / "other"
    if kind == "link":
        (tmp_path / "there").mkdir(mode=0o700)
        path.symlink_to(tmp_path / "there")
    elif kind == "open":
        path.mkdir()
        path.chmod(0o750)
    else:
        path.write_text("")
    refused(call(namespace=SPACE, accounts=[LOAD], directory=str(path)), f"directory: {path}")


def test_unverified_tls_is_refused(call, store, tmp_path):
    path = tmp_path / "insecure"
    config = yaml.safe_load(open(write_kubeconfig(path, store.url), encoding="utf-8"))
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    path.write_text(yaml.safe_dump(config))
    refused(call(kubeconfig=str(path), namespace=SPACE, accounts=[LOAD]), "insecure-skip-tls-verify", "certificate-authority")
    assert not store.asked


def test_absent_takes_everything_of_the_run_and_nothing_else(call, store):
    for labels in ({}, {**OURS, "kubeproof.io/run": "run-2"}, {"kubeproof.io/run": RUN}, {**OURS, "app.kubernetes.io/managed-by": "Helm"}):
        for path in LISTS[1:]:
            store.add(f"{path}/foreign-{len(store.objects)}", labels)
    store.add("/api/v1/nodes/real")
    foreign = set(store.objects)
    store.add("/api/v1/nodes/hollow", annotations={"kwok.x-k8s.io/node": "fake"})
    store.add("/apis/scheduling.k8s.io/v1/priorityclasses/low")
    call(namespace=SPACE, accounts=[LOAD])
    kept = {path for path in store.objects if "/namespaces/" in path and not path.endswith(f"{SPACES}/{SPACE}")}
    planned = call(state="absent", _ansible_check_mode=True)
    assert planned["changed"] and planned["left"] == 5 and planned["deleted"] == [] and call.directory.exists()
    answer = call(state="absent")
    assert answer["changed"] and answer["left"] == 0 and answer["remaining"] == [] and "msg" not in answer
    assert sorted(one.split()[0] for one in answer["deleted"]) == ["ClusterRole", "ClusterRoleBinding", "Namespace", "Node", "PriorityClass"]
    # What is in a namespace goes with it, which the fake does not play.
    assert set(store.objects) - kept == foreign - kept and not call.directory.exists()
    again = call(state="absent")
    assert again["changed"] is False and again["left"] == 0


def test_absent_of_every_run(call, store):
    store.add(f"{SPACES}/a")
    store.add(f"{SPACES}/b", {**OURS, "kubeproof.io/run": "run-2"})
    store.add(f"{SPACES}/c", {"app.kubernetes.io/managed-by": "kubeproof", "kubeproof.io/run": ""})
    assert call(state="absent", run_id="*")["deleted"] == ["Namespace a", "Namespace b"]
    assert set(store.objects) == {f"{SPACES}/c"}
    assert store.asked[0].query["labelSelector"] == "app.kubernetes.io/managed-by=kubeproof,kubeproof.io/run"


def test_absent_of_every_run_removes_their_directories(call, tmp_path):
    for name in ("a", "b"):
        call(namespace=SPACE, accounts=[LOAD], directory=str(tmp_path / "runs" / name))
    pattern = str(tmp_path / "runs" / "*")
    assert call(state="absent", run_id="*", directory=pattern, _ansible_check_mode=True)["changed"] and len(list((tmp_path / "runs").iterdir())) == 2
    assert call(state="absent", run_id="*", directory=pattern)["changed"] and not list((tmp_path / "runs").iterdir())
    assert call(state="absent", run_id="*", directory=pattern)["changed"] is False


def test_what_is_held_is_said(call, store):
    store.add(f"{SPACES}/{SPACE}", finalizers=["a/b"])
    store.objects[f"{SPACES}/{SPACE}"]["status"] = {"conditions": [
        {"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "message": "Discovery failed for some groups, 1 failing: x/v1: stale"},
        {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content deleted"},
    ]}
    answer = call(state="absent", timeout=0)
    assert answer["left"] == 1 and answer["remaining"] == [f"Namespace {SPACE} is being deleted."] == [answer["msg"]]
    answer = call(state="absent", timeout=0)
    assert answer["left"] == 1 and answer["changed"] is False
    assert "NamespaceDeletionDiscoveryFailure: Discovery failed for some groups, 1 failing: x/v1: stale; it is held" in answer["remaining"][0]
    assert answer["remaining"][0].endswith("by the finalizer a/b.")
    assert "All content" not in answer["remaining"][0]


def test_what_may_not_be_deleted_or_seen_is_left(call, store):
    store.add(f"{SPACES}/{SPACE}")
    store.refused[f"DELETE {SPACES}/{SPACE}"] = (403, status(403, "Forbidden", "no rights"))
    store.refused["GET /api/v1/nodes"] = (403, status(403, "Forbidden", "cannot list nodes"))
    store.refused["GET /apis/scheduling.k8s.io/v1/priorityclasses"] = (404, status(404, "NotFound", "no such kind"))
    answer = call(state="absent", timeout=1)
    assert answer["left"] == 2 and answer["deleted"] == [] and answer["changed"] is False
    assert "cannot be deleted" in answer["remaining"][0] and "no rights" in answer["remaining"][0]
    assert "What there is of the kind Node is not known" in answer["remaining"][1]


def test_a_server_that_is_busy_is_asked_again(call, store):
    store.add(f"{SPACES}/{SPACE}")
    busy = iter([(429, status(429, "TooManyRequests", "later")), (503, status(503, "ServiceUnavailable", "later"))])
    store.answers[f"GET {SPACES}"] = lambda asked: next(busy, None) or store.get(asked)
    assert call(state="absent")["left"] == 0 and not store.objects


def test_an_object_made_anew_meanwhile_is_seen(call, store):
    """The deletion names the uid, so that what another has made in its place is judged anew by its labels."""
    store.add(f"{SPACES}/{SPACE}")
    listed = copy.deepcopy(store.get(Asked("GET", SPACES, {}, None)))
    store.objects[f"{SPACES}/{SPACE}"]["metadata"].update(uid="another", labels={})
    first = iter([listed])
    store.answers[f"GET {SPACES}"] = lambda asked: next(first, None) or store.get(asked)
    answer = call(state="absent")
    assert answer["left"] == 0 and f"{SPACES}/{SPACE}" in store.objects


def test_files_of_another_run_stay(call, tmp_path):
    call(namespace=SPACE, accounts=[LOAD])
    refused(call(state="absent", run_id="run-2"), "is of the run run-1, not of run-2")
    (call.directory / "note").write_text("mine")
    (call.directory / ".x.part").write_text("half a token")
    assert call(state="absent", run_id="*")["changed"]
    assert [path.name for path in call.directory.iterdir()] == ["note"]


def test_an_unknown_directory_stays(call, tmp_path):
    (tmp_path / "load.token").write_text("mine")
    assert call(state="absent", directory=str(tmp_path))["changed"] is False
    (tmp_path / "access.json").write_text('{"run": "run-1", "files": ["../operator"]}')
    refused(call(state="absent", directory=str(tmp_path)), "was not written by this module")
    assert (tmp_path / "operator").exists() and (tmp_path / "load.token").exists()


def test_without_the_library(call, monkeypatch):
    monkeypatch.setattr(cluster, "kubernetes", None)
    answer = call(namespace=SPACE, accounts=[LOAD])
    assert answer["failed"] is True and "kubernetes" in answer["msg"]
