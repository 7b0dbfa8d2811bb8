"""What happens around every request: it is counted, and whatever went wrong becomes one kind of answer."""

import asyncio
import logging
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler, Middleware

from diem_operator.api.command import Command
from diem_operator.api.errors import (
    SERVER_NAME,
    Problem,
    ProblemKind,
    build_problem_response,
    problem_of_cluster,
    problem_of_http,
)
from diem_operator.cluster.errors import ClusterError
from diem_operator.metrics import ApiMetrics

COMMAND = web.RequestKey("command", Command)
"""What the request asks for, once it is understood."""

logger = logging.getLogger(__name__)


def build_counting(metrics: ApiMetrics, *, path: str) -> Middleware:
    """Return the middleware that counts and times the answers of one path."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != path:
            return await handler(request)
        started_at = asyncio.get_running_loop().time()
        response = await handler(request)
        command = request.get(COMMAND)
        action = None if command is None else command.action
        metrics.observe_answer(action, response.status, asyncio.get_running_loop().time() - started_at)
        return response

    return count


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem object; log those that are not the caller's."""
    try:
        return await handler(request)
    except Problem as error:
        problem = error
    except ClusterError as error:
        logger.warning("Could not carry out a command: %s", error, extra=_fields(request))
        problem = problem_of_cluster(error)
    except web.HTTPException as error:
        problem = problem_of_http(error)
    except ConnectionError:
        raise  # the caller is gone; nobody is there to be answered
    except Exception:
        logger.exception("Could not carry out a command", extra=_fields(request))
        problem = Problem(ProblemKind.INTERNAL, "something is wrong with this service; tell its administrator")
    return build_problem_response(problem, context=_context(request))


async def answer_expectation(request: web.Request) -> web.Response | None:
    """Ask for the body of who waits to be asked; aiohttp calls this before all middlewares."""
    if request.version < HttpVersion11:
        return None
    if request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer has not begun
        return None
    message = "only 100-continue may be expected; send the request without the header Expect"
    problem = Problem(ProblemKind.BAD_REQUEST, message, status=HTTPStatus.EXPECTATION_FAILED)
    return build_problem_response(problem, context={})


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Keep answers out of caches, name no software, and end connections that could get out of step."""
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers[hdrs.SERVER] = SERVER_NAME
    if ends_connection(request):
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"


def ends_connection(request: web.BaseRequest) -> bool:
    """Whether nothing more may be read from the request's connection.

    A proxy may send requests of several callers on one connection. aiohttp takes the last trailer of a chunked body for
    a header of the next request, the body of a CONNECT for a request, and loses what follows some Upgrades.
    """
    headers = request.headers
    return hdrs.TRANSFER_ENCODING in headers or hdrs.UPGRADE in headers or request.method == hdrs.METH_CONNECT


def _context(request: web.Request) -> dict[str, str]:
    command = request.get(COMMAND)
    return {} if command is None else {"id": command.job_id, "action": command.action}


def _fields(request: web.Request) -> dict[str, str]:
    command = request.get(COMMAND)
    return {} if command is None else {"action": command.action}
