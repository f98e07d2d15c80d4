# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw output of a run -> inputs -> facts, once more.

inputs/<layer>/… is what the layer's function was given when it made facts/<layer>/…. It is called again, and has to say the same. Of the inputs, those
that tools printed, servers counted or the watchers of a soak recorded (PARTS) have to be what their raw output says when it is read again as `<place>.json`
beside it tells (evidence.py).
What is left, answers of the Kubernetes API and what hosts say of themselves, is kept as it came: nothing but its hash vouches for it.
"""

from __future__ import annotations

import fnmatch
import glob
import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from . import openmetrics, parsers, pod_rows, soak_raw, storage_fio, window, window_prometheus
from .check_data import CheckError, plain
from .files import DataFileError, read_json
from .histogram import HistogramError
from .layer_facts import FACTS
from .parsers.common import ParseError
from .report_words import cut
from .soak_prometheus import PrometheusError

INPUTS, SUFFIX = "inputs", ".json.gz"
CHUNK = 1 << 20
WITHOUT_RECORDINGS = "Put back the files of raw/ as the run left them, or certify again: without its recordings nothing says how the day was"


class Unread(Exception):
    """Raw output cannot be read again; the text says why."""


# How output is read again: by a parser of that name, or as here ------------------------------------------------------------------


def _window(paths: List[str], how: Mapping) -> Any:
    """Return what was counted between two snapshots of /metrics."""
    first, last = (_scene(path, how["requests"], moment) for path, moment in zip(paths, (0.0, how["seconds"])))
    return window.compare(window.load(_plain(window.dump(first))), last, how["requests"])


def _scene(path: str, requests: List[Mapping], moment: float) -> Dict[str, Any]:
    with gzip.open(path, "rb") as stream:
        if stream.peek(1)[:1] == b"{":
            start, families = window_prometheus.kept(stream.read().decode("utf-8"))
        else:
            families = openmetrics.read(iter(lambda: stream.read(CHUNK), b""), window.names_of(requests))
            start = window.start_of(families)
    return window.scene_of(moment, start, families, requests)


def _pods(paths: List[str], how: Mapping) -> Any:
    """Return the numbers of pods that were started, and beside them what their rows do not say."""
    with gzip.open(paths[0], "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    return {**how["beside"], **pod_rows.of_rows(rows, how["preload"])}


READERS: Dict[str, Callable[[List[str], Mapping], Any]] = {"window": _window, "pods": _pods, soak_raw.PARSER: soak_raw.again}


def parsed(paths: List[str], how: Mapping) -> Any:
    """Return what is made of output, once more; Unread when that cannot be."""
    parser = how.get("parser")
    try:
        if parser in READERS:
            return READERS[parser](paths, how)
        if not parsers.reads_path(parser):
            return parsers.parse(parser, _text(paths[0]))
        if len(paths) == 1:
            return parsers.parse_path(parser, paths[0])
        with tempfile.TemporaryDirectory(prefix="kubeproof-") as together:
            for number, path in enumerate(paths):
                os.symlink(os.path.abspath(path), os.path.join(together, f"{number}-{os.path.basename(path)}"))
            return parsers.parse_path(parser, together)
    except (ArithmeticError, AttributeError, EOFError, LookupError, OSError, ParseError, PrometheusError, RecursionError, TypeError, ValueError,
            openmetrics.ExpositionError, window.WindowError, zlib.error) as error:  # fmt: skip
        raise Unread(f"it is not the output of {parser}: {str(error) or type(error).__name__}") from error


class Raw:
    """The raw output of a layer: `problems` (a sentence for each difference), and `read`, the paths below raw/<layer>/ that were read again."""

    def __init__(self, directory: str, layer: str) -> None:
        self.layer, self.top = layer, os.path.join(directory, "raw", layer)
        self.problems: List[str] = []
        self.read: Set[str] = set()
        self.facts = 0
        self.places: Dict[str, Any] = {}
        for root, directories, names in os.walk(self.top):
            below = os.path.relpath(root, self.top)
            own = [name[: -len(".json")] for name in names if name.endswith(".json")]
            self.places.update((os.path.normpath(os.path.join(below, name)), None) for name in [*directories, *own])

    def find(self, template: str, names: Mapping[str, str]) -> List[str]:
        """Return the places that a template means: one, or where it has a * all that it fits."""
        if "*" not in template:
            return [template.format(**names)]
        pattern = template.format(**{name: glob.escape(value) for name, value in names.items()})
        return [place for place in self.places if place.count("/") == pattern.count("/") and fnmatch.fnmatchcase(place, pattern)]

    def at(self, place: str) -> Any:
        """Return what is made of the output at a place; Unread when there is none, or it says nothing."""
        path = os.path.join(self.top, f"{place}.json")
        if place not in self.places or not os.path.isfile(path):
            raise Unread("")
        if self.places[place] is None:
            how = read_json(path)
            if not isinstance(how, dict) or not isinstance(how.get("files"), list) or not how["files"]:
                raise Unread(f"raw/{self.layer}/{place}.json does not say what has read it")
            self.places[place] = plain(parsed([self.path(os.path.dirname(place), name) for name in how["files"]], how))
        return self.places[place]

    def text(self, place: str) -> str:
        """Return the text that a tool printed at a place."""
        return _text(self.path(place, "stdout"))

    def path(self, place: str, name: Any) -> str:
        """Return the path of a file or directory beside a place; Unread unless it is there, within this layer's output."""
        below = os.path.normpath(os.path.join(place, str(name)))
        whole = os.path.join(self.top, below)
        if below.startswith("..") or os.path.isabs(below) or not os.path.exists(whole):
            raise Unread(f"raw/{self.layer}/{below} is not there")
        inside = [os.path.join(root, one) for root, dummy, names in os.walk(whole) for one in names] if os.path.isdir(whole) else [whole]
        self.read.update(os.path.relpath(one, self.top) for one in inside)
        return whole

    def compare(self, document: str, inputs: Any) -> None:
        """Compare those inputs of one document of facts that come from output with what the output says again."""
        for part in PARTS.get(f"{self.layer}/{_kind(document)}", ()):
            for names, value in _matches(inputs, part.at.split("."), named(document, inputs)):
                if value and names.get("step") not in part.but:
                    self.compare_one(part, names, value)

    def compare_one(self, part: "Part", names: Mapping[str, str], value: Any) -> None:
        """Compare one input with its output."""
        said, failed, said_of = [], [], (part.called or part.at).format(**names)
        for place in (found for template in part.places for found in self.find(template, names)):
            try:
                again = _plain(part.again(self, place, names, value))
            except Unread as error:
                failed.extend([f"raw/{self.layer}/{place} cannot be read again ({said_of}): {error}."] if str(error) else [])
                continue
            if again == value:
                return
            said.append(f"raw/{self.layer}/{place} says something else than what the facts of {self.layer} were made of: {said_of}{different(value, again)}")
        nothing = f"{said_of} is among what the facts of {self.layer} were made of, and there is no raw output of it."
        self.problems.extend((said + failed)[:1] or [nothing])


