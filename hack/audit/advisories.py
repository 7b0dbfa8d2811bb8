"""Asks pip-audit what is known against the locked versions.

pip-audit looks in the package index's own data, and calls it a success when the index has none: "No known
vulnerabilities found" about packages that nobody looked at. Those are told here as what they are.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from hack.audit.locks import Lock
from hack.audit.report import Report
from hack.audit.vex import Exemptions

_LAST_LINES = 1


def find_vulnerabilities(lock: Lock, *, pip_audit: Path, exemptions: Exemptions) -> Report:
    """Let pip-audit look at a file."""
    command = [str(pip_audit), "--requirement", str(lock.path), "--require-hashes", "--disable-pip"]
    command += ["--format=json", "--progress-spinner=off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        last = " ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        return Report(unseen=(f"{lock.path.name}: pip-audit did not come to an end: {last}",))
    return judge(lock, dependencies, exemptions)


def judge(lock: Lock, dependencies: list[dict[str, Any]], exemptions: Exemptions) -> Report:
    """Judge what pip-audit says of each package."""
    report = Report(unseen=_find_unseen(lock, dependencies))
    for dependency in dependencies:
        for known in dependency.get("vulns", []):
            names = {known["id"], *known.get("aliases", [])}
            what = f"{dependency['name']} {dependency['version']}: {', '.join(sorted(names))}"
            reason = exemptions.find(dependency["name"], dependency["version"], names)
            if reason is not None:
                report += Report(exempt=(f"{what}; {reason}",))
                continue
            mended = ", ".join(known.get("fix_versions", [])) or "no version yet"
            report += Report(found=(f"{what}; mended in {mended}",))
    return report


def _find_unseen(lock: Lock, dependencies: list[dict[str, Any]]) -> tuple[str, ...]:
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    seen = {one["name"] for one in dependencies}
    wanted = {pin.name for pin in lock.pins if pin.is_for_here}
    missing = sorted(wanted - seen)
    unseen = [*skipped, *missing]
    if not unseen:
        return ()
    some = ", ".join(unseen[:3]) + (", …" if len(unseen) > 3 else "")  # noqa: PLR2004 - as many as are named
    told = "the source of advisories that pip-audit asks knows nothing of them"
    return (f"{lock.path.name}: {len(unseen)} of {len(wanted)} packages ({some}) for vulnerabilities: {told}",)
