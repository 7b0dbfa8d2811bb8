import dataclasses

import pytest

from tests.localcluster import programs
from tests.localcluster.programs import Program, Recipe
from tests.localcluster.toolchain import OLDEST_GO

LINUX = "linux/amd64"


def test_clients_and_servers_report_the_version() -> None:
    flags = Recipe(programs.KUBECTL, LINUX).flags

    assert "-X k8s.io/component-base/version.gitVersion=v1.35.4" in " ".join(flags)
    assert "-X k8s.io/client-go/pkg/version.gitVersion=v1.35.4" in " ".join(flags)


def test_programs_of_one_module_share_a_folder_in_the_cache() -> None:
    assert Recipe(programs.KUBELET, LINUX).key == Recipe(programs.KUBECTL, LINUX).key


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Recipe(programs.RUNC, "linux/arm64"), id="processor"),
        pytest.param(Recipe(programs.RUNC, LINUX, with_seccomp=True), id="seccomp"),
        pytest.param(Recipe(dataclasses.replace(programs.RUNC, linker_flags=""), LINUX), id="linker-flags"),
        pytest.param(Recipe(dataclasses.replace(programs.RUNC, module="etcd"), LINUX), id="module"),
    ],
)
def test_whatever_changes_a_binary_changes_its_place_in_the_cache(other: Recipe) -> None:
    assert other.key != Recipe(programs.RUNC, LINUX).key


@pytest.mark.parametrize(
    ("program", "cgo"), [pytest.param(programs.RUNC, "1", id="runc"), pytest.param(programs.ETCD, "0", id="etcd")]
)
def test_only_runc_is_built_with_c(program: Program, cgo: str) -> None:
    assert Recipe(program, LINUX).environment["CGO_ENABLED"] == cgo


def test_no_build_may_change_the_pinned_versions() -> None:
    assert Recipe(programs.ETCD, LINUX).environment["GOFLAGS"] == "-mod=readonly"


@pytest.mark.parametrize("module", sorted(path.name for path in programs.GO_FOLDER.iterdir()))
def test_modules_build_with_the_oldest_go_that_is_accepted(module: str) -> None:
    lines = (programs.GO_FOLDER / module / "go.mod").read_text().splitlines()
    wanted = [line.removeprefix("go ") for line in lines if line.startswith("go ")]

    assert [tuple(map(int, version.split(".")[:2])) <= OLDEST_GO for version in wanted] == [True]
    assert not [line for line in lines if line.startswith("toolchain ")]


def test_helm_takes_itself_for_one_of_the_clusters_kubernetes() -> None:
    flags = Recipe(programs.HELM, LINUX).flags

    assert "-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35" in " ".join(flags)


@pytest.mark.parametrize(
    "program",
    [
        programs.ARGO_WORKFLOWS,
        programs.COREDNS,
        programs.HELM,
        programs.HELM4,
        programs.HELM_DOCS,
        programs.STRICT_DECODE,
    ],
)
def test_no_cluster_builds_what_it_was_not_asked_for(program: Program) -> None:
    assert program not in (*programs.CONTROL_PLANE, *programs.REAL_NODE, *programs.SIMULATED_NODE)
