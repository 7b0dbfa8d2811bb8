"""Programs that call over HTTP, as careful ones do: with an Idempotency-Key, again until there is an answer."""

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import requests

from tests.reliability.scene import PAUSE_SECONDS, Raw, Scene

PATH = "/etl-mgr/api/apijob"
KEY_HEADER = "x-api-key"
IDEMPOTENCY_KEY = "Idempotency-Key"
ANSWER_SECONDS = 15.0

_TRY_AGAIN = {
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass
class Callers(Scene):
    """What callers do, with the installation's key or another token; what they were told is kept for the oracle."""

    _idempotency_keys: dict[str, str] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _refused: set[str] = field(default_factory=set)

    def start(self, name: str, label: str, *, token: str = "", **fields: Any) -> Raw:
        """Start a run until that is accepted; return the answer."""
        self._idempotency_keys[label] = f"{label}-{uuid4().hex}"
        headers = {IDEMPOTENCY_KEY: self._idempotency_keys[label]} | self._show(token)
        answer = self._call({"id": name, "action": "start", **fields}, headers)
        self.told.labels[self.key_of(name, answer["run"]["id"])] = label
        return answer

    def repeat_start(self, name: str, label: str) -> None:
        """Send a start once more, as a program does that never got the answer; it must be that of the same run."""
        headers = {IDEMPOTENCY_KEY: self._idempotency_keys[label]} | self._show("")
        answer = self._call({"id": name, "action": "start"}, headers)
        repeated = self.told.labels.get(self.key_of(name, answer["run"]["id"]))
        assert repeated == label, f"start {label} was taken for {repeated or 'a new one'}: {answer}"

    def try_to(self, name: str, action: str) -> int:
        """Command once; return the status code. A run that begins is known by its id."""
        answer = self._post({"id": name, "action": action}, self._show(""))
        assert isinstance(answer, requests.Response), answer
        if answer.ok and action == "start":
            run_id = answer.json()["run"]["id"]
            self.told.labels[self.key_of(name, run_id)] = run_id
        return answer.status_code

    def stop(self, name: str, *, token: str = "", **fields: Any) -> Raw:
        """Stop until that is acknowledged; return the answer."""
        answer = self._call({"id": name, "action": "stop", **fields}, self._show(token))
        if answer["message"] == "job stopped":
            self.told.stopped.add(self.key_of(name, answer["run"]["id"]))
        return answer

    def ask(self, name: str, *, token: str = "") -> Raw:
        """Ask for the status until there is an answer; return it."""
        return self._call({"id": name, "action": "status"}, self._show(token))

    def see(self, name: str, message: str) -> None:
        """Ask for the status until it is this one."""
        self.wait_until(f"callers are told that {name} is {message}", lambda: self.ask(name)["message"] == message)

    def see_refused(self, name: str, token: str) -> None:
        """Ask for the status until the token is refused; from then on it must be so each time."""

        def is_refused() -> bool:
            answer = self._post({"id": name, "action": "status"}, self._show(token))
            status = None if isinstance(answer, str) else answer.status_code
            assert status != HTTPStatus.OK or token not in self._refused, "a token that was refused opens again"
            return status == HTTPStatus.UNAUTHORIZED

        self.wait_until("a token is refused", is_refused)
        self._refused.add(token)

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
        response = self._post(body, headers)
        if isinstance(response, str):
            return response
        status = response.status_code
        if (
            status in _TRY_AGAIN
            or self._is_news(headers[KEY_HEADER], is_unknown=status == HTTPStatus.UNAUTHORIZED)
            or self._is_news(body["id"], is_unknown=status == HTTPStatus.NOT_FOUND)
        ):
            return response.text
        assert response.ok, f"{body} was answered {response.status_code}: {response.text}"
        return dict(response.json())

    def _post(self, body: Raw, headers: dict[str, str]) -> requests.Response | str:
        """Return the answer; a text that says why there is none."""
        url = f"http://127.0.0.1:{self.installation.api.port}{PATH}"
        try:
            return requests.post(url, json=body, headers=headers, timeout=ANSWER_SECONDS)
        except requests.RequestException as error:
            return str(error)

    def _show(self, token: str) -> dict[str, str]:
        return {KEY_HEADER: token or self.installation.token}

    def _is_news(self, what: str, *, is_unknown: bool) -> bool:
        """Whether the API has not yet heard of a new DiemJob or key; once it has, it may not forget it."""
        if not is_unknown:
            self._known.add(what)
        return what not in self._known
