"""Reads docs/security/vex.openvex.json (OpenVEX 0.2.0): what is known against a dependency and does not affect us.

A statement is about our product; the dependency is its subcomponent, named with its version, so that none outlives
an update of the lock unseen.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name

CONTEXT: Final = "https://openvex.dev/ns/v0.2.0"
JUSTIFICATIONS: Final = frozenset(
    {
        "component_not_present",
        "vulnerable_code_not_present",
        "vulnerable_code_not_in_execute_path",
        "vulnerable_code_cannot_be_controlled_by_adversary",
        "inline_mitigations_already_exist",
    }
)
STATUSES: Final = frozenset({"not_affected", "affected", "fixed", "under_investigation"})
_SILENCING: Final = frozenset({"not_affected", "fixed"})


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """One dependency in one statement."""

    package: str
    version: str
    vulnerabilities: frozenset[str]
    reason: str


@dataclass(frozen=True)
class Exemptions:
    """All that need not be mended."""

    each: tuple[Exemption, ...] = ()

    def find(self, package: str, version: str, vulnerabilities: set[str]) -> str | None:
        """Return why a vulnerability, known by these names, does not affect us; None where nobody has said so."""
        for one in self.each:
            is_same = (one.package, one.version) == (canonicalize_name(package), version)
            if is_same and one.vulnerabilities & vulnerabilities:
                return one.reason
        return None


def read_exemptions(path: Path) -> Exemptions:
    """Read the statements that silence something."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Exemptions(tuple(one for statement in content["statements"] for one in _read_statement(statement)))


def _read_statement(statement: dict[str, Any]) -> Iterator[Exemption]:
    if statement["status"] not in _SILENCING:
        return
    vulnerability = statement["vulnerability"]
    for product in statement["products"]:
        for subcomponent in product["subcomponents"]:
            package, version = parse_package_url(subcomponent["@id"])
            yield Exemption(
                package=package,
                version=version,
                vulnerabilities=frozenset({vulnerability["name"], *vulnerability.get("aliases", [])}),
                reason=statement.get("justification", statement["status"]),
            )


def parse_package_url(url: str) -> tuple[str, str]:
    """Read name and version from the package URL of a Python package.

    >>> parse_package_url("pkg:pypi/pyjwt@2.15.1")
    ('pyjwt', '2.15.1')
    """
    kind, _, rest = url.removeprefix("pkg:").partition("/")
    name, at, version = rest.partition("@")
    if kind != "pypi" or not at or not version:
        raise ValueError(f"{url!r} names no version of a Python package; write pkg:pypi/NAME@VERSION")
    return canonicalize_name(name), version
