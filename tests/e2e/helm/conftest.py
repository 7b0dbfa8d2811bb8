"""One real node for all stories, with the product's image on it, and the chart as it is handed out: packaged."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.image.obtaining import BuiltImage, obtain_image
from hack.local.installation import ROOT
from tests.e2e.helm.release import NAMESPACE, Release
from tests.localcluster import LocalCluster, NodeKind, building, programs
from tests.localcluster.node_kind import why_not_real
from tests.localcluster.reporting import to_stderr

HINDRANCE = why_not_real()
CHART = ROOT / "helm" / "diem-operator"


@pytest.fixture(scope="session")
def image() -> BuiltImage:
    if HINDRANCE is not None:
        pytest.skip(HINDRANCE)
    return obtain_image(to_stderr)


@pytest.fixture(scope="session")
def helms() -> dict[str, Path]:
    """Both major versions of Helm."""
    return building.obtain([programs.HELM, programs.HELM4], to_stderr)


@pytest.fixture(scope="session")
def platform(image: BuiltImage) -> Iterator[LocalCluster]:
    """A cluster with the image, where the operator's namespace allows nothing but restricted pods."""
    with LocalCluster.start(NodeKind.REAL, dns=True) as cluster:
        cluster.load_images(image.archive)
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        yield cluster


def package(helm: Path, chart: Path, folder: Path) -> Path:
    """Package a chart and return the archive."""
    subprocess.run([helm, "package", chart, f"--destination={folder}"], check=True, capture_output=True)
    (archive,) = folder.glob("*.tgz")
    return archive


@pytest.fixture(scope="session")
def release(
    platform: LocalCluster, image: BuiltImage, helms: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Release:
    """The release that a story installs; its image is the one on the node."""
    repository, _, tag = image.name.rpartition(":")
    archive = package(helms["helm"], CHART, tmp_path_factory.mktemp("chart"))
    values = {"image.repository": repository, "image.tag": tag}
    return Release(cluster=platform, helm=helms["helm"], chart=archive, values=values)
