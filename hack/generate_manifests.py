"""Writes what is derived from crds/ and from the Helm chart, so that neither copy can drift.

    crds/<name>.yaml      ──► helm/diem-operator/templates/crds/<name>.yaml
    helm/diem-operator/   ──► helm/diem-operator/README.md     the table of its values, by helm-docs
                          ──► manifests/base/                  what every installation has
                          ──► manifests/overlays/cluster/      one installation serves all namespaces
                          ──► manifests/overlays/namespaced/   … or one namespace, with rights in that one only

Run it from the top of the checkout:

    python -m hack.generate_manifests            write them
    python -m hack.generate_manifests --check    write nothing; exit 1 where a file is not what would be written
"""

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

from hack.generated_files import bring_up_to_date
from hack.kustomize_files import Manifest, build_base, build_overlay, find_shared
from tests.localcluster import LocalClusterError, building, programs
from tests.localcluster.reporting import to_stderr

_ROOT = Path(__file__).resolve().parents[1]
_CRDS = _ROOT / "crds"
_CHART = _ROOT / "helm" / "diem-operator"
_MANIFESTS = _ROOT / "manifests"

_RELEASE = "diem-operator"
_NAMESPACE = "diem-system"
_TENANT = "team-a"


def build_chart_crd(crd: str, *, name: str) -> str:
    """Return the template of a CustomResourceDefinition, given its text.

    Raises:
        ValueError: the text could not be told from template code, or has no metadata to put labels into.
    """
    if "{{" in crd:
        raise ValueError(f"crds/{name} contains {{{{, which Helm would take for its own: write it otherwise")
    header, separator, rest = crd.partition("\nspec:\n")
    if not separator:
        raise ValueError(f"crds/{name} has no top-level spec")
    body = "\n".join(line for line in header.splitlines() if not line.startswith("#"))
    return f"""{{{{- if .Values.crds.enabled }}}}
# Generated from crds/{name} by `python -m hack.generate_manifests`: change it there.
{body}
  labels:
    {{{{- include "diem-operator.labels" . | nindent 4 }}}}
  {{{{- if .Values.crds.keep }}}}
  annotations:
    helm.sh/resource-policy: keep
  {{{{- end }}}}
spec:
{rest}{{{{- end }}}}
"""


def render(helm: Path, *settings: str) -> list[Manifest]:
    """Return the objects that the chart installs."""
    command = [str(helm), "template", _RELEASE, str(_CHART), f"--namespace={_NAMESPACE}", "--skip-tests"]
    command += [f"--set={setting}" for setting in settings]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [manifest for manifest in yaml.safe_load_all(printed) if manifest]


def build_manifests(helm: Path) -> dict[Path, str]:
    """Return the files of manifests/ that come from the chart."""
    clusterwide = render(helm)
    namespaced = render(helm, f"watchNamespaces={{{_TENANT}}}")
    shared = find_shared(clusterwide, namespaced)
    places = {
        "base": build_base(shared, namespace=_NAMESPACE),
        "overlays/cluster": build_overlay(
            clusterwide,
            base=shared,
            title="One installation serves all namespaces. Set no `namespace:` over this, see docs/install.md.",
        ),
        "overlays/namespaced": build_overlay(
            namespaced,
            base=shared,
            title=f"Serves the namespace {_TENANT} alone, which must exist; yours goes in its place.",
        ),
    }
    return {_MANIFESTS / place / name: text for place, files in places.items() for name, text in files.items()}


def build_readme(helm_docs: Path) -> str:
    """Return the chart's README."""
    command = [
        str(helm_docs),
        f"--chart-search-root={_CHART}",
        "--sort-values-order=file",
        "--dry-run",
        "--log-level=error",
    ]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return printed.strip() + "\n"


def build_files() -> dict[Path, str]:
    """Return everything that is to be written, by path; the chart's own copies of the CRDs must be in place."""
    found = building.obtain([programs.HELM, programs.HELM_DOCS], to_stderr)
    readme = {_CHART / "README.md": build_readme(found[programs.HELM_DOCS.name])}
    return readme | build_manifests(found[programs.HELM.name])


def build_chart_crds() -> dict[Path, str]:
    """Return the chart's templates of the CustomResourceDefinitions, by path."""
    folder = _CHART / "templates" / "crds"
    return {folder / crd.name: build_chart_crd(crd.read_text(), name=crd.name) for crd in sorted(_CRDS.glob("*.yaml"))}


def main(arguments: list[str] | None = None) -> int:
    """Do what the module's docstring says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hack.generate_manifests", description="Write the derived files.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file would change")
    is_check = parser.parse_args(arguments).check
    try:
        changed = bring_up_to_date(build_chart_crds(), is_check=is_check)
        changed += bring_up_to_date(build_files(), is_check=is_check)
    except (LocalClusterError, ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if is_check and changed:
        print("Run `make generate` and commit what it writes.", file=sys.stderr)
    return int(is_check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
