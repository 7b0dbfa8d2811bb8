from diem_operator.access.secret import build_secret_name, draft_secret
from diem_operator.access.tokens import Token, hash_token
from tests.unit.access.keys import make_key


def make_token(value: str = "a token") -> Token:
    return Token(value=value, sha256=hash_token(value))


def test_secret_holds_the_token_and_goes_away_with_its_key() -> None:
    draft = draft_secret(make_key().build(), make_token())

    assert draft.build_manifest() == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": draft.name,
            "namespace": "team-a",
            "labels": {"app.kubernetes.io/managed-by": "diem-operator"},
            "ownerReferences": [
                {"apiVersion": "diem.io/v1", "kind": "DiemApiKey", "name": "ci", "uid": "uid-1", "controller": True}
            ],
        },
        "type": "Opaque",
        "immutable": True,
        "stringData": {"token": "a token"},
    }


def test_secrets_name_follows_from_key_and_token() -> None:
    name = build_secret_name("ci", make_token())

    assert name == build_secret_name("ci", make_token())
    assert name != build_secret_name("ci", make_token("another token"))
    assert name.startswith("ci-")


def test_secrets_name_discloses_no_digits_of_the_hash() -> None:
    assert build_secret_name("ci", make_token())[3:] not in make_token().sha256


def test_long_name_is_cut_to_what_kubernetes_allows() -> None:
    name = build_secret_name("a" * 243 + "." + "b" * 9, make_token())

    assert len(name) == 252
    assert name.startswith("a" * 243 + "-")


def test_name_as_long_as_allowed_stays_so() -> None:
    assert len(build_secret_name("a" * 253, make_token())) == 253


def test_token_does_not_show_in_the_drafts_repr() -> None:
    assert "a token" not in repr(draft_secret(make_key().build(), make_token()))
