"""How the kubelet reads `env`, written from the Kubernetes documentation alone, to judge what we make of parameters.

From "Define dependent environment variables": `$(NAME)` is replaced by the value of a variable that was defined before;
what cannot be resolved stays as it is; a doubled `$` stands for one, and what it escapes is never expanded. A name that
occurs twice has its last value.
"""

from collections.abc import Mapping, Sequence

from diem_operator.model.metadata import RawObject


def read_environment(variables: Sequence[RawObject]) -> dict[str, str]:
    """Return the environment of a container with these `env` entries, in their order."""
    environment: dict[str, str] = {}
    for variable in variables:
        environment[variable["name"]] = expand(variable.get("value", ""), environment)
    return environment


def expand(text: str, defined: Mapping[str, str]) -> str:
    """Replace the references in a text, from left to right, once."""
    read, rest = "", text
    while rest:
        if rest.startswith("$$"):
            read, rest = read + "$", rest[2:]
        elif rest.startswith("$(") and ")" in rest:
            name, _, behind = rest[2:].partition(")")
            read, rest = read + defined.get(name, f"$({name})"), behind
        else:
            read, rest = read + rest[0], rest[1:]
    return read
