"""`python -m hack.audit`, which is what make calls. Only puts the parts together.

Exit codes: 0 all was examined and is well, 1 something was found, 2 not everything could be examined.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from hack.audit.advisories import find_vulnerabilities
from hack.audit.index import find_withdrawn
from hack.audit.locks import Lock, find_largest, read_locks
from hack.audit.report import Report
from hack.audit.vex import Exemptions, read_exemptions

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
VEX = ROOT / "docs" / "security" / "vex.openvex.json"
PROGRAMS = ROOT / ".local" / "audit" / "bin"


def main() -> int:
    """Look at everything, say what was found, and return the exit code."""
    locks = read_locks(REQUIREMENTS)
    report = examine(locks, programs=PROGRAMS, exemptions=read_exemptions(VEX))
    pins = {(pin.name, pin.version) for lock in locks for pin in lock.pins}
    print(f"{len(pins)} packages in {len(locks)} files of requirements/")
    for line in report.lines:
        print(line)
    return report.exit_code


def examine(locks: Iterable[Lock], *, programs: Path, exemptions: Exemptions) -> Report:
    """Ask everybody about the locks."""
    report = Report()
    for lock in locks:
        report += Report(found=lock.find_faults())
    for lock in find_largest(locks):
        report += find_withdrawn(lock, pip=programs / "pip")
        report += find_vulnerabilities(lock, pip_audit=programs / "pip-audit", exemptions=exemptions)
    return report


if __name__ == "__main__":
    sys.exit(main())
