"""An installation that is attacked with tokens; the way in for a good one stands beside each attack."""

import base64
import json
from collections.abc import Iterator

import pytest

from tests.integration.conftest import apply_crds
from tests.integration.identities import SYSTEM_NAMESPACE
from tests.localcluster import LocalCluster, NodeKind
from tests.security.tokens.forging import Loot
from tests.security.tokens.installation import Installation, Team, installed
from tests.security.tokens.wire import WireAnswer, ask_with


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with LocalCluster.start(NodeKind.NONE) as cluster:
        apply_crds(cluster)
        with installed(cluster, tmp_path_factory.mktemp("installation")) as installation:
            yield installation


@pytest.fixture(scope="module")
def team(installation: Installation) -> Iterator[Team]:
    with installation.team() as team:
        yield team


@pytest.fixture(scope="module")
def rivals(installation: Installation) -> Iterator[Team]:
    """Another team, with a job of the same name."""
    with installation.team() as team:
        yield team


@pytest.fixture(scope="module")
def loot(installation: Installation, team: Team) -> Loot:
    """Everything that could be stolen: the token of a key that may do everything, and the signing secret."""
    command = ("get", "secret", "diem-operator-signing", f"--namespace={SYSTEM_NAMESPACE}", "--output=json")
    secret = json.loads(installation.cluster.kubectl(*command))["data"]["key"]
    return Loot(token=team.issue_key("caller"), signing_secret=base64.b64decode(secret))


@pytest.fixture(scope="module")
def refusal(installation: Installation, loot: Loot) -> WireAnswer:
    """What somebody without any key is told; `loot` is asked for so that there is a key to be found."""
    assert loot.token
    return ask_with(installation.api_port)
