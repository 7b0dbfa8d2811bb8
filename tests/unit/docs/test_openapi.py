"""docs/openapi.yaml says what the code does: neither gets a field, a limit, a code or a phase without the other."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from aiohttp import web

from diem_operator.api.answers import JOB_NOT_FOUND, Reply, build_answer, build_legacy_unknown_job
from diem_operator.api.authentication import API_KEY_HEADER
from diem_operator.api.command import (
    IDEMPOTENCY_KEY,
    MAX_ID_LENGTH,
    MAX_IDEMPOTENCY_KEY_LENGTH,
    Command,
    parse_command,
)
from diem_operator.api.endpoint import PATH
from diem_operator.api.errors import Problem, ProblemKind, build_problem_response, problem_of_http
from diem_operator.model.diemapikey import Action
from diem_operator.model.diemjob import Phase
from diem_operator.model.names import MAX_PARAMETER_VALUE_BYTES, MAX_RUN_ID_LENGTH, RunId
from diem_operator.planning.commands import ALREADY_RUNNING, ALREADY_STOPPED, STARTED, STOPPED
from diem_operator.settings import ApiSettings
from tests.unit.api.objects import make_diemjob, make_diemjob_in

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "openapi.yaml"
UNREACHED = {ProblemKind.UNKNOWN_PATH, ProblemKind.METHOD_NOT_ALLOWED}
"""What a POST to this path cannot get."""


@cache
def read_document() -> dict[str, Any]:
    return dict(yaml.safe_load(DOCUMENT.read_text(encoding="utf-8")))


def read_operation() -> dict[str, Any]:
    return dict(read_document()["paths"][PATH]["post"])


def read_schema(name: str) -> dict[str, Any]:
    return dict(read_document()["components"]["schemas"][name])


def find_parameter(name: str) -> dict[str, Any]:
    (found,) = [one for one in read_operation()["parameters"] if one["name"] == name]
    return dict(found)


def read_content(response: dict[str, Any]) -> dict[str, Any]:
    ((_, content),) = response["content"].items()
    return dict(content)


def find_faults(pointer: str, value: object) -> list[str]:
    """Hold a value against the schema at a place of the document; its references stay within the document."""
    validator = jsonschema_rs.Draft202012Validator(read_document() | {"$ref": pointer}, validate_formats=True)
    return [fault.message for fault in validator.iter_errors(value)]


def find_faults_of(response: web.Response) -> list[str]:
    status, kind = response.status, response.content_type.replace("/", "~1")
    place = f"#/paths/{PATH.replace('/', '~1')}/post/responses/{status}/content/{kind}/schema"
    assert isinstance(response.body, bytes)
    return find_faults(place, json.loads(response.body))


class Recorded(dict[str, Any]):
    """A mapping that knows what it was asked for."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def record_fields(**more: str) -> tuple[set[str], set[str]]:
    """Return the names that the code looks for in bodies and in queries, whatever the action."""
    body_fields, query_fields = set(), set()
    for action in Action:
        body, query = Recorded({"id": "x", "action": action.value} | more), Recorded({})
        parse_command(body, query=query, idempotency_keys=[], missing_action=Action.STATUS, max_wait_seconds=60.0)
        body_fields |= body.asked
        query_fields |= query.asked
    return body_fields, query_fields


def test_fields_of_requests_are_those_that_the_code_reads() -> None:
    body_fields, query_fields = record_fields()

    assert set(read_schema("Command")["properties"]) == body_fields
    assert {one["name"] for one in read_operation()["parameters"] if one["in"] == "query"} == query_fields
    assert {one["name"] for one in read_operation()["parameters"] if one["in"] == "header"} == {IDEMPOTENCY_KEY}


def test_key_travels_in_the_header_that_the_code_reads() -> None:
    scheme = read_document()["components"]["securitySchemes"]["key"]

    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", API_KEY_HEADER)
    assert read_document()["security"] == [{"key": []}]


def test_limits_are_those_of_the_code() -> None:
    settings = ApiSettings()
    prose = DOCUMENT.read_text(encoding="utf-8")

    assert read_schema("Command")["properties"]["id"]["maxLength"] == MAX_ID_LENGTH
    assert find_parameter(IDEMPOTENCY_KEY)["schema"]["maxLength"] == MAX_IDEMPOTENCY_KEY_LENGTH
    assert read_schema("Run")["properties"]["id"]["maxLength"] == MAX_RUN_ID_LENGTH
    assert read_schema("Wait")["maximum"] == settings.max_wait_seconds
    assert f"At most {settings.max_body_bytes // 1024} KiB" in prose
    assert f"larger than {MAX_PARAMETER_VALUE_BYTES} bytes" in prose


def test_actions_phases_and_messages_are_those_of_the_code() -> None:
    messages = [STARTED, ALREADY_RUNNING, STOPPED, ALREADY_STOPPED, JOB_NOT_FOUND]

    assert read_schema("Action")["enum"] == [action.value for action in Action]
    assert read_schema("Phase")["enum"] == [phase.value for phase in Phase]
    assert read_schema("Answer")["properties"]["message"]["enum"] == [*messages, *(phase.value for phase in Phase)]


