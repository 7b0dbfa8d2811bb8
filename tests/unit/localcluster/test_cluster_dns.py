from pathlib import Path

from tests.localcluster.cluster_dns import USER, build_corefile, build_rights
from tests.localcluster.slots import Slot

SLOT = Slot(3, Path("/slot"))


def test_every_block_listens_on_the_nodes_own_address_alone() -> None:
    lines = [line.strip() for line in build_corefile(SLOT, kubeconfig=Path("/k")).splitlines()]
    blocks = [line for line in lines if line in (".", ". {") or line.startswith("cluster.local")]

    assert len(blocks) == 2
    assert lines.count("bind 10.254.3.2") == len(blocks)


def test_rights_are_given_to_the_user_of_the_certificate() -> None:
    role, binding = build_rights()["items"]

    assert [subject["name"] for subject in binding["subjects"]] == [USER]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list", "watch"}
