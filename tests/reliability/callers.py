"""Programs that call over HTTP, as careful ones do: with an Idempotency-Key, again until there is an answer."""

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import requests

from tests.reliability.scene import PAUSE_SECONDS, Raw, Scene

PATH = "/etl-mgr/api/apijob"
ANSWER_SECONDS = 15.0

_TRY_AGAIN = {
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass
class Callers(Scene):
    """What callers do; what they were told is kept for the oracle."""

    _known: set[str] = field(default_factory=set)

    def start(self, name: str, label: str, **fields: Any) -> Raw:
        """Start a run until that is accepted; return the answer."""
        headers = {"Idempotency-Key": f"{label}-{uuid4().hex}"}
        answer = self._call({"id": name, "action": "start", **fields}, headers)
        self.told.labels[self.key_of(name, answer["run"]["id"])] = label
        return answer

    def stop(self, name: str, **fields: Any) -> Raw:
        """Stop until that is acknowledged; return the answer."""
        answer = self._call({"id": name, "action": "stop", **fields}, {})
        if answer["message"] == "job stopped":
            self.told.stopped.add(self.key_of(name, answer["run"]["id"]))
        return answer

    def ask(self, name: str) -> Raw:
        """Ask for the status until there is an answer; return it."""
        return self._call({"id": name, "action": "status"}, {})

    def see(self, name: str, message: str) -> None:
        """Ask for the status until it is this one."""
        self.wait_until(f"callers are told that {name} is {message}", lambda: self.ask(name)["message"] == message)

    def forget(self, name: str) -> None:
        """Take note that a DiemJob is no more, so that callers may be told so."""
        self._known.discard(name)

    def _call(self, body: Raw, headers: dict[str, str]) -> Raw:
        deadline = time.monotonic() + self.patience_seconds
        while isinstance(answer := self._try_call(body, headers), str):
            if time.monotonic() > deadline:
                raise AssertionError(f"{body} was not answered in {self.patience_seconds} s: {answer}")
            time.sleep(PAUSE_SECONDS)
        return answer

    def _try_call(self, body: Raw, headers: dict[str, str]) -> Raw | str:
        """Return the answer; a text that says why the request has to be repeated."""
        url = f"http://127.0.0.1:{self.installation.api.port}{PATH}"
        headers = headers | {"x-api-key": self.installation.token}
        try:
            response = requests.post(url, json=body, headers=headers, timeout=ANSWER_SECONDS)
        except requests.RequestException as error:
            return str(error)
        if response.status_code in _TRY_AGAIN or self._is_news(body["id"], response.status_code):
            return response.text
        assert response.ok, f"{body} was answered {response.status_code}: {response.text}"
        return dict(response.json())

    def _is_news(self, name: str, status: int) -> bool:
        """Whether the API has not yet heard of a new DiemJob; once it has, it may not forget it."""
        if status != HTTPStatus.NOT_FOUND:
            self._known.add(name)
        return name not in self._known
