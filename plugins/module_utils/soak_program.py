# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watcher of a soak as one file, for a host or a ConfigMap; standard library alone."""

from __future__ import annotations

# Imported so that Ansible sends it along with a module: it is packed from there.
from ansible_collections.kubeproof.certify.plugins.module_utils import soak_watcher, zipped

MAIN = f"""import sys

from {soak_watcher.__name__} import main

sys.exit(main())
"""


def program():
    """Return the bytes of the program."""
    return zipped.build(zipped.sources("soak_watcher"), MAIN)
