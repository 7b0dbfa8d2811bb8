"""The folder in which a run tells other terminals about itself."""

import os
import subprocess
from pathlib import Path

import pytest

from hack.local.errors import AlreadyRunningError
from hack.local.workspace import build_env, held_workspace

AWKWARD = 'it\'s $HOME `id` "x"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".local"


def test_env_gives_a_shell_and_its_children_the_very_values(folder: Path) -> None:
    with held_workspace(folder) as workspace:
        workspace.write_env({"DIEM_URL": "http://127.0.0.1:8080", "AWKWARD": AWKWARD})
        script = f'. {workspace.env_file}; env; printf "in the shell: %s" "$AWKWARD"'
        printed = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout

    assert f"AWKWARD={AWKWARD}\n" in printed
    assert "DIEM_URL=http://127.0.0.1:8080\n" in printed
    assert printed.endswith(f"in the shell: {AWKWARD}")


def test_plain_values_are_plain_lines_for_readers_that_are_no_shell() -> None:
    assert build_env({"A": "http://x:1/y", "B": "e.y-J_"}) == "A=http://x:1/y\nB=e.y-J_\nexport A B\n"


def test_env_is_readable_by_its_owner_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        with held_workspace(folder) as workspace:
            workspace.write_env({"DIEM_API_KEY": "x"})
            assert workspace.env_file.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_nothing_is_left_of_a_run(folder: Path) -> None:
    with held_workspace(folder) as workspace:
        workspace.write_env({"A": "1"})
        workspace.write_pid("operator", 7)
        workspace.link_kubectl(Path("/usr/bin/kubectl"))
        written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

    assert written == ["bin", "bin/kubectl", "env", "operator.pid", "run.lock"]
    assert list(folder.iterdir()) == []


def test_what_a_killed_run_left_is_gone_when_the_next_begins(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "kubectl").symlink_to("/nowhere")
    for name in ("env", ".env.new", "api.pid", "run.lock"):
        (folder / name).write_text("old")

    with held_workspace(folder):
        assert [path.name for path in folder.iterdir()] == ["run.lock"]


def test_files_that_no_run_has_made_are_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine").write_text("precious")

    with held_workspace(folder):
        pass

    assert (folder / "mine").read_text() == "precious"


def test_second_run_in_one_folder_is_refused_and_told_who_has_it(folder: Path) -> None:
    with held_workspace(folder) as workspace:
        workspace.write_env({"A": "1"})
        with (
            pytest.raises(AlreadyRunningError, match=rf"Another `make run` \(process {os.getpid()}\)"),
            held_workspace(folder),
        ):
            pass

        assert workspace.env_file.exists()
