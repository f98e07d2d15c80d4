# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Corefiles: what CoreDNS is told to do, read as CoreDNS reads it. Pure.

    corefile = parse(text, folders={"/etc/coredns/custom": {"a.override": "log"}})
    cluster_domain(corefile)        "cluster.local"
    cache(corefile, "cluster.local")    {present, success, denial, success_ttl, denial_ttl, prefetch, serve_stale}

Zones are written in small letters and without the last dot; the root is ".". What an import that cannot be followed, or a variable of the
environment, would add is not known: `Corefile.unknown` names them, and who asks decides what that means. Such an import stays in its place, as a
plugin or an option of the name import: it may hide another plugin, but none that is there, since CoreDNS takes each plugin with such options once.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

FOLDER = "/etc/coredns"
ENVIRONMENT = re.compile(r"\{\$[^}]*\}|\{%[^%]*%\}")
# CoreDNS' own limit is higher; nothing that is meant comes near it.
MOST_IMPORTS = 1000
MOST_NESTED = 50
# The defaults of CoreDNS' plugins.
CACHE_TTL = (3600, 1800)
METRICS = "localhost:9153"
LOOPBACK = ("localhost", "127.", "::1")
IMPORT = "import"
NO_DOMAIN = "the Corefile does not tell the domain of the cluster; name it in dns_domain"


class CorefileError(Exception):
    """CoreDNS would not start with this Corefile; the text is a sentence that names the line."""


class Token(NamedTuple):
    """A word, its line, whether it is the first of its line, and the folder of its file."""

    text: str
    line: int
    first: bool
    folder: str


class Directive(NamedTuple):
    """A plugin, or an option of one: its arguments, and the directives in its braces."""

    name: str
    arguments: Tuple[str, ...]
    options: Tuple[Directive, ...]
    line: int


class Block(NamedTuple):
    """A server block: the addresses before its braces, and its plugins."""

    keys: Tuple[str, ...]
    directives: Tuple[Directive, ...]

    def zones(self) -> List[str]:
        """Return the zones that it serves."""
        return [zone_of(key) for key in self.keys]

    def plugin(self, name: str) -> Optional[Directive]:
        """Return a plugin, None where the block has none."""
        return next((one for one in self.directives if one.name == name), None)


class Corefile(NamedTuple):
    """Its server blocks, what of it is not known, and the imports beside the blocks that are not: any server block may be in them."""

    blocks: Tuple[Block, ...]
    unknown: Tuple[str, ...]
    outside: Tuple[str, ...] = ()


# Words ----------------------------------------------------------------------------------------------------------------------


def words(text: str, folder: str = FOLDER) -> Iterator[Token]:
    """Yield the words of a file. Only a quote can be escaped, and only within quotes; a comment begins anywhere outside of them."""
    line, started, last = 1, 0, 0
    found: List[str] = []
    quoted = escaped = comment = False
    for character in text[1:] if text.startswith("\ufeff") else text:
        ended = False
        if quoted:
            ended = character == '"' and not escaped
            if not ended and not (character == "\\" and not escaped):
                found += ["\\", character] if escaped and character != '"' else [character]
            escaped = character == "\\" and not escaped
            quoted = not ended
        elif character.isspace():
            comment = comment and character != "\n"
            ended = bool(found) and character != "\r"
        elif character == "#" or comment:
            comment = True
        elif not found and character == '"':
            quoted, started = True, line
        else:
            started = started if found else line
            found.append(character)
        if ended:
            yield Token("".join(found), started, started != last, folder)
            last, found = line, []
        line += character == "\n"
    if found:
        yield Token("".join(found), started, started != last, folder)


# Structure ------------------------------------------------------------------------------------------------------------------


