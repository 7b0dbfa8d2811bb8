import ipaddress
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.localcluster import slots
from tests.localcluster.slots import SLOT_COUNT, Claim, Slot


@pytest.fixture
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Claim]]:
    """Give slots in a folder of the test's own; whatever is put into the list is released."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    taken: list[Claim] = []
    yield taken
    for claimed in taken:
        if claimed.slot.directory.exists():
            claimed.slot.directory.rmdir()
        claimed.release()


def test_slots_share_neither_ports_nor_addresses() -> None:
    every = [Slot(number, Path("/unused")) for number in range(SLOT_COUNT)]

    assert all(first.ports.stop <= second.ports.start for first, second in pairwise(every))
    assert len({slot.name for slot in every}) == SLOT_COUNT
    assert len({slot.node_address for slot in every}) == SLOT_COUNT
    networks = [network for slot in every for network in (slot.pod_network, slot.service_network)]
    assert [pair for pair in pairwise(sorted(networks)) if pair[0].overlaps(pair[1])] == []


def test_node_and_machine_are_on_one_cable() -> None:
    slot = Slot(7, Path("/unused"))
    cable = ipaddress.ip_network(f"{slot.machine_address}/24", strict=False)

    assert ipaddress.ip_address(slot.node_address) in cable


def test_every_claim_gets_a_slot_of_its_own(claims: list[Claim]) -> None:
    claims += [slots.claim(), slots.claim()]

    assert claims[0].slot.number != claims[1].slot.number
    assert all(claimed.slot.directory.is_dir() for claimed in claims)


def test_released_slot_is_taken_again(claims: list[Claim]) -> None:
    first = slots.claim()
    first.slot.directory.rmdir()
    first.release()
    claims.append(slots.claim())

    assert claims[0].slot == first.slot


def test_slot_with_leftovers_is_found_and_not_given_away(claims: list[Claim]) -> None:
    left = slots.claim()
    left.release()  # as if its holder had been killed: the folder stays
    claims.append(slots.claim())
    abandoned = slots.find_abandoned()
    claims += abandoned

    assert claims[0].slot.number != left.slot.number
    assert [claimed.slot for claimed in abandoned] == [left.slot]


def test_held_slot_is_never_abandoned(claims: list[Claim]) -> None:
    claims.append(slots.claim())

    assert slots.find_abandoned() == []


def test_slot_whose_port_somebody_else_has_is_passed_over(claims: list[Claim]) -> None:
    claims.append(slots.claim())
    free = claims[0].slot
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", free.ports[-1]))
        somebody.listen()
        assert not slots.is_free(free)
    assert slots.is_free(free)


def test_last_to_leave_removes_the_folder(claims: list[Claim], tmp_path: Path) -> None:
    only = slots.claim()
    only.slot.directory.rmdir()
    only.release()

    assert list(tmp_path.iterdir()) == []
