# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML that is safe by construction: every text goes through `escape`, the one place that knows how, and only a Html passes as it is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any, List, Optional

from .report_words import cut, lines, word

SYMBOLS = {"PASS": "✓", "CONDITIONAL": "◐", "FAIL": "✕", "INCONCLUSIVE": "?", "NOT_APPLICABLE": "–", "INFO": "i"}
EMPTY = {"meta", "br", "col", "line", "rect", "circle", "path"}
NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
LINK = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?")
# The page loads nothing and runs nothing, whatever a name tries.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def escape(value: Any) -> Html:
    """Return any text as HTML: on one line, cut when it is long, without control and direction characters."""
    if isinstance(value, Html):
        return value
    text = str(value)
    # A blank at an end parts it from its neighbour.
    edges = " " if text[:1] == " " else "", " " if text[-1:] == " " and len(text) > 1 else ""
    return Html(edges[0] + html.escape(cut(text), quote=True) + edges[1])


def join(parts: Iterable, between: Any = "") -> Html:
    """Return the parts one after the other, escaped where they are no HTML."""
    return Html(escape(between).join(escape(part) for part in parts if part not in (None, "")))


def tag(element: str, /, *children: Any, **attributes: Any) -> Html:
    """Return an element; an attribute's `_` becomes `-` and is dropped at its end, and one that is None or False is left out."""
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None and value is not False}
    written = "".join(_attribute(key, value) for key, value in given.items())
    if element in EMPTY and not children:
        return Html(f"<{element}{written}>" if element in ("meta", "br", "col") else f"<{element}{written}/>")
    return Html(f"<{element}{written}>{join(children)}</{element}>")


def _attribute(name: str, value: Any) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an attribute")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def link(address: Any, text: Any) -> Html:
    """Return a link, or only the text where the address is none of the web."""
    address = str(address or "")
    return tag("a", text, href=address, rel="noreferrer noopener") if len(address) < 1000 and LINK.fullmatch(address) else escape(text)


def code(text: Any) -> Html:
    """Return lines as they are to be written."""
    return tag("pre", tag("code", Html("\n".join(html.escape(line, quote=True) for line in lines(text)))))


def badge(result: Any, small: bool = False) -> Html:
    """Return a result as symbol and word; the colour only repeats them."""
    known = result if result in SYMBOLS else "INFO"
    symbol = tag("span", SYMBOLS[known], class_="symbol", aria_hidden="true")
    return tag("span", symbol, " ", word(result), class_=f"badge {known.lower()}{' small' if small else ''}")


def table(heads: Sequence, rows: Iterable[Sequence], name: str = "", label: Optional[str] = None) -> Html:
    """Return a table whose cells carry their heads, so that on a phone a row can stand as a list; "" without rows."""
    body: List[Html] = []
    for row in rows:
        cells = [tag("td", tag("div", cell), data_label=head, class_="none" if cell in ("", "-", None) else None) for head, cell in zip(heads, row)]
        body.append(tag("tr", *cells))
    if not body:
        return Html("")
    head = tag("thead", tag("tr", *(tag("th", text, scope="col") for text in heads)))
    return tag("div", tag("table", head, tag("tbody", *body), class_=name or None, aria_label=label), class_="scroll")


