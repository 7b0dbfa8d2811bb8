"""What lies where in the image while it is built. Reads; changes nothing."""

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

PACKAGE_LISTS = Path("/var/lib/dpkg/info")
PACKAGE_STATUS = Path("/var/lib/dpkg/status")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of one image.

    Attributes:
        environment: the virtual environment with our program.
        library: Python's standard library.
        foreign: where the base image's own Python packages are, pip among them.
        programs: where the base image's own programs are.
    """

    environment: Path
    library: Path
    foreign: tuple[Path, ...]
    programs: tuple[Path, ...] = (Path("/usr/local/bin"), Path("/usr/bin"), Path("/usr/sbin"))

    def find_interpreters(self) -> list[Path]:
        """Return the environment's Python and, link by link, what it leads to; the last one is the program."""
        found = [self.environment / "bin" / "python"]
        while found[-1].is_symlink():
            found.append(found[-1].parent / found[-1].readlink())
        return found

    def find_binaries(self) -> list[Path]:
        """Return everything that may ask for shared libraries."""
        roots = (self.environment, self.library)
        return [
            self.find_interpreters()[-1],
            *(path for root in roots for path in sorted(root.rglob("*.so*")) if path.is_file()),
        ]


def find_layout(environment: Path) -> Layout:
    """Look at the interpreter that runs this, which must be the base image's own."""
    library = Path(sysconfig.get_path("stdlib")).resolve()
    named = {Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))}
    # Debian's python3 has its packages in places that sysconfig does not tell.
    debian = {Path(sys.base_prefix) / "lib/python3/dist-packages", Path("/usr/share/python-wheels")}
    return Layout(environment=environment, library=library, foreign=tuple(sorted(named | debian)))
