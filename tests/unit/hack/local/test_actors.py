"""The demo notices answers that are not the expected ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hack.local.actors import Program, expect
from hack.local.calls import Answer, Call, Caller
from hack.local.errors import StoryError
from hack.local.narrator import Narrator


@dataclass(frozen=True, kw_only=True)
class ScriptedCaller(Caller):
    """Gets the given messages as answers, one after the other."""

    messages: Iterator[str]

    def ask(self, call: Call) -> Answer:
        assert call.body == {"id": "hello", "action": "status"}
        return Answer(status=200, text=f'{{"message": "{next(self.messages)}"}}')


def make_program(*messages: str) -> Program:
    caller = ScriptedCaller(url="http://nowhere", token="", messages=iter([*messages, *messages[-1:] * 100]))
    return Program(caller=caller, narrator=Narrator())


def test_following_tells_every_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    seen = make_program("Submitted", "Submitted", "Running", "Completed").follow("hello", until="Completed")

    assert seen == ["Submitted", "Running", "Completed"]
    assert [line.strip() for line in capsys.readouterr().out.splitlines()][1:] == seen


def test_status_that_does_not_come_fails_the_story_with_what_came_instead() -> None:
    with pytest.raises(StoryError, match="hello was not Completed within 0 s; seen: Running, Failed"):
        make_program("Running", "Failed").follow("hello", until="Completed", within_seconds=0.05)


def test_other_answer_than_expected_fails_the_story() -> None:
    with pytest.raises(StoryError, match="message: expected 'job started', got 'job already running'"):
        expect("message", "job already running", "job started")


def test_expected_answer_passes() -> None:
    expect("HTTP status", 200, 200)
