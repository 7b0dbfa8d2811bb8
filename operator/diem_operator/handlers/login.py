"""What kopf logs in with: the same server, identity and TLS that our own client has."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ssl import SSLContext
from typing import Final

import kopf

from diem_operator.cluster.credentials import Credentials, TlsMaterial

LIFETIME: Final = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Connection(kopf.ConnectionInfo):
    """What kopf connects with.

    Attributes:
        tls: stands for all that `kopf.ConnectionInfo` has for that.
    """

    tls: TlsMaterial

    def as_ssl_context(self) -> SSLContext:
        """Return a client context."""
        return self.tls.make_context()


async def log_in(credentials: Credentials, *, now: datetime) -> Connection:
    """Return what kopf connects with from now on; call it at each login.

    kopf asks for a login at the start, after a 401 and at `expiration`. It refuses, for good, credentials equal to ones
    that a 401 has spoiled, so a single 401 by mistake would end the operator: the moving expiration makes them differ.
    It moves by whole minutes, or a 401 that stays would become a tight loop of logins. It also bounds how long a token
    is used on after its rotation.
    """
    spoiled = await credentials.authorization.current()
    await credentials.authorization.renew(spoiled)
    scheme, _, token = (await credentials.authorization.current() or "").partition(" ")
    return Connection(
        server=credentials.server,
        tls=credentials.tls,
        scheme=scheme or None,
        token=token or None,
        default_namespace=credentials.namespace,
        proxy_url=credentials.proxy_url,
        expiration=now.replace(second=0, microsecond=0) + LIFETIME,
    )
