"""What a key may do: actions, and the DiemJobs its globs and namespaces let it see.

A DiemJob that a key may not see does not exist for its callers: unknown, another tenant's and out of the key's globs
are one answer. An id is a name or an alias in the key's own namespace, or `namespace/name` (or alias) in any of its
namespaces. The globs are held against the same texts, so `*` alone opens all namespaces of the key, `report-*` only the
own one, and `other/report-*` the other.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum

from diem_operator.access.registry import KeyEntry
from diem_operator.model.diemapikey import Action
from diem_operator.model.diemjob import DiemJob
from diem_operator.model.metadata import Resource


class Reference(Resource, frozen=True, kw_only=True):
    """A name or an alias within one namespace."""

    namespace: str
    text: str


class Answer(StrEnum):
    """The outcome of an authorisation."""

    ALLOWED = "allowed"
    ACTION_FORBIDDEN = "action-forbidden"
    UNKNOWN_JOB = "unknown-job"
    AMBIGUOUS_ID = "ambiguous-id"


class Authorization(Resource, frozen=True, kw_only=True):
    """Whether a key may do what it asks; `diemjob` is set exactly when it may."""

    answer: Answer
    diemjob: DiemJob | None = None


FindDiemJobs = Callable[[Reference], Iterable[DiemJob]]
"""Finds the DiemJobs whose name or one of whose aliases is the reference's text, each once."""


def authorize(entry: KeyEntry, *, action: Action, job_id: str, find: FindDiemJobs) -> Authorization:
    """Decide whether the key may do this to the DiemJob that its caller calls so."""
    if action not in entry.actions:
        return Authorization(answer=Answer.ACTION_FORBIDDEN)
    reference = find_reference(entry, job_id)
    visible = [] if reference is None else [diemjob for diemjob in find(reference) if is_visible(entry, diemjob)]
    if not visible:
        return Authorization(answer=Answer.UNKNOWN_JOB)
    if len(visible) > 1:
        return Authorization(answer=Answer.AMBIGUOUS_ID)
    return Authorization(answer=Answer.ALLOWED, diemjob=visible[0])


def find_reference(entry: KeyEntry, job_id: str) -> Reference | None:
    """Return what an id means, None for a namespace that the key does not open.

    What follows the first slash is a name or an alias.
    """
    namespace, slash, text = job_id.partition("/")
    if not slash:
        return Reference(namespace=entry.namespaces[0], text=job_id)
    return Reference(namespace=namespace, text=text) if namespace in entry.namespaces else None


def is_visible(entry: KeyEntry, diemjob: DiemJob) -> bool:
    """Whether one of the texts by which the key's callers can call the DiemJob matches one of the key's globs."""
    namespace = diemjob.metadata.namespace
    if namespace not in entry.namespaces:
        return False
    texts = [diemjob.metadata.name, *diemjob.spec.aliases]
    qualified = [f"{namespace}/{text}" for text in texts]
    # What holds a slash is never taken for a name of the own namespace, so that no alias can pose as a job of another
    # namespace.
    plain = [text for text in texts if "/" not in text] if namespace == entry.namespaces[0] else []
    callable_by = [*plain, *qualified]
    return any(is_match(pattern, text) for pattern in entry.jobs for text in callable_by)


def is_match(pattern: str, text: str) -> bool:
    """Whether a glob with at most a trailing `*` matches; a `*` elsewhere matches itself alone."""
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern
