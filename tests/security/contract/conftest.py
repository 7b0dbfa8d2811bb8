"""An installation that is asked in ways that nobody wrote down."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import apply_crds
from tests.localcluster import LocalCluster, NodeKind
from tests.security.tokens.installation import Installation, installed


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with LocalCluster.start(NodeKind.NONE) as cluster:
        apply_crds(cluster)
        with installed(cluster, tmp_path_factory.mktemp("installation")) as installation:
            yield installation
