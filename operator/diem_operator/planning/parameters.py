"""Parameters of a run: what callers may set, and what of it reaches the containers' environment."""

import re

from diem_operator.model.diemjob import JobTemplate, ParameterDeclaration
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import MAX_PARAMETER_VALUE_BYTES

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_RESERVED = re.compile(r"PATH|LD_.*|PYTHON.*|BASH_ENV")
"""Names through which a value would choose the code that runs."""


def check_parameters(declarations: tuple[ParameterDeclaration, ...], given: dict[str, str]) -> tuple[str, ...]:
    """Return what is wrong with the values a caller gave: one sentence each, empty where nothing is.

    The sentences name parameters and limits, never a value.
    """
    declared = {declaration.name: declaration for declaration in declarations}
    unknown = [f"parameter {name!r} is not declared in spec.parameters" for name in given if name not in declared]
    wrong = [problem for name, declaration in declared.items() for problem in _check_one(declaration, given.get(name))]
    return (*unknown, *wrong)


def _check_one(declaration: ParameterDeclaration, given: str | None) -> list[str]:
    name = declaration.name
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        return [f"parameter {name!r} may not be declared: the name is reserved or not of the form [A-Z_][A-Z0-9_]*"]
    value = declaration.default if given is None else given
    if value is None:
        return [f"parameter {name!r} is required"] if declaration.required else []
    return _check_value(declaration, value)


def _check_value(declaration: ParameterDeclaration, value: str) -> list[str]:
    name = declaration.name
    problems = []
    if declaration.enum and value not in declaration.enum:
        problems.append(f"parameter {name!r} must be one of {', '.join(declaration.enum)}")
    if declaration.max_length is not None and len(value) > declaration.max_length:
        problems.append(f"parameter {name!r} is longer than {declaration.max_length} characters")
    if len(value.encode(errors="surrogatepass")) > MAX_PARAMETER_VALUE_BYTES:
        problems.append(f"parameter {name!r} is larger than {MAX_PARAMETER_VALUE_BYTES} bytes")
    if "\0" in value:
        problems.append(f"parameter {name!r} contains a NUL character")
    return problems


def check_template(declarations: tuple[ParameterDeclaration, ...], template: JobTemplate) -> tuple[str, ...]:
    """Return the declared names that the template's containers set themselves, one sentence each."""
    set_by_template = {
        variable.get("name") for container in find_containers(template.spec) for variable in container.get("env") or []
    }
    return tuple(
        f"parameter {declaration.name!r} is also set by a container of spec.jobTemplate; remove one of the two"
        for declaration in declarations
        if declaration.name in set_by_template
    )


def build_environment(declarations: tuple[ParameterDeclaration, ...], given: dict[str, str]) -> list[RawObject]:
    """Return the `env` entries of one run, in the order of declaration.

    The kubelet expands `$(NAME)` in values and reads `$$` as `$` (Kubernetes: "Dependent Environment Variables");
    doubling every `$` makes a value arrive as it was given.
    """
    values = {declaration.name: given.get(declaration.name, declaration.default) for declaration in declarations}
    return [{"name": name, "value": value.replace("$", "$$")} for name, value in values.items() if value is not None]


def find_containers(job_spec: RawObject) -> list[RawObject]:
    """Return all containers of a Job's pod template, init containers first."""
    pod_spec = (job_spec.get("template") or {}).get("spec") or {}
    return [*(pod_spec.get("initContainers") or []), *(pod_spec.get("containers") or [])]
