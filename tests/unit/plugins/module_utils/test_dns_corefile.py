# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.kubeproof.certify.plugins.module_utils import dns_corefile
from ansible_collections.kubeproof.certify.plugins.module_utils.dns_corefile import Corefile, CorefileError, cache, metrics, parse, summary, words, zone_of
from hypothesis import given
from hypothesis import strategies as st

# As kubeadm 1.36 writes it.
KUBEADM = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""
# As NodeLocal DNSCache writes it.
NODE_LOCAL = """cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    bind 169.254.20.10 10.96.0.10
    forward . __PILLAR__CLUSTER__DNS__ {
            force_tcp
    }
    prometheus :9253
    health 169.254.20.10:8080
    }
.:53 {
    cache 30
    bind 169.254.20.10 10.96.0.10
    prometheus :9253
    }
"""


def names(text, **folders):
    """Return the plugins of each block."""
    return [[one.name for one in block.directives] for block in parse(text, folders).blocks]


# Words ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a b\n\n c", ["a", "b", "c"]),
        ('log "a b" c', ["log", "a b", "c"]),
        (r'log "say \"a\" \n" c', ["log", r'say "a" \n', "c"]),
        ('log "" c', ["log", "", "c"]),
        ('log "a\nb" c', ["log", "a\nb", "c"]),
        ("a # b c\nd", ["a", "d"]),
        ("a#b c\nd", ["a", "d"]),
        ('a "#b" c', ["a", "#b", "c"]),
        ("\ufeffa\r\nb", ["a", "b"]),
        ('a"b c"', ['a"b', 'c"']),
    ],
)
def test_words(text, expected):
    assert [one.text for one in words(text)] == expected


def test_the_first_word_of_a_line_is_known():
    assert [(one.text, one.line) for one in words('a b\nc "d\ne" f\ng') if one.first] == [("a", 1), ("c", 2), ("g", 4)]


# Structure ------------------------------------------------------------------------------------------------------------------


def test_a_server_block_of_kubeadm():
    [block] = parse(KUBEADM).blocks
    assert block.keys == (".:53",) and block.zones() == ["."]
    assert names(KUBEADM) == [["errors", "health", "ready", "kubernetes", "prometheus", "forward", "cache", "loop", "reload", "loadbalance"]]
    plugin = block.plugin("kubernetes")
    assert plugin.arguments == ("cluster.local", "in-addr.arpa", "ip6.arpa") and plugin.line == 7
    assert [(one.name, one.arguments) for one in plugin.options][2] == ("ttl", ("30",))
    assert block.plugin("rewrite") is None


def test_braces_nest():
    text = ". {\n template IN A {\n  answer {\n   deep x\n  }\n  fallthrough\n }\n log\n}"
    [block] = parse(text).blocks
    [template, log] = block.directives
    assert [one.name for one in template.options] == ["answer", "fallthrough"] and log.name == "log"
    assert template.options[0].options[0].arguments == ("x",)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a b {\n log\n}", ("a", "b")),
        ("a,\nb {\n log\n}", ("a", "b")),
        ("a, b\n{\n log\n}", ("a", "b")),
        (". \nlog", (".",)),
        ("dns://a:53 tls://b {\n log\n}", ("dns://a:53", "tls://b")),
    ],
)
def test_addresses(text, keys):
    assert [(block.keys, [one.name for one in block.directives]) for block in parse(text).blocks] == [(keys, ["log"])]


