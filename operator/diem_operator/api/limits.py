"""Says "not so many" to callers: after failed authentications by address, after good ones by key.

A good key is never refused because of its address: behind an ingress that is everybody's. Failures beyond the limit all
get one answer, whatever was wrong with the key.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import hdrs, web

from diem_operator.access.addresses import Network, find_caller, parse_networks
from diem_operator.access.rate_limits import RateLimiter
from diem_operator.access.registry import KeyEntry
from diem_operator.api.errors import too_many_requests
from diem_operator.metrics import Refusal
from diem_operator.settings import ApiSettings, RateSettings


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The two limits; None is none."""

    failures: RateLimiter | None
    requests: RateLimiter | None
    trusted_proxies: Sequence[Network]
    observe_refusal: Callable[[Refusal], None]

    def count_failure(self, request: web.Request) -> None:
        """Count a request whose key opens nothing.

        Raises:
            Problem: its address has had too many of them.
        """
        if self.failures is None:
            return
        forwarded_for = request.headers.getall(hdrs.X_FORWARDED_FOR, [])
        caller = find_caller(request.remote or "", forwarded_for, trusted=self.trusted_proxies)
        wait_seconds = self.failures.admit(caller, now=_now())
        if wait_seconds:
            self.observe_refusal(Refusal.FAILED_KEYS)
            raise too_many_requests(
                "too many requests without a valid API key came from this address; try again later",
                retry_after_seconds=wait_seconds,
            )

    def count_request(self, entry: KeyEntry) -> None:
        """Count a request of a good key.

        Raises:
            Problem: the key has had too many of them.
        """
        if self.requests is None:
            return
        wait_seconds = self.requests.admit(entry.uid, now=_now())
        if wait_seconds:
            self.observe_refusal(Refusal.REQUESTS)
            raise too_many_requests(
                "this key is used too often; try again later, and wait between requests",
                retry_after_seconds=wait_seconds,
            )


def build_limits(settings: ApiSettings, *, observe_refusal: Callable[[Refusal], None]) -> Limits:
    """Return the limits that the settings ask for."""
    return Limits(
        failures=_build_limiter(settings.failed_keys),
        requests=_build_limiter(settings.key_requests),
        trusted_proxies=parse_networks(settings.trusted_proxies),
        observe_refusal=observe_refusal,
    )


def _build_limiter(rate: RateSettings) -> RateLimiter | None:
    return RateLimiter(per_second=rate.per_second, burst=rate.burst) if rate.per_second else None


def _now() -> float:
    return asyncio.get_running_loop().time()
