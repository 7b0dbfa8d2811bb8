"""`make run` and `make demo`, as the commands behind them: what they give, and that nothing of them stays."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from hack.local.calls import PATH
from hack.local.waiting import wait_for
from tests.localcluster.node_kind import why_not_real

ROOT = Path(__file__).resolve().parents[2]
HINDRANCE = why_not_real()
UP_SECONDS = 120.0
"""The programs of a cluster are built by then; a machine with much else to do takes long to start them all."""

NODES = [
    pytest.param("real", marks=pytest.mark.skipif(HINDRANCE is not None, reason=str(HINDRANCE))),
    pytest.param("simulated"),
]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that a person could use by now."""

    process: subprocess.Popen[bytes]
    folder: Path
    output_file: Path
    env: Mapping[str, str] = field(repr=False)

    @property
    def output(self) -> str:
        return self.output_file.read_text()

    def read_pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def ask(self, action: str) -> requests.Response:
        headers = {"x-api-key": self.env["DIEM_API_KEY"]}
        body = {"id": "hello", "action": action}
        return requests.post(self.env["DIEM_URL"] + PATH, json=body, headers=headers, timeout=10)


@contextmanager
def running(tmp_path: Path, *, node: str) -> Iterator[Run]:
    """Start a run whose files are all in one folder, and wait until it tells how to use it."""
    folder, output_file = tmp_path / ".local", tmp_path / "output"
    command = [sys.executable, "-m", "hack.local", "run", "--port=0", f"--folder={folder}", f"--node={node}"]
    with output_file.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=build_env(tmp_path), stdout=output, stderr=output)
    try:
        wait_for("the run to begin", lambda: _is_up(process, folder, output_file), within_seconds=UP_SECONDS)
        env = read_env(folder / "env")
        yield Run(process=process, folder=folder, output_file=output_file, env=env)
    finally:
        process.terminate()
        process.wait()


def build_env(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which the run's clusters are nobody else's."""
    temporary = tmp_path / "tmp"
    temporary.mkdir(exist_ok=True)
    return os.environ | {"TMPDIR": str(temporary)}


def read_env(path: Path) -> dict[str, str]:
    """Return what a shell makes of the file."""
    told = subprocess.run(["sh", "-c", f". {path}; env"], capture_output=True, text=True, check=True).stdout
    names = ("DIEM_URL", "DIEM_API_KEY", "DIEM_NAMESPACE", "KUBECONFIG")
    return {name: value for name, _, value in (line.partition("=") for line in told.splitlines()) if name in names}


def find_processes(folder: Path) -> list[str]:
    """Return the command lines in which a folder is named."""
    return [line for path in Path("/proc").glob("[0-9]*/cmdline") if str(folder) in (line := _read(path))]


def _is_up(process: subprocess.Popen[bytes], folder: Path, output_file: Path) -> bool:
    assert process.poll() is None, output_file.read_text()
    # Not the env file alone: a killed run leaves one.
    return "are running." in output_file.read_text() and (folder / "env").exists()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


@pytest.mark.parametrize("node", NODES)
def test_run_can_be_used_from_another_terminal_and_leaves_nothing(tmp_path: Path, node: str) -> None:
    with running(tmp_path, node=node) as run:
        assert (run.folder / "env").stat().st_mode & 0o777 == 0o600
        assert set(run.env) == {"DIEM_URL", "DIEM_API_KEY", "DIEM_NAMESPACE", "KUBECONFIG"}
        for name in ("operator", "api"):
            assert f"-m diem_operator {name} " in _read(Path(f"/proc/{run.read_pid(name)}/cmdline"))
        assert run.ask("status").json()["message"] == "Stopped"
        assert run.ask("start").json()["message"] == "job started"
        wait_for("hello to complete", lambda: run.ask("status").json()["message"] == "Completed")
        kubectl = [str(run.folder / "bin" / "kubectl"), f"--namespace={run.env['DIEM_NAMESPACE']}", "get"]
        listed = subprocess.run(
            [*kubectl, "dj"], env=os.environ | run.env, capture_output=True, text=True, check=True
        ).stdout
        assert re.search(r"^hello +running +Completed ", listed, re.MULTILINE)
        assert run.env["DIEM_API_KEY"] in run.output
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait() == 0

    assert find_processes(tmp_path) == []
    assert list(run.folder.iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_run_is_over_when_the_operator_dies_and_says_what_it_logged_last(tmp_path: Path) -> None:
    with running(tmp_path, node="simulated") as run:
        os.kill(run.read_pid("operator"), signal.SIGKILL)
        assert run.process.wait() == 1

    assert "operator has ended by itself" in run.output
    assert "Became the leader" in run.output.partition("operator has ended by itself")[2]
    assert find_processes(tmp_path) == []
    assert list(run.folder.iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_run_leaves_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    with running(tmp_path, node="auto") as killed:
        pids = [killed.read_pid(name) for name in ("operator", "api")]
        killed.process.kill()
        killed.process.wait()
        wait_for("both processes to end with it", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    with running(tmp_path, node="auto") as run:
        assert "Clearing away what an earlier cluster left" in run.output
        assert run.ask("status").status_code == 200

    assert find_processes(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("node", NODES)
def test_demo_plays_its_story_to_the_end_and_leaves_nothing(tmp_path: Path, node: str) -> None:
    command = [sys.executable, "-m", "hack.local", "demo", f"--node={node}"]
    done = subprocess.run(
        command, cwd=ROOT, env=build_env(tmp_path), capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(\d+)\. ", done.stdout, re.MULTILINE) == [str(number) for number in range(1, 10)]
    assert ("\n     Hello, newcomer\n" in done.stdout) is (node == "real")
    assert "eyJ" not in done.stdout + done.stderr
    assert find_processes(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []
