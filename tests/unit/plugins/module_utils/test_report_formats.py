# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of a certificate: well-formed, complete, the same bytes each time, and unharmed by hostile names."""

from __future__ import annotations

import copy
import html.parser
import json
import pathlib
import re
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ansible_collections.kubeproof.certify.plugins.module_utils import openmetrics, report_formats, report_markup, report_words
from ansible_collections.kubeproof.certify.tests.unit.plugins import report_fake as fake

TEMPLATES = str(pathlib.Path(__file__).parents[4] / "roles/report/templates")
RENDER = {name: render for name, (dummy, render) in report_formats.FORMATS.items()}
VOID = {"meta", "br", "col"}
ELEMENTS = {"html", "head", "title", "style", "body", "meta", "br", "h1", "h2", "h3", "p", "div", "span", "strong", "b", "a", "nav", "section", "dl", "dt",
            "dd", "table", "thead", "tbody", "tr", "th", "td", "pre", "code", "details", "summary", "svg", "line", "rect", "circle", "path",
            "text"}  # fmt: skip
ATTRIBUTES = {"id", "class", "href", "rel", "role", "aria-label", "aria-hidden", "scope", "data-label", "lang", "charset", "name", "content", "http-equiv",
              "x", "y", "x1", "x2", "y1", "y2", "dx", "cx", "cy", "r", "d", "width", "height", "opacity", "text-anchor"}  # fmt: skip
PLOTS = [
    {"kind": "percentiles", "layer": "etcd", "title": "Latencies", "unit": "s", "left_out": 3,
     "rows": [{"name": "write", "count": 1000, "points": {"p50": 0.001, "p90": 0.004, "p99": 0.009, "max": 0.02}}]},
    {"kind": "pairs", "layer": "network", "title": "Throughput", "unit": "bit/s", "more_is_better": True,
     "nodes": ["worker1", "worker4"], "rows": [{"from": "worker1", "to": "worker2", "value": 5e9}, {"from": "worker2", "to": "worker1", "value": 1e9},
                                               {"from": "worker2", "to": "worker3", "value": None}]},
    {"kind": "ramp", "layer": "etcd", "title": "How far it carries", "unit": "s", "unit_of_rate": "1/s", "said": "It broke at 400/s.", "broke": 400,
     "rows": [{"name": "1", "phase": "ramp", "share": 1.0, "offered": 200, "rate": 200, "p99": 0.01, "errors": 0, "held": True},
              {"name": "2", "phase": "ramp", "share": 2.0, "offered": 400, "rate": 310, "p99": [0.05, None], "errors": 0.2, "held": False, "broke_by": "slow"},
              {"name": "3", "phase": "bisect", "share": 1.5, "offered": 300, "rate": 290, "held": None},
              {"name": "4", "phase": "recovery", "share": 1.0, "offered": 200, "rate": 200, "p99": 0.01, "held": True}]},
    {"kind": "time", "layer": "etcd", "title": "Fsync over time", "unit": "s", "every": 3600,
     "rows": [{"name": "etcd1", "points": [{"at": 0, "count": 9, "p99": [0.004, 0.008]}, {"at": 3600, "count": 9, "p99": [0.016, None]}]},
              {"name": "etcd2", "points": [{"at": 0, "count": 9, "p99": [0.004, 0.008]}, {"at": 3600, "p99": None}]}]},
    {"kind": "ramp", "layer": "apiserver", "title": "Ramp", "unit": "s",
     "rows": [{"offered": 100, "rate": 100.1, "p99": 0.01}, {"offered": 200, "rate": 140.0, "p99": 0.9}]},
    {"kind": "trend", "layer": "etcd", "title": "Over the last runs", "runs": ["a", "b", "c"],
     "rows": [{"name": "Latency 0", "unit": "s", "target": "< 0.025", "critical": "< 0.05", "sizes": [0.009, None, 0.3]}]},
]  # fmt: skip
RICH = fake.certificate(
    {
        "etcd": [
            fake.finding("etcd", result="FAIL", value=0.3, reason="300 ms is beyond critical", entry="etcd2", write="a: 1\n  b: 2"),
            fake.finding("etcd", 0, entry="etcd3"),
            fake.finding("etcd", 1, result="CONDITIONAL", value=[0.016, None], undecided=True, reason="Undecided.",
                         waiver={"reason": "ordered", "owner": "ops", "expires": "2027-01-01"}),
        ],
        "apiserver": [fake.finding("apiserver", number, result="INCONCLUSIVE", value=None, reason="Not measured: blocked by etcd.") for number in range(6)],
        "tuning": [fake.finding("tuning", result="CONDITIONAL", id="tuning_kubelet_swap", value=["a", "b"], target='== "c"', critical=None, where="/etc/x",
                                write="swap: false", reason="x", unit="count", judged=True, blocking=True)],
    },
    hashes={"raw/etcd/etcd1/write.stdout": "0" * 64},
    plots=PLOTS,
    command="ansible-playbook certify.yml",
)  # fmt: skip
RICH["findings"][0]["explained_by"] = [{"id": "tuning_node_swap", "layer": "tuning", "title": "Swap", "result": "FAIL", "value": 1, "host": "h"}]
RICH["changes"] = [{"id": "etcd_0", "bound": "target", "from": "< 0.02", "to": "< 0.025", "direction": "relaxed", "reason": "slow", "tier": "ssd"}]
RICH["waivers"] = [{"id": "etcd_1", "reason": "ordered", "owner": "ops", "expires": "2027-01-01", "state": "used"}]
RICH["not_applicable"] = [{"id": "network_zones", "reason": "One zone."}]
RICH["capacity"] = {"dns_qps": 2000}
CERTIFICATES = {"rich": RICH, "good": fake.certificate(), **{case: fake.load(case) for case in fake.CASES}}


