# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run tools in pods that are there already: through connections that end, to the tool's end or its timeout, and bring what it wrote."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time

from . import evidence, files, job_pods, job_results, job_state, parsers, pod_exec_script
from .cluster import ClusterError
from .job_exec import Command, ExecError
from .job_pods import JobError
from .job_results import ResultError
from .job_spec import RESULTS
from .parsers.common import ParseError
from .pod_group_spec import GROUP_LABEL
from .run import OUTPUT_LIMIT

# Seconds: between two attempts; until a tool must have been started; for its end and its answer, beyond its timeout; for a small command in a pod.
PAUSE, STARTING, ANSWER, SMALL = 0.25, 30.0, 60.0, 15.0
# Attempts after a command ended badly without an answer: what watched the tool may be alive although its reader was killed.
FAILURES = 3
STDERR_TAIL = 2000
LONGEST = 2 * pod_exec_script.INLINE
RIGHTS = "Give it the rights that the notes of pod_exec name"


class RunError(Exception):
    """One run failed; the text says how, without a full stop."""


class Lost(RunError):
    """The pod is lost, or cannot be reached: nothing else shall be tried in it."""


class Exec:
    """Runs tools, one after the other. `lost` {pod: why nothing can run there any more}, `reached` the pods that answered."""

    def __init__(self, server, namespace):
        self.server, self.namespace = server, namespace
        self.lost, self.reached = {}, set()
        # (pod, token) of a tool that may be running.
        self.current = None

    def run(self, run, directory):
        """Run {pod, argv, environment, timeout, success_codes?, parser, result} and return {exit_code, seconds, cpu_seconds, facts, error}.

        `error` is "" when all is well. What the tool wrote is in `directory` afterwards. JobError when this user may not do it.
        """
        tool, outcome = os.path.basename(run["argv"][0]), {"error": ""}
        token = f"{os.path.basename(directory)}-{secrets.token_hex(4)}"
        try:
            answer = self.measure(run, tool, token)
            outcome.update(exit_code=answer.exit_code, seconds=answer.seconds, cpu_seconds=answer.cpu_seconds)
            problem, failure = self.bring(run["pod"], token, answer, directory), failure_of(run, tool, answer)
            if failure:
                raise RunError(failure if problem else f"{failure}: {said(directory, run['parser'])}")
            if problem:
                raise RunError(f"the results of {tool} in pod {run['pod']} are not whole: {problem}")
            outcome["facts"] = facts_of(run, tool, directory)
        except RunError as error:
            if isinstance(error, Lost):
                self.lost[run["pod"]] = str(error)
            outcome["error"] = sentence(f"{error}{self.ended_beside()}")
        return outcome

    def measure(self, run, tool, token):
        """Return the Answer of a tool; RunError when there is none."""
        pod = run["pod"]
        if pod in self.lost:
            raise RunError(f"{tool} was not run: {self.lost[pod]}")
        self.current = (pod, token)
        began, opened, failures = time.monotonic(), False, 0
        limit = began + math.ceil(run["timeout"]) + pod_exec_script.GRACE + ANSWER
        try:
            while True:
                try:
                    with Command(self.server, self.namespace, pod, pod_exec_script.start(token, run)) as command:
                        opened = True
                        data = command.text(limit - time.monotonic(), LONGEST, quiet=lambda: self.look(pod))
                    self.reached.add(pod)
                    self.current = None
                    return self.answer(data, tool, pod)
                except ExecError as error:
                    if error.refused:
                        raise JobError(f"{tool} cannot be run in pod {pod}: {error}. {RIGHTS}") from error
                    self.look(pod)
                    if not opened and time.monotonic() > began + STARTING:
                        raise Lost(f"{tool} could not be run in pod {pod} within {STARTING:g} s: {error}") from error
                    failures += error.final
                    if failures == FAILURES:
                        raise RunError(f"{tool} could not be run in pod {pod}: {error}") from error
                    if time.monotonic() > limit:
                        late = f"for {ANSWER:g} s after its timeout of {run['timeout']:g} s"
                        raise RunError(f"nothing was heard of {tool} in pod {pod} {late}: {error}") from error
                time.sleep(PAUSE)
        except Lost:
            self.current = None
            raise
        except RunError:
            self.end()
            raise

    def answer(self, data, tool, pod):
        """Return the Answer in what a pod printed."""
        try:
            if data is None:
                raise ResultError("the list of them is too long")
            return pod_exec_script.read(data)
        except ResultError as error:
            raise RunError(f"the results of {tool} in pod {pod} are not whole: {error}") from error

    def look(self, pod):
        """Lost when a pod can no longer be used."""
        state = self.state_of(pod)
        if state and state.stage == job_state.LOST:
            # That a container has ended is there before the reason is.
            time.sleep(job_pods.SETTLE)
            with contextlib.suppress(Lost):
                state = self.state_of(pod) or state
            raise Lost(f"{state.place} was lost: {state.reason}")

    def state_of(self, pod):
        """Return the State of a pod, None while the API server does not answer; Lost when there is no such pod."""
        try:
            found = self.server.get(f"/api/v1/namespaces/{self.namespace}/pods", fieldSelector=f"metadata.name={pod}").get("items") or ()
        except ClusterError as error:
            if error.status in (401, 403):
                raise JobError(f"The pod {pod} cannot be looked at: {error}. {RIGHTS}") from error
            return None
        if not found:
            raise Lost(f"pod {pod} is not there, or no longer")
        return job_state.read(found[0])

    def bring(self, pod, token, answer, directory):
        """Bring what a tool wrote; return why it is not whole, or ""."""
        source = f"{RESULTS}/{token}"
        try:
            for one in answer.files:
                path = os.path.join(directory, one.name)
                if one.name in answer.contents:
                    files.write_bytes(path, answer.contents[one.name])
                else:
                    job_results.fetch(self.server, self.namespace, pod, one, path, source)
        except (ResultError, files.DataFileError) as error:
            self.look(pod)
            return str(error)
        if len(answer.contents) < len(answer.files):
            self.tell(pod, pod_exec_script.remove(token))
        return ""

    def end(self):
        """End the tool that may be running; return whether that was seen."""
        if not self.current:
            return True
        pod, token = self.current
        done = self.tell(pod, pod_exec_script.stop(token))
        self.current = None
        return done

    def tell(self, pod, argv):
        """Run a small command in a pod; return whether it ended well."""
        for dummy in range(FAILURES):
            with contextlib.suppress(ExecError):
                with Command(self.server, self.namespace, pod, argv) as command:
                    command.text(SMALL, LONGEST)
                return True
            time.sleep(PAUSE)
        return False

    def ended_beside(self):
        """Return, after a run failed, which pods' own commands have ended, on which it may have relied; or ""."""
        try:
            pods = self.server.get(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=GROUP_LABEL).get("items") or ()
        except ClusterError:
            return ""
        ended = [state for state in map(job_state.read, pods) if state.stage == job_state.ENDED]
        return "".join(f"; the command of {one.place} {job_state.end_of(one)}" for one in ended[:5])


