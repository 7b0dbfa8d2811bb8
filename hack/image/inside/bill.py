"""Adds to the bill of materials (CycloneDX, package-url) what is no Python package: Debian's packages, and Python."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def add_components(sbom: Path, components: Iterable[Mapping[str, Any]]) -> None:
    """Add components to a file that names Python packages so far, CycloneDX as JSON."""
    content = json.loads(sbom.read_text())
    content.setdefault("components", []).extend(components)
    sbom.write_text(json.dumps(content, indent=2) + "\n")


def describe_python(version: str) -> dict[str, Any]:
    """Return the component of a Python that was built from its sources; scanners know it by its CPE."""
    url = f"pkg:generic/python@{version}"
    return {
        "type": "application",
        "bom-ref": url,
        "name": "python",
        "version": version,
        "cpe": f"cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*",
        "purl": url,
    }


def describe(package: Mapping[str, str], *, distribution: str) -> dict[str, Any]:
    """Return the component of one Debian package, from the fields that dpkg keeps.

    The distribution is its id and version, as in `debian-12`.
    """
    name, version, processor = package["Package"], package["Version"], package["Architecture"]
    escaped = version.replace(":", "%3A").replace("+", "%2B").replace("~", "%7E")
    url = f"pkg:deb/debian/{name}@{escaped}?arch={processor}&distro={distribution}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def read_distribution(os_release: str) -> str:
    r"""Read id and version of the distribution from the text of /etc/os-release.

    >>> read_distribution('ID=debian\nVERSION_ID="12"\n')
    'debian-12'
    """
    fields = {name: value.strip('"') for name, _, value in (line.partition("=") for line in os_release.splitlines())}
    return f"{fields['ID']}-{fields['VERSION_ID']}"
