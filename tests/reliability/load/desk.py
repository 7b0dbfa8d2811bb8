"""What callers of a load do over HTTP, each with connections of its own, and how long the answers took.

Careful callers: a start bears an Idempotency-Key, and is sent again until it is answered.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import requests

from tests.reliability.callers import ANSWER_SECONDS, PATH

PAUSE_SECONDS = 0.1
MOST_PAUSE_SECONDS = 5.0
PATIENCE_SECONDS = 90.0

_TRY_AGAIN = {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
Raw = dict[str, Any]


@dataclass
class Desk:
    """The API as the callers of one key reach it; safe to use from several threads.

    Attributes:
        seconds: what each answer with 200 took, by action.
        codes: answers by action and HTTP code; 0 for requests that got none.
        complaints: answers that no caller should ever get.
    """

    port: int
    token: str
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"start": [], "stop": [], "status": []})
    codes: Counter[tuple[str, int]] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    _local: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, name: str, label: str) -> Raw | None:
        """Start a run until that is accepted; None, and a complaint, if it never is."""
        return self._insist({"id": name, "action": "start"}, {"Idempotency-Key": f"{label}-{uuid4().hex}"})

    def stop(self, name: str, run_id: str) -> Raw | None:
        """Stop one run until that is acknowledged, or it is another one's turn."""
        return self._insist({"id": name, "action": "stop", "expectedRun": run_id}, {})

    def ask(self, name: str) -> Raw | None:
        """Ask for the status, once."""
        answer = self._try({"id": name, "action": "status"}, {})
        return answer if isinstance(answer, dict) else None

    def _insist(self, body: Raw, headers: dict[str, str]) -> Raw | None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not isinstance(answer := self._try(body, headers), dict):
            if answer not in _TRY_AGAIN | {0} or _is_final(body, answer):
                return None
            if time.monotonic() > deadline:
                self.complaints.append(f"{body} was not accepted in {PATIENCE_SECONDS} s; the last answer: {answer}")
                return None
            time.sleep(PAUSE_SECONDS)
        return answer

    def _try(self, body: Raw, headers: dict[str, str]) -> Raw | int:
        """Return the answer, or its code where that is not 200; 0 where there was none."""
        url = f"http://127.0.0.1:{self.port}{PATH}"
        headers = headers | {"x-api-key": self.token}
        began = time.monotonic()
        try:
            response = self._session().post(url, json=body, headers=headers, timeout=ANSWER_SECONDS)
        except requests.RequestException:
            self._count(body["action"], 0)
            return 0
        seconds = time.monotonic() - began
        self._count(body["action"], response.status_code)
        if response.status_code == HTTPStatus.OK:
            self.seconds[body["action"]].append(seconds)
            return dict(response.json())
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            time.sleep(min(float(response.headers.get("Retry-After", "1")), MOST_PAUSE_SECONDS))
        if response.status_code not in _TRY_AGAIN:
            self.complaints.append(f"{body} was answered {response.status_code}: {response.text[:200]}")
        return response.status_code

    def _count(self, action: str, code: int) -> None:
        with self._lock:
            self.codes[action, code] += 1

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        session: requests.Session = self._local.session
        return session


def _is_final(body: Raw, code: int) -> bool:
    """Whether to try again would be of no use: a stop may meet another run than the one it was meant for."""
    return bool(body["action"] == "stop" and code == HTTPStatus.CONFLICT)
