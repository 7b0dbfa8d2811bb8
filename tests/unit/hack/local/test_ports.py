"""Ports that are free, and the error for one that is not."""

import socket

import pytest

from hack.local.errors import PortTakenError
from hack.local.ports import HOST, find_free, require_free


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server((HOST, 0))


def test_free_port_is_returned_and_left_free() -> None:
    port = find_free()

    assert require_free(port) == port
    with socket.create_server((HOST, port)):
        pass


def test_taken_port_is_refused_with_what_to_do(listener: socket.socket) -> None:
    with listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"Port {port} on 127\.0\.0\.1 .*in use.*make run PORT="):
            require_free(port)


def test_port_that_was_in_use_a_moment_ago_is_free(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with socket.create_connection((HOST, port)), listener.accept()[0]:
        listener.close()

    assert require_free(port) == port


def test_zero_means_any() -> None:
    assert require_free(0) > 0
