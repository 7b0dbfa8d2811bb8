"""The chart's copies of the CRDs."""

import pytest

from hack.generate_manifests import build_chart_crd, build_chart_crds

CRD = """# Generated from a source.
apiVersion: apiextensions.k8s.io/v1
kind: X
metadata:
  name: xs.diem.io
spec:
  group: diem.io
"""


def test_template_is_the_crd_with_switches_around_it() -> None:
    assert build_chart_crd(CRD, name="x.yaml").splitlines() == [
        "{{- if .Values.crds.enabled }}",
        "# Generated from crds/x.yaml by `python -m hack.generate_manifests`: change it there.",
        "apiVersion: apiextensions.k8s.io/v1",
        "kind: X",
        "metadata:",
        "  name: xs.diem.io",
        "  labels:",
        '    {{- include "diem-operator.labels" . | nindent 4 }}',
        "  {{- if .Values.crds.keep }}",
        "  annotations:",
        "    helm.sh/resource-policy: keep",
        "  {{- end }}",
        "spec:",
        "  group: diem.io",
        "{{- end }}",
    ]


@pytest.mark.parametrize(
    ("crd", "problem"),
    [
        pytest.param(CRD + "  x: '{{ y }}'\n", "Helm would take for its own", id="template-code"),
        pytest.param("kind: X\n", "no top-level spec", id="no-spec"),
    ],
)
def test_crd_that_cannot_become_a_template_is_refused(crd: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        build_chart_crd(crd, name="x.yaml")


def test_copies_in_the_chart_are_up_to_date() -> None:
    assert {path.name: path.read_text() for path in build_chart_crds()} == {
        path.name: text for path, text in build_chart_crds().items()
    }
