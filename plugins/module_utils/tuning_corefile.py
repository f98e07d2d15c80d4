# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Corefile is good for, from the server block that answers for the cluster's domain. Pure; runs on the controller only."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from . import dns_corefile
from .dns_corefile import Block, Corefile, CorefileError, Directive

# What kubeadm writes; each has its use in a cluster.
WANTED = ("cache", "errors", "forward", "health", "kubernetes", "loadbalance", "loop", "prometheus", "ready", "reload")
# CoreDNS may go on for so long before it is taken away.
LAMEDUCK = "lameduck"
# Plugins whose options are looked at.
OPTIONS = ("forward", "health", "kubernetes")
DEFAULT_CONCURRENT = 0


def facts(text: str) -> Dict[str, Any]:
    """Return what is known of a Corefile; {error} when CoreDNS would not start with it, {unknown: why} when an import or a variable hides what counts."""
    try:
        corefile = dns_corefile.parse(text)
    except CorefileError as error:
        return {"error": str(error)}
    domain = dns_corefile.cluster_domain(corefile) or ""
    block = dns_corefile.server(corefile, domain or "cluster.local")
    doubts = [dns_corefile.plugins_doubt(corefile, domain or "cluster.local"), *(dns_corefile.cache_doubt(corefile, name) for name in (domain, ".") if name)]
    doubts += _hidden(block)
    found: Dict[str, Any] = {
        "unknown": next(filter(None, doubts), ""),
        "contradictions": contradictions(corefile),
        "logs": any(one.plugin("log") for one in corefile.blocks),
    }
    if found["unknown"]:
        return found
    plugins = {one.name for one in block.directives} if block else set()
    outside = dns_corefile.cache(corefile, ".")
    found.update(
        kubernetes="kubernetes" in plugins,
        lacks=sorted(set(WANTED) - plugins - ({"forward"} if "proxy" in plugins else set())),
        cached=dns_corefile.cache(corefile, domain)["success"] if domain else False,
        prefetch=bool(outside.get("prefetch")),
        serve_stale=bool(outside.get("serve_stale")),
        autopath="autopath" in plugins,
    )
    found.update(_options(block))
    return found


def _hidden(block: Optional[Block]) -> List[str]:
    """Return why it is not known what the options say that are asked for: one is a variable or an import."""
    options = [option for plugin in (block.directives if block else ()) if plugin.name in OPTIONS for option in plugin.options]
    words = [word for option in options for word in (option.name, *option.arguments)]
    return [f"the Corefile has {word}, which is not known" for word in words if word == dns_corefile.IMPORT or dns_corefile.ENVIRONMENT.search(word)]


def _options(block: Optional[Block]) -> Dict[str, Any]:
    """Return {concurrent, lameduck, verified}: the least limit of forwarded queries, whether health waits, whether pods are verified."""
    if block is None:
        return {}
    limits = [_number(_argument(plugin, "max_concurrent")) for plugin in block.directives if plugin.name == "forward"]
    health, kubernetes = block.plugin("health"), block.plugin("kubernetes")
    known = [limit for limit in limits if limit]
    return {
        # Without a limit nothing is rejected.
        **({"concurrent": min(known)} if known else {}),
        "lameduck": bool(health and _argument(health, LAMEDUCK)),
        "verified": bool(kubernetes and _argument(kubernetes, "pods") == "verified"),
    }


def _argument(plugin: Directive, option: str) -> Optional[str]:
    found = next((one for one in plugin.options if one.name == option), None)
    return found.arguments[0] if found and found.arguments else None


def _number(text: Optional[str]) -> Optional[int]:
    return int(text) if text and text.isdigit() else None


def contradictions(corefile: Corefile) -> List[str]:
    """Return the caches that state a time twice: that of success or denial takes the place of the plugin's own."""
    found = []
    for block in corefile.blocks:
        for plugin in block.directives:
            own = _number(plugin.arguments[0]) if plugin.name == "cache" and plugin.arguments else None
            for option in plugin.options if own else ():
                stated = _number(option.arguments[1]) if option.name in ("success", "denial") and len(option.arguments) > 1 else None
                # Denial is lower as a rule, and that is meant.
                if stated and (stated < own if option.name == "success" else stated > own):
                    found.append(f"{block.keys[0]} cache {own}, {option.name} {stated}")
    return found
