import pytest

from tests.localcluster import system_packages
from tests.localcluster.errors import MissingProgramError


def _refuse(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture
def nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "is_there", lambda need: False)


def test_nothing_is_installed_when_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "is_there", lambda need: True)

    system_packages.ensure(["nft", "ip"], _refuse)


def test_error_names_the_command_to_run(nothing_there: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "can_install", lambda: False)

    with pytest.raises(MissingProgramError, match=r"run: apt-get install .* iproute2 nftables util-linux$"):
        system_packages.ensure(["nft", "ip", "unshare", "nsenter"], _refuse)


def test_one_line_says_what_is_about_to_be_installed(nothing_there: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "can_install", lambda: True)

    with pytest.raises(AssertionError, match=r"^Installing Debian packages that are missing: nftables$"):
        system_packages.ensure(["nft"], _refuse)