class _Reader:
    """Reads server blocks from words; an import puts other words in its place."""

    def __init__(self, text: str, folders: Mapping[str, Mapping[str, str]], folder: str) -> None:
        self.tokens, self.at, self.folders = list(words(text, folder)), 0, folders
        self.snippets: Dict[str, List[Token]] = {}
        self.unknown: List[str] = []
        self.outside: List[str] = []
        self.imports = 0

    def blocks(self) -> Iterator[Block]:
        while self.more():
            keys = self.keys()
            if len(keys) == 1 and keys[0].startswith("(") and keys[0].endswith(")"):
                self.snippet(keys[0][1:-1])
            elif keys:
                braces = self.take("{")
                yield Block(tuple(keys), self.directives(braces))
            elif self.more() and self.here().text == "{":
                raise self.fail("an opening brace stands where an address is expected")

    def more(self) -> bool:
        return self.at < len(self.tokens)

    def here(self) -> Token:
        return self.tokens[self.at]

    def take(self, text: str) -> bool:
        """Return whether the next word is this one, and step over it if so."""
        found = self.more() and self.here().text == text
        self.at += found
        return found

    def fail(self, what: str) -> CorefileError:
        line = self.tokens[min(self.at, len(self.tokens) - 1)].line
        return CorefileError(f"line {line}: {what}.")

    def keys(self) -> List[str]:
        """Return the addresses of a block: those of its line, and of the next one after a comma."""
        found: List[str] = []
        another = True
        while self.more() and self.here().text != "{" and (another or not self.here().first):
            if self.here().text == IMPORT and self.here().first:
                self.outside += self.follow()
                continue
            text = self.known(self.here().text)
            another = text.endswith(",")
            found += [text.rstrip(",")] if text.rstrip(",") else []
            self.at += 1
        if found and another:
            raise self.fail("after a comma another address is missing")
        return found

    def known(self, text: str) -> str:
        """Return a word, and remember what of it only the environment of CoreDNS tells."""
        self.unknown += ENVIRONMENT.findall(text)
        return text

    def snippet(self, name: str) -> None:
        """Keep the words between the braces of a snippet."""
        if name in self.snippets:
            raise self.fail(f"the snippet {name} is there twice")
        if not self.take("{"):
            raise self.fail(f"the snippet {name} has no opening brace")
        start, depth = self.at, 1
        while depth:
            if not self.more():
                raise self.fail(f"the snippet {name} has no closing brace")
            depth += {"{": 1, "}": -1}.get(self.here().text, 0)
            self.at += 1
        self.snippets[name] = self.tokens[start : self.at - 1]

    def follow(self) -> List[str]:
        """Put the words of a snippet or of files in the place of an import; return [its pattern] where these are not known."""
        start = self.at
        pattern = self.tokens[start + 1] if start + 1 < len(self.tokens) else None
        if pattern is None or pattern.first:
            raise self.fail("import needs the name of a snippet or of a file")
        if start + 2 < len(self.tokens) and not self.tokens[start + 2].first and self.tokens[start + 2].text not in ("{", "}"):
            raise self.fail("import takes one name only")
        self.imports += 1
        if self.imports > MOST_IMPORTS:
            raise self.fail("imports go round in a circle")
        name = self.known(pattern.text)
        known = len(self.unknown)
        found = self.snippets[name] if name in self.snippets else list(self.imported(name, pattern.folder))
        self.tokens[start : start + 2] = found
        return [name] if len(self.unknown) > known else []

    def imported(self, pattern: str, folder: str) -> Iterator[Token]:
        """Yield the words of the files that a pattern names."""
        where, name = posixpath.split(posixpath.normpath(posixpath.join(folder, pattern)))
        if where not in self.folders or ENVIRONMENT.search(pattern):
            self.unknown.append(f"{IMPORT} {pattern}")
            return
        files = sorted(fnmatch.filter(self.folders[where], name))
        if not files and not any(mark in name for mark in "*?["):
            raise self.fail(f"there is no file {pattern} to import")
        for one in files:
            yield from words(self.folders[where][one], where)

    def directives(self, braces: bool, depth: int = 0) -> Tuple[Directive, ...]:
        """Return the directives up to the closing brace, or to the end of a file that has one server block without braces."""
        if depth > MOST_NESTED:
            raise self.fail("braces are nested too deep")
        found = []
        while self.more():
            if self.take("}"):
                if not braces:
                    raise self.fail("a closing brace has no opening one")
                return tuple(found)
            if self.here().text == IMPORT:
                line = self.here().line
                found += [Directive(IMPORT, (pattern,), (), line) for pattern in self.follow()]
            elif self.here().text == "{":
                raise self.fail("an opening brace stands where a name is expected")
            else:
                found.append(self.directive(depth))
        if braces:
            raise self.fail("a closing brace is missing")
        return tuple(found)

    def directive(self, depth: int) -> Directive:
        name, arguments = self.here(), []
        self.at += 1
        while self.more() and not self.here().first and self.here().text not in ("{", "}"):
            arguments.append(self.known(self.here().text))
            self.at += 1
        inner = self.more() and self.here().text == "{" and not self.here().first
        self.at += inner
        options = self.directives(True, depth + 1) if inner else ()
        return Directive(self.known(name.text), tuple(arguments), options, name.line)


def parse(text: str, folders: Optional[Mapping[str, Mapping[str, str]]] = None, folder: str = FOLDER) -> Corefile:
    """Return the Corefile in `text`; CorefileError when CoreDNS would refuse it.

    `folders` {absolute path of a folder: {name of a file: its text}} is where imports are looked for, `folder` the one of the Corefile itself.
    """
    reader = _Reader(text, folders or {}, folder)
    blocks = tuple(reader.blocks())
    return Corefile(blocks, tuple(dict.fromkeys(reader.unknown)), tuple(reader.outside))


# Questions ------------------------------------------------------------------------------------------------------------------


def _parts(key: str) -> Tuple[str, str]:
    """Return the name and the port ("" without one) of an address of a server block."""
    text = key.rpartition("://")[2]
    host, colon, port = text.rpartition(":")
    if colon and (port.isdigit() or not port or ENVIRONMENT.fullmatch(port)) and (":" not in host or host.endswith("]")):
        return host, port
    return text, ""


def zone_of(key: str) -> str:
    """Return the zone of an address of a server block: of dns://Cluster.local.:53 cluster.local. A CIDR stays one."""
    return _parts(key)[0].lower().rstrip(".") or "."


def is_within(name: str, zone: str) -> bool:
    """Say whether a name is in a zone."""
    return zone == "." or name == zone or name.endswith(f".{zone}")


def server(corefile: Corefile, name: str, port: Optional[int] = None) -> Optional[Block]:
    """Return the server block that answers for a name: that of the longest zone; None where none does. Blocks for other transports are left out.

    With a port only blocks that listen there: those that name it, and those that name none.
    """
    found, longest = None, -1
    for block in corefile.blocks:
        for key in block.keys:
            zone, own = zone_of(key), _parts(key)[1]
            length = 0 if zone == "." else len(zone)
            here = port is None or not own or own == str(port)
            if here and "://" not in key.replace("dns://", "", 1) and is_within(name, zone) and length > longest:
                found, longest = block, length
    return found


def zones(corefile: Corefile) -> List[str]:
    """Return the zones of all server blocks."""
    return list(dict.fromkeys(zone for block in corefile.blocks for zone in block.zones()))


def cluster_domain(corefile: Corefile) -> Optional[str]:
    """Return the domain of the cluster: the first zone of the plugin kubernetes that is not for addresses; None where none is known."""
    for block in corefile.blocks:
        plugin = block.plugin("kubernetes")
        served = [zone_of(one) for one in (plugin.arguments or block.keys)] if plugin else []
        names = [zone for zone in served if zone != "." and not zone.endswith(".arpa") and "/" not in zone and not ENVIRONMENT.search(zone)]
        if names:
            return names[0]
    return None


def cache(corefile: Corefile, name: str, port: Optional[int] = None) -> dict:
    """Return {present, success, denial, success_ttl, denial_ttl, prefetch, serve_stale}: what the plugin cache does for a name, asked at a port.

    success and denial: whether such answers are kept. The time of `success` and `denial` takes the place of the plugin's own.
    """
    block = server(corefile, name, port)
    plugin = block.plugin("cache") if block else None
    arguments = list(plugin.arguments) if plugin else []
    own = _whole(arguments[:1])
    served = [zone_of(one) for one in (arguments[1:] if own else arguments)] or (block.zones() if block else [])
    if plugin is None or not any(is_within(name, zone) for zone in served):
        return {"present": False, "success": False, "denial": False}
    found = {"present": True, "prefetch": _option(plugin, "prefetch") is not None, "serve_stale": _option(plugin, "serve_stale") is not None}
    for kind, default in zip(("success", "denial"), CACHE_TTL):
        stated = _option(plugin, kind)
        found[kind] = not any(is_within(name, zone) for zone in _disabled(plugin, kind))
        found[f"{kind}_ttl"] = _whole(stated.arguments[1:2] if stated else ()) or own or default
    return found


def _disabled(plugin: Directive, kind: str) -> List[str]:
    """Return the zones whose answers of a kind are not kept. The last line counts, as in CoreDNS."""
    lines = [one.arguments[1:] for one in plugin.options if one.name == "disable" and one.arguments[:1] == (kind,)]
    return [zone_of(zone) for zone in lines[-1] or (".",)] if lines else []


def _option(plugin: Directive, name: str) -> Optional[Directive]:
    return next((one for one in reversed(plugin.options) if one.name == name), None)


def _whole(arguments: Sequence[str]) -> Optional[int]:
    """Return the whole number that an argument is, None for none and for another word."""
    return int(arguments[0]) if arguments and re.fullmatch(r"[0-9]{1,9}", arguments[0]) else None


