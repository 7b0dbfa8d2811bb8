"""The served API keeps to docs/openapi.yaml, whatever it is asked: Schemathesis makes up the requests.

The requests follow from a seed. `DIEM_FUZZ_EXAMPLES=5000 DIEM_FUZZ_SEED=7 pytest tests/security/contract` asks for
longer, and something else. What fails is printed with the request that shows it.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from diem_operator.api.endpoint import PATH
from tests.security.tokens.installation import Installation, Team

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "openapi.yaml"
EXAMPLES = int(os.environ.get("DIEM_FUZZ_EXAMPLES", "100"))
SEED = int(os.environ.get("DIEM_FUZZ_SEED", "20300131"))
CHECKS_SECONDS = 60 + EXAMPLES


@pytest.fixture(scope="module")
def team(installation: Installation) -> Iterator[Team]:
    declared = [{"name": "REGION", "enum": ["eu", "us"]}, {"name": "LIMIT", "maxLength": 3}]
    with installation.team(parameters=declared, aliases=["5fd3a340b15cc4d3b71b7cc7"]) as team:
        yield team


@pytest.fixture(scope="module")
def token(team: Team) -> str:
    return team.issue_key("caller")


def run_schemathesis(
    team: Team, token: str, document: Path, report: Path, *, phases: str = "examples,coverage,fuzzing"
) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("schemathesis"))]
    command += [f"--config-file={Path(__file__).with_name('schemathesis.toml')}", "run", str(document)]
    command += [f"--url={team.url.removesuffix(PATH)}", "--checks=all", f"--phases={phases}"]
    command += [f"--max-examples={EXAMPLES}", f"--seed={SEED}", "--continue-on-failure"]
    command += ["--report=ndjson", f"--report-ndjson-path={report}"]
    environment = os.environ | {"DIEM_API_KEY": token, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env=environment, cwd=report.parent, capture_output=True, text=True, check=False, timeout=CHECKS_SECONDS
    )


def count_statuses(report: Path) -> Counter[int]:
    return Counter(_find_statuses([json.loads(line) for line in report.read_text().splitlines()]))


def _find_statuses(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        yield from [value["status_code"]] if isinstance(value.get("status_code"), int) else []
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _find_statuses(one)


def test_api_answers_as_documented_whatever_it_is_asked(team: Team, token: str, tmp_path: Path) -> None:
    report = tmp_path / "report.ndjson"
    done = run_schemathesis(team, token, DOCUMENT, report)

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    seen = count_statuses(report)
    # Requests that get nowhere would prove nothing.
    assert {200, 400, 401, 404, 405, 409, 415, 422} <= seen.keys()
    assert seen[200] > EXAMPLES // 5
    assert not [status for status in seen if status >= 500]


def test_attempts_left_no_mark_but_runs(team: Team, token: str, installation: Installation) -> None:
    log = installation.api_log.read_text()

    assert team.ask(token).status_code == 200
    assert token not in log
    assert [entry for entry in map(json.loads, log.splitlines()) if entry["level"] in {"error", "critical"}] == []


def without_the_code_for_unknown_jobs(document: dict[str, Any]) -> None:
    responses = document["paths"][PATH]["post"]["responses"]
    del responses["404"]


def without_a_field_of_answers(document: dict[str, Any]) -> None:
    answer = document["components"]["schemas"]["Answer"]
    answer["properties"].pop("run")
    answer["unevaluatedProperties"] = False


def with_a_header_that_is_not_sent(document: dict[str, Any]) -> None:
    headers = document["paths"][PATH]["post"]["responses"]["200"]["headers"]
    headers["X-Not-Sent"] = {"required": True, "schema": {"type": "string"}}


def with_a_looser_limit(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Command"]["properties"]["id"]["maxLength"] = 2000


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param(without_the_code_for_unknown_jobs, "Undocumented status code", id="status"),
        pytest.param(without_a_field_of_answers, "Response violates schema", id="field"),
        pytest.param(with_a_header_that_is_not_sent, "Missing required response headers", id="header"),
        pytest.param(with_a_looser_limit, "Schema-valid request rejected", id="limit"),
    ],
)
def test_document_that_says_something_else_is_found_out(
    team: Team, token: str, tmp_path: Path, change: Any, finding: str
) -> None:
    document = yaml.safe_load(DOCUMENT.read_text())
    change(document)
    path = tmp_path / "openapi.yaml"
    path.write_text(yaml.safe_dump(document))

    done = run_schemathesis(team, token, path, tmp_path / "report.ndjson", phases="examples,coverage")

    assert done.returncode == 1
    assert finding in done.stdout, done.stdout