def test_snippets_and_files_are_imported():
    snippet = "(common) {\n log\n cache 30 {\n  import inner.txt\n }\n}\n"
    text = f"{snippet}. {{\n import common\n errors\n import custom/*.override\n ready\n}}\nimport custom/*.server"
    folders = {
        "/etc/coredns": {"inner.txt": "disable success"},
        "/etc/coredns/custom": {"b.override": "whoami", "a.override": "hosts {\n 10.0.0.1 a\n}", "x.server": "b {\n import ../inner.txt\n}"},
    }
    found = parse(text, folders)
    assert [[one.name for one in block.directives] for block in found.blocks] == [["log", "cache", "errors", "hosts", "whoami", "ready"], ["disable"]]
    assert found.blocks[0].plugin("cache").options[0].arguments == ("success",) and found.unknown == ()


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        (". {\n import /elsewhere/*.conf\n log\n}", ("import /elsewhere/*.conf",)),
        (". {\n forward . {$UPSTREAM}\n}", ("{$UPSTREAM}",)),
        ("{%ZONE%} {\n log\n}", ("{%ZONE%}",)),
        (". {\n import custom/*.none\n}", ()),
    ],
)
def test_what_cannot_be_followed_is_named(text, unknown):
    assert parse(text, {"/etc/coredns/custom": {}}).unknown == unknown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (". {\n log", "line 2: a closing brace is missing"),
        (". {\n log {\n}", "a closing brace is missing"),
        (".\nlog\n}", "a closing brace has no opening one"),
        (". {\n log\n {\n }\n}", "line 3: an opening brace stands where a name is expected"),
        ("{\n log\n}", "line 1: an opening brace stands where an address is expected"),
        ("a,", "after a comma another address is missing"),
        ("a, {\n}", "after a comma another address is missing"),
        (". {\n import\n}", "import needs the name"),
        (". {\n import a b\n}", "import takes one name only"),
        (". {\n import gone.txt\n}", "line 2: there is no file gone.txt to import"),
        ("(a) {\n import a\n}\n. {\n import a\n}", "imports go round in a circle"),
        ("(a) {\n log\n}\n(a) {\n log\n}", "the snippet a is there twice"),
        ("(a)\nlog", "the snippet a has no opening brace"),
        ("(a) {\nlog", "the snippet a has no closing brace"),
        (". {\n a " + "{\n a " * 60 + "}\n" * 61, "braces are nested too deep"),
    ],
)
def test_what_coredns_refuses(text, said):
    with pytest.raises(CorefileError, match=said):
        parse(text, {"/etc/coredns": {}})


@given(st.text(alphabet='ab.:,{}()#"\\$% \n\rimport', max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        found = parse(text, {"/etc/coredns": {"a": "log"}})
    except CorefileError:
        return
    assert isinstance(found, Corefile) and summary(found)["zones"] == dns_corefile.zones(found)


# Questions ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "zone"),
    [
        (".:53", "."),
        (".", "."),
        ("cluster.local:53", "cluster.local"),
        ("dns://Cluster.Local.:1053", "cluster.local"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("tls://.", "."),
        ("a", "a"),
    ],
)
def test_zones_of_addresses(key, zone):
    assert zone_of(key) == zone


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        (KUBEADM, "cluster.local"),
        (".:53 {\n kubernetes in-addr.arpa K8s.Example.\n}", "k8s.example"),
        ("my.domain 10.0.0.0/8 {\n kubernetes\n}", "my.domain"),
        (".:53 {\n kubernetes\n}", None),
        (".:53 {\n forward . 1.1.1.1\n}", None),
        ("a {\n log\n}\nb {\n kubernetes b\n}", "b"),
    ],
)
def test_the_domain_of_the_cluster(text, domain):
    assert dns_corefile.cluster_domain(parse(text)) == domain


@pytest.mark.parametrize(
    ("name", "keys"),
    [("x.svc.cluster.local", "cluster.local"), ("cluster.local", "cluster.local"), ("notcluster.local", "local"), ("example.com", ".:53")],
)
def test_the_longest_zone_answers(name, keys):
    corefile = parse("tls://svc.cluster.local {\n log\n}\nlocal {\n log\n}\n.:53 {\n log\n}\ncluster.local {\n log\n}")
    assert dns_corefile.server(corefile, name).keys == (keys,)


def test_nobody_answers():
    assert dns_corefile.server(parse("a {\n log\n}"), "b") is None
    assert cache(parse("a {\n cache\n}"), "b") == {"present": False, "success": False, "denial": False}