def page(title: str, *body: Any) -> Html:
    """Return the whole document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Html(POLICY)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    return Html("<!DOCTYPE html>\n" + tag("html", head, "\n", tag("body", *body), lang="en") + "\n")


STYLE = """
:root{--ink:#16202c;--soft:#566373;--line:#d5dce4;--back:#fff;--card:#f5f7fa;--link:#0a58b5;
--pass:#0b6b3a;--pass-b:#e2f3e8;--cond:#7a4b00;--cond-b:#fdf0d2;--fail:#a8121c;--fail-b:#fde4e4;--inc:#4b3a86;--inc-b:#ece8fa;--na:#4a5663;--na-b:#e9edf1;
--dot:#1d4f91}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#a3b0be;--line:#3a4653;--back:#12171d;--card:#1b222a;--link:#8ab8ff;
--pass:#7fdca4;--pass-b:#123222;--cond:#ffcf70;--cond-b:#3a2c08;--fail:#ff9d9d;--fail-b:#451a1c;--inc:#c9bcff;--inc-b:#2b2547;--na:#b6c1cc;--na-b:#28313a;
--dot:#8ab8ff}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:1rem 1.25rem 4rem;max-width:76rem;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.1rem;margin:.2rem 0 .8rem;color:var(--soft);font-weight:600;letter-spacing:.01em}
h2{font-size:1.3rem;margin:2.2rem 0 .6rem;padding-bottom:.25rem;border-bottom:2px solid var(--line)}
h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
p{margin:.35rem 0}a{color:var(--link)}
.soft{color:var(--soft)}
.verdict{border:2px solid currentColor;border-radius:.6rem;padding:1rem 1.25rem;margin:0 0 1rem}
.verdict strong{display:block;font-size:2.1rem;line-height:1.15}
.verdict p{color:var(--ink)}
.notice{border-left:.35rem solid var(--cond);background:var(--cond-b);padding:.5rem .8rem;margin:.8rem 0}
.pass{color:var(--pass);background:var(--pass-b)}.conditional{color:var(--cond);background:var(--cond-b)}.fail{color:var(--fail);background:var(--fail-b)}
.inconclusive{color:var(--inc);background:var(--inc-b)}.not_applicable,.info{color:var(--na);background:var(--na-b)}
.badge{display:inline-block;border-radius:.35rem;padding:.05rem .5rem;font-weight:650;font-size:.85em;white-space:nowrap;border:1px solid currentColor}
.badge.small{font-weight:600;font-size:.85em;padding:0 .4rem}.symbol{font-weight:800}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.6rem 0}
dl.facts dt{color:var(--soft)}dl.facts dd{margin:0}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:.8rem 0;font-size:.92rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;margin:.4rem 0}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0;white-space:nowrap}
td{border-bottom:1px solid var(--line);padding:.35rem .6rem .35rem 0;vertical-align:top;font-variant-numeric:tabular-nums}
table.findings td:nth-child(2){min-width:13rem}table.findings td:nth-child(8){min-width:10rem;width:20%}
table.findings td:nth-child(3),table.findings td:nth-child(4),table.findings td:nth-child(5){white-space:nowrap}
.id{color:var(--soft);font-size:.85em;display:block}.note{display:block}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem;margin:.7rem 0;break-inside:avoid}
.card h3{margin:.1rem 0 .3rem}.card .fix{margin-top:.5rem}
.numbers{display:flex;flex-wrap:wrap;gap:.1rem 1.4rem;font-variant-numeric:tabular-nums}
.numbers b{font-weight:650}
pre{background:var(--back);border:1px solid var(--line);border-radius:.35rem;padding:.4rem .6rem;margin:.4rem 0;white-space:pre-wrap;
font:13px/1.45 ui-monospace,Menlo,Consolas,monospace}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--link);padding:.2rem 0}
ul.plain{margin:.3rem 0;padding-left:1.2rem}
svg{display:block;overflow:visible}
.axis{stroke:var(--line);stroke-width:1}.range{stroke:var(--dot);stroke-width:3;stroke-linecap:round}.thin{stroke:var(--dot);stroke-width:1.5}
.dot{fill:var(--dot)}.hollow{fill:var(--back);stroke:var(--dot);stroke-width:1.5}.cross{stroke:var(--dot);stroke-width:2.2;fill:none}
.dashed{stroke-dasharray:4 3}
.limit{stroke:var(--ink);stroke-width:1.5}.limit.soft-limit{stroke-dasharray:3 2}.zone{fill:var(--ink);opacity:.13}.label{fill:var(--soft);font-size:11px}
.rows{display:grid;grid-template-columns:minmax(8rem,17rem) 1fr max-content;gap:.15rem .9rem;align-items:center;font-size:.88rem;margin:.4rem 0}
.rows.tall{row-gap:.8rem}.rows svg{min-width:0}.rows .end{font-variant-numeric:tabular-nums;white-space:nowrap}
.matrix td{text-align:center;white-space:nowrap;border:1px solid var(--line);padding:.35rem .5rem}
.matrix th{border:1px solid var(--line);padding:.3rem .5rem}
.matrix .missed{color:var(--inc);background:var(--inc-b)}
.gap{fill:var(--inc-b);stroke:var(--inc);stroke-width:1;stroke-dasharray:3 3}.missing{fill:var(--inc);font-size:14px;font-weight:800}
.matrix .worst{outline:2px solid var(--ink);outline-offset:-3px;font-weight:650}
.legend{font-size:.82rem;color:var(--soft)}
.hash{font:11px/1.5 ui-monospace,Menlo,Consolas,monospace}
@media (max-width:44rem){body{padding:.7rem .8rem 3rem;font-size:15px}.verdict strong{font-size:1.6rem}dl.facts{grid-template-columns:5.6rem 1fr;
gap:.1rem .6rem}
table:not(.matrix) thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table:not(.matrix) tr{display:block;border:1px solid var(--line);border-radius:.4rem;padding:.35rem .6rem;margin:.45rem 0}
table:not(.matrix) td{display:grid;grid-template-columns:6.6rem minmax(0,1fr);gap:.5rem;border:0;padding:.12rem 0;white-space:normal!important;
width:auto!important;min-width:0!important}
table:not(.matrix) td::before{content:attr(data-label);color:var(--soft)}
table:not(.matrix) td.none{display:none}.rows{grid-template-columns:1fr max-content}.rows .name{grid-column:1/-1;margin-top:.3rem}}
@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--back:#fff;--card:#fff;--link:#000;--pass:#0b6b3a;--pass-b:#fff;--cond:#7a4b00;--cond-b:#fff;
--fail:#a8121c;--fail-b:#fff;--inc:#4b3a86;--inc-b:#fff;--na:#444;--na-b:#fff;--dot:#1d4f91}
body{max-width:none;padding:0;font-size:10.5pt}nav{display:none}h2,h3{break-after:avoid}tr,.card,.rows>*{break-inside:avoid}thead{display:table-header-group}
details:not(.long)::details-content{content-visibility:visible;display:block;block-size:auto}summary{color:var(--ink);font-weight:600}table{font-size:8.5pt}
.scroll{overflow:visible}
@page{margin:14mm}}
"""
