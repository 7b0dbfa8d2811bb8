import pytest

from diem_operator.access.addresses import find_caller, parse_networks

TRUSTED = parse_networks(["10.0.0.0/8", "2001:db8:aaaa::/48"])
PROXY = "10.1.2.3"


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        pytest.param("192.0.2.7", [], "192.0.2.7", id="no header"),
        pytest.param("192.0.2.7", ["198.51.100.1"], "192.0.2.7", id="header of somebody who is not trusted"),
        pytest.param(PROXY, [], PROXY, id="trusted peer without header"),
        pytest.param(PROXY, ["198.51.100.1"], "198.51.100.1", id="one proxy"),
        pytest.param(PROXY, ["6.6.6.6, 198.51.100.1"], "198.51.100.1", id="invented address before the true one"),
        pytest.param(PROXY, ["6.6.6.6", "198.51.100.1"], "198.51.100.1", id="several headers"),
        pytest.param(PROXY, ["198.51.100.1, 10.9.9.9,10.8.8.8"], "198.51.100.1", id="several proxies"),
        pytest.param(PROXY, ["10.7.7.7, 10.9.9.9"], "10.7.7.7", id="caller within the trusted range"),
        pytest.param(PROXY, ["198.51.100.1:4711"], "198.51.100.1", id="with a port"),
        pytest.param(PROXY, ["[2001:db8::1]:4711"], "2001:db8::/64", id="IPv6 with a port"),
        pytest.param(PROXY, ["[2001:db8::1]"], "2001:db8::/64", id="IPv6 in brackets"),
        pytest.param(PROXY, ["198.51.100.1, unknown"], PROXY, id="word of a proxy"),
        pytest.param(PROXY, ["198.51.100.1, unknown, 10.9.9.9"], "10.9.9.9", id="up to a word of a proxy"),
        pytest.param(PROXY, [""], PROXY, id="empty header"),
        pytest.param(PROXY, ["\x00\udcff, []:1, :80, 999.1.1.1:1"], PROXY, id="rubbish"),
        pytest.param("::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1", id="IPv4 on an IPv6 socket"),
        pytest.param("2001:db8:aaaa::5", ["198.51.100.1"], "198.51.100.1", id="IPv6 proxy"),
        pytest.param("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64", id="IPv6 counts by its network"),
        pytest.param("fe80::1%eth0", [], "fe80::/64", id="IPv6 of a link"),
        pytest.param("::ffff:192.0.2.7", [], "192.0.2.7", id="IPv4 within IPv6 counts whole"),
        pytest.param("", ["198.51.100.1"], "", id="no address, as with a Unix socket"),
    ],
)
def test_caller_is_the_first_from_the_right_that_is_no_trusted_proxy(
    peer: str, forwarded_for: list[str], expected: str
) -> None:
    assert find_caller(peer, forwarded_for, trusted=TRUSTED) == expected


def test_nobody_is_trusted_without_ranges() -> None:
    assert find_caller(PROXY, ["198.51.100.1"], trusted=()) == PROXY


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example.com", ""])
def test_what_is_no_address_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_networks([text])
