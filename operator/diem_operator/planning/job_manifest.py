"""Builds the Job of one run from the DiemJob's template."""

from typing import Any

from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import RawObject
from diem_operator.model.names import (
    ANNOTATION_REQUESTED_AT,
    ANNOTATION_REQUESTED_BY,
    ANNOTATION_RUN_ID,
    ANNOTATION_RUN_NUMBER,
    API_VERSION,
    DIEMJOB_KIND,
    LABEL_DIEMJOB,
    LABEL_MANAGED_BY,
    MANAGED_BY,
)
from diem_operator.planning.ids import build_job_name, hash_of
from diem_operator.planning.parameters import build_environment
from diem_operator.planning.rules import StartRequest

_MAX_LABEL_LENGTH = 63


def build_label_value(diemjob_name: str) -> str:
    """Return the label value that stands for a DiemJob's name: itself, or its start and a hash where it is too long."""
    if len(diemjob_name) <= _MAX_LABEL_LENGTH:
        return diemjob_name
    digest = hash_of(diemjob_name)
    return f"{diemjob_name[: _MAX_LABEL_LENGTH - len(digest) - 1]}-{digest}"


def build_job(diemjob: DiemJob, request: StartRequest, *, number: int) -> RawObject:
    """Return the manifest to POST: the template, plus the names, owner and parameters that make it this run's Job."""
    name = diemjob.metadata.name
    labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_DIEMJOB: build_label_value(name)}
    template = diemjob.spec.job_template
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": build_job_name(name, diemjob.metadata.uid, request.id),
            "namespace": diemjob.metadata.namespace,
            "labels": _merge(template.metadata.get("labels"), labels),
            "annotations": _merge(template.metadata.get("annotations"), _build_annotations(request, number)),
            "ownerReferences": [_build_owner_reference(diemjob)],
        },
        "spec": _build_spec(diemjob, request, labels),
    }


def _build_annotations(request: StartRequest, number: int) -> dict[str, str]:
    """Return what a later leader needs to record this run from its Job alone."""
    annotations = {ANNOTATION_RUN_ID: str(request.id), ANNOTATION_RUN_NUMBER: str(number)}
    if request.requested_by:
        annotations[ANNOTATION_REQUESTED_BY] = request.requested_by
    if request.requested_at:
        annotations[ANNOTATION_REQUESTED_AT] = request.requested_at
    return annotations


def _build_owner_reference(diemjob: DiemJob) -> RawObject:
    return {
        "apiVersion": API_VERSION,
        "kind": DIEMJOB_KIND,
        "name": diemjob.metadata.name,
        "uid": diemjob.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _build_spec(diemjob: DiemJob, request: StartRequest, labels: dict[str, str]) -> RawObject:
    spec = diemjob.spec.job_template.spec
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    environment = build_environment(diemjob.spec.parameters, request.parameters)
    return spec | {
        "template": template
        | {
            "metadata": metadata
            | {
                "labels": _merge(metadata.get("labels"), labels),
                "annotations": _merge(metadata.get("annotations"), {ANNOTATION_RUN_ID: str(request.id)}),
            },
            "spec": _add_environment(template.get("spec") or {}, environment),
        }
    }


def _add_environment(pod_spec: RawObject, environment: list[RawObject]) -> RawObject:
    """Put the parameters before the template's own variables, which may refer to them."""
    changed = {
        field: [container | {"env": [*environment, *(container.get("env") or [])]} for container in pod_spec[field]]
        for field in ("initContainers", "containers")
        if environment and pod_spec.get(field)
    }
    return pod_spec | changed


def _merge(given: Any, ours: dict[str, str]) -> dict[str, str]:  # noqa: ANN401 - the template is the user's JSON
    return {**(given or {}), **ours}
