"""The image that the real Containerfile gives, in pods under Pod Security "restricted"."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hack.image.obtaining import BuiltImage, obtain_image
from tests.localcluster import LocalCluster, NodeKind
from tests.localcluster.node_kind import why_not_real

HINDRANCE = why_not_real()
PYTHON = "/opt/diem/bin/python"
UNPACKED_LIMIT_BYTES = 110_000_000
PACKED_LIMIT_BYTES = 35_000_000

FIND_FORBIDDEN = """
import os, re
names = re.compile(r"(pip\\d*|pip[-.]\\d.*|setuptools|ensurepip|wheel|gcc|cc|ld|sh|bash|dash|apt|apt-get|dpkg|perl)$")
skipped = {"proc", "sys"}
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if name not in skipped]
    print(*(os.path.join(folder, name) for name in files if names.match(name)), sep="\\n", end="")
"""

FIND_WRITABLE = """
import os
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev")]
    for name in (*folders, *files):
        path = os.path.join(folder, name)
        if os.access(path, os.W_OK) and not os.path.islink(path):
            print(path)
"""

FIND_MISSING_BYTECODE = """
import importlib.util, sys
import diem_operator.cli
print(*(name for name, module in sys.modules.items() if (getattr(module, "__file__", None) or "").endswith(".py")
        and not __import__("os").path.exists(importlib.util.cache_from_source(module.__file__))))
"""

READ_SBOM = """
import json
print(*(one["purl"] for one in json.load(open("/usr/share/diem-operator/sbom.cdx.json"))["components"]))
"""


@dataclass(frozen=True)
class Pods:
    """A namespace whose pods run the image."""

    cluster: LocalCluster
    image: BuiltImage

    def run(self, name: str, *, command: list[str] | None = None, args: list[str] | None = None) -> str:
        """Run one pod to its end and return what it printed; the pod must succeed."""
        container = {
            "name": "main",
            "image": self.image.name,
            "imagePullPolicy": "Never",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        container |= {"command": command} if command else {}
        container |= {"args": args} if args else {}
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self.cluster.kubectl("create", "-f", "-", input=json.dumps(pod))
        self.cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
        return self.cluster.kubectl("logs", name)


@pytest.fixture(scope="module")
def pods() -> Iterator[Pods]:
    if HINDRANCE is not None:
        pytest.skip(HINDRANCE)
    image = obtain_image(print)
    with LocalCluster.start(NodeKind.REAL, restricted=True) as cluster:
        cluster.load_images(image.archive)
        yield Pods(cluster, image)


@pytest.mark.parametrize("command", ["operator", "api"])
def test_both_processes_come_from_the_image(pods: Pods, command: str) -> None:
    assert f"diem-operator {command} [OPTIONS]" in pods.run(f"help-{command}", args=[command, "--help"])


def test_pod_needs_no_user_of_its_own_and_no_place_to_write(pods: Pods) -> None:
    asked = "import getpass, os; print(os.getuid(), getpass.getuser())"

    assert pods.run("user", command=[PYTHON, "-c", asked]) == "65532 nonroot\n"
    assert pods.run("writable", command=[PYTHON, "-c", FIND_WRITABLE]) == ""


def test_image_has_no_shell_no_compiler_and_nothing_that_installs(pods: Pods) -> None:
    assert pods.run("forbidden", command=[PYTHON, "-c", FIND_FORBIDDEN]) == ""


def test_everything_is_compiled_already(pods: Pods) -> None:
    assert pods.run("bytecode", command=[PYTHON, "-c", FIND_MISSING_BYTECODE]).split() == []


def test_bill_of_materials_names_libraries_of_python_and_of_the_system(pods: Pods) -> None:
    names = {purl.partition("@")[0] for purl in pods.run("sbom", command=[PYTHON, "-c", READ_SBOM]).split()}

    assert {"pkg:pypi/kopf", "pkg:pypi/aiohttp", "pkg:deb/debian/libc6", "pkg:deb/debian/libssl3"} <= names
    assert not names & {"pkg:pypi/pip", "pkg:pypi/cyclonedx-bom", "pkg:deb/debian/apt"}


def test_image_stays_small(pods: Pods) -> None:
    sizes = pods.image.sizes

    assert sizes.unpacked_bytes < UNPACKED_LIMIT_BYTES
    assert sizes.packed_bytes < PACKED_LIMIT_BYTES