def failure_of(run, tool, answer):
    """Return how a tool failed, or ""."""
    where = f"in pod {run['pod']}"
    if answer.left:
        return f"{tool} {where} left {answer.left} processes that could not be ended"
    if answer.exit_code and answer.seconds >= math.ceil(run["timeout"]):
        return f"{tool} did not end within {run['timeout']:g} s {where}"
    if answer.killed:
        return f"{tool} ended with exit code {answer.exit_code} (OOMKilled) {where}"
    return "" if answer.exit_code in run.get("success_codes", (0,)) else f"{tool} {job_state.ended_with(answer.exit_code)} {where}"


def said(directory, parser):
    """Return what a failed tool said: the end of standard error, or what its parser makes of the output, which may be all that it wrote."""
    with open(os.path.join(directory, "stderr"), "rb") as stream:
        stream.seek(-min(STDERR_TAIL, stream.seek(0, os.SEEK_END)), os.SEEK_END)
        text = " ".join(stream.read().decode("utf-8", "replace").split())[-300:]
    if text or not parser or parsers.reads_path(parser):
        return text or "it said nothing"
    try:
        parsers.parse(parser, text_of(directory))
    except ParseError as error:
        return str(error)
    return "it said nothing"


def facts_of(run, tool, directory):
    """Return the facts in the results of a tool that ended well; RunError when they cannot be trusted."""
    if not run["parser"]:
        return {}
    path = os.path.join(directory, run["result"] or "stdout")
    try:
        facts = parsers.parse_path(run["parser"], path) if run["result"] else parsers.parse(run["parser"], text_of(directory))
        evidence.keep(directory, run["parser"], [path])
        return facts
    except files.DataFileError as error:
        raise RunError(str(error)) from error
    except ParseError as error:
        raise RunError(f"cannot read the {'result' if run['result'] else 'output'} of {tool} in pod {run['pod']}: {error}") from error


def text_of(directory):
    """Return the standard output of a tool; ParseError when it is too long."""
    path = os.path.join(directory, "stdout")
    if os.path.getsize(path) > OUTPUT_LIMIT:
        raise ParseError(f"it is longer than {OUTPUT_LIMIT} bytes.")
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def sentence(text):
    """Return a text as a sentence; the name of a tool stays as it is."""
    return f"{text.rstrip('.')}."
