"""What the cluster's processes inherit of this process's environment: all but what would send them elsewhere."""

import os
from collections.abc import Mapping


def build_environment(additional: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child: the cluster talks to itself alone, never through a proxy."""
    own = {name: value for name, value in os.environ.items() if not _leads_elsewhere(name)}
    return own | dict(additional or {})


def _leads_elsewhere(name: str) -> bool:
    return name == "KUBECONFIG" or name.lower().endswith("_proxy")
