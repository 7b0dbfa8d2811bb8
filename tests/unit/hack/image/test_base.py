import pytest

from hack.image.base import find_mirror
from hack.image.errors import ImageError
from hack.image.wheels import list_platforms


@pytest.mark.parametrize(
    "printed",
    [
        pytest.param("Debian|Debian|main|http://mirror/debian/", id="only"),
        pytest.param("Other|Other|main|https://x/\nDebian|Debian|main|http://mirror/debian/\n", id="after-another"),
        pytest.param("Debian|Debian-Security|main|http://s/\nDebian|Debian|main|http://mirror/debian/", id="security"),
        pytest.param("Debian|Debian|contrib|http://c/\nDebian|Debian|main|http://mirror/debian/", id="component"),
    ],
)
def test_mirror_is_the_one_of_debians_own_packages(printed: str) -> None:
    assert find_mirror(printed) == "http://mirror/debian/"


def test_machine_without_a_mirror_of_debian_is_told_what_to_do() -> None:
    with pytest.raises(ImageError, match="add one to its sources"):
        find_mirror("Ubuntu|Ubuntu|main|http://mirror/ubuntu/")


def test_wheels_may_want_the_base_images_c_library_but_no_newer_one() -> None:
    platforms = list_platforms("aarch64")

    assert platforms[0] == "manylinux_2_36_aarch64"
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= set(platforms)
    assert all(name.endswith("_aarch64") for name in platforms)
