"""Through a whole run with its troubles, nothing that is to be kept secret is in anything that our processes tell.

Values of parameters are for the Job alone: they stand in `spec.run` and in the environment of its containers.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import requests

from diem_operator import clock
from hack.local.installation import SYSTEM_NAMESPACE
from tests.reliability.callers import PATH
from tests.reliability.installation import find_token, make_key
from tests.reliability.people import make_diemjob, make_rejected
from tests.reliability.playing import Theatre
from tests.reliability.proxy.faults import LoseRequest, refusal
from tests.reliability.stage import Stage

TALKATIVE = ("--log-level=debug",)
TELLING = ("operator log", "api log", "operator metrics", "api metrics", "events", "diemjobs", "diemapikeys", "jobs")
DECLARED = [
    {"name": "PASSWORD", "maxLength": 60},
    {"name": "REGION", "enum": ["north", "south"]},
]


@dataclass
class Outputs:
    """What was told, by where."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, text: str) -> None:
        self.texts[place] = self.texts.get(place, "") + text + "\n"


@dataclass
class Caller:
    """Asks in every way that is wrong, too, and keeps the answers."""

    stage: Stage
    outputs: Outputs

    def ask(self, token: str, body: object, **headers: str) -> int:
        """Send a body, or bytes as they are; return the status."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.stage.installation.api.port}{PATH}"
        answer = requests.post(url, data=data, headers={"x-api-key": token, **headers}, timeout=15)
        self.outputs.add(f"answer {answer.status_code}", f"{dict(answer.headers)} {answer.text}")
        return answer.status_code

    def wait_for(self, token: str, status: int) -> None:
        """Return when a key is answered so."""
        body = {"id": "etl", "action": "status"}
        self.stage.wait_until(f"a key is answered {status}", lambda: self.ask(token, body) == status)


def test_no_secret_is_in_any_output(theatre: Theatre) -> None:
    outputs = Outputs()
    with theatre.stage(arguments=TALKATIVE, api_arguments=TALKATIVE) as stage:
        known = play(stage, Caller(stage, outputs))
        gather(stage, outputs)

    assert find_leaks(known, outputs) == []
    assert {"answer 200", "answer 400", "answer 401", "answer 403", "answer 422"} <= set(outputs.texts)
    assert [place for place in TELLING if "diem" not in outputs.texts.get(place, "")] == [], "nothing was told there"
    assert "JobRejected" in outputs.texts["events"], "the trouble did not happen"
    assert "ApiServerUnavailable" in outputs.texts["seen statuses"], "the trouble did not happen"


def play(stage: Stage, caller: Caller) -> dict[str, str]:
    """Go through everything that is told of; return the secrets by name."""
    known = {f"parameter {name}": f"canary-{secrets.token_hex(12)}" for name in ("kept", "refused", "rejected", "late")}
    known |= make_keys(stage) | find_infrastructure(stage)
    stage.create(make_diemjob("etl", parameters=DECLARED))
    stage.create(make_rejected("bad", parameters=DECLARED))

    be_refused(caller, known)
    stage.start("etl", "first", parameters={"PASSWORD": known["parameter kept"]})
    stage.wait_run("etl", "Running", "first")
    stage.start("bad", "rejected", parameters={"PASSWORD": known["parameter rejected"]})
    stage.wait_run("bad", "Failed", "rejected")

    for program in stage.installation.programs:
        program.kill()
    stage.stop("etl")
    stage.wait_run("etl", "Stopped", "first")
    rule = stage.installation.operator.proxy.rules.add(
        lambda call: call.what in {"create jobs", "patch diemjobs/status"}, LoseRequest(refusal(500)), times=8
    )
    stage.start("etl", "late", parameters={"PASSWORD": known["parameter late"]})
    stage.wait_run("etl", "Running", "late")
    assert rule.met
    stage.wipe_status("etl")
    stage.wait_answered("etl")
    return known


def make_keys(stage: Stage) -> dict[str, str]:
    """Make keys of every kind; return their tokens."""
    stage.kube.create("diemapikeys", stage.namespace, make_key("revoked"))
    stage.wait_until("a key is issued", lambda: bool(find_token(stage.kube, stage.namespace, "revoked")))
    revoked = find_token(stage.kube, stage.namespace, "revoked")
    stage.kube.patch("diemapikeys", stage.namespace, "revoked", {"spec": {"revoked": True}})

    adopted = f"adopted.{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(24)}"
    manifest: dict[str, Any] = make_key("adopted")
    manifest["spec"] |= {
        "adoptTokenSHA256": hashlib.sha256(adopted.encode()).hexdigest(),
        "expiresAt": (clock.now() + timedelta(days=1)).isoformat(timespec="seconds"),
        "compatibility": {"missingAction": "status"},
        "actions": ["status"],
    }
    stage.kube.create("diemapikeys", stage.namespace, manifest)
    forged = ".".join([*revoked.split(".")[:2], secrets.token_urlsafe(32)])
    tokens = {"revoked": revoked, "adopted": adopted, "forged": forged, "caller's": stage.installation.token}
    return {f"{name} token": token for name, token in tokens.items()}


def find_infrastructure(stage: Stage) -> dict[str, str]:
    """Return what our processes themselves hold."""
    data = stage.kube.get("secrets", SYSTEM_NAMESPACE, stage.namespace)["data"]
    known = {f"signing secret {name}": base64.b64decode(value).decode("latin-1") for name, value in data.items()}
    for program in stage.installation.programs:
        token_file = program.directory / f"{program.name}.token"
        known[f"Kubernetes token of the {program.role}"] = token_file.read_text().strip()
    return known


def be_refused(caller: Caller, known: dict[str, str]) -> None:
    """Send what is refused, with secrets wherever an error could quote them."""
    token, value = known["caller's token"], known["parameter refused"]
    start: dict[str, Any] = {"id": "etl", "action": "start"}
    caller.wait_for(known["adopted token"], 200)
    caller.wait_for(known["revoked token"], 401)
    caller.ask(known["adopted token"], start)
    caller.ask(known["forged token"], start)
    caller.ask(value, start, Authorization=f"Bearer {token}")
    caller.ask(f"{token}{value}", start)
    for wrong in ({"PASSWORD": value * 4}, {"REGION": value}, {"PASSWORD": [value]}, {"PASSWORD": {"a": value}}, value):
        assert caller.ask(token, start | {"parameters": wrong}) in {400, 422}
    for broken in (f'{{"id": "etl", "{value}', f'{{"id": "etl", "id": "{value}"}}', f'["{value}"]', f"{value}\udcff"):
        caller.ask(token, broken.encode(errors="surrogateescape"))


def gather(stage: Stage, outputs: Outputs) -> None:
    """Collect what our processes have told in all their lives."""
    for program in stage.installation.programs:
        outputs.add(f"{program.role} log", program.log_file.read_text())
        outputs.add(f"{program.role} metrics", program.ask("/metrics")[1])
    outputs.add("events", json.dumps(stage.kube.list_all("events", stage.namespace)))
    for kind, hide in HIDES.items():
        for found in stage.kube.list_all(kind, stage.namespace):
            hide(found)
            outputs.add(kind, json.dumps(found))
    for seen in stage.witness.seen:
        outputs.add("seen statuses", json.dumps(seen.raw.get("status", {})))


def hide_parameters(diemjob: dict[str, Any]) -> None:
    diemjob["spec"].get("run", {}).pop("parameters", None)


def hide_environment(job: dict[str, Any]) -> None:
    for container in job["spec"]["template"]["spec"]["containers"]:
        container.pop("env", None)


HIDES: dict[str, Callable[[dict[str, Any]], None]] = {
    "diemjobs": hide_parameters,
    "diemapikeys": lambda _: None,
    "jobs": hide_environment,
}
"""Kinds of objects, and what takes out of one where values may be."""


def find_leaks(known: dict[str, str], outputs: Outputs) -> list[str]:
    """Return which secret is where; never the secret itself."""
    forms = [(name, form) for name, secret in known.items() for form in list_forms(secret)]
    return sorted(
        {f"{name} in {place}" for place, text in outputs.texts.items() for name, form in forms if form in text}
    )


def list_forms(secret: str) -> Iterator[str]:
    """Give a secret as it may be told: whole, without the header that all tokens share, encoded."""
    yield secret
    yield from (part for part in secret.split(".")[1:] if len(part) > 16)
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
    yield quote(secret, safe="")
    yield json.dumps(secret).strip('"')
