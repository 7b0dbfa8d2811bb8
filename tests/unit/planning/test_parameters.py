"""Parameters: what a caller may set, what is refused and why, and what reaches the containers."""

from typing import Any

import msgspec
import pytest

from diem_operator.model.diemjob import JobTemplate, ParameterDeclaration
from diem_operator.planning.parameters import build_environment, check_parameters, check_template
from tests.builders import make_template


def declare(name: str = "DAY", **fields: Any) -> ParameterDeclaration:
    return msgspec.structs.replace(ParameterDeclaration(name=name), **fields)


@pytest.mark.parametrize(
    ("declaration", "given"),
    [
        pytest.param(declare(), {}, id="optional and absent"),
        pytest.param(declare(), {"DAY": ""}, id="empty"),
        pytest.param(declare(required=True), {"DAY": "1"}, id="required and given"),
        pytest.param(declare(required=True, default="1"), {}, id="required with a default"),
        pytest.param(declare(enum=("a", "b")), {"DAY": "b"}, id="one of the enum"),
        pytest.param(declare(max_length=2), {"DAY": "ab"}, id="as long as allowed"),
        pytest.param(declare(), {"DAY": "x" * 4096}, id="as large as allowed"),
        pytest.param(declare("PATHS"), {}, id="only begins like a reserved name"),
        pytest.param(declare("_OLD_PATH"), {}, id="only ends like a reserved name"),
    ],
)
def test_good_parameters_have_no_problem(declaration: ParameterDeclaration, given: dict[str, str]) -> None:
    assert check_parameters((declaration,), given) == ()


RESERVED = "parameter {name!r} may not be declared: the name is reserved or not of the form [A-Z_][A-Z0-9_]*"


@pytest.mark.parametrize(
    ("declaration", "given", "problem"),
    [
        pytest.param(
            declare(), {"OTHER": "1"}, "parameter 'OTHER' is not declared in spec.parameters", id="undeclared"
        ),
        pytest.param(declare(required=True), {}, "parameter 'DAY' is required", id="missing"),
        pytest.param(declare(enum=("a", "b")), {"DAY": "c"}, "parameter 'DAY' must be one of a, b", id="enum"),
        pytest.param(declare(enum=("a",), default="b"), {}, "parameter 'DAY' must be one of a", id="bad default"),
        pytest.param(
            declare(max_length=2), {"DAY": "abc"}, "parameter 'DAY' is longer than 2 characters", id="too long"
        ),
        pytest.param(
            declare(), {"DAY": "é" * 2049}, "parameter 'DAY' is larger than 4096 bytes", id="too large in UTF-8"
        ),
        pytest.param(
            declare(), {"DAY": "\ud800" * 1366}, "parameter 'DAY' is larger than 4096 bytes", id="lone surrogates"
        ),
        pytest.param(declare(), {"DAY": "a\0b"}, "parameter 'DAY' contains a NUL character", id="NUL"),
        *(
            pytest.param(declare(name), {name: "1"}, RESERVED.format(name=name), id=f"reserved: {name}")
            for name in ("PATH", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "lower", "1ST", "A-B", "", "DAY\n")
        ),
    ],
)
def test_bad_parameters_are_told_by_name(
    declaration: ParameterDeclaration, given: dict[str, str], problem: str
) -> None:
    assert check_parameters((declaration,), given) == (problem,)


def test_every_problem_is_told_and_no_value() -> None:
    declarations = (declare(enum=("a",), max_length=2), declare("LIMIT", required=True))
    problems = check_parameters(declarations, {"DAY": "secret\0", "OTHER": "secret"})

    assert len(problems) == 5
    assert "secret" not in "".join(problems)


def test_parameter_that_a_container_sets_is_refused() -> None:
    raw = make_template(env=[{"name": "DAY", "value": "1"}, {"name": "OTHER", "value": "1"}])
    template = msgspec.convert(raw, JobTemplate)

    assert check_template((declare("DAY"), declare("FREE")), template) == (
        "parameter 'DAY' is also set by a container of spec.jobTemplate; remove one of the two",
    )


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="no pod template"),
        pytest.param({"template": None}, id="null pod template"),
        pytest.param({"template": {"spec": None}}, id="null pod spec"),
        pytest.param({"template": {"spec": {"containers": None}}}, id="null containers"),
        pytest.param({"template": {"spec": {"containers": [{"name": "a", "env": None}]}}}, id="null env"),
    ],
)
def test_template_with_nulls_sets_nothing(spec: dict[str, Any]) -> None:
    assert check_template((declare(),), JobTemplate(spec=spec)) == ()


def test_init_containers_count_too() -> None:
    spec = {"template": {"spec": {"initContainers": [{"name": "a", "env": [{"name": "DAY"}]}]}}}

    assert len(check_template((declare(),), JobTemplate(spec=spec))) == 1


def test_environment_has_given_values_and_defaults_in_the_order_of_declaration() -> None:
    declarations = (declare("B", default="b"), declare("A"), declare("C"), declare("D", default="d"))

    environment = build_environment(declarations, {"D": "given", "A": ""})

    expected = [{"name": "B", "value": "b"}, {"name": "A", "value": ""}, {"name": "D", "value": "given"}]
    assert environment == expected


def test_dollars_are_doubled_so_that_the_kubelet_expands_nothing() -> None:
    environment = build_environment((declare(),), {"DAY": "$(OTHER) $HOME $$"})

    assert environment == [{"name": "DAY", "value": "$$(OTHER) $$HOME $$$$"}]
