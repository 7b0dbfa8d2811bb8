"""Every name that Kubernetes objects, labels and annotations of this product carry; defined once, here."""

from typing import Final, NewType

Uid = NewType("Uid", str)
"""`metadata.uid` of an object."""

RunId = NewType("RunId", str)
"""Identifies one run of one DiemJob: 1 to 128 characters, chosen by whoever asks for the run."""

GROUP: Final = "diem.io"
VERSION: Final = "v1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

DIEMJOB_KIND: Final = "DiemJob"
DIEMJOB_PLURAL: Final = "diemjobs"
DIEMAPIKEY_KIND: Final = "DiemApiKey"
DIEMAPIKEY_PLURAL: Final = "diemapikeys"

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "diem-operator"
LABEL_DIEMJOB: Final = f"{GROUP}/diemjob"
"""On Jobs and their pods: the DiemJob's name, shortened with a hash where it is longer than a label value may be."""

JOB_LABEL_SELECTOR: Final = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
"""Selects every Job this operator made; what it watches."""

LABEL_JOB_NAME: Final = "batch.kubernetes.io/job-name"
"""Kubernetes' own label on a Job's pods."""

ANNOTATION_RUN_ID: Final = f"{GROUP}/run-id"
ANNOTATION_RUN_NUMBER: Final = f"{GROUP}/run-number"
ANNOTATION_REQUESTED_BY: Final = f"{GROUP}/requested-by"
ANNOTATION_REQUESTED_AT: Final = f"{GROUP}/requested-at"
ANNOTATION_RECORDED_UID: Final = f"{GROUP}/recorded-uid"
"""On a DiemJob: the uid under which its status once held a finished run; tells a lost status from a new resource."""

FIELD_MANAGER: Final = "diem-operator"

REQUESTER_API_KEY_PREFIX: Final = "apikey/"
REQUESTER_STATE: Final = "spec.state"
"""`requestedBy` of a run that `spec.state` alone asked for."""

STATE_RUN_PREFIX: Final = "state-"
"""Run ids `state-N` belong to starts that `spec.state` alone asked for."""

MAX_RUN_ID_LENGTH: Final = 128
MAX_REQUESTS: Final = 16
MAX_RECENT_RUN_IDS: Final = 32
MAX_PARAMETER_VALUE_BYTES: Final = 4096
