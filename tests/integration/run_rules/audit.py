"""The API server's own record of requests: who wrote what, how often."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.localcluster.audit import read_whole_lines

OPERATOR = "system:serviceaccount:diem-system:diem-operator"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The part of the record from one moment on."""

    file: Path
    start: int

    def count(self, namespace: str, *, user: str = OPERATOR) -> Counter[str]:
        """Return how often the user made each kind of request in the namespace, successful or not, but for reads."""
        lines = [line for line in read_whole_lines(self.file, since=self.start) if namespace.encode() in line]
        entries = [entry for entry in map(json.loads, lines) if entry["stage"] == "ResponseComplete"]
        return Counter(
            f"{entry['verb']} {entry['objectRef']['resource']}/{entry['objectRef'].get('subresource', '')}".rstrip("/")
            for entry in entries
            if entry["user"]["username"] == user
            and entry.get("objectRef", {}).get("namespace") == namespace
            and entry["verb"] not in {"get", "list", "watch"}
        )


def begin_audit(file: Path | None) -> Audit:
    """Return the record of what happens from now on."""
    assert file is not None, "the cluster keeps no record; start it with audit=True"
    return Audit(file=file, start=file.stat().st_size)
