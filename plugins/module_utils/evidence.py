# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was made of raw output, said beside it: who reads output of a tool leaves `<place>.json`, by which report_verify_raw reads it once more.

{parser, files: [paths beside it], and what else the parser has to know}. Of tool_run the same file also says what was run, and how that ended.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Sequence

from .files import write_text


def described(place: str, parser: str, paths: Sequence[str], **more: Any) -> Dict[str, Any]:
    """Return what is said of output: the parser that read it, and the files or directories that it read, which are kept beside `place`."""
    top = os.path.dirname(os.path.abspath(place))
    return {"parser": parser, "files": [os.path.relpath(os.path.abspath(path), top) for path in paths], **more}


def text(document: Any) -> str:
    """Return it as the text of a file."""
    return json.dumps(document, indent=2) + "\n"


def keep(place: str, parser: str, paths: Sequence[str], **more: Any) -> None:
    """Write what is said of output to `<place>.json`; DataFileError when that cannot be written."""
    write_text(f"{place}.json", text(described(place, parser, paths, **more)))
