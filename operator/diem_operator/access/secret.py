"""The Secret that hands a minted token to its user.

Its name ends in digits that follow from the token. So a Secret that exists already under this name was made for this
very token: it need not be read, which the operator may not do, and nobody can take the name beforehand.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from diem_operator.access.tokens import Token
from diem_operator.model.diemapikey import DiemApiKey
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import API_VERSION, DIEMAPIKEY_KIND, LABEL_MANAGED_BY, MANAGED_BY

TOKEN_KEY: Final = "token"  # noqa: S105 - the name of an entry, not its content
"""The entry of the Secret that holds the token."""

_HASH_LENGTH = 8
_MAX_NAME_LENGTH = 253


@dataclass(frozen=True, kw_only=True)
class SecretDraft:
    """A Secret to create; its text does not show the token."""

    namespace: str
    name: str
    apikey_name: str
    apikey_uid: str
    token: Token

    def build_manifest(self) -> RawObject:
        """Return the manifest; it goes away with its DiemApiKey. Immutable, because the token has only one value."""
        owner = {
            "apiVersion": API_VERSION,
            "kind": DIEMAPIKEY_KIND,
            "name": self.apikey_name,
            "uid": self.apikey_uid,
            "controller": True,
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {LABEL_MANAGED_BY: MANAGED_BY},
                "ownerReferences": [owner],
            },
            "type": "Opaque",
            "immutable": True,
            "stringData": {TOKEN_KEY: self.token.value},
        }


def draft_secret(apikey: DiemApiKey, token: Token) -> SecretDraft:
    """Draft the Secret for a token minted for this DiemApiKey."""
    return SecretDraft(
        namespace=apikey.metadata.namespace,
        name=build_secret_name(apikey.metadata.name, token),
        apikey_name=apikey.metadata.name,
        apikey_uid=apikey.metadata.uid,
        token=token,
    )


def build_secret_name(apikey_name: str, token: Token) -> str:
    """Return the DiemApiKey's name, shortened where it must be, with 8 digits that stand for the token."""
    digits = hashlib.sha256(token.sha256.encode()).hexdigest()[:_HASH_LENGTH]
    readable = apikey_name[: _MAX_NAME_LENGTH - _HASH_LENGTH - 1].rstrip("-.")
    return f"{readable}-{digits}"
