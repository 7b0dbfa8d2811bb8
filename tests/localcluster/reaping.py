"""Clears away a cluster by what its slot tells: processes, traces on the machine, files.

Works the same for a cluster of this process and for one whose parent was killed; it trusts nothing but the slot.
"""

import json
import shutil
from collections.abc import Iterable

from tests.localcluster import machine_traces, slots
from tests.localcluster.processes import Identity, identify, kill_groups
from tests.localcluster.reporting import Log
from tests.localcluster.slots import Slot

_RECORD = "processes.json"


def record_processes(slot: Slot, pids: Iterable[int]) -> None:
    """Write down which process groups are the cluster's now."""
    known = [identity for pid in pids if (identity := identify(pid))]
    path = slot.directory / _RECORD
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps([[one.pid, one.began] for one in known]))
    unfinished.replace(path)


def clear(slot: Slot) -> None:
    """Remove everything of the cluster in this slot; the slot must be ours."""
    kill_groups(_read_record(slot))
    machine_traces.remove(slot)
    shutil.rmtree(slot.directory, ignore_errors=True)


def reap_abandoned(log: Log) -> None:
    """Clear all clusters whose parent is no more."""
    for claimed in slots.find_abandoned():
        if claimed.slot.directory.exists():
            log(f"Clearing away what an earlier cluster left in {claimed.slot.directory}")
            clear(claimed.slot)
        claimed.release()


def _read_record(slot: Slot) -> list[Identity]:
    path = slot.directory / _RECORD
    return [Identity(int(pid), str(began)) for pid, began in json.loads(path.read_text())] if path.exists() else []
