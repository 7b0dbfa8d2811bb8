"""Lets nobody without a good key get any further. Who is good is decided in `access`; this is where HTTP asks it.

All that is wrong with a key is one answer with one wording, so that nothing can be learnt by trying. A known key that
asks for `legacy` status codes gets 403 instead of 401; for callers without a known key a setting says which.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from diem_operator.access.registry import Decision, KeyEntry, KeyRegistry, Verdict, authenticate
from diem_operator.api.errors import Problem, ProblemKind
from diem_operator.api.limits import Limits
from diem_operator.metrics import ApiMetrics
from diem_operator.model.diemapikey import StatusCodes

API_KEY_HEADER: Final = "x-api-key"
KEY_ENTRY: Final = web.RequestKey("key_entry", KeyEntry)


@dataclass(frozen=True, kw_only=True)
class Authenticator:
    """Knows whose request it is.

    Attributes:
        is_registry_confirmed: whether the registry has lately heard from the API server about the keys of a namespace
            or, with None, about all that it may read; without, nobody is good.
        now: reads the wall time.
        missing_key_status: the HTTP status for callers of whom nothing is known.
        limits: are told of every request, once it is known whose it is.
    """

    registry: KeyRegistry
    is_registry_confirmed: Callable[[str | None], bool]
    now: Callable[[], datetime]
    missing_key_status: int
    metrics: ApiMetrics
    limits: Limits

    def identify(self, request: web.Request) -> KeyEntry:
        """Return the entry of the request's key.

        Raises:
            Problem: there is none, or it is not good, or nothing certain is known of any; or that too often.
        """
        decision = self._decide(request)
        if decision.entry is None or decision.verdict is not Verdict.ACCEPTED:
            self.limits.count_failure(request)
            raise self._refuse(decision)
        return decision.entry

    def identify_again(self, request: web.Request) -> None:
        """See that the key of a request is still good, which was so at its beginning.

        Raises:
            Problem: it is not; such a request was no attempt to guess a key, and counts as none.
        """
        decision = self._decide(request)
        if decision.verdict is not Verdict.ACCEPTED:
            raise self._refuse(decision)

    def _decide(self, request: web.Request) -> Decision:
        values = request.headers.getall(API_KEY_HEADER, [])
        token = values[0] if len(values) == 1 else ""
        decision = authenticate(token, self.registry, now=self.now())
        if not self.is_registry_confirmed(None if decision.entry is None else decision.entry.key.namespace):
            raise Problem(ProblemKind.NOT_READY, "the keys are not known at the moment; try again in a few seconds")
        self.metrics.observe_authentication(decision.verdict)
        return decision

    def _refuse(self, decision: Decision) -> Problem:
        status = self.missing_key_status
        if decision.entry is not None:
            is_legacy = decision.entry.compatibility.status_codes is StatusCodes.LEGACY
            status = HTTPStatus.FORBIDDEN if is_legacy else HTTPStatus.UNAUTHORIZED
        return Problem(
            ProblemKind.UNAUTHORIZED, f"a valid API key is needed in the header {API_KEY_HEADER}", status=status
        )


def build_middleware(authenticator: Authenticator, *, protected_paths: Container[str]) -> Middleware:
    """Return the middleware that asks for a key, before anything of the body is read."""

    @web.middleware
    async def require_key(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical in protected_paths:
            entry = request[KEY_ENTRY] = authenticator.identify(request)
            authenticator.limits.count_request(entry)
        return await handler(request)

    return require_key
