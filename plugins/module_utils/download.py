# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned downloads of tools into a cache: the file that was pinned appears there whole, or nothing does."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import netrc
import os
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request

from . import archive

SILENCE = 30
SECONDS = 1800
FILE_BYTES = 2**30
CHUNK = 2**18
HEAD_BYTES = 2**14
SHA256 = re.compile(r"[0-9a-f]{64}")
PLACEHOLDER = re.compile(r"\{(\w*)\}")
URL = re.compile(r"[!-~]+")
# A password may hold a slash that should have been escaped, so that this takes too much rather than too little.
USER = re.compile(r"//([^?#]*@)")
QUERY = re.compile(r"\?(.+)")
HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!doctype\s+html|<html|<head)", re.IGNORECASE)
TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
KEYS = {"version", "url", "sha256", "architectures", "member"}
# What to do about an HTTP status; {name} is the tool.
ADVICE = {
    401: "Give a user and password for it in ~/.netrc, or correct those in the URL",
    403: "Give a user and password for it in ~/.netrc, or ask who runs the server or the proxy",
    404: "Correct tools_downloads.{name} or tools_mirror",
    407: "Give the proxy's user and password in https_proxy and http_proxy",
    410: "Correct tools_downloads.{name} or tools_mirror",
}
LATER = "Run again later, or set tools_mirror to another server"
OTHERWISE = "Correct tools_downloads.{name} or tools_mirror"
CLOSED = "the connection was closed"
ELSEWHERE = "Look at http_proxy, https_proxy and no_proxy, or set tools_mirror"


class ToolError(Exception):
    """A tool is not there or is refused; one or two sentences that name it, what was found, and what to do."""


# What is pinned --------------------------------------------------------------------------------------------------------------


def local_path(text):
    """Return the absolute path that a user wrote, perhaps with ~."""
    return os.path.abspath(os.path.expanduser(text))


def pin_of(name, entry, architecture, mirror):
    """Return {name, architecture, url, sha256, member} of an entry of tools_downloads; ToolError says what is wrong with it."""
    where = f"tools_downloads.{name}"
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        raise ToolError(f"{name}: {where} has no url, so nothing was downloaded. Write it as {{version: …, url: …, sha256: {{{architecture}: …}}}}.")
    unknown = sorted(str(key) for key in entry if key not in KEYS)
    if unknown:
        raise ToolError(f"{name}: {where} has {', '.join(unknown)}, so nothing was downloaded. Use {', '.join(sorted(KEYS))}.")
    sums = entry.get("sha256")
    wanted = sums.get(architecture) if isinstance(sums, dict) else None
    if not wanted:
        raise ToolError(f"{name}: {where} has no SHA-256 for {architecture}, so nothing was downloaded. Add {where}.sha256.{architecture}.")
    if not SHA256.fullmatch(str(wanted).lower()):
        raise ToolError(f"{name}: {where}.sha256.{architecture} is not 64 hexadecimal digits in quotes, so nothing was downloaded. Correct it.")
    words = entry.get("architectures") or {}
    values = {
        "mirror": mirror.rstrip("/"),
        "version": str(entry.get("version") or ""),
        "architecture": str(words.get(architecture, architecture) if isinstance(words, dict) else architecture),
    }
    url = _filled(name, f"{where}.url", entry["url"], values)
    _check_url(name, url)
    member = _filled(name, f"{where}.member", str(entry.get("member") or ""), values)
    return {"name": name, "architecture": architecture, "url": url, "sha256": str(wanted).lower(), "member": member}


def _filled(name, where, template, values):
    """Return a template with its placeholders replaced; ToolError when one of them is unknown or has no value."""
    for key in PLACEHOLDER.findall(template):
        if key not in values:
            raise ToolError(f"{name}: {where} has {{{key}}}, so nothing was downloaded. Use {{mirror}}, {{version}} and {{architecture}}.")
        if not values[key]:
            needed = "tools_mirror" if key == "mirror" else f"tools_downloads.{name}.{key}"
            raise ToolError(f"{name}: {where} has {{{key}}}, so nothing was downloaded. Set {needed}.")
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _check_url(name, url):
    """Raise ToolError for what is no http or https URL. The text is not shown: where its credentials end is not known."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and URL.fullmatch(url)
    except ValueError:
        usable = False
    if not usable:
        raise ToolError(f"{name}: tools_downloads.{name}.url with tools_mirror gives no http or https URL, so nothing was downloaded. Correct them.")


def secrets(url):
    """Return the parts of a URL that may be credentials: user and password, and what stands behind the question mark."""
    return [match[1] for match in (USER.search(url), QUERY.search(url)) if match]


def shown(url):
    """Return a URL without user, password and query, and the proxy that it is asked through."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return f"{_public(url)} (through the proxy {proxy.rpartition('@')[2].rpartition('//')[2]})"
    return _public(url)


