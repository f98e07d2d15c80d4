# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command of etcd's maintenance as one file that Python runs; standard library alone."""

from __future__ import annotations

# Imported so that Ansible sends it along with a module: it is packed from there.
from ansible_collections.kubeproof.certify.plugins.module_utils import etcd_maintenance_command, zipped

MAIN = f"""import sys

from {etcd_maintenance_command.__name__} import main

sys.exit(main(sys.argv[1:]))
"""


def build():
    """Return the bytes of the program."""
    return zipped.build(zipped.sources("etcd_maintenance_command"), MAIN)