@pytest.mark.parametrize(
    ("stanza", "name", "kept", "ttls"),
    [
        ("cache 30 {\n disable success cluster.local\n disable denial cluster.local\n}", "cluster.local", (False, False), (30, 30)),
        ("cache 30 {\n disable success cluster.local\n disable denial cluster.local\n}", ".", (True, True), (30, 30)),
        ("cache 30 {\n disable denial\n}", "cluster.local", (True, False), (30, 30)),
        ("cache 30 {\n disable success a\n disable success b\n}", "x.a", (True, True), (30, 30)),
        ("cache", "cluster.local", (True, True), (3600, 1800)),
        ("cache 3600 {\n success 9984 30\n denial 9984 5\n}", "cluster.local", (True, True), (30, 5)),
        ("cache 60 {\n success 9984\n}", "cluster.local", (True, True), (60, 60)),
        ("cache cluster.local", "a.cluster.local", (True, True), (3600, 1800)),
        ("cache 30 example.com", "cluster.local", None, None),
        ("log", "cluster.local", None, None),
    ],
)
def test_the_cache_of_a_name(stanza, name, kept, ttls):
    found = cache(parse(f".:53 {{\n{stanza}\n}}"), name)
    assert found["present"] is (kept is not None)
    assert (found["success"], found["denial"]) == (kept or (False, False))
    assert (found.get("success_ttl"), found.get("denial_ttl")) == (ttls or (None, None))


def test_what_the_cache_does_besides():
    found = cache(parse(". {\n cache {\n  prefetch 10 1m 10%\n  serve_stale\n }\n}"), ".")
    assert found["prefetch"] and found["serve_stale"]
    assert not cache(parse(KUBEADM), ".")["prefetch"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KUBEADM, {"exposed": True, "port": 9153}),
        (NODE_LOCAL, {"exposed": True, "port": 9253}),
        (". {\n prometheus\n}", {"exposed": False, "port": 9153}),
        (". {\n prometheus 127.0.0.1:1\n}", {"exposed": False, "port": 1}),
        (". {\n prometheus [::1]:1\n}", {"exposed": False, "port": 1}),
        (". {\n prometheus 0.0.0.0:9\n}", {"exposed": True, "port": 9}),
        (". {\n log\n}", {"exposed": False}),
    ],
)
def test_where_metrics_are_read(text, expected):
    assert metrics(parse(text)) == expected


def test_summary_of_kubeadm():
    found = summary(parse(KUBEADM))
    assert found["domain"] == "cluster.local" and found["zones"] == ["."] and found["metrics"]["exposed"]
    assert found["cache"]["present"] and not found["cache"]["success"] and found["upstream_cache"]["success"]
    assert {"kubernetes", "cache", "ready"} <= set(found["plugins"]) and found["bind"] == []


def test_summary_of_node_local():
    found = summary(parse(NODE_LOCAL))
    assert found["bind"] == ["10.96.0.10", "169.254.20.10"] and found["zones"] == ["cluster.local", "."] and "domain" not in found


LACKS = {"plugins", "metrics", "cache", "upstream_cache"}


