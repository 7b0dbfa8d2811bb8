"""Adds the Debian packages to the list of what the image is made of (CycloneDX, package-url)."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def add_packages(sbom: Path, packages: Iterable[Mapping[str, str]], *, distribution: str) -> None:
    """Add one component for each package to a file that names Python packages so far.

    Args:
        sbom: CycloneDX as JSON.
        packages: the fields that dpkg keeps of each.
        distribution: its id and version, as in `debian-12`.
    """
    content = json.loads(sbom.read_text())
    content.setdefault("components", []).extend(describe(package, distribution=distribution) for package in packages)
    sbom.write_text(json.dumps(content, indent=2) + "\n")


def describe(package: Mapping[str, str], *, distribution: str) -> dict[str, Any]:
    """Return the component of one Debian package."""
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
