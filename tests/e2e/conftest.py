"""The whole product on a cluster of its own, shared by the end-to-end tests."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hack.local.installation import DEMO_NAMESPACE, apply_samples, wait_for_token
from hack.local.stack import Stack, running_stack
from tests.localcluster import NodeKind


@dataclass(frozen=True, kw_only=True)
class Product:
    """The operator and the API at work, with the sample namespace and the token of its key."""

    stack: Stack
    token: str

    @property
    def url(self) -> str:
        return self.stack.url

    def kubectl(self, *arguments: str) -> str:
        return self.stack.cluster.kubectl("--namespace", DEMO_NAMESPACE, *arguments)


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    with running_stack(NodeKind.AUTO, port=0, log=print) as stack:
        apply_samples(stack.cluster)
        yield Product(stack=stack, token=wait_for_token(stack.cluster))
