# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the certificates of a host still hold, also those inside kubeconfigs; nothing but dates leaves here. Standard library alone."""

from __future__ import annotations

import base64
import calendar
import re
import time

BEGIN_END = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
# In a kubeconfig; keys have another name and are never decoded.
EMBEDDED = re.compile(r"^\s*client-certificate-data:\s*[\"']?([A-Za-z0-9+/=]+)", re.MULTILINE)
SEQUENCE, VERSION, UTC_TIME = 0x30, 0xA0, 0x17
LARGEST = 1 << 20


def read(path):
    """Return {expires_in (s, from now), ca} of the certificate in a file; for a bundle of CAs the one that holds longest. None when it has none.

    OSError when the file cannot be read, ValueError when a certificate is damaged.
    """
    with open(path, encoding="utf-8", errors="replace") as stream:
        text = stream.read(LARGEST)
    embedded = EMBEDDED.search(text)
    if embedded:
        text = base64.b64decode(embedded.group(1)).decode("ascii", "replace")
    found = [dates(base64.b64decode(body)) for body in BEGIN_END.findall(text)]
    if not found:
        return None
    authority = found[0][1]
    end = max(one[0] for one in found) if authority else found[0][0]
    return {"expires_in": int(end - time.time()), "ca": authority}


def dates(der):
    """Return (end of validity (epoch, s), whether it signed itself) of a certificate; ValueError when it is damaged."""
    try:
        body = _inside(_inside(der, SEQUENCE), SEQUENCE)
        fields = []
        while body and len(fields) < 6:
            tag, start, end = _element(body)
            if tag != VERSION:
                fields.append(body[:end])
            body = body[end:]
        # The serial number, the algorithm, the issuer, the validity, the subject.
        issuer, validity, subject = fields[2:5]
        begin_and_end = _inside(validity, SEQUENCE)
        tag, start, end = _element(begin_and_end[_element(begin_and_end)[2] :])
        digits = begin_and_end[_element(begin_and_end)[2] :][start:end].decode("ascii").rstrip("Z")
        if tag == UTC_TIME:
            digits = ("20" if int(digits[:2]) < 50 else "19") + digits
        return calendar.timegm(time.strptime(digits, "%Y%m%d%H%M%S")), issuer == subject
    except (IndexError, ValueError, UnicodeDecodeError) as error:
        raise ValueError("a certificate is damaged") from error


def _element(data):
    """Return (tag, start, end) of the first element of DER."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if start + length > len(data):
        raise ValueError("cut off")
    return tag, start, start + length


def _inside(data, tag):
    """Return what is in the first element, which has this tag."""
    found, start, end = _element(data)
    if found != tag:
        raise ValueError("another element")
    return data[start:end]
