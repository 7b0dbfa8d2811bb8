"""Programs as the contract of the old service prints them work when only the host and the key are changed.

Their text is in `documented_clients`; what they need comes from the registry of their language.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.local.waiting import wait_for
from tests.e2e.conftest import Product
from tests.localcluster import system_packages
from tests.localcluster.errors import MissingProgramError

PROGRAMS = Path(__file__).with_name("documented_clients")
PRINTED_HOST = "https://diem-instance.com"
PRINTED_KEY = "THE_API_KEY"
JOB = "5fd3a340b15cc4d3b71b7cc7"
"""The id in the printed programs; an alias gives it to a job of manifests/samples."""

DIEMJOB = "diemjob/legacy-report"

Client = Callable[[Path], list[str]]
"""Prepares a folder that holds a printed program; returns the command that runs it there."""


def require(*programs: str) -> None:
    try:
        system_packages.ensure(programs, print)
    except MissingProgramError as missing:
        pytest.skip(str(missing))


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def prepare_curl(_: Path) -> list[str]:
    require("curl")
    return ["sh", "call.sh"]


def prepare_requests(_: Path) -> list[str]:
    return [sys.executable, "call.py"]


def prepare_axios(folder: Path) -> list[str]:
    require("node", "npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PROGRAMS / name, folder)
    run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
    return ["node", "call.js"]


def prepare_okhttp(folder: Path) -> list[str]:
    require("javac", "mvn")
    shutil.copy(PROGRAMS / "pom.xml", folder)
    run(["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory=lib"], folder)
    run(["javac", "-cp", "lib/*", "Call.java"], folder)
    return ["java", "-cp", "lib/*:.", "Call"]


@pytest.fixture(scope="module")
def finished_job(product: Product) -> str:
    """The job with the printed id, once a run of it is over; its phase."""
    product.kubectl("patch", DIEMJOB, "--type=merge", "--patch", '{"spec":{"state":"running"}}')
    return wait_for("the documented job to complete", lambda: _read_final_phase(product))


def _read_final_phase(product: Product) -> str:
    phase = product.kubectl("get", DIEMJOB, "--output=jsonpath={.status.phase}")
    return phase if phase == "Completed" else ""


@pytest.mark.parametrize(
    ("program", "prepare"),
    [
        pytest.param("call.sh", prepare_curl, id="curl"),
        pytest.param("call.py", prepare_requests, id="Python requests"),
        pytest.param("call.js", prepare_axios, id="axios on Node"),
        pytest.param("Call.java", prepare_okhttp, id="OkHttp on Java"),
    ],
)
def test_printed_program_reads_the_status_with_only_host_and_key_changed(
    product: Product, finished_job: str, tmp_path: Path, program: str, prepare: Client
) -> None:
    printed = (PROGRAMS / program).read_text()
    assert PRINTED_HOST in printed
    assert PRINTED_KEY in printed
    (tmp_path / program).write_text(printed.replace(PRINTED_HOST, product.url).replace(PRINTED_KEY, product.token))

    answer = json.loads(run(prepare(tmp_path), tmp_path))

    assert answer["message"] == finished_job
    assert answer["id"] == JOB


def test_printed_program_starts_the_job_with_the_action_changed(
    product: Product, finished_job: str, tmp_path: Path
) -> None:
    printed = (PROGRAMS / "call.sh").read_text().replace('"action": "status"', '"action": "start"')
    (tmp_path / "call.sh").write_text(printed.replace(PRINTED_HOST, product.url).replace(PRINTED_KEY, product.token))

    answer = json.loads(run(prepare_curl(tmp_path), tmp_path))

    assert (answer["id"], answer["action"], answer["message"]) == (JOB, "start", "job started")
