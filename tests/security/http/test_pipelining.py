"""Requests sent ahead of their answers: in order, each once. It also shows what a smuggled request would do."""

from tests.security.http.attacked import JOB, AttackedApi, Team
from tests.security.http.wire import HEALTH, build_request, command, connected, converse, listen, parse_answers


def test_request_behind_another_is_carried_out(api: AttackedApi, team: Team) -> None:
    team.apply_job("behind")
    start = build_request(team.token, command("start", "behind"))

    conversation = converse(api.port, build_request(team.token, command("status", JOB)) + start, count=2)

    assert [answer.problem["message"] for answer in conversation.answers] == ["Stopped", "job started"]
    assert team.read_run("behind") is not None


def test_hundreds_sent_ahead_are_answered_in_order(api: AttackedApi, team: Team) -> None:
    requests = [build_request(team.token, command("status", JOB)), HEALTH, build_request(None, b"{}")] * 100

    conversation = converse(api.port, b"".join(requests), count=300)

    assert conversation.statuses == [200, 200, 401] * 100
    assert conversation.rest == b""


def test_request_in_single_bytes_is_one_request(api: AttackedApi, team: Team) -> None:
    request = build_request(team.token, command("status", JOB))
    with connected(api.port) as connection:
        for position in range(len(request)):
            connection.sendall(request[position : position + 1])
        received, is_closed = listen(connection)

    answers, rest = parse_answers(received)
    assert [answer.status for answer in answers] == [200]
    assert (rest, is_closed) == (b"", False)


def test_half_a_request_behind_a_whole_one_is_nothing(api: AttackedApi, team: Team) -> None:
    team.apply_job("half")
    start = build_request(team.token, command("start", "half"))

    conversation = converse(api.port, build_request(team.token, command("status", JOB)) + start[:-1])

    assert conversation.statuses == [200]
    assert team.read_run("half") is None
