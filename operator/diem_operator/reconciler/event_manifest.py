"""What a Kubernetes Event about a run says and how it is called; pure.

The name is a function of the DiemJob, the run and the reason: whoever reports the same thing again, be it after a crash
or as a second leader, meets the Event that exists already.
"""

import hashlib
from datetime import datetime
from typing import Final, Literal

import msgspec

from diem_operator.model.metadata import ObjectMeta, RawObject
from diem_operator.model.names import ANNOTATION_RUN_ID, API_VERSION, DIEMJOB_KIND, GROUP, MANAGED_BY, RunId

EventType = Literal["Normal", "Warning"]

_MAX_NAME_PREFIX: Final = 200
"""Of the 253 characters an object's name may have; the hash needs 17."""

_MAX_MESSAGE_CHARACTERS: Final = 1024


class EventDraft(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell about one run; of the DiemJob it keeps only the metadata, because drafts may have to wait."""

    about: ObjectMeta
    run_id: RunId
    reason: str
    message: str
    type: EventType
    at: datetime
    count: int = 1

    @property
    def name(self) -> str:
        """The Event's name; several drafts of one name are the same Event."""
        identity = f"{self.about.uid}/{self.reason}/{self.run_id}"
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return f"{self.about.name[:_MAX_NAME_PREFIX].rstrip('.-')}.{digest}"


def combine(latest: EventDraft, *, count: int) -> EventDraft:
    """Return a draft that stands for `count` drafts, of which `latest` is the last."""
    if count == 1:
        return latest
    text = f"(combined from {count} similar events) {latest.message}"
    return msgspec.structs.replace(latest, message=text, count=count)


def build_event(draft: EventDraft, *, reporter: str) -> RawObject:
    """Return the core/v1 Event to create.

    Args:
        draft: what to tell.
        reporter: the name of the pod or process that tells it.
    """
    at = draft.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": draft.name,
            "namespace": draft.about.namespace,
            "annotations": {ANNOTATION_RUN_ID: draft.run_id},
        },
        "involvedObject": _refer_to(draft.about),
        "type": draft.type,
        "reason": draft.reason,
        "message": draft.message[:_MAX_MESSAGE_CHARACTERS],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": draft.count,
        "source": {"component": MANAGED_BY},
        "reportingComponent": f"{GROUP}/{MANAGED_BY}",
        "reportingInstance": reporter,
    }


def _refer_to(diemjob: ObjectMeta) -> RawObject:
    return {
        "apiVersion": API_VERSION,
        "kind": DIEMJOB_KIND,
        "namespace": diemjob.namespace,
        "name": diemjob.name,
        "uid": diemjob.uid,
        "resourceVersion": diemjob.resource_version,
    }
