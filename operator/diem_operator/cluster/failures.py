"""What is known of a request that ended without an answer; translates aiohttp's errors into ours."""

import aiohttp
from yarl import URL

from diem_operator.cluster.errors import ClusterError, OutcomeUnknown, RequestNotSent


class ConnectionLost(aiohttp.ClientError):
    """The connection broke after the request had gone out; aiohttp resends after its own errors, not after this one."""


def failure_of(what: str, url: URL, error: Exception, timeout_seconds: float) -> ClusterError:
    """Say what is known of a request that ended without an answer."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return RequestNotSent(f"{what}: no connection in time; is {url.authority} reachable and idle enough?")
    if isinstance(error, aiohttp.ClientConnectorError):
        why = error.os_error.strerror or type(error.os_error).__name__
        return RequestNotSent(f"{what}: cannot connect to {url.authority} ({why}); is it up and trusted?")
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.ClientHttpProxyError)):
        return RequestNotSent(f"{what}: {type(error).__name__}; check the server and the proxy in the credentials")
    if isinstance(error, TimeoutError):
        return OutcomeUnknown(f"{what}: no answer within {timeout_seconds:.1f} s; it may still be carried out")
    return OutcomeUnknown(f"{what}: the connection broke ({type(error).__name__}) before the answer was complete")


def safe_cause(error: Exception) -> Exception | None:
    """Return the error unless it carries the request's headers or pieces of the answer."""
    return None if isinstance(error, aiohttp.ClientResponseError) else error


async def never_resend(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from resending PUT and DELETE when a kept connection breaks.

    The first copy may have been carried out; the second would then be answered 404 or 409, which reads "not done".
    """
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLost(type(error).__name__) from error
