"""What the chart becomes with given values: objects to look at, or the reason why Helm refuses them."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "helm" / "diem-operator"
RELEASE = "diem-operator"
NAMESPACE = "diem-system"
KUBERNETES = "1.35.4"
API_VERSIONS = ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1")

Object = dict[str, Any]
Values = Mapping[str, object]


def set_value(path: str, value: object) -> dict[str, Any]:
    """Return values in which only this one is set: `a.b` is b in a."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict), "a path has a name"
    return value


def merge(*parts: Values) -> dict[str, Any]:
    """Return values that have all of these; the later ones win."""
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            known = merged.get(name)
            both = isinstance(known, dict) and isinstance(value, Mapping)
            merged[name] = merge(known or {}, value) if both and isinstance(value, Mapping) else value
    return merged


# What several tests set.
DEPLOYMENT = set_value("api.mode", "deployment")
AUTOSCALING = merge(DEPLOYMENT, set_value("api.deployment.autoscaling.enabled", True))
TLS = set_value("api.tls.secretName", "certificate")
NAMESPACED = set_value("watchNamespaces", ["team-a", "team-b"])


class Refused(Exception):  # noqa: N818 - it is what happened
    """Helm would not render these values; the text is its own."""


@dataclass(frozen=True)
class Rendered:
    """The objects of a release, tests included."""

    text: str

    @cached_property
    def objects(self) -> list[Object]:
        parsed = (_parse(document) for document in f"\n{self.text}".split("\n---\n"))
        return [found for found in parsed if found]

    def find(self, kind: str, name: str | None = None) -> Object | None:
        """Return the object, or None; without a name, the only one of its kind."""
        found = [each for each in self.of(kind) if name in {None, each["metadata"]["name"]}]
        assert len(found) <= 1, f"{len(found)} objects {kind} {name}"
        return found[0] if found else None

    def get(self, kind: str, name: str | None = None) -> Object:
        found = self.find(kind, name)
        assert found is not None, f"there is no {kind} {name or ''}"
        return found

    def of(self, *kinds: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] in kinds]

    @property
    def identities(self) -> set[tuple[str, str, str]]:
        """Kind, namespace and name of each object."""
        return {
            (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in self.objects
        }

    @property
    def pods(self) -> list[Object]:
        """The specs of all pods: of Deployments, of the test, and of the DiemJobs that the test makes."""
        return [
            *(each["spec"]["template"]["spec"] for each in self.of("Deployment")),
            *(each["spec"] for each in self.of("Pod")),
            *(each["spec"]["jobTemplate"]["spec"]["template"]["spec"] for each in self.test_diemjobs),
        ]

    @property
    def test_diemjobs(self) -> list[Object]:
        story = self.find("ConfigMap", f"{RELEASE}-test")
        return [json.loads(story["data"][f"{name}.json"]) for name in ("completes", "lasts")] if story else []

    def container(self, name: str) -> Object:
        """Return a container of the release's Deployments."""
        found = [
            container
            for each in self.of("Deployment")
            for container in each["spec"]["template"]["spec"]["containers"]
            if container["name"] == name
        ]
        assert len(found) == 1, f"{len(found)} containers {name}"
        return dict(found[0])

    def environment(self, container: str) -> dict[str, str | None]:
        """Return the environment of a container; what does not come from a plain value is None."""
        return {each["name"]: each.get("value") for each in self.container(container)["env"]}


@cache  # most objects are the same for most values, and the CRDs are long
def _parse(document: str) -> Object | None:
    found: Object | None = yaml.load(document, Loader=yaml.CSafeLoader)
    return found


@dataclass(frozen=True)
class Chart:
    """The chart, and the Helm that renders it."""

    helm: Path
    _known: dict[str, Rendered | Refused] = field(default_factory=dict)

    def render(self, values: Values | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE) -> Rendered:
        """Return the release's objects, as Helm would install them.

        Raises:
            Refused: Helm does not accept the values.
        """
        versions = [f"--api-versions={each}" for each in API_VERSIONS]
        arguments = ("template", release, str(CHART), "--namespace", namespace, "--kube-version", KUBERNETES, *versions)
        known = self._run(*arguments, values=values or {})
        if isinstance(known, Refused):
            raise known
        return known

    def find_refusal(self, values: Values, *, release: str = RELEASE) -> str:
        """Return why Helm refuses these values; empty if it does not."""
        try:
            self.render(values, release=release)
        except Refused as refusal:
            return str(refusal)
        return ""

    def notes(self, values: Values | None = None) -> str:
        """Return what a person reads after the installation.

        Without a cluster Helm renders no NOTES.txt, so this has it rendered as a part of an extra object.
        """
        text = (CHART / "templates" / "NOTES.txt").read_text()
        opening = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes"}, "data": {"text": '
        define, call = f'{{{{ define "notes" }}}}{text}{{{{ end }}}}', '{{ include "notes" . | toJson }}'
        rendered = self.render(merge(values or {}, {"extraObjects": [f"{define}{opening}{call}}}}}"]}))
        return str(rendered.get("ConfigMap", "notes")["data"]["text"])

    def lint(self, values: Values | None = None) -> str:
        """Return what Helm's linter says, bad or good."""
        known = self._run("lint", str(CHART), "--strict", "--kube-version", KUBERNETES, values=values or {})
        return known.text if isinstance(known, Rendered) else str(known)

    def _run(self, *arguments: str, values: Values) -> Rendered | Refused:
        key = json.dumps([arguments, values], sort_keys=True)
        if key not in self._known:
            self._known[key] = self._run_anew(*arguments, values=values)
        return self._known[key]

    def _run_anew(self, *arguments: str, values: Values) -> Rendered | Refused:
        command = [str(self.helm), *arguments, "--values", "-"]
        ended = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
        return Refused(ended.stdout + ended.stderr) if ended.returncode else Rendered(ended.stdout)
