"""The Job that is made of a template and a caller's values: neither gets to say what is ours to say."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diem_operator.model.diemjob import JobTemplate, ParameterDeclaration
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import MAX_PARAMETER_VALUE_BYTES, RunId, Uid
from diem_operator.planning.ids import build_job_name
from diem_operator.planning.job_manifest import build_job
from diem_operator.planning.parameters import build_environment, check_parameters, check_template
from diem_operator.planning.rules import StartRequest
from tests.builders import NAME, NAMESPACE, UID, make_diemjob
from tests.security.fuzz.expansion import expand, read_environment
from tests.security.fuzz.profile import FUZZ, read_corpus
from tests.security.fuzz.strategies import JSON_VALUES, MARK, PARAMETER_NAMES, PARAMETER_VALUES, PLAIN_TEXTS, TEXTS

OURS = {
    "labels": {"app.kubernetes.io/managed-by": "diem-operator", "diem.io/diemjob": NAME},
    "annotations": {"diem.io/run-id": "r1", "diem.io/run-number": "7"},
}
"""What a Job is known by."""

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
CORPUS = read_corpus("templates")

LABEL_KEYS = st.one_of(PLAIN_TEXTS, st.sampled_from([*OURS["labels"], *OURS["annotations"], "diem.io/x", "team"]))
TEXT_MAPS = st.one_of(st.none(), st.dictionaries(LABEL_KEYS, PLAIN_TEXTS, max_size=4))
METADATA = st.fixed_dictionaries(
    {},
    optional={"labels": TEXT_MAPS, "annotations": TEXT_MAPS}
    | dict.fromkeys(["name", "namespace", "ownerReferences", "finalizers", "uid", "generateName"], JSON_VALUES),
)
VARIABLES = st.lists(st.fixed_dictionaries({"name": PARAMETER_NAMES}, optional={"value": PARAMETER_VALUES}), max_size=3)
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": PLAIN_TEXTS}, optional={"env": st.one_of(st.none(), VARIABLES), "args": JSON_VALUES}
    ),
    max_size=3,
)
POD_SPECS = st.fixed_dictionaries(
    {},
    optional={"containers": st.one_of(st.none(), CONTAINERS), "initContainers": st.one_of(st.none(), CONTAINERS)}
    | dict.fromkeys(["serviceAccountName", "volumes", "hostNetwork"], JSON_VALUES),
)
POD_TEMPLATES = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {}, optional={"metadata": st.one_of(st.none(), METADATA), "spec": st.one_of(st.none(), POD_SPECS)}
    ),
)
TEMPLATES = st.builds(
    JobTemplate,
    metadata=METADATA,
    spec=st.fixed_dictionaries({}, optional={"template": POD_TEMPLATES, "backoffLimit": JSON_VALUES}),
)
DECLARATIONS = st.lists(
    st.builds(ParameterDeclaration, name=PARAMETER_NAMES, default=st.one_of(st.none(), PARAMETER_VALUES)),
    max_size=4,
    unique_by=lambda declaration: declaration.name,
).map(tuple)


def build(template: JobTemplate, declarations: tuple[ParameterDeclaration, ...] = (), **given_: str) -> RawObject:
    diemjob = make_diemjob(job_template=template, parameters=declarations)
    return build_job(diemjob, StartRequest(id=RunId("r1"), parameters=given_), number=7)


def assert_ours(manifest: RawObject) -> None:
    """See that all is ours by which the Job is named, owned and found."""
    metadata = manifest["metadata"]
    assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    assert set(metadata) == {"name", "namespace", "labels", "annotations", "ownerReferences"}
    assert (metadata["name"], metadata["namespace"]) == (build_job_name(NAME, UID, RunId("r1")), NAMESPACE)
    assert [(one["uid"], one["controller"]) for one in metadata["ownerReferences"]] == [(UID, True)]
    assert metadata["labels"].items() >= OURS["labels"].items()
    assert metadata["annotations"].items() >= OURS["annotations"].items()
    pod_metadata = manifest["spec"]["template"]["metadata"]
    assert pod_metadata["labels"].items() >= OURS["labels"].items()
    assert pod_metadata["annotations"]["diem.io/run-id"] == "r1"


@given(TEMPLATES, DECLARATIONS)
@FUZZ
def test_no_template_says_whose_job_it_is(
    template: JobTemplate, declarations: tuple[ParameterDeclaration, ...]
) -> None:
    assert_ours(build(template, declarations))


@given(TEMPLATES, DECLARATIONS)
@FUZZ
def test_template_is_not_changed_and_gives_the_same_job_again(
    template: JobTemplate, declarations: tuple[ParameterDeclaration, ...]
) -> None:
    before = json.dumps(msgspec.to_builtins(template))

    assert build(template, declarations) == build(template, declarations)
    assert json.dumps(msgspec.to_builtins(template)) == before


@given(TEMPLATES)
@FUZZ
def test_whatever_else_the_user_wrote_stays(template: JobTemplate) -> None:
    spec = build(template)["spec"]
    written = template.spec.get("template") or {}

    assert {name: value for name, value in spec.items() if name != "template"} == {
        name: value for name, value in template.spec.items() if name != "template"
    }
    assert spec["template"]["spec"] == (written.get("spec") or {})


@given(TEMPLATES, DECLARATIONS, st.data())
@FUZZ
def test_every_value_arrives_as_it_was_given(
    template: JobTemplate, declarations: tuple[ParameterDeclaration, ...], data: st.DataObject
) -> None:
    values = {one.name: data.draw(PARAMETER_VALUES) for one in declarations if data.draw(st.booleans())}
    assume(not check_parameters(declarations, values))
    assume(not check_template(declarations, template))
    pod = build(template, declarations, **values)["spec"]["template"]["spec"]
    defaults = {one.name: one.default for one in declarations if one.default is not None}

    for container in (*(pod.get("initContainers") or []), *(pod.get("containers") or [])):
        environment = read_environment(container.get("env") or [])
        assert environment.items() >= (defaults | values).items()


@given(PARAMETER_VALUES, PARAMETER_VALUES)
@FUZZ
def test_variable_of_the_template_that_refers_to_a_value_gets_it_unread(value: str, around: str) -> None:
    (entry,) = build_environment((ParameterDeclaration(name="A"),), {"A": value})
    referring = {"name": "Z", "value": f"{around.replace('$', '')}$(A)"}

    assert read_environment([{"name": "B", "value": "of the template"}, entry, referring])["Z"] == (
        around.replace("$", "") + value
    )


@given(st.lists(st.sampled_from(["$", "(", ")", "A", "B", "$(A)", "$$"]), max_size=10).map("".join))
@FUZZ
def test_oracle_of_the_kubelet_knows_what_the_documentation_says(text: str) -> None:
    assert expand(text.replace("$", "$$"), {"A": "1", "B": "2"}) == text
    assert expand("$(A) $$(A) $$$(A) $(C) $$", {"A": "$(B)", "B": "2"}) == "$(B) $(A) $$(B) $(C) $"


def expect_faults(declaration: ParameterDeclaration, value: str) -> bool:
    """Whether a value is to be refused, by the words of the reference alone."""
    is_listed = not declaration.enum or value in declaration.enum
    is_short = declaration.max_length is None or len(value) <= declaration.max_length
    size = len(value.encode(errors="surrogatepass"))
    return not (is_listed and is_short and size <= MAX_PARAMETER_VALUE_BYTES and "\0" not in value)


@given(
    st.one_of(
        TEXTS,
        PARAMETER_VALUES,
        st.text("a\0é$"),
        st.integers(4090, 4100).map("x".__mul__),
        st.integers(2040, 2050).map("é".__mul__),
    ),
    st.one_of(st.none(), st.integers(0, 5000)),
    st.lists(PARAMETER_VALUES, max_size=2).map(tuple),
)
@FUZZ
def test_value_is_refused_for_the_documented_reasons_alone(
    value: str, max_length: int | None, enum: tuple[str, ...]
) -> None:
    declaration = ParameterDeclaration(name="A", enum=enum, max_length=max_length)

    assert bool(check_parameters((declaration,), {"A": value})) is expect_faults(declaration, value)


@given(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3), st.integers(0, 3))
@FUZZ
def test_no_sentence_repeats_a_value(value: str, more: dict[str, str], max_length: int) -> None:
    declarations = (
        ParameterDeclaration(name="A", max_length=max_length, enum=("x",)),
        ParameterDeclaration(name="PATH"),
    )
    marked = {name: f"{other}{MARK}" for name, other in more.items()} | {"A": f"{MARK}{value}\0", "PATH": MARK}

    sentences = check_parameters(declarations, marked)
    assert sentences
    assert MARK not in "".join(sentences)


@given(st.text())
@FUZZ
def test_only_names_that_shells_know_and_that_choose_no_code_can_be_declared(name: str) -> None:
    is_good = not check_parameters((ParameterDeclaration(name=name),), {})

    assert not is_good or (name.isascii() and name.isupper() | (set(name) <= set("_0123456789")))
    assert not is_good or not (name in {"PATH", "BASH_ENV"} or name.startswith(("LD_", "PYTHON")))


@given(
    st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,60}[a-z0-9])?", fullmatch=True),
    st.lists(PLAIN_TEXTS, min_size=2, max_size=2, unique=True),
)
@FUZZ
def test_every_run_has_a_name_of_its_own_that_kubernetes_takes(diemjob_name: str, ids: list[str]) -> None:
    assume(".." not in diemjob_name and ".-" not in diemjob_name and "-." not in diemjob_name)
    first, second = (build_job_name(diemjob_name, Uid("uid"), RunId(one)) for one in ids)

    assert first != second
    assert DNS_LABEL.fullmatch(first)
    assert len(first) <= 50


@pytest.mark.parametrize("name", list(CORPUS))
def test_hostile_template_makes_a_job_of_ours(name: str) -> None:
    template = msgspec.json.decode(CORPUS[name], type=JobTemplate)
    manifest = build(template, (ParameterDeclaration(name="DAY"),), DAY="$(SECRET)")

    assert_ours(manifest)
    for container in manifest["spec"]["template"]["spec"].get("containers") or []:
        assert read_environment(container["env"])["DAY"] == "$(SECRET)"


def test_template_that_sets_a_parameter_itself_is_found_out() -> None:
    """Show that values would not arrive otherwise: the last of two equal names counts."""
    variables: list[Any] = [{"name": "A", "value": "of the template"}]
    declarations = (ParameterDeclaration(name="A"),)
    template = JobTemplate(spec={"template": {"spec": {"containers": [{"name": "x", "env": variables}]}}})
    (container,) = build(template, declarations, A="given")["spec"]["template"]["spec"]["containers"]

    assert read_environment(container["env"])["A"] == "of the template"
    assert check_template(declarations, template)
