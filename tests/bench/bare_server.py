"""A server that has nothing to do: how it fares beside other work is what the machine does to any server."""

import gc
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread

import uvloop
from aiohttp import web

from tests.integration.operator_process import find_free_port
from tests.reliability.callers import PATH
from tests.reliability.waiting import eventually


@contextmanager
def serve_bare() -> Iterator[int]:
    """Give the port of a process that answers with the API's libraries, and without having anything to do for it."""
    port = find_free_port()
    process = get_context("spawn").Process(target=_answer, args=(port,), daemon=True)
    process.start()
    try:
        eventually("the bare server answers", lambda: _is_open(port), within_seconds=30)
        yield port
    finally:
        process.kill()
        process.join()


def _answer(port: int) -> None:
    gc.disable()  # else it would look through all that a benchmark has loaded, and the machine be blamed for it
    Thread(target=_end_with_parent, daemon=True).start()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({})

    app = web.Application()
    app.router.add_post(PATH, answer)
    web.run_app(app, host="127.0.0.1", port=port, loop=uvloop.new_event_loop(), print=None, access_log=None)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