# What of the inputs comes from raw output -----------------------------------------------------------------------------------------


class Part(NamedTuple):
    """Inputs at a path ({name}: any key) that come from output: at which places below raw/<layer>/ it may be, and how it is made of it.

    `but`: steps that no tool was run for; what they measured, a module says. `called`: how it is called where path and place do not say of what it is.
    """

    at: str
    places: Tuple[str, ...]
    again: Callable[["Raw", str, Mapping[str, str], Any], Any] = lambda raw, place, names, value: raw.at(place)
    but: Tuple[str, ...] = ()
    called: str = ""


def _asked(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    """Return what etcdctl answered to the questions, as one."""
    found: Dict[str, Any] = {}
    for question in ("members", "status", "health", "alarms"):
        try:
            found.update(raw.at(f"{place}/{question}"))
        except Unread as error:
            if str(error):
                raise
    if not found:
        raise Unread("")
    return found


def _probe(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    lines = [line for line in raw.text(place).splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def _job(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    """Return what a job measured on a volume; of kbench a run has several."""
    said = raw.at(place)
    return _of_fio(names["job"], said) if "jobs" in said else said


def _of_fio(job: str, said: Any) -> Any:
    try:
        return storage_fio.result(job, said)
    except storage_fio.VolumeError as error:
        raise Unread(str(error)) from error


def _cached(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    return {"rate": _of_fio("cached", raw.at(place))["read"]["rate"]}


def _space(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    try:
        return storage_fio.look(raw.text(place), value.get("asked"))
    except storage_fio.VolumeError as error:
        raise Unread(str(error)) from error


def _resident(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    known = value.get("resident") is not None
    return {**value, "resident": storage_fio.resident(raw.text(f"{place}/resident"), value.get("file") or 1)} if known else value


def _proved(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    # What failed has no output that a parser takes, and is no better for it.
    return value if not value.get("same") or raw.at(place) else None


def _soak(raw: Raw, place: str) -> Mapping:
    said = raw.at(place)
    if not isinstance(said, Mapping) or not {"cluster", "hosts", "changed"} <= set(said):
        raise Unread(f"raw/{raw.layer}/{place}.json is not of a soak")
    return said


def _soaked(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    """Return what the recordings of a soak prove of the cluster; where they were not taken nothing is known, and nothing else may be said."""
    try:
        said = _soak(raw, place)
    except Unread as error:
        if not str(error) and "soak" not in value:
            return value
        raise Unread(f"{str(error) or f'raw/{raw.layer}/{place}.json is not there'}. {WITHOUT_RECORDINGS}") from error
    if said["changed"] and said["cluster"] == value:
        raise Unread(f"{', '.join(said['changed'])} is not what was read then, by its SHA-256 in raw/{raw.layer}/{place}.json. {WITHOUT_RECORDINGS}")
    return said["cluster"]


def _soaked_host(raw: Raw, place: str, names: Mapping[str, str], value: Any) -> Any:
    # A host that was lost keeps what it had handed over before the day was over; what is not known makes no result better.
    if "soak" not in value:
        return value
    try:
        return _soak(raw, place)["hosts"].get(names["document"].rpartition("/")[2])
    except Unread as error:
        # Why, the cluster says.
        raise Unread("") from error


def _volume(name: str) -> Tuple[str, ...]:
    # Of a volume that was held for a ramp the parts have directories of their own.
    return tuple(f"{{volume}}/{part}{name}" for part in ("", "present/", "absent/"))


PARTS: Dict[str, Tuple[Part, ...]] = {
    "etcd/host": (
        Part("extra.fio", ("{document}/fio",)),
        Part("extra.window", ("{document}/metrics-etcd",)),
        Part("soak", ("{cluster}/soak",), _soaked_host, called="soak of {document}"),
    ),
    # The tools run on one of the hosts.
    "etcd/cluster": (
        Part("asked", ("*", "*/*"), _asked),
        Part("steps.{step}", ("*/{step}", "*/*/{step}")),
        Part("after", ("*/status-after", "*/*/status-after")),
        Part("soak", ("{cluster}/soak",), _soaked),
    ),
    "apiserver/cluster": (
        Part("steps.{step}.facts", ("{step}",), but=("streams",)),
        Part("steps.{step}.windows.{component}.{server}", ("{step}-{component}-{server}",)),
    ),
    "network/cluster": (
        Part("steps.{step}.runs.{run}.facts", ("{step}/{run}",)),
        Part("steps.{step}.facts", ("{step}/run",), but=("programming",)),
    ),
    "dns/cluster": (
        Part("steps.{step}.facts", ("{step}",)),
        Part("steps.{step}.each.{pod}", ("{step}/*",), lambda raw, place, names, value: parsed([raw.path(place, "stdout")], {"parser": "dnsperf_files"})),
        Part("steps.{step}.metrics.{pod}", ("{step}-metrics-{pod}",)),
    ),
    "storage/cluster": (
        Part("volumes.{volume}.facts", ("{volume}", "{volume}/absent"), _resident),
        Part("volumes.{volume}.facts.integrity", _volume("verify"), _proved),
        Part("volumes.{volume}.facts.jobs.{job}", _volume("{job}"), _job),
        Part("volumes.{volume}.facts.cached", _volume("cached"), _cached),
        Part("volumes.{volume}.facts.space", _volume("look"), _space),
        Part("ran.{class}.{step}.{volume}.facts", ("{step}/{volume}",)),
        Part("disks.{node}", ("disk-{node}",)),
    ),
    "ingress/cluster": (Part("steps.{step}.facts", ("{step}",)), Part("probe", ("probe",), _probe)),
    "scale/cluster": (
        Part("steps.{step}.latency", ("latency-*",)),
        Part("steps.{step}.clusterloader", ("{step}",)),
        Part("steps.{step}.windows.{component}.{server}", ("*-{component}-{server}",)),
    ),
}


def compare(directory: str, facts: Mapping) -> Dict[str, Raw]:
    """Return {layer: what was compared of it} for the facts {path below facts/: document} of a run."""
    made: Dict[str, Raw] = {}
    for path in sorted(facts):
        layer, dummy, document = path.partition("/")
        raw, kept = made.setdefault(layer, Raw(directory, layer)), os.path.join(directory, INPUTS, f"{path}{SUFFIX}")
        function = FACTS.get(f"{layer}/{_kind(document)}")
        if function is None:
            raw.problems.append(f"facts/{path}.json: nothing says how such facts are made.")
        elif not os.path.isfile(kept):
            raw.problems.append(f"{INPUTS}/{path}{SUFFIX} is missing, so that facts/{path}.json cannot be made again.")
        else:
            inputs = read_json(kept)
            again = _called(function, inputs)
            if again != facts[path]:
                raw.problems.append(f"facts/{path}.json does not follow from {INPUTS}/{path}{SUFFIX}{different(facts[path], again)}")
            raw.facts += 1
            raw.compare(document, inputs)
    return made


def _called(function: Callable[[Any], Any], inputs: Any) -> Optional[Any]:
    """Return what a function makes of inputs, None where it makes nothing of them."""
    try:
        return _plain(function(inputs))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, CheckError, HistogramError):
        return None


def _kind(document: str) -> str:
    return "cluster" if document.startswith("cluster/") else "host"


def named(document: str, inputs: Mapping) -> Dict[str, str]:
    """Return what the places of a document's output are named by: the document, and its cluster, which the inputs of a host say where they have one."""
    cluster = document.partition("/")[2] if _kind(document) == "cluster" else inputs.get("cluster", "")
    return {"document": document, "cluster": str(cluster)}


def _matches(value: Any, path: List[str], names: Mapping[str, str]) -> Iterator[Tuple[Mapping[str, str], Any]]:
    """Yield ({name: key}, value) of all that is at a path."""
    if not path:
        yield names, value
    elif isinstance(value, Mapping):
        key = path[0]
        if key.startswith("{"):
            for one in value:
                yield from _matches(value[one], path[1:], {**names, key[1:-1]: one})
        elif key in value:
            yield from _matches(value[key], path[1:], names)


def different(found: Any, expected: Any) -> str:
    """Return where two documents differ first, as the end of a sentence."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        key = next(key for key in sorted({*found, *expected}, key=str) if key not in found or key not in expected or found[key] != expected[key])
        return f", {key}{different(found.get(key), expected.get(key))}"
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        index = next(number for number, pair in enumerate(zip(found, expected)) if pair[0] != pair[1])
        return f", number {index + 1}{different(found[index], expected[index])}"
    if isinstance(found, list) and isinstance(expected, list):
        return f": {len(found)} instead of {len(expected)} entries."
    return f": {cut(json.dumps(found), 80)} instead of {cut(json.dumps(expected), 80)}."


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError as error:
        raise DataFileError(f"Cannot read {path}: {error.strerror}.") from error
