"""Reads from the API server while a cluster comes up, before anything else can.

Only GET, only a handful of paths; tests use real clients.
"""

import contextlib
import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from tests.localcluster.pki import Credential

_TIMEOUT_SECONDS = 5.0


class ApiProbe:
    """Asks one API server, as the holder of a client certificate."""

    def __init__(self, port: int, *, ca_file: Path, credential: Credential) -> None:
        """Remember whom to ask; nothing is connected yet."""
        self._port = port
        self._context = ssl.create_default_context(cafile=str(ca_file))
        self._context.load_cert_chain(credential.certificate, credential.key)

    def is_serving(self) -> bool:
        """Tell whether the API server is ready."""
        return self._get("/readyz") is not None

    def has(self, path: str) -> bool:
        """Tell whether there is something at this path."""
        return self._get(path) is not None

    def is_node_ready(self, name: str) -> bool:
        """Tell whether the node has the condition Ready."""
        body = self._get(f"/api/v1/nodes/{name}")
        if body is None:
            return False
        node: dict[str, Any] = json.loads(body)
        conditions = node.get("status", {}).get("conditions", ())
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def _get(self, path: str) -> bytes | None:
        link = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=_TIMEOUT_SECONDS)
        return _get(link, path)


def is_answering(host: str, port: int, path: str) -> bool:
    """Tell whether an HTTP server answers 200 at this path."""
    return _get(http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS), path) is not None


def _get(link: http.client.HTTPConnection, path: str) -> bytes | None:
    """Return the body of a 200; None for any other answer, and for none."""
    with contextlib.closing(link), contextlib.suppress(OSError, http.client.HTTPException):
        link.request("GET", path)
        answer = link.getresponse()
        body = answer.read()
        return body if answer.status == http.HTTPStatus.OK else None
    return None
