# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The defaults of a role, read from its file: what a user has set is told by comparing with them."""

from __future__ import annotations

import yaml
from ansible.errors import AnsibleFilterError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def role_defaults(caller, path, names, what):
    """Return {name: default} of these variables in a file; AnsibleFilterError of the filter `caller` names the file, and `what` it was to be the default of."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = yaml.load(stream, Loader=LOADER)
        return {name: found[name] for name in names}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise AnsibleFilterError(f"kubeproof.certify.{caller}: {path} cannot be read as the defaults of {what}: {error!r}.") from error
