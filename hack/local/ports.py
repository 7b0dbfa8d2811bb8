"""TCP ports on 127.0.0.1: which are free. Nothing stays open."""

import socket

from hack.local.errors import PortTakenError

HOST = "127.0.0.1"


def require_free(port: int) -> int:
    """Return the port, or any free one for 0.

    Raises:
        PortTakenError: nobody can listen there now.
    """
    try:
        return _listen_once(port)
    except OSError as error:
        raise PortTakenError(
            f"Port {port} on {HOST} cannot be used ({error.strerror}); free it, or choose another: make run PORT=8090"
        ) from error


def find_free() -> int:
    """Return a port that is free now."""
    return _listen_once(0)


def _listen_once(port: int) -> int:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a port stays taken after its last user
        listener.bind((HOST, port))
        chosen: int = listener.getsockname()[1]
        return chosen