class Page(html.parser.HTMLParser):
    """Reads a page strictly: every element is known and closed, and nothing is loaded or run."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.text, self.ids, self.links, self.badges = [], [], set(), [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ELEMENTS, tag
        names = [name for name, dummy in attrs]
        assert set(names) <= ATTRIBUTES and len(set(names)) == len(names), (tag, names)
        values = dict(attrs)
        if "href" in values:
            assert tag == "a" and re.match(r"https?://|#", values["href"]), values
            self.links.append(values["href"])
        if "id" in values:
            assert values["id"] not in self.ids
            self.ids.add(values["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def said(self):
        return " ".join(" ".join(self.text).split())


def check_html(text):
    assert "\x1b" not in text and not re.search("[\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    page = Page(text)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    return page


def check_junit(text):
    root = ElementTree.fromstring(text.encode("utf-8"))
    suites = root.findall("testsuite")
    for key, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error"), ("skipped", "testcase/skipped")):
        assert int(root.get(key)) == sum(int(suite.get(key)) for suite in suites) == sum(len(suite.findall(path)) for suite in suites)
    assert {element.tag for element in root.iter()} <= {"testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"}
    return root


def families(text):
    names = {line.split(" ")[2] for line in text.split("\n") if line.startswith("# TYPE ")}
    assert all(name.startswith("kubeproof_") for name in names)
    return openmetrics.read([text.encode("utf-8")], names, end_mark=True)


def check_openmetrics(text):
    found = families(text)
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""] and sum(len(family.series) for family in found.values()) == sum(not line.startswith("#") for line in lines[:-1])
    assert {line.split(" ")[0] for line in lines[:-1]} - {"#"} == {line.split(" ")[0] for line in lines[:-1] if not line.startswith("#")}
    return found


def check_summary(text):
    assert len(text) <= 65536
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or []}
    assert not kinds & {"html_inline", "html_block", "link_open", "code_inline", "code_block", "fence", "image", "em_open", "bullet_list_open"}
    assert {token.tag for token in tokens if token.type == "heading_open"} <= {"h2", "h3"}
    return tokens


CHECK = {"html": check_html, "junit": check_junit, "openmetrics": check_openmetrics, "summary": check_summary}
both = [pytest.mark.parametrize("case", sorted(CERTIFICATES)), pytest.mark.parametrize("name", sorted(RENDER))]


@both[0]
@both[1]
def test_every_format_is_well_formed_and_the_same_each_time(case, name):
    certificate = CERTIFICATES[case]
    before = json.dumps(certificate)
    text = RENDER[name](certificate)
    CHECK[name](text)
    shuffled = json.loads(json.dumps(certificate, sort_keys=True))
    assert text == RENDER[name](copy.deepcopy(certificate)) == RENDER[name](shuffled)
    assert json.dumps(certificate) == before


@pytest.mark.parametrize("text", fake.HOSTILE, ids=lambda text: repr(text)[:20])
@both[1]
def test_hostile_texts_are_harmless(name, text):
    kept = ("result", "verdict", "state", "profile", "status", "layers", "scope", "operator", "kind")
    certificate = fake.poisoned(RICH, text, kept)
    certificate["hosts"] = {text: [text] * 3}
    certificate["tools"] = {text: {text: {"version": text, "path": text, "source": text}}}
    certificate["hashes"] = {text: text}
    certificate["capacity"] = {text: 1}
    CHECK[name](RENDER[name](certificate))


@both[1]
def test_a_hostile_text_in_each_single_place_is_harmless(name):
    places = 0
    for dummy, certificate in fake.everywhere(RICH, fake.HOSTILE[2] + fake.HOSTILE[1] + fake.HOSTILE[5]):
        try:
            text = RENDER[name](certificate)
        except report_words.ReportError:
            continue
        CHECK[name](text)
        places += 1
    assert places > 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(), max_size=60), name=st.sampled_from(sorted(RENDER)))
def test_any_text_is_harmless(text, name):
    certificate = fake.poisoned(fake.certificate(bad()), text, ("result", "verdict", "state", "profile", "status", "layers", "scope"))
    CHECK[name](RENDER[name](certificate))


def bad():
    return {"etcd": [fake.finding("etcd", result="FAIL", value=0.3, reason="x")]}


@pytest.mark.parametrize("document", [None, [], {}, {"schema": 1}, "x", {**RICH, "findings": [{}]}, {**RICH, "findings": None}, {**RICH, "hosts": []}])
@both[1]
def test_what_is_no_certificate_is_refused(name, document):
    with pytest.raises(report_words.ReportError):
        RENDER[name](document)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_certificate_is_refused_or_rendered_well(data):
    certificate = copy.deepcopy(RICH)
    place = certificate
    for dummy in range(data.draw(st.integers(0, 3))):
        inner = [one for one in (place.values() if isinstance(place, dict) else place) if isinstance(one, (dict, list)) and one]
        place = data.draw(st.sampled_from(inner)) if inner else place
    key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(st.sampled_from([None, True, 0, -1.5, 1e308, float("nan"), "", "x", [], {}, [None], [1, None], [float("inf"), 2], {"a": "b"}]))
    name = data.draw(st.sampled_from(sorted(RENDER)))
    try:
        text = RENDER[name](certificate)
    except (report_words.ReportError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        return  # report_formats.write says so in a sentence.
    CHECK[name](text)


# What is in them ---------------------------------------------------------------------------------------------------------------


def test_the_page_says_the_verdict_first_then_what_decides():
    said = check_html(RENDER["html"](RICH)).said()
    order = ["Pre-production checklist", "Layers", "What keeps it from a PASS", "5 times beyond critical", "Layer etcd", "Configuration (tuning)",
             "What was not measured, and why", "What was changed, waived and declared", "Hosts, tools and hashes"]  # fmt: skip
    begin = said.index("Pre-production checklist")
    assert said.index("Kubeproof certificate: LOAD") < said.index("✕ FAIL") < begin
    places = [said.index(text, begin) for text in order]
    assert places == sorted(places)
    for text in ("5 times beyond critical", "1,000", "Could be explained by tuning: Swap is 1 at h", "6 checks: Not measured: blocked by etcd.", "swap: false",
                 "relaxed", "One zone.", "dns_qps", "2,000", "etcdctl", "3.6.8", "0" * 64, "Valid until",
                 "worker2 to worker1, 1 Gbit/s", "fell short", "ansible-playbook certify.yml"):  # fmt: skip
        assert text in said, text


@pytest.mark.parametrize(
    ("of", "text"), [({"profile": "smoke"}, "It is no certificate for production"), ({"layers": ("etcd",)}, "PARTIAL: only etcd ran"), ({}, "")]
)
def test_the_page_warns_of_what_is_no_full_certificate(of, text):
    said = check_html(RENDER["html"](fake.certificate(**of))).said()
    assert text in said and ("no certificate for production" in said) == (of == {"profile": "smoke"})


def test_the_page_draws_ramps_and_time_and_says_what_is_drawn():
    text = RENDER["html"](RICH)
    said = check_html(text).said()
    assert "It broke at 400/s." in said and "broke at 400/s" in said and "3 steps, up to 400/s offered and 310/s carried" in text
    assert all(word in said for word in ("recovery", "200/s (100 %)", "> 50 ms", "slow"))
    assert "2 stretches of 60 min" in text and "1 of 2 stretches of 60 min" in text and "1 of 3 pairs were not measured" in said
    assert "worst &gt; 16 ms" in text


def test_no_meaning_by_colour_alone():
    text = RENDER["html"](RICH)
    for result, symbol in report_markup.SYMBOLS.items():
        for badge in re.findall(rf'class="badge {result.lower()}(?: small)?">(?:<span [^>]*>)?(.*?)</span>', text):
            assert badge in (symbol, "indicative", "not measured", "blocking", "✓ held", "✕ broke", "? not known")
    for drawing in re.findall(r"<svg [^>]*width=\"100%\"[^>]*>", text):
        assert 'aria-label="' in drawing


def test_the_page_is_made_for_the_dark_the_phone_and_paper():
    text = RENDER["html"](RICH)
    assert "prefers-color-scheme:dark" in text and "@media print" in text and "max-width:44rem" in text
    assert 'name="viewport"' in text and "default-src &#x27;none&#x27;" not in text and "default-src 'none'" in text


def test_junit_maps_each_result():
    root = check_junit(RENDER["junit"](RICH))
    kinds = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}
    assert [suite.get("name") for suite in root] == [*RICH["layers"], "tuning", "certificate"]
    assert kinds[("kubeproof.etcd.etcd_0", "Latency 0 [etcd2]")] == ["failure"]
    assert kinds[("kubeproof.etcd.etcd_0", "Latency 0 [etcd3]")] == ["system-out"]
    assert kinds[("kubeproof.apiserver.apiserver_0", "Latency 0 [prod]")] == ["error"]
    assert kinds[("kubeproof.certificate", "Verdict")] == ["failure"]
    waived = next(case for case in root.iter("testcase") if case.get("classname") == "kubeproof.etcd.etcd_1")
    assert "Waived until 2027-01-01 by ops: ordered" in waived.find("skipped").get("message")
    total = sum(len(suite) for suite in root)
    assert total == len(RICH["findings"]) + 1


@pytest.mark.parametrize("case", fake.CASES)
def test_junit_of_what_is_no_pass_has_a_failure_or_an_error(case):
    certificate = fake.load(case)
    root = check_junit(RENDER["junit"](certificate))
    assert (int(root.get("failures")) + int(root.get("errors")) > 0) == (certificate["verdict"] in ("FAIL", "INCONCLUSIVE"))


def test_openmetrics_has_values_bounds_and_the_verdict():
    found = check_openmetrics(RENDER["openmetrics"](RICH))
    series = found["kubeproof_check_value_seconds"].series.values()
    seconds = {(one.labels["check"], one.labels.get("entry"), one.labels.get("edge")): one.value for one in series}
    assert seconds[("etcd_0", "etcd2", None)] == 0.3 and seconds[("etcd_0", "etcd3", None)] == 0.009
    assert seconds[("etcd_1", None, "low")] == 0.016 and ("etcd_1", None, "high") not in seconds
    series = found["kubeproof_check_bound_seconds"].series.values()
    bounds = {(one.labels["check"], one.labels["bound"], one.labels["operator"]): one.value for one in series}
    assert bounds[("etcd_0", "critical", "<")] == 0.05
    verdicts = {one.labels["verdict"]: one.value for one in found["kubeproof_certificate_verdict"].series.values()}
    assert verdicts == {"FAIL": 1, "INCONCLUSIVE": 0, "CONDITIONAL": 0, "PASS": 0}
    (finished,) = found["kubeproof_run_finished_timestamp_seconds"].series.values()
    assert finished.value == 1795237200 and finished.labels == {"cluster": "prod", "profile": "load"}


def test_other_parsers_read_openmetrics():
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    classic = pytest.importorskip("prometheus_client.parser")
    for certificate in CERTIFICATES.values():
        text = RENDER["openmetrics"](certificate)
        names = [sorted(family.name for family in one.text_string_to_metric_families(text)) for one in (parser, classic)]
        assert names[0] == names[1] and len(names[0]) > 6


def test_the_summary_is_short_and_says_what_to_do():
    text = RENDER["summary"](RICH)
    assert text.startswith("## ✕ FAIL: cluster prod\n")
    assert "Give it a disk of its own." in text and "| ? INCONCLUSIVE | 6 checks |" in text and len(text) < 4000
    many = [fake.finding("etcd", number, result="FAIL", value=1, reason="x" * 3000, title="t" * 3000, fix="f" * 3000) for number in range(500)]
    long = RENDER["summary"](fake.certificate({"etcd": many}))
    check_summary(long)
    assert "and 480 more" in long
    for line in long.splitlines():
        assert not line.startswith("|") or line.endswith("|")


def test_a_thousand_hosts_stay_a_page():
    many = [fake.finding("etcd", scope="host", host=f"node{number}", value=0.001 + number / 1e6) for number in range(3000)]
    settings_off = [fake.finding("tuning", id="tuning_kubelet_swap", entry=f"node{number}", result="CONDITIONAL", value=1, target="== 0", critical=None,
                                 unit="count", where="/etc/x") for number in range(3000)]  # fmt: skip
    text = RENDER["html"](fake.certificate({"etcd": many, "tuning": settings_off}))
    assert "and 2950 more: see certificate.json" in check_html(text).said() and "(worst of 3000)" in text and len(text) < 200000


# Small parts -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "target", "critical", "expected"),
    [
        (0.009, "< 0.025", "< 0.05", "64 % inside target"),
        (0.03, "< 0.025", "< 0.05", "40 % inside critical"),
        (0.3, "< 0.025", "< 0.05", "5 times beyond critical"),
        (0.02503, "< 0.01", "< 0.025", "0.12 % beyond critical"),
        (12000, "> 10000", "> 5000", "20 % inside target"),
        (4000, "> 10000", "> 5000", "20 % beyond critical"),
        (0.025, "<= 0.025", None, "at target"),
        ([0.01, 0.02], "< 0.025", None, "20 % inside target"),
        ([0.01, None], "< 0.025", None, ""),
        ([100, None], "> 50", None, "100 % inside target"),
        (0, "== 0", None, ""),
        (5, None, "< 0", ""),
        (True, "== true", None, ""),
        (None, "< 1", None, ""),
    ],
)
def test_margin(value, target, critical, expected):
    assert report_words.margin_text({"value": value, "target": target, "critical": critical}) == expected


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        ({}, ""),
        ({"samples": None, "proof": {"target": "proved"}}, ""),
        ({"samples": 12777}, "12,777"),
        ({"samples": 550, "min_samples": 1000}, "550 of 1,000"),
        ({"samples": 12777, "min_samples": 299, "proof": {"target": "proved", "critical": "proved", "allowed": 83}}, "12,777: prove it"),
        ({"samples": 12777, "proof": {"critical": "disproved"}}, "12,777: disprove it"),
        ({"samples": 16, "min_samples": 299, "proof": {"target": "open", "critical": "open"}}, "16 of 299: leave it open"),
        ({"samples": 9, "proof": {"target": "open", "critical": "proved"}}, "9: prove critical, leave target open"),
        ({"samples": 9, "proof": {"target": "disproved", "critical": "open"}}, "9: disprove target, leave critical open"),
        ({"samples": 9, "proof": {"target": "perhaps"}}, "9"),
        ({"samples": 9, "proof": "proved"}, "9"),
    ],
)
def test_samples_and_what_they_prove(finding, expected):
    assert report_words.samples(finding) == expected


@pytest.mark.parametrize(
    ("address", "is_link"),
    [("https://etcd.io/docs/v3.6/faq/", True), ("http://a.b:8080/x?y=1#z", True), ("javascript:alert(1)", False), ("//evil", False),
     ("data:text/html,x", False), ("https://a\"onclick=1", False), ("https://a b", False), ("HTTPS://a/\n", False), ("", False), (None, False), (7, False)],
)  # fmt: skip
def test_links(address, is_link):
    assert ("<a " in report_markup.link(address, "text")) is is_link


def test_write_names_what_is_wrong(tmp_path):
    (tmp_path / "certificate.json").write_text(json.dumps(RICH), encoding="utf-8")
    paths = report_formats.write(str(tmp_path), report_formats.NAMES, TEMPLATES)
    written = ["certificate.html", "certificate.xml", "certificate.prom", "summary.md", "certificate.md", "certificate.txt"]
    assert [path.rpartition("/")[2] for path in paths] == written
    assert all((tmp_path / path).stat().st_mode & 0o777 == 0o600 for path in paths)
    with pytest.raises(report_words.ReportError, match="There is no format pdf"):
        report_formats.write(str(tmp_path), ["pdf"], TEMPLATES)
    (tmp_path / "certificate.json").write_text(json.dumps({**RICH, "changes": [{}]}), encoding="utf-8")
    with pytest.raises(report_words.ReportError, match=r"is damaged \(KeyError"):
        report_formats.write(str(tmp_path), ["html"], TEMPLATES)


LOST = {"scope": "host", "result": "INCONCLUSIVE", "value": None, "samples": None, "reason": "the host was lost"}
PARTLY = [fake.finding("etcd", 1, scope="host", host="etcd1", result="FAIL", value=0.3, reason="300 ms is beyond critical"),
          *(fake.finding("etcd", 1, host=f"etcd{number}", **LOST) for number in (2, 3, 4))]  # fmt: skip


def rendered(directory, findings):
    """Return {file: its text} of a certificate in every format."""
    (directory / "certificate.json").write_text(json.dumps(fake.certificate(findings)), encoding="utf-8")
    paths = [pathlib.Path(path) for path in report_formats.write(str(directory), report_formats.NAMES, TEMPLATES)]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def test_what_was_not_measured_is_told_beside_what_failed(tmp_path):
    texts = rendered(tmp_path, {"etcd": [fake.finding("etcd"), *PARTLY]})
    page = check_html(texts["certificate.html"]).said()
    texts["certificate.html"] = page
    for name in ("certificate.html", "certificate.md", "certificate.txt", "summary.md"):
        said = " ".join(texts[name].split())
        assert "3 of 4 not measured" in said and "the host was lost" in said and "etcd2, etcd3, etcd4" in said, name
    last = page[page.rindex("What was not measured, and why") :]
    assert "etcd: Latency 1, 3 of 4 not measured (etcd2, etcd3, etcd4) the host was lost" in last and "was measured." not in last
    assert page.count("1 of 4 FAIL: 300 ms is beyond critical") == 2, "on its card and in the table of its layer"
    assert "| ? INCONCLUSIVE | etcd: Latency 1 at etcd2, etcd3, etcd4 | - | &lt; 25 ms | 3 of 4 not measured: the host was lost |" in texts["summary.md"]
    assert 'kubeproof_check_unmeasured{cluster="prod",profile="load",layer="etcd",check="etcd_1"} 3' in texts["certificate.prom"]
    assert texts["certificate.xml"].count('message="the host was lost"') == 3


def test_many_checks_of_a_lost_host_are_told_as_one_with_the_host(tmp_path):
    rows = [fake.finding("etcd", number, scope="host", host="etcd1") for number in range(5)]
    rows += [fake.finding("etcd", number, host="etcd2", **LOST) for number in range(5)]
    texts = rendered(tmp_path, {"etcd": rows})
    assert "5 checks at etcd2: the host was lost" in check_html(texts["certificate.html"]).said()
    assert "5 checks of etcd at etcd2" in texts["certificate.txt"] and "| ? INCONCLUSIVE | 5 checks at etcd2 |" in texts["summary.md"]


def test_a_check_with_reasons_of_its_own_is_not_told_with_others(tmp_path):
    """Where many checks are one line, what only one of them says would be lost."""
    rows = [fake.finding("etcd", number, host="etcd2", **LOST) for number in range(5)]
    rows.append(fake.finding("etcd", 0, host="etcd3", **{**LOST, "reason": "its clock is wrong"}))
    texts = rendered(tmp_path, {"etcd": rows})
    assert all("its clock is wrong" in " ".join(texts[name].split()) for name in ("certificate.html", "certificate.md", "certificate.txt", "summary.md"))
    assert "4 checks of etcd" in texts["certificate.txt"]


FEW = {"result": "INCONCLUSIVE", "reason": "straddles"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([fake.finding("etcd")], []),
        ([fake.finding("etcd", reason="x")], ["x"]),
        ([fake.finding("etcd", result="FAIL", reason="bad"), fake.finding("etcd", entry="b")], ["1 of 2 FAIL: bad"]),
        (
            [fake.finding("etcd", result="FAIL"), fake.finding("etcd", entry="b", value=[0.01, 0.03], **FEW)],
            ["1 of 2 FAIL", "1 of 2 not decided (b): straddles"],
        ),
        ([fake.finding("etcd", host=f"h{number}", **LOST) for number in range(3)], ["the host was lost"]),
        (
            [fake.finding("etcd", host="a", **{**LOST, "reason": name}) for name in "vwxyz"],
            [*(f"1 of 5 not measured (a): {name}" for name in "vwx"), "2 of 5 not measured or not decided, for other reasons: see certificate.json"],
        ),
        (
            [fake.finding("etcd", host="z"), *(fake.finding("etcd", host=f"h{number}", **LOST) for number in range(7))],
            ["7 of 8 not measured (h0, h1, h2, h3, h4 and 2 more): the host was lost"],
        ),
    ],
)
def test_what_is_told_of_a_check(rows, expected):
    made = [row for row in fake.certificate({"etcd": rows})["findings"] if row["layer"] == "etcd"]
    assert report_words.told(made) == expected


def test_a_reason_for_each_of_many_hosts_stays_a_page():
    many = [fake.finding("etcd", host=f"node{number}", **{**LOST, "reason": f"node{number} was lost"}) for number in range(3000)]
    text = RENDER["html"](fake.certificate({"etcd": many}))
    assert "and 2800 more reasons: see certificate.json" in check_html(text).said() and len(text) < 200000


@pytest.mark.parametrize("entry", [None, "put"])
def test_of_several_clusters_the_one_that_failed_is_named(tmp_path, entry):
    """Where there is one only, its name is on top of the page."""
    rows = [fake.finding("etcd", host="events", entry=entry, result="FAIL", value=0.3, reason="x"), fake.finding("etcd", host="main", entry=entry)]
    (tmp_path / "certificate.json").write_text(json.dumps(fake.certificate({"etcd": rows})), encoding="utf-8")
    for path in report_formats.write(str(tmp_path), report_formats.NAMES, TEMPLATES):
        [*lines] = [line for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines() if "Latency 0" in line and "events" in line]
        assert lines or path.endswith(".prom"), path
    names = [case.get("name") for case in ElementTree.parse(tmp_path / "certificate.xml").iter("testcase") if case.get("classname").endswith("etcd_0")]
    assert len(names) == len(set(names)) == 2
