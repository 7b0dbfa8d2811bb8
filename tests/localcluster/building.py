"""Builds the cluster's programs once, and finds them in the cache afterwards.

The cache lies outside the checkout. A program appears in it whole or not at all, also with several builders at once.
"""

import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.localcluster import system_packages
from tests.localcluster.errors import BuildError
from tests.localcluster.locking import exclusive
from tests.localcluster.processes import signal_group
from tests.localcluster.programs import DEVELOPERS_PROGRAMS, Program, Recipe
from tests.localcluster.reporting import Log
from tests.localcluster.toolchain import find_go

_HEARTBEAT_SECONDS = 30
_SECCOMP_HEADER = "/usr/include/seccomp.h"
# Where distributions keep what Go checks servers by; the first is Debian's.
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
_GO_PROCESSORS: Mapping[str, str] = MappingProxyType({"x86_64": "amd64", "aarch64": "arm64"})


def cache_folder() -> Path:
    """Return where programs are kept between runs: `$DIEM_CACHE/localcluster`, by default in `~/.cache/diem`."""
    root = os.environ.get("DIEM_CACHE")
    return (Path(root).expanduser().resolve() if root else Path.home() / ".cache" / "diem") / "localcluster"


def go_processor() -> str:
    """Return this machine's processor as Go and image registries name it."""
    return _GO_PROCESSORS.get(platform.machine(), platform.machine())


def obtain(programs: Iterable[Program], log: Log) -> dict[str, Path]:
    """Return the path of each program by name, building those that are not there yet."""
    found = {program.name: _find(program) for program in programs}
    missing = [program for program in programs if found[program.name] is None]
    if missing:
        _build_all(missing, log)
    return {program.name: found[program.name] or _cached(program) for program in programs}


def find_source(program: Program, log: Log) -> Path:
    """Return the folder of the Go module that a program comes from, with all that it is published with."""
    command = [str(find_go(cache_folder(), log)), "list", "-f", "{{.Module.Dir}}", program.package]
    environment = os.environ | _recipe(program).environment
    listed = subprocess.run(
        command,
        cwd=program.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if listed.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` in {program.folder} failed: {listed.stderr.strip()[-2000:]}")
    return Path(listed.stdout.strip())


def _find(program: Program) -> Path | None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    given = Path(assets, program.name) if assets and program.name in DEVELOPERS_PROGRAMS else None
    if given is not None and given.exists():
        return given
    return _cached(program) if _cached(program).exists() else None


def _cached(program: Program) -> Path:
    return cache_folder() / f"{program.module}-{_recipe(program).key}" / program.name


def _recipe(program: Program) -> Recipe:
    return Recipe(
        program=program,
        platform=f"{platform.system().lower()}/{go_processor()}",
        with_seccomp=program.needs_cgo and _has_seccomp(),
    )


def _has_seccomp() -> bool:
    # Where root can install the library it will be there by the time of the build.
    return Path(_SECCOMP_HEADER).exists() or system_packages.can_install()


def _build_all(programs: list[Program], log: Log) -> None:
    _prepare_machine(programs, log)
    go = find_go(cache_folder(), log)
    log(f"Building {', '.join(p.name for p in programs)} with {go}; once, it takes several minutes")
    for number, program in enumerate(programs, start=1):
        _build_unless_there(go, program, _prefixed(f"[{number}/{len(programs)}] ", log))


def _build_unless_there(go: Path, program: Program, log: Log) -> None:
    with exclusive(cache_folder() / f".{program.module}.lock"):
        if _cached(program).exists():  # another process built it while we waited
            return
        started = time.monotonic()
        _build(go, _recipe(program), log)
        log(f"{program.name}: built in {time.monotonic() - started:.0f} s")


def _prefixed(prefix: str, log: Log) -> Log:
    return lambda line: log(prefix + line)


def _prepare_machine(programs: list[Program], log: Log) -> None:
    if platform.system() != "Linux":
        return
    needs = [] if any(Path(bundle).exists() for bundle in _CA_BUNDLES) else [_CA_BUNDLES[0]]
    if any(program.needs_cgo for program in programs):
        needs += ["cc", "pkg-config"]
        needs += [_SECCOMP_HEADER] if system_packages.can_install() else []
    system_packages.ensure(needs, log)


def _build(go: Path, recipe: Recipe, log: Log) -> None:
    program = recipe.program
    target = _cached(program)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    command = [str(go), "build", *recipe.flags, "-o", str(unfinished), program.package]
    try:
        _run_with_heartbeat(_politely(command), recipe, log)
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _politely(command: list[str]) -> list[str]:
    nice = shutil.which("nice")
    return [nice, "-n", "10", *command] if nice else command


def _run_with_heartbeat(command: list[str], recipe: Recipe, log: Log) -> None:
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="diem-build-") as scratch,
        subprocess.Popen(
            command,
            cwd=recipe.program.folder,
            # A go that is killed leaves gigabytes in its scratch folder, so that one is ours.
            env=os.environ | recipe.environment | {"GOTMPDIR": scratch},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as building,
    ):
        try:
            output = _wait(building, lambda: log(f"{recipe.program.name}: {time.monotonic() - started:.0f} s so far"))
        except BaseException:
            signal_group(building.pid, signal.SIGKILL)  # with its compilers, which would go on writing
            raise
    if building.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` in {recipe.program.folder} failed: {output.strip()[-2000:]}")


def _wait(building: subprocess.Popen[str], heartbeat: Callable[[], None]) -> str:
    while True:
        try:
            return building.communicate(timeout=_HEARTBEAT_SECONDS)[0]
        except subprocess.TimeoutExpired:
            heartbeat()