@pytest.mark.parametrize(
    ("old", "new", "lacks"),
    [
        # What stands beside a plugin hides none, and turns off no cache.
        ("errors", 'log . "{$POD_NAME} {remote}"', set()),
        ("errors", "bind {$NODE_IP}", set()),
        (". /etc/resolv.conf", ". {$UPSTREAM}", set()),
        ("reload", "nsid {%POD%}", set()),
        # It may hold another plugin; those that are there, it cannot change.
        ("loop", "import /elsewhere/*", {"plugins"}),
        ("loop", "{$MORE}", {"plugins"}),
        ("cache 30 {", "{$MORE} {", {"plugins", "cache", "upstream_cache"}),
        ("cache 30 {", "import /elsewhere/*\n cache 30 {", {"plugins"}),
        ("disable success cluster.local", "import /elsewhere/*", {"cache", "upstream_cache"}),
        ("cache 30", "cache {$TTL}", {"cache", "upstream_cache"}),
        ("disable denial cluster.local", "disable denial {$ZONE}", {"cache", "upstream_cache"}),
        ("prometheus :9153", "import /elsewhere/*", {"plugins", "metrics"}),
        ("prometheus :9153", "prometheus {$POD_IP}:9153", {"metrics"}),
        ("prometheus :9153", "prometheus :{$PORT}", set()),
        # It may be another server block that answers.
        (".:53 {", "import /elsewhere/*\n.:53 {", {"plugins", "cache", "upstream_cache"}),
        (".:53 {", "{$ZONE}:53 {", {"plugins", "cache", "upstream_cache"}),
        (".:53 {", ".:{$PORT} {", {"plugins", "cache", "upstream_cache"}),
        ("kubernetes cluster.local", "kubernetes {$ZONE}", {"domain", "plugins", "cache"}),
    ],
)
def test_what_the_unknown_hides_is_not_said(old, new, lacks):
    found, whole = summary(parse(KUBEADM.replace(old, new))), summary(parse(KUBEADM))
    assert found["unknown"] and whole["missing"] == {} and set(found["missing"]) == lacks
    assert lacks.isdisjoint(found) and {*whole} - {*found} == lacks
    assert {name: found[name] for name in LACKS - lacks - {"plugins", "metrics"}} == {name: whole[name] for name in LACKS - lacks - {"plugins", "metrics"}}


def test_why_it_is_not_known_names_what_hides_it():
    found = summary(parse(KUBEADM.replace("cache 30", "cache {$TTL}")))["missing"]["cache"]
    assert found == "the Corefile has {$TTL}, which is not known, so that it is not known whether names in cluster.local are cached"
    assert "import /elsewhere/*" in summary(parse(KUBEADM.replace("loop", "import /elsewhere/*")))["missing"]["plugins"]


TWO_DOMAINS = """cluster.local:53 {
    kubernetes
    cache 30 {
        disable success
        disable denial
    }
}
k8s.corp:53 {
    kubernetes k8s.corp
    cache 30
}
"""


@pytest.mark.parametrize(("domain", "cached"), [("", False), ("cluster.local", False), ("k8s.corp", True), ("K8s.Corp.", True)])
def test_the_cache_is_that_of_the_domain_that_is_measured(domain, cached):
    found = summary(parse(TWO_DOMAINS), domain)
    assert found["cache"]["success"] is found["cache"]["denial"] is cached and found["domain"] == (domain.lower().rstrip(".") or "cluster.local")


def test_a_domain_that_the_corefile_does_not_tell():
    corefile = parse(".:53 {\n kubernetes\n cache 30\n}")
    assert summary(corefile, "k8s.corp")["cache"]["success"] is True
    assert "name it in dns_domain" in summary(corefile)["missing"]["cache"] and "cache" not in summary(corefile)


TWO_PORTS = ".:1053 {\n forward . 8.8.8.8\n}\n.:53 {\n kubernetes cluster.local\n cache 30\n}\ncluster.local:54 {\n log\n}\n"


@pytest.mark.parametrize(
    ("port", "plugins"), [(53, ["cache", "kubernetes"]), (1053, ["forward"]), (54, ["log"]), (None, ["log"]), (5353, None)]
)
def test_the_block_at_the_port_that_is_asked_answers(port, plugins):
    found = summary(parse(TWO_PORTS), port=port)
    assert found.get("plugins") == plugins and found.get("cache", {}).get("present") == (None if plugins is None else "cache" in plugins)
    assert ("at port 5353" in found["missing"].get("cache", "")) is (plugins is None)


def test_a_block_without_a_port_is_there_for_each():
    assert summary(parse(". {\n kubernetes cluster.local\n cache\n}"), port=5353)["cache"]["present"]
