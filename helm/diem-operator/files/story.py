"""The story that `helm test` plays: a key, a run that completes, a run that is stopped, and the key's end.

Runs in a pod of the release, with nothing but the standard library. It makes its objects through the Kubernetes API,
talks to the DIEM API as any caller would, tells each step in one line, and removes what it made whatever happens.
"""
# ruff: noqa: INP001 - a script, mounted alone

import base64
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

HERE: Final = Path(__file__).parent
IDENTITY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
AUTHORITY: Final = Path("/authority/ca.crt")
PLURALS: Final = {"DiemJob": "diemjobs", "DiemApiKey": "diemapikeys"}

PAUSE_SECONDS: Final = 0.5
REQUEST_SECONDS: Final = 15.0
CLEANING_SECONDS: Final = 20.0
ENDS_AT: Final = time.monotonic() + float(os.environ.get("TIMEOUT_SECONDS", "240"))
"""The end of the whole story, so that it tells what went wrong before Helm gives up."""

Manifest = dict[str, Any]


class StoryError(Exception):
    """A step did not go as it should; the text says which, and what was there instead."""


class Answer:
    """An HTTP answer whose body is a JSON object, or nothing."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        try:
            content = json.loads(body or b"{}")
        except ValueError:
            content = body[:200].decode(errors="replace")
        self.content: dict[str, Any] = content if isinstance(content, dict) else {"message": content}

    @property
    def is_success(self) -> bool:
        """Whether the status is a good one."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def __str__(self) -> str:
        """Return what a person needs to see of it."""
        return f"HTTP {self.status}: {self.content.get('detail') or self.content.get('message')}"


class Server:
    """One HTTP server, asked without any proxy."""

    def __init__(self, url: str, *, context: ssl.SSLContext) -> None:
        self.url = url
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request and return the answer, whatever its status."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(self.url + path, method=method, data=data, headers=sent)  # noqa: S310 - the chart writes it
        try:
            with self._opener.open(request, timeout=REQUEST_SECONDS) as response:
                return Answer(response.status, response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, error.read())


class Kubernetes:
    """The API server, as the ServiceAccount of this pod."""

    def __init__(self) -> None:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        context = ssl.create_default_context(cafile=str(IDENTITY / "ca.crt"))
        self._server = Server(f"https://{f'[{host}]' if ':' in host else host}:{port}", context=context)

    def create(self, manifest: Manifest) -> None:
        """Create an object."""
        require(lambda: self._ask("POST", _collection(manifest), manifest), f"could not create {_title(manifest)}")

    def read_status(self, manifest: Manifest) -> dict[str, Any]:
        """Return the status of an object as it is now."""
        found = require(lambda: self._ask("GET", _path(manifest)), f"could not read {_title(manifest)}")
        return dict(found.get("status", {}))

    def read_token(self, namespace: str, secret_name: str) -> str:
        """Return the token that the operator put into a Secret."""
        path = f"/api/v1/namespaces/{namespace}/secrets/{secret_name}"
        secret = require(lambda: self._ask("GET", path), f"could not read Secret {namespace}/{secret_name}")
        return base64.b64decode(secret["data"]["token"]).decode()

    def patch(self, manifest: Manifest, patch: Manifest) -> None:
        """Merge a patch into an object."""
        kind = "application/merge-patch+json"
        asking = partial(self._ask, "PATCH", _path(manifest), patch, content_type=kind)
        require(asking, f"could not change {_title(manifest)}")

    def remove(self, manifest: Manifest, *, until: float) -> None:
        """Delete an object and wait until it and what it owns are gone; that there is none is fine."""
        options = {"propagationPolicy": "Foreground"}
        while (answer := self._ask("DELETE", _path(manifest), options)).status != HTTPStatus.NOT_FOUND:
            if time.monotonic() > until:
                raise StoryError(f"could not remove {_title(manifest)} ({answer}); delete it by hand")
            time.sleep(PAUSE_SECONDS)

    def _ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        # Read each time: the kubelet renews it.
        token = (IDENTITY / "token").read_text(encoding="utf-8")
        return self._server.ask(method, path, body, authorization=f"Bearer {token}", **headers)


class Caller:
    """A program that knows the DIEM API and its key, and nothing of Kubernetes."""

    def __init__(self, server: Server, token: str) -> None:
        self._server = server
        self._token = token

    def ask(self, job: str, action: str, **more: object) -> Answer:
        """Ask for an action once."""
        return self._server.ask("POST", "", {"id": job, "action": action, **more}, x_api_key=self._token)

    def command(self, job: str, action: str, *, expected: str, **more: object) -> None:
        """Start or stop a job."""
        content = require(lambda: self.ask(job, action, **more), f"{action} of {job} was refused")
        if content["message"] != expected:
            raise StoryError(f"{action} of {job} was answered {content['message']!r}, not {expected!r}")

    def wait_for(self, job: str, phase: str, *, never: tuple[str, ...]) -> None:
        """Wait until the job is in this phase; one of those that must not be seen ends the story."""

        def look() -> str:
            answer = self.ask(job, "status")
            seen = str(answer.content.get("message"))
            if seen in never:
                raise StoryError(f"{job} became {seen}, not {phase}: {answer.content.get('run')}")
            return seen if answer.is_success else str(answer)

        wait_until(look, shows=lambda seen: seen == phase, complaint=f"{job} did not become {phase}")