def metrics(corefile: Corefile) -> dict:
    """Return {exposed, port}: whether /metrics can be read from outside of the pod, and where; port is absent without the plugin prometheus.

    {} where it is not known: the plugin may be in an import, or a variable says where it listens.
    """
    plugins = [plugin for plugin in (block.plugin("prometheus") for block in corefile.blocks) if plugin]
    # CoreDNS listens at each address that is named; one that others reach is enough.
    found = [(plugin.arguments or (METRICS,))[0].rpartition(":") for plugin in plugins]
    open_to_all = [(host, port) for host, dummy, port in found if not host.strip("[]").startswith(LOOPBACK) and not ENVIRONMENT.search(host)]
    hosts = [host for host, dummy, dummy in found if ENVIRONMENT.search(host)]
    if not open_to_all and (hosts or corefile.outside or any(_hidden(block) for block in corefile.blocks)):
        return {}
    if not plugins:
        return {"exposed": False}
    port = (open_to_all or [(host, port) for host, dummy, port in found])[0][1]
    return {"exposed": bool(open_to_all), **({"port": int(port)} if _whole([port]) else {})}


def doubt(corefile: Corefile, name: str, port: Optional[int] = None) -> str:
    """Return why it is not known which server block answers for a name, a sentence without a last dot; "" where that is known."""
    hidden = [*(f"{IMPORT} {one}" for one in corefile.outside), *(key for block in corefile.blocks for key in block.keys if ENVIRONMENT.search(key))]
    if hidden:
        return f"the Corefile has {hidden[0]}, which is not known, so that it is not known which server block answers for {name}"
    if server(corefile, name) and server(corefile, name, port) is None:
        return f"no server block of the Corefile answers for {name} at port {port}, at which its pods are asked"
    return ""


def _hidden(block: Block) -> List[str]:
    """Return the imports and variables in whose place any plugin may stand."""
    return [" ".join((one.name, *one.arguments)) for one in block.directives if one.name == IMPORT or ENVIRONMENT.search(one.name)]


def plugins_doubt(corefile: Corefile, name: str, port: Optional[int] = None) -> str:
    """Return why it is not known which plugins answer for a name, a sentence without a last dot; "" where that is known."""
    block = server(corefile, name, port)
    hidden = _hidden(block) if block else []
    return doubt(corefile, name, port) or (f"the Corefile has {hidden[0]}, which is not known" if hidden else "")


def cache_doubt(corefile: Corefile, name: str, port: Optional[int] = None) -> str:
    """Return why it is not known what the plugin cache does for a name, a sentence without a last dot; "" where that is known."""
    block = server(corefile, name, port)
    plugin = block.plugin("cache") if block else None
    if plugin:
        words_of = [*plugin.arguments, *(word for one in plugin.options for word in (one.name, *one.arguments))]
        hidden = [word for word in words_of if word == IMPORT or ENVIRONMENT.search(word)]
    else:
        hidden = _hidden(block) if block else []
    unsure = f"the Corefile has {hidden[0]}, which is not known, so that it is not known whether names in {name} are cached" if hidden else ""
    return doubt(corefile, name, port) or unsure


def summary(corefile: Corefile, domain: str = "", port: Optional[int] = None) -> dict:
    """Return {domain, zones, plugins of the domain, cache, upstream_cache, metrics, bind, unknown, missing}; what is not known is absent.

    `domain`: that of the cluster, "" for the one that the Corefile tells; `port`: the one at which its pods are asked, None for any. `missing`: {one of
    these: why it is not known}.
    """
    domain = zone_of(domain) if domain else cluster_domain(corefile) or ""
    block, exposed = server(corefile, domain, port) if domain else None, metrics(corefile)
    found: dict = {
        "zones": zones(corefile),
        "unknown": list(corefile.unknown),
        "bind": sorted({address for one in corefile.blocks for plugin in [one.plugin("bind")] if plugin for address in plugin.arguments}),
        "domain": domain,
        "plugins": sorted({one.name for one in block.directives}) if block else [],
        "metrics": exposed,
        "cache": cache(corefile, domain, port),
        "upstream_cache": cache(corefile, ".", port),
    }
    reasons = {
        "domain": "" if domain else NO_DOMAIN,
        "plugins": plugins_doubt(corefile, domain, port) if domain else NO_DOMAIN,
        "metrics": "" if exposed else f"the Corefile has {', '.join(corefile.unknown)}, so that it is not known whether metrics are exposed",
        "cache": cache_doubt(corefile, domain, port) if domain else NO_DOMAIN,
        "upstream_cache": cache_doubt(corefile, ".", port),
    }
    missing = {name: why for name, why in reasons.items() if why}
    return {**{name: value for name, value in found.items() if name not in missing}, "missing": missing}