def _public(url):
    """Return a URL without user, password and query."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


# The cache -------------------------------------------------------------------------------------------------------------------


def fetch(pin, cache, opened, check_mode=False):
    """Return (path of the tool in the cache, whether it was downloaded now); None for the path in check mode. `opened` opens a URL."""
    key = hashlib.sha256(f"{pin['sha256']}\0{pin['member']}".encode()).hexdigest()[:16]
    folder = os.path.join(cache, "downloads")
    target = os.path.join(folder, f"{pin['name']}-{pin['architecture']}-{key}")
    path = os.path.join(target, pin["name"])
    if _intact(path):
        return path, False
    if check_mode:
        return None, True
    try:
        os.makedirs(folder, exist_ok=True)
        # Two runs that want the same tool download it once; what a killed one left is removed by the next.
        with open(target + ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _intact(path):
                return path, False
            _fill(pin, target, opened)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ToolError(f"{pin['name']}: cannot write {folder}: {reason}. Free the space, correct its permissions, or set tools_cache.") from error
    return path, True


def _fill(pin, target, opened):
    """Make the directory `target` with the tool and its SHA-256 in one step."""
    unfinished = target + ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.mkdir(unfinished)
    try:
        received, tool = (os.path.join(unfinished, name) for name in (".received", pin["name"]))
        _download(pin, received, opened)
        try:
            digest = archive.extract(received, tool, pin["name"], pin["member"])
        except archive.ArchiveError as error:
            raise ToolError(f"{pin['name']}: {shown(pin['url'])} {error}. Correct tools_downloads.{pin['name']}, its member above all.") from error
        os.unlink(received)
        os.chmod(tool, 0o755)
        with open(tool + ".sha256", "w", encoding="utf-8") as stream:
            stream.write(f"{digest}  {pin['name']}\n")
        shutil.rmtree(target, ignore_errors=True)
        os.rename(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _intact(path):
    """Say whether the tool is there and is what was unpacked."""
    try:
        with open(path + ".sha256", encoding="utf-8") as stream:
            wanted = stream.read().split()[:1]
        return os.access(path, os.X_OK) and wanted == [archive.sha256_of(path)]
    except (OSError, ValueError):
        return False


# The download ----------------------------------------------------------------------------------------------------------------


def _download(pin, path, opened):
    """Write what the URL gives to the new file `path`; ToolError unless it has the SHA-256 that is pinned."""
    begin = f"{pin['name']}: {shown(pin['url'])}"
    with contextlib.closing(_open(pin, begin, opened)) as response:
        final = _public(response.geturl())
        begin += f", redirected to {final}," if final != _public(pin["url"]) else ""
        with open(path, "xb") as stream:
            digest, problem = _receive(response, stream, begin)
    if digest == pin["sha256"]:
        return
    size, announced = os.path.getsize(path), response.headers.get("Content-Length") or ""
    if _is_page(path, response):
        raise ToolError(f"{begin} sent an HTML page{_title_of(path)} instead of the file, as the login or error page of a proxy is. {ELSEWHERE}.")
    if problem or (announced.isdigit() and size < int(announced)):
        whole = f" of {announced}" if announced.isdigit() else ""
        raise ToolError(f"{begin} ended after {size}{whole} bytes: {problem or CLOSED}. {LATER}.")
    raise ToolError(
        f"{begin} sent {size} bytes with the SHA-256 {digest}, not {pin['sha256']}, which tools_downloads.{pin['name']} requires. "
        "Find out whether the version, the SHA-256 or the file is wrong before you change one."
    )


def _open(pin, begin, opened):
    """Return the response of a GET; ToolError says what was answered instead, or why nothing was."""
    try:
        return opened(pin["url"])
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            page = _title(_answer(error))
        advice = LATER if error.code >= 500 or error.code in (408, 429) else ADVICE.get(error.code, OTHERWISE).format(name=pin["name"])
        circle = " and leads in a circle or elsewhere than to http and https" if 300 <= error.code < 400 else ""
        raise ToolError(f"{begin} answered {error.code} {http.client.responses.get(error.code, '')}{page}{circle}. {advice}.") from error
    except netrc.NetrcParseError as error:
        raise ToolError(f"{pin['name']}: ~/.netrc cannot be used: {archive.printable(error.msg)}. Correct it.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ToolError(f"{begin} cannot be read: {_reason(error)}. {ELSEWHERE}.") from error


def _receive(response, stream, begin):
    """Copy the body to a stream; return (SHA-256, why it broke off or nothing). ToolError when there is no end to it."""
    digest, left = hashlib.sha256(), FILE_BYTES
    end = time.monotonic() + SECONDS
    while True:
        try:
            chunk = response.read1(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            return "", _reason(error)
        if not chunk:
            return digest.hexdigest(), ""
        left -= len(chunk)
        if left < 0 or time.monotonic() > end:
            limit = f"more than {FILE_BYTES} bytes" if left < 0 else f"for more than {SECONDS} s"
            raise ToolError(f"{begin} sent {limit}, which no tool needs. {LATER}.")
        digest.update(chunk)
        stream.write(chunk)


def _is_page(path, response):
    """Say whether a file is an HTML page. Some servers call every file one, so that the header alone is no proof."""
    head = _head(path)
    kind = (response.headers.get("Content-Type") or "").lower()
    return bool(HTML.match(head)) or (kind.startswith(("text/html", "application/xhtml")) and b"\0" not in head)


def _head(path):
    """Return the first bytes of a file."""
    with open(path, "rb") as stream:
        return stream.read(HEAD_BYTES)


def _title_of(path):
    """Return the title of the HTML page in a file in brackets, or nothing."""
    return _title(_head(path))


def _answer(error):
    """Return the first bytes of the text that came with an HTTP error."""
    try:
        return error.read(HEAD_BYTES)
    except (OSError, http.client.HTTPException, ValueError):
        return b""


def _title(head):
    """Return the title of an HTML page in brackets, or nothing."""
    match = TITLE.search(head)
    title = archive.printable(match[1].decode("utf-8", "replace")) if match else ""
    return f' ("{title}")' if title else ""


def _reason(error):
    """Say in words why a request failed. Texts that may hold the URL, and so its credentials, are left out."""
    cause = error.reason if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {cause.verify_message}"
    if isinstance(cause, socket.timeout):
        return f"nothing came for {SILENCE} s"
    if isinstance(cause, http.client.IncompleteRead):
        return CLOSED
    if isinstance(cause, OSError):
        return archive.printable(cause.strerror or str(cause) or type(cause).__name__)
    return f"the answer is not HTTP ({type(cause).__name__})"
