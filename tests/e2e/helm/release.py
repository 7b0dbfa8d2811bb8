"""A release of the chart on a cluster: what a platform team does with Helm, and looks at afterwards."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError
from tests.localcluster.inheritance import build_environment

NAMESPACE = "diem-system"
NAME = "diem-operator"
WAIT = ("--wait", "--timeout=120s")

_LONG_SECONDS = 300


class HelmError(Exception):
    """Helm failed; with what it said."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release, installed or not.

    Attributes:
        helm: the program, of either major version.
        chart: the packaged chart.
        values: what `--set-json` gets at each install and upgrade, by the value's path.
    """

    cluster: LocalCluster
    helm: Path
    chart: Path
    values: Mapping[str, object] = field(default_factory=dict)

    def using(self, **changes: Any) -> "Release":
        return replace(self, **changes)

    def install(self, *flags: str) -> str:
        """Install and wait, and return what Helm prints."""
        return self.run("install", NAME, str(self.chart), *self._settings(), *WAIT, *flags)

    @contextmanager
    def installed(self) -> Iterator[Self]:
        """Have it installed for the block; where the block fails, print what a person would look at."""
        self.install()
        try:
            yield self
        except Exception:
            print(self.describe_trouble())
            raise
        finally:
            self.uninstall()

    def upgrade(self, *flags: str) -> str:
        return self.run("upgrade", NAME, str(self.chart), *self._settings(), *WAIT, *flags)

    def rollback(self) -> str:
        return self.run("rollback", NAME, *WAIT)

    def test(self) -> str:
        """Run `helm test` and return what it and its pod print."""
        return self.run("test", NAME, "--timeout=180s")

    def uninstall(self) -> str:
        return self.run("uninstall", NAME, *WAIT)

    def run(self, *arguments: str) -> str:
        """Run Helm in the release's namespace.

        Raises:
            HelmError: it failed.
        """
        command = [
            str(self.helm),
            *arguments,
            f"--namespace={NAMESPACE}",
            f"--kubeconfig={self.cluster.admin_kubeconfig}",
        ]
        homes = {
            f"HELM_{kind}_HOME": str(self.cluster.directory / f"helm-{kind.lower()}")
            for kind in ("CACHE", "CONFIG", "DATA")
        }
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=build_environment(homes), timeout=_LONG_SECONDS
        )
        if done.returncode != 0:
            raise HelmError(
                f"`helm {' '.join(arguments)}` failed: {done.stdout}{done.stderr}\n{self.describe_trouble()}"
            )
        return done.stdout + done.stderr

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess.run
        """Run kubectl in the release's namespace."""
        return self.cluster.kubectl(f"--namespace={NAMESPACE}", *arguments, input=input)

    def read_pods(self, component: str = "operator") -> list[dict[str, Any]]:
        """Return the component's pods that are not on their way out."""
        selector = f"--selector=app.kubernetes.io/component={component}"
        pods = json.loads(self.kubectl("get", "pods", selector, "--output=json"))["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    @property
    def leader(self) -> str:
        """The pod that holds the lease; empty if none does."""
        holder = self.kubectl("get", "lease", NAME, "--output=jsonpath={.spec.holderIdentity}")
        return holder.partition("_")[0]

    def describe_trouble(self) -> str:
        """Return what a person would look at first."""
        looks = [
            ("get", "pods", "--output=wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
            ("logs", "--selector=app.kubernetes.io/name=diem-operator", "--all-containers", "--prefix", "--tail=40"),
        ]
        return "\n".join(self._look(*arguments) for arguments in looks)

    def _look(self, *arguments: str) -> str:
        try:
            return self.kubectl(*arguments)
        except KubectlError as error:
            return str(error)

    def _settings(self) -> list[str]:
        return [f"--set-json={path}={json.dumps(value)}" for path, value in self.values.items()]
