"""A server that has nothing to do: how it fares beside other work is what the machine does to any server."""

import gc
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread

import uvloop
from aiohttp import web

from tests.reliability.callers import PATH


@contextmanager
def serve_bare() -> Iterator[int]:
    """Give the port of a process that answers with the API's libraries, and without having anything to do for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = get_context("spawn").Process(target=_answer, args=(listener,), daemon=True)
        process.start()
    try:
        yield port
    finally:
        process.kill()
        process.join()


def _answer(listener: socket.socket) -> None:
    gc.disable()  # else it would look through all that a benchmark has loaded, and the machine be blamed for it
    Thread(target=_end_with_parent, daemon=True).start()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({})

    app = web.Application()
    app.router.add_post(PATH, answer)
    web.run_app(app, sock=listener, loop=uvloop.new_event_loop(), print=None, access_log=None)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(0)
