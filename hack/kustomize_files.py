"""Lays out rendered objects as a kustomize base and overlays on it. Pure: objects in, texts of files out.

Objects that two kinds of installation have in common make up the base, the others an overlay. Where an object of both
differs, the base has it as the first kind does, and the overlay of the second kind patches it.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from hack.generated_files import Dumper, dump

Manifest = dict[str, Any]
Identity = tuple[str, str, str]

_HEADER = "# Generated from helm/diem-operator by `python -m hack.generate_manifests`: change it there.\n"
_OF_HELM_ALONE = ("helm.sh/chart", "app.kubernetes.io/managed-by", "helm.sh/resource-policy")
_PATCH = "patch.yaml"

_FILES = {
    "CustomResourceDefinition": "crds.yaml",
    "Namespace": "namespace.yaml",
    "ServiceAccount": "serviceaccounts.yaml",
    "Role": "rbac.yaml",
    "RoleBinding": "rbac.yaml",
    "ClusterRole": "rbac.yaml",
    "ClusterRoleBinding": "rbac.yaml",
    "ValidatingAdmissionPolicy": "admission-policy.yaml",
    "ValidatingAdmissionPolicyBinding": "admission-policy.yaml",
    "Secret": "secret.yaml",
    "Lease": "lease.yaml",
    "Deployment": "deployment.yaml",
    "Service": "service.yaml",
    "PodDisruptionBudget": "poddisruptionbudget.yaml",
    "NetworkPolicy": "networkpolicy.yaml",
}


class _Dumper(Dumper):
    """Writes long texts as blocks."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def find_shared(first: Sequence[Manifest], second: Sequence[Manifest]) -> list[Manifest]:
    """Return the objects that both kinds of installation have, as the first one has them."""
    seconds = {identify(manifest) for manifest in second}
    return [strip(manifest) for manifest in first if identify(manifest) in seconds]


def build_base(shared: Sequence[Manifest], *, namespace: str) -> dict[str, str]:
    """Return the files of the base, by name; it makes the namespace too."""
    return _build_files([_build_namespace(namespace), *shared], title="What every installation has.", bases=[])


def build_overlay(wanted: Sequence[Manifest], *, base: Sequence[Manifest], title: str) -> dict[str, str]:
    """Return the files of one kind of installation: what it adds to the base, and what it changes there."""
    there = {identify(manifest): manifest for manifest in base}
    added = [strip(manifest) for manifest in wanted if identify(manifest) not in there]
    pairs = [(there[identify(manifest)], strip(manifest)) for manifest in wanted if identify(manifest) in there]
    patches = [build_patch(before, after) for before, after in pairs if before != after]
    return _build_files(added, title=title, bases=["../../base"], patches=patches)


def identify(manifest: Manifest) -> Identity:
    """Return what tells an object from all others."""
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def strip(manifest: Manifest) -> Manifest:
    """Return the object without the labels and annotations that only mean something to Helm."""
    return {name: _strip_value(value) for name, value in manifest.items()}


def _strip_value(value: Any) -> Any:  # noqa: ANN401 - any YAML
    if isinstance(value, list):
        return [_strip_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _strip_value(item) for name, item in value.items() if name not in _OF_HELM_ALONE}
    return {name: item for name, item in kept.items() if not (name == "annotations" and item == {})}


def build_patch(before: Manifest, after: Manifest) -> Manifest:
    """Return the strategic merge patch that makes one object the other."""
    metadata = {name: after["metadata"][name] for name in ("name", "namespace") if name in after["metadata"]}
    identity = {"apiVersion": after["apiVersion"], "kind": after["kind"], "metadata": metadata}
    return identity | _find_changes(before, after)


def _find_changes(before: Manifest, after: Manifest) -> Manifest:
    changes = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        if name not in before:
            changes[name] = value
        elif value != before[name]:
            changes[name] = _find_change(before[name], value)
    return changes


def _find_change(before: Any, after: Any) -> Any:  # noqa: ANN401 - any YAML
    if isinstance(before, dict) and isinstance(after, dict):
        return _find_changes(before, after)
    if _is_named_list(before) and _is_named_list(after):
        return _find_list_changes(before, after)
    return after


def _is_named_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value)


def _find_list_changes(before: list[Manifest], after: list[Manifest]) -> list[Manifest]:
    """Return the items of a list that Kubernetes merges by name: those that change, are new, or go."""
    befores, afters = ({item["name"]: item for item in items} for items in (before, after))
    gone = [{"$patch": "delete", "name": name} for name in befores if name not in afters]
    changed = [
        {"name": name} | _find_changes(befores.get(name, {}), item)
        for name, item in afters.items()
        if befores.get(name) != item
    ]
    return gone + changed


def _build_namespace(name: str) -> Manifest:
    standard = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": standard}}


def _build_files(
    manifests: Sequence[Manifest], *, title: str, bases: Sequence[str], patches: Sequence[Manifest] = ()
) -> dict[str, str]:
    files: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        files.setdefault(_FILES[manifest["kind"]], []).append(manifest)
    kustomization: Manifest = {**_KUSTOMIZATION, "resources": [*bases, *sorted(files)]}
    if patches:
        kustomization["patches"] = [{"path": _PATCH}]
        files[_PATCH] = list(patches)
    texts = {name: _HEADER + _write(contents) for name, contents in files.items()}
    return texts | {"kustomization.yaml": f"{_HEADER}# {title}\n{_write([kustomization])}"}


def _write(manifests: Sequence[Manifest]) -> str:
    return "---\n".join(dump(manifest, dumper=_Dumper) for manifest in manifests)