def wait_until(look: Callable[[], str], *, shows: Callable[[str], bool], complaint: str) -> str:
    """Look again and again, until the end of the story; return what was seen last."""
    while not shows(seen := look()):
        if time.monotonic() > ENDS_AT:
            raise StoryError(f"{complaint} in time; what is there: {seen}")
        time.sleep(PAUSE_SECONDS)
    return seen


def require(ask: Callable[[], Answer], complaint: str) -> dict[str, Any]:
    """Return the content of a good answer; rights and caches may follow a moment later, so 403 and 503 may pass."""
    while not (answer := ask()).is_success:
        if answer.status not in {HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE} or time.monotonic() > ENDS_AT:
            raise StoryError(f"{complaint} ({answer})")
        time.sleep(PAUSE_SECONDS)
    return answer.content


def tell(line: str) -> None:
    """Write a line that a person reads."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def connect(url: str) -> Server:
    """Return the DIEM API behind its Service; its certificate is verified where that is possible."""
    context = ssl.create_default_context(cafile=str(AUTHORITY) if AUTHORITY.exists() else None)
    server = Server(url, context=context)
    try:
        wait_for_service(server)
    except ssl.SSLCertVerificationError as error:
        tell(f"The API's certificate cannot be verified here ({error.verify_message}): going on without verification")
        unverified = ssl._create_unverified_context()  # noqa: S323, SLF001 - said above; the token is this test's own
        server = Server(url, context=unverified)
        wait_for_service(server)
    return server


def wait_for_service(server: Server) -> None:
    """Wait until the API answers through its Service, and refuses who has no key."""

    def look() -> str:
        try:
            return str(server.ask("POST", "", {"id": "none", "action": "status"}))
        except URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise error.reason from error
            return str(error.reason)
        except OSError as error:  # the connection broke after the request
            return str(error)

    wait_until(look, shows=is_refusal, complaint=f"{server.url} did not refuse a request without a key")


def is_refusal(seen: str) -> bool:
    """Whether this answer is the one to a key that opens nothing."""
    return seen.startswith(f"HTTP {os.environ['MISSING_KEY_STATUS']}:")


def wait_for_token(kubernetes: Kubernetes, apikey: Manifest) -> str:
    """Return the token of a DiemApiKey once it is issued."""

    def look() -> str:
        return str(kubernetes.read_status(apikey).get("secretName", ""))

    secret_name = wait_until(look, shows=bool, complaint=f"the operator issued no token for {_title(apikey)}")
    return kubernetes.read_token(apikey["metadata"]["namespace"], secret_name)


@contextmanager
def made(kubernetes: Kubernetes, *manifests: Manifest) -> Iterator[None]:
    """Make objects, and remove them in the end; those that an interrupted test left are removed first."""
    for manifest in manifests:
        kubernetes.remove(manifest, until=ENDS_AT)
    try:
        for manifest in manifests:
            kubernetes.create(manifest)
        yield
    finally:
        for manifest in manifests:
            kubernetes.remove(manifest, until=time.monotonic() + CLEANING_SECONDS)
        tell("Removed what this test has made")


def play(kubernetes: Kubernetes, server: Server, *, apikey: Manifest, short: Manifest, long: Manifest) -> None:
    """Play the story."""
    caller = Caller(server, wait_for_token(kubernetes, apikey))
    tell(f"A token was issued for {_title(apikey)}")

    name = short["metadata"]["name"]
    caller.command(name, "start", expected="job started", parameters={"WORD": "hello"})
    caller.wait_for(name, "Completed", never=("Failed", "Stopped"))
    tell(f"Started {name} over HTTP, and it is Completed")

    name = long["metadata"]["name"]
    caller.command(name, "start", expected="job started")
    caller.wait_for(name, "Running", never=("Completed", "Failed", "Stopped"))
    tell(f"Started {name} over HTTP, and it is Running")
    caller.command(name, "stop", expected="job stopped")
    caller.wait_for(name, "Stopped", never=("Completed", "Failed"))
    tell(f"Stopped {name} over HTTP, and its pod is gone")

    kubernetes.patch(apikey, {"spec": {"revoked": True}})
    refused = "the revoked key still opens something"
    seen = wait_until(lambda: str(caller.ask(name, "status")), shows=is_refusal, complaint=refused)
    tell(f"Revoked the key, and it opens nothing any more ({seen})")


def main() -> int:
    """Play the story and return the exit code."""
    # The first process of a container gets no SIGTERM that it has no handler for; this one lets it clean up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("FAILED: the test was told to end"))
    apikey, short, long = (json.loads((HERE / f"{name}.json").read_text()) for name in ("apikey", "completes", "lasts"))
    kubernetes = Kubernetes()
    try:
        server = connect(os.environ["API_URL"])
        tell(f"The API answers at {server.url}")
        with made(kubernetes, apikey, short, long):
            play(kubernetes, server, apikey=apikey, short=short, long=long)
    except (StoryError, OSError) as error:
        if isinstance(error.__context__, StoryError):  # a step failed, and then the cleaning up
            tell(f"FAILED: {error.__context__}")
        tell(f"FAILED: {error}")
        return 1
    tell("PASSED")
    return 0


def _collection(manifest: Manifest) -> str:
    namespace = manifest["metadata"]["namespace"]
    return f"/apis/{manifest['apiVersion']}/namespaces/{namespace}/{PLURALS[manifest['kind']]}"


def _path(manifest: Manifest) -> str:
    return f"{_collection(manifest)}/{manifest['metadata']['name']}"


def _title(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['namespace']}/{manifest['metadata']['name']}"


if __name__ == "__main__":
    sys.exit(main())
