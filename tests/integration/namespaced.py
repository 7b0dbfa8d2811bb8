"""kubectl in one namespace: what a person applies, and what the person is told."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError


@dataclass(frozen=True, kw_only=True)
class Namespaced:
    cluster: LocalCluster
    name: str

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess.run
        return self.cluster.kubectl("--namespace", self.name, *arguments, input=input)

    def apply(self, manifest: dict[str, Any], *flags: str) -> dict[str, Any]:
        """Apply a manifest and return what the API server has made of it."""
        printed = self.kubectl("apply", *flags, "--filename", "-", "--output", "json", input=json.dumps(manifest))
        return dict(json.loads(printed))

    def find_refusal(self, manifest: dict[str, Any]) -> str:
        """Apply a manifest that is to be refused and return the message that its author sees."""
        with pytest.raises(KubectlError) as refusal:
            self.apply(manifest, "--dry-run=server")
        return str(refusal.value)
