# Copyright (c) 2026 kubeproof authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of a module that only looks at a cluster: arguments, one call, exit_json. Runs on the controller only."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from . import cluster


def run(spec, look, refusal=()):
    """Exit with what `look(server, options)` returns, a dict; the module fails with a sentence for a ClusterError, and for a `refusal` with its text."""
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    if cluster.kubernetes is None:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=cluster.IMPORT_ERROR)
    options = module.params
    try:
        answer = look(cluster.Cluster(options["kubeconfig"]), options)
    except refusal as error:
        module.fail_json(msg=str(error))
    except cluster.ClusterError as error:
        module.fail_json(msg=f"The cluster of {options['kubeconfig']} cannot be looked at: {error}. Correct the file or the network.")
    module.exit_json(changed=False, **answer)