def test_every_code_is_listed() -> None:
    assert read_schema("Problem")["properties"]["code"]["enum"] == [kind.code for kind in ProblemKind]


def list_codes() -> Iterator[tuple[int, str]]:
    for status, response in read_operation()["responses"].items():
        if status != "200":
            for code in read_content(response)["schema"]["properties"]["code"]["enum"]:
                yield int(status), code


def test_each_code_stands_at_its_status() -> None:
    usual = {(kind.status.value, kind.code) for kind in ProblemKind if kind not in UNREACHED}

    assert set(list_codes()) == usual | {(403, ProblemKind.UNAUTHORIZED.code)}  # for callers that expect it


@pytest.mark.parametrize("kind", [kind for kind in ProblemKind if kind not in UNREACHED])
def test_problem_is_as_documented(kind: ProblemKind) -> None:
    problem = Problem(kind, "what to do", details={"problems": ["one"]})
    response = build_problem_response(problem, context={"id": "nightly", "action": Action.START})
    documented = read_operation()["responses"][str(response.status)]

    assert find_faults_of(response) == []
    assert isinstance(response.body, bytes)
    assert set(json.loads(response.body)) == set(read_schema("Problem")["properties"])
    assert {name for name in documented.get("headers", {}) if name not in response.headers} == set()


@pytest.mark.parametrize("phase", list(Phase))
def test_answer_is_as_documented(phase: Phase) -> None:
    diemjob = make_diemjob_in(phase)
    response = build_answer(Command(job_id="nightly", action=Action.STATUS), Reply(diemjob=diemjob))

    assert find_faults_of(response) == []
    assert isinstance(response.body, bytes)
    told = json.loads(response.body)
    assert set(told) == set(read_schema("Answer")["required"])
    assert set(told["run"]) == set(read_schema("Run")["properties"]) == set(read_schema("Run")["required"])


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(diemjob=make_diemjob()), id="never-ran"),
        pytest.param(Reply(diemjob=make_diemjob(), message=STARTED, run_id=RunId("gone")), id="run-left-the-history"),
    ],
)
def test_answer_about_a_run_that_is_not_there_is_as_documented(reply: Reply) -> None:
    assert find_faults_of(build_answer(Command(job_id="nightly", action=Action.STATUS), reply)) == []


def test_answer_to_legacy_keys_is_as_documented() -> None:
    response = build_legacy_unknown_job(Command(job_id="nightly", action=Action.START))

    assert find_faults_of(response) == []
    assert isinstance(response.body, bytes)
    assert set(json.loads(response.body)) == set(read_schema("Answer")["properties"])


def test_document_would_notice_another_answer() -> None:
    response = build_answer(Command(job_id="nightly", action=Action.STATUS), Reply(diemjob=make_diemjob(), message="x"))

    assert len(find_faults_of(response)) == 1


def list_examples() -> Iterator[Any]:
    operation = read_operation()
    contents = {"request": operation["requestBody"]["content"]["application/json"]} | {
        status: read_content(response) for status, response in operation["responses"].items()
    }
    for name, content in contents.items():
        examples = content.get("examples", {"": {"value": content["example"]}} if "example" in content else {})
        for title, example in examples.items():
            yield pytest.param(content["schema"], example["value"], id=f"{name}-{title}")


@pytest.mark.parametrize(("schema", "value"), list(list_examples()))
def test_example_fits_its_schema(schema: dict[str, Any], value: object) -> None:
    assert list(jsonschema_rs.Draft202012Validator(read_document() | schema).iter_errors(value)) == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(example["value"], id=name)
        for name, example in read_operation()["requestBody"]["content"]["application/json"]["examples"].items()
    ],
)
def test_example_of_a_request_is_understood(body: dict[str, Any]) -> None:
    command = parse_command(body, query={}, idempotency_keys=[], missing_action=Action.STATUS, max_wait_seconds=60.0)

    assert command.job_id == body["id"]


def test_what_the_examples_say_of_errors_is_what_the_code_says() -> None:
    with pytest.raises(Problem) as refused:
        parse_command(
            {"id": "x", "action": "y"},
            query={},
            idempotency_keys=[],
            missing_action=Action.STATUS,
            max_wait_seconds=60.0,
        )
    response = build_problem_response(refused.value, context={})

    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == read_content(read_operation()["responses"]["400"])["example"]


def test_other_methods_are_told_which_one_to_use() -> None:
    response = build_problem_response(problem_of_http(web.HTTPMethodNotAllowed("GET", ["POST"])), context={})

    assert (response.status, response.headers["Allow"]) == (405, "POST")


def test_readme_tells_of_every_status() -> None:
    readme = (DOCUMENT.parents[1] / "README.md").read_text(encoding="utf-8")
    told = {
        int(status) for row in re.findall(r"^\| ([\d, ]+) \|", readme, flags=re.MULTILINE) for status in row.split(",")
    }

    assert {int(status) for status in read_operation()["responses"]} - {200, 500} <= told
