"""What can go wrong with a request, told apart by the one thing that matters afterwards: was it carried out?

    ClusterError
    ├── RequestNotSent         certainly not: no connection, no credentials
    ├── OutcomeUnknown         perhaps: time-out, lost connection, 5xx
    │   └── UndecodableAnswer  perhaps: an answer that makes no sense
    └── Refused                certainly not: 4xx
        ├── BadRequest 400, Unauthorized 401, Forbidden 403, NotFound 404
        ├── AlreadyExists 409, Conflict 409, Gone 410, TooLarge 413
        ├── Invalid 422, TooManyRequests 429
        └── OtherRefusal

An error's text never holds a header, a body or a credential: the server's words are redacted and truncated before they
get here (`diem_operator.cluster.answers`).
"""

from typing import ClassVar, Final

MAX_RETRY_AFTER_SECONDS: Final = 60.0


class ClusterError(Exception):
    """A request to the Kubernetes API did not end as it should."""


class RequestNotSent(ClusterError):  # noqa: N818 - named by what is known
    """The request never left this process, so it was certainly not carried out."""


class OutcomeUnknown(ClusterError):  # noqa: N818 - named by what is known
    """The request may have been carried out, or may still be; `status` is the answer's code, None without an answer."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class UndecodableAnswer(OutcomeUnknown):
    """The server answered something that is not what was asked for; a write was then most likely carried out."""


class Refused(ClusterError):  # noqa: N818 - named by what is known
    """The server said no, so the request was certainly not carried out.

    Attributes:
        status: the HTTP code, 4xx.
        reason: the machine-readable `reason` of the answer; empty if it had none.
        message: the server's own words, redacted; for conditions and logs, never for HTTP callers.
        causes: `details.causes[].reason`, for example ("NamespaceTerminating",).
    """

    usual_status: ClassVar[int] = 400

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        reason: str = "",
        message: str = "",
        causes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text)
        self.status = self.usual_status if status is None else status
        self.reason = reason
        self.message = message
        self.causes = causes


class BadRequest(Refused):
    """The server could not read the request."""


class Unauthorized(Refused):
    """The server does not know who asks, also after the credentials were read again."""

    usual_status = 401


class Forbidden(Refused):
    """No permission, a quota, an admission policy, or a namespace that is being deleted (see `causes`)."""

    usual_status = 403


class NotFound(Refused):
    """The object, its namespace or its kind does not exist."""

    usual_status = 404


class AlreadyExists(Refused):
    """An object of this name exists."""

    usual_status = 409


class Conflict(Refused):
    """A precondition failed: the object is not what it was when it was read."""

    usual_status = 409


class Gone(Refused):
    """The resourceVersion, or the continuation of a list, is too old."""

    usual_status = 410


class TooLarge(Refused):
    """The object is larger than the server takes."""

    usual_status = 413


class Invalid(Refused):
    """The object breaks a rule of its kind."""

    usual_status = 422


class TooManyRequests(Refused):
    """The server asks to come back later."""

    usual_status = 429
    retry_after_seconds: float = 1.0


class OtherRefusal(Refused):
    """Any other 4xx."""


def find_retry_after_seconds(error: Exception) -> float:
    """Return how long the server has asked to wait, a minute at most; 0 where it has not."""
    return min(error.retry_after_seconds, MAX_RETRY_AFTER_SECONDS) if isinstance(error, TooManyRequests) else 0.0
