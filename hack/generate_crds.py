"""Writes crds/ from the hand-written schemas in hack/crd_sources/ and the API server's own schema of Jobs.

    hack/crd_sources/<name>.yaml          ours, by hand: everything but what a Job is
    hack/crd_sources/batch_v1.json        Kubernetes': the part of /openapi/v3/apis/batch/v1 that a Job's spec needs
    crds/<name>.yaml                      generated from both; the source that the chart's copies are made of

So a hand-written change needs no cluster, and whether crds/ is up to date is checked in a second, anywhere; only a new
Kubernetes version needs an API server. Where a hand-written schema says `x-generated-from: DEFINITION`, that
definition's structural schema is put, and what stands beside the marker is merged over it (a JSON merge patch, RFC
7386: objects are merged, anything else replaces, null removes).

Run it from the top of the checkout:

    python -m hack.generate_crds                     write crds/
    python -m hack.generate_crds --check             write nothing; exit 1 where a file is not what would be written
    python -m hack.generate_crds --refresh           take the API server's schema anew, from one started for it
    python -m hack.generate_crds --kubeconfig FILE   … from the one that a kubeconfig names
    python -m hack.generate_crds --openapi FILE      … from a saved /openapi/v3/apis/batch/v1

`--check` goes with each of the last three: it then also tells whether the API server's schema has changed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import yaml

from hack.generated_files import bring_up_to_date, dump
from hack.structural_schema import Schema, UnconvertibleSchemaError, build_structural_schema, extract_definitions

_ROOT = Path(__file__).resolve().parents[1]
_SOURCES = _ROOT / "hack" / "crd_sources"
_OPENAPI = _SOURCES / "batch_v1.json"
_CRDS = _ROOT / "crds"

_OPENAPI_PATH = "/openapi/v3/apis/batch/v1"
_JOB_SPEC = "io.k8s.api.batch.v1.JobSpec"
_MARKER = "x-generated-from"


def build_files(document: Schema) -> dict[Path, str]:
    """Return what is to be written, by path, given an API server's OpenAPI document of batch/v1."""
    # Sorted, because an API server's own order is not that of the file, and both must give the same crds/.
    text = json.dumps(extract_definitions(document, _JOB_SPEC), indent=1, sort_keys=True) + "\n"
    openapi = json.loads(text)
    crds = {_CRDS / source.name: build_crd_text(source, openapi) for source in sorted(_SOURCES.glob("*.yaml"))}
    return {_OPENAPI: text, **crds}


def build_crd_text(source: Path, openapi: Schema) -> str:
    """Return the text of the CustomResourceDefinition that a hand-written source describes."""
    crd = expand(yaml.safe_load(source.read_text(encoding="utf-8")), openapi)
    header = f"# Generated from hack/crd_sources/{source.name} by `python -m hack.generate_crds`: change it there.\n"
    return header + dump(crd)


def expand(node: object, openapi: Schema) -> object:
    """Return a copy of a YAML node in which every marker is replaced by the schema it names."""
    if isinstance(node, list):
        return [expand(item, openapi) for item in node]
    if not isinstance(node, dict):
        return node
    if _MARKER not in node:
        return {key: expand(value, openapi) for key, value in node.items()}
    overlay = {key: value for key, value in node.items() if key != _MARKER}
    return merge(build_structural_schema(openapi, node[_MARKER]), overlay)


def merge(target: object, patch: object) -> object:
    """Return the target under a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def fetch_openapi(kubeconfig: Path) -> Schema:
    """Read the OpenAPI document of batch/v1 from the API server that a kubeconfig names, with kubectl."""
    command = ["kubectl", f"--kubeconfig={kubeconfig}", "get", "--raw", _OPENAPI_PATH]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def fetch_openapi_from_own_cluster() -> Schema:
    """Start an API server, read its OpenAPI document of batch/v1, and stop it again."""
    # Only here: building a cluster's programs needs what writing crds/ does not.
    from tests.localcluster import LocalCluster, NodeKind  # noqa: PLC0415

    with LocalCluster.start(node=NodeKind.NONE, controllers=False) as cluster:
        return dict(json.loads(cluster.kubectl("get", "--raw", _OPENAPI_PATH)))


def _read_openapi(arguments: argparse.Namespace) -> Schema:
    if arguments.openapi:
        return dict(json.loads(arguments.openapi.read_text(encoding="utf-8")))
    if arguments.kubeconfig:
        return fetch_openapi(arguments.kubeconfig)
    if arguments.refresh:
        return fetch_openapi_from_own_cluster()
    return dict(json.loads(_OPENAPI.read_text(encoding="utf-8")))


def _parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.generate_crds", description="Write crds/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file would change")
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument("--refresh", action="store_true", help="take the schema of Jobs from an API server of its own")
    origin.add_argument("--kubeconfig", type=Path, metavar="FILE", help="take the schema of Jobs from this cluster")
    origin.add_argument("--openapi", type=Path, metavar="FILE", help=f"take it from a saved {_OPENAPI_PATH}")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do what the module's docstring says; return the exit status."""
    options = _parse_arguments(arguments)
    try:
        files = build_files(_read_openapi(options))
    except (UnconvertibleSchemaError, OSError, subprocess.CalledProcessError) as error:
        print(f"Nothing was written: {error}", file=sys.stderr)
        return 2
    changed = bring_up_to_date(files, is_check=options.check)
    if options.check and changed:
        print("Run `python -m hack.generate_crds` and commit what it writes.", file=sys.stderr)
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
