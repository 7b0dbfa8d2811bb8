"""Run ids: which were seen, which `state-N` comes next, and the name of the Job that an id stands for."""

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

from diem_operator.model.diemjob import DiemJobStatus
from diem_operator.model.names import MAX_RECENT_RUN_IDS, STATE_RUN_PREFIX, RunId, Uid

_HASH_LENGTH = 16
_MAX_JOB_NAME_LENGTH = 50
"""Leaves room for the suffixes that the Job and pod controllers append within 63 characters."""

_STATE_RUN = re.compile(rf"{STATE_RUN_PREFIX}(0|[1-9][0-9]{{0,8}})")


@lru_cache(maxsize=8192)
def hash_of(*parts: str) -> str:
    """Return 16 lower-case base32 characters (80 bits of SHA-256) that stand for the parts, in their order."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_HASH_LENGTH]


def build_job_name(diemjob_name: str, diemjob_uid: Uid, run_id: RunId) -> str:
    """Return the one name that the Job of this run can have: a DNS label of at most 50 characters.

    A pure function of its arguments, so that a start repeated after any crash meets its own Job as AlreadyExists.
    """
    readable = diemjob_name.replace(".", "-")[: _MAX_JOB_NAME_LENGTH - _HASH_LENGTH - 1].rstrip("-")
    return f"{readable}-{hash_of(diemjob_name, diemjob_uid, run_id)}"


def is_seen(status: DiemJobStatus, run_id: RunId) -> bool:
    """Whether the status has accounted for this id, so that it asks for nothing any more."""
    if status.run is not None and status.run.id == run_id:
        return True
    return hash_of(run_id) in status.recent_run_ids


def remember(recent: tuple[str, ...], run_id: RunId) -> tuple[str, ...]:
    """Return the recent hashes with this id's in front, newest first."""
    short = hash_of(run_id)
    return (short, *(other for other in recent if other != short))


def forget_old(recent: tuple[str, ...], *, except_ids: Iterable[RunId]) -> tuple[str, ...]:
    """Return the newest hashes, and those of older ids that are still written somewhere.

    An id that spec or a Job still bears would otherwise be taken for a new one as soon as it is forgotten.
    """
    if len(recent) <= MAX_RECENT_RUN_IDS:
        return recent
    needed = {hash_of(run_id) for run_id in except_ids}
    return tuple(short for place, short in enumerate(recent) if place < MAX_RECENT_RUN_IDS or short in needed)


def build_next_state_run_id(status: DiemJobStatus) -> RunId:
    """Return `state-N` for the first N above `stateStarts` that is unseen."""
    number = status.state_starts + 1
    while is_seen(status, RunId(f"{STATE_RUN_PREFIX}{number}")):
        number += 1
    return RunId(f"{STATE_RUN_PREFIX}{number}")


def find_state_start(run_id: RunId) -> int | None:
    """Return the N of an id `state-N`; None for any other id."""
    match = _STATE_RUN.fullmatch(run_id)
    return None if match is None else int(match[1])
