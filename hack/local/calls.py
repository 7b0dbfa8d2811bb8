"""One call of the HTTP API, as a line to copy, and what comes of running that line."""

import json
import shlex
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hack.local.errors import StoryError
from tests.localcluster.inheritance import build_environment

PATH = "/etl-mgr/api/apijob"
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is asked.

    Attributes:
        body: as it becomes JSON.
        headers: beside the key and the content type.
    """

    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def curl_line(self) -> str:
        """The command for a shell that has DIEM_URL and DIEM_API_KEY."""
        headers = {"Content-Type": "application/json", **self.headers}
        options = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
        parts = [f'curl -sS -X POST "$DIEM_URL{PATH}"', '-H "x-api-key: $DIEM_API_KEY"', *options]
        return " ".join([*parts, f"-d {shlex.quote(self.text)}"])

    @property
    def text(self) -> str:
        """The body as it is sent."""
        return json.dumps(self.body)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; `status` is HTTP's, `text` the body."""

    status: int
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """The body's JSON object."""
        return dict(json.loads(self.text))

    @property
    def message(self) -> str:
        """What every answer has."""
        return str(self.body["message"])

    @property
    def run_id(self) -> str:
        """The id of the run that the answer is about."""
        return str(self.body["run"]["id"])


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody with a key.

    Attributes:
        url: of the API, without a path.
    """

    url: str
    token: str = field(repr=False)

    def ask(self, call: Call) -> Answer:
        """Send it with curl where that is installed, else with Python itself."""
        return self.way_to_ask(call)

    @property
    def way_to_ask(self) -> Callable[[Call], Answer]:
        """How this machine asks."""
        return self.ask_with_curl if shutil.which("curl") else self.ask_with_urllib

    def ask_with_curl(self, call: Call) -> Answer:
        """Run the very line that is shown.

        Raises:
            StoryError: there was no answer.
        """
        line = f"{call.curl_line} -w '\\n%{{http_code}}'"
        environment = build_environment({"DIEM_URL": self.url, "DIEM_API_KEY": self.token})
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            raise StoryError(f"curl got no answer ({done.returncode}): {done.stderr.strip()}")
        text, _, status = done.stdout.rpartition("\n")
        return Answer(status=int(status), text=text)

    def ask_with_urllib(self, call: Call) -> Answer:
        """Send the same without curl.

        Raises:
            StoryError: there was no answer.
        """
        headers = {"Content-Type": "application/json", "x-api-key": self.token, **call.headers}
        request = urllib.request.Request(self.url + PATH, call.text.encode(), headers)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                return Answer(status=answer.status, text=answer.read().decode())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(status=refusal.code, text=refusal.read().decode())
        except OSError as error:
            raise StoryError(f"There was no answer from {self.url}: {error}") from error
