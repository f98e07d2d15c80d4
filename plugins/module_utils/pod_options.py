# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of pod_startup, and what is wrong with them. Pure."""

from __future__ import annotations

import os
import re

NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
MOST_PODS = 99_999
MOST_NODES = 100


class PodsError(Exception):
    """Nothing can be measured; the text is one sentence that says why and what to do."""


def complete(options):
    """Return the options, with the place of each pod where every node pulls every image; PodsError when what is to be started is not named."""
    if not options["images"]:
        if options["image"] and options["count"] is not None:
            return options
        raise PodsError("image or count is missing: give both, or images.")
    if not options["nodes"] or options["preload"]:
        raise PodsError("images needs nodes, each of which pulls every image, and no preload.")
    return {**options, "count": len(options["images"]) * len(options["nodes"]), "places": options["nodes"] * len(options["images"])}


def check(options):
    """Raise PodsError for an option that cannot be used."""
    for option, pattern in (("name", NAME), ("run_id", LABEL), ("namespace", NAMESPACE)):
        if not pattern.fullmatch(options[option]):
            raise PodsError(f"{option} is {options[option]!r}, which Kubernetes does not take: use letters, digits and dashes.")
    for option, most in (("count", MOST_PODS), ("rate", 10_000), ("timeout", 86_400)):
        if not 0 < options[option] <= most:
            raise PodsError(f"{option} is {options[option]:g}: give a number above 0, and {most} at most.")
    if options["at_once"] < 0:
        raise PodsError(f"at_once is {options['at_once']}: give the number of pods that may exist at a time, or 0 for no limit.")
    if options["count"] / options["rate"] >= options["timeout"]:
        needed = options["count"] / options["rate"]
        raise PodsError(f"timeout is {options['timeout']:g}, but to create {options['count']} pods takes {needed:g} s: raise it, or rate.")
    if len(options["nodes"]) > MOST_NODES:
        raise PodsError(f"nodes has {len(options['nodes'])} names: name {MOST_NODES} at most, or none to use every node.")
    if options["preload"] and not options["nodes"]:
        raise PodsError("preload needs nodes: name the nodes that shall have the image.")
    if options["raw"] and not (os.path.isabs(options["raw"]) and os.path.basename(options["raw"])):
        raise PodsError(f"raw is {options['raw']!r}: give an absolute path prefix with a file name at its end.")
