from pathlib import Path

import pytest

from tests.localcluster.busybox import is_static


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"\x7fELF" + bytes(4096) + b"/ld-late.so", True, id="static"),
        pytest.param(b"\x7fELF" + bytes(600) + b"/lib64/ld-linux-x86-64.so.2", False, id="needs-glibc"),
        pytest.param(b"\x7fELF" + bytes(600) + b"/lib/ld-musl-x86_64.so.1", False, id="needs-musl"),
        pytest.param(b"#!/bin/sh\n", False, id="script"),
    ],
)
def test_only_a_program_without_a_loader_is_static(tmp_path: Path, content: bytes, expected: bool) -> None:
    program = tmp_path / "busybox"
    program.write_bytes(content)

    assert is_static(program) is expected
