"""Takes a right from the operator for a while: the way to stop it at a chosen write without touching its code."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.integration.operator_process import eventually
from tests.integration.run_rules.audit import OPERATOR
from tests.localcluster import LocalCluster
from tests.localcluster.errors import KubectlError

ROLE = "diem-operator.diem-system"


@contextmanager
def without_right(cluster: LocalCluster, verb: str, resource: str) -> Iterator[None]:
    """Let the API server refuse this verb on this resource to the operator while the block runs."""
    role = json.loads(cluster.kubectl("get", "clusterrole", ROLE, "--output", "json"))
    _write_rules(cluster, [_without(rule, verb, resource) for rule in role["rules"]])
    try:
        _wait_for(cluster, verb, resource, "no")
        yield
    finally:
        _write_rules(cluster, role["rules"])
        _wait_for(cluster, verb, resource, "yes")


def _without(rule: dict[str, Any], verb: str, resource: str) -> dict[str, Any]:
    changed = copy.deepcopy(rule)
    if resource in rule["resources"]:
        assert rule["resources"] == [resource], "the rule is for other resources too"
        changed["verbs"] = [other for other in rule["verbs"] if other != verb] or ["get"]
    return changed


def _write_rules(cluster: LocalCluster, rules: list[dict[str, Any]]) -> None:
    cluster.kubectl("patch", "clusterrole", ROLE, "--type=merge", "--patch", json.dumps({"rules": rules}))


def _wait_for(cluster: LocalCluster, verb: str, resource: str, expected: str) -> None:
    name, _, subresource = resource.partition("/")
    question = ["auth", "can-i", verb, name, f"--as={OPERATOR}", "--all-namespaces"]
    question += [f"--subresource={subresource}"] if subresource else []

    def is_so() -> bool:
        try:
            return cluster.kubectl(*question).strip() == expected
        except KubectlError:  # it ends so when the answer is no
            return expected == "no"

    eventually(f"the operator's right to {verb} {resource} is: {expected}", is_so)
