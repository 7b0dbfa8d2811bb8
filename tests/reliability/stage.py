"""Where a story plays: what callers and people do there, and what the oracle gets to see of it."""

from dataclasses import dataclass

from tests.reliability.callers import Callers
from tests.reliability.history import History, Told
from tests.reliability.people import People, make_diemjob
from tests.reliability.scene import Raw
from tests.reliability.witness import KEYS, RUNS, Witness

__all__ = ["Stage", "make_diemjob"]


@dataclass
class Stage(Callers, People):
    """Everything that a story may do, and its end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._begin_to_witness()

    def begin_anew(self, told: Told) -> None:
        """Let the oracle judge from here on: the store was put back to when callers had been told this much.

        Calls stay in its sight, those of before, too: they tell who leads, and whose Job was asked for. What
        has come and gone since the API server is back is not.
        """
        self.witness.stop()
        self.told = told
        self._begin_to_witness()

    def delete(self, name: str, *, propagation: str = "Background") -> None:
        """Delete a DiemJob, and return when it is gone."""
        super().delete(name, propagation=propagation)
        self.forget(name)

    def come_to_rest(self) -> None:
        """Return when nothing is under way any more: faults are over, specs answered, nothing is on its way out."""
        self.installation.wait_disturbed()
        for kind in ("diemjobs", "diemapikeys"):
            for found in self._list_all(kind):
                self.wait_answered(found["metadata"]["name"], resource=kind)
        self.wait_until("nothing is on its way out", self._is_quiet)
        self.witness.catch_up()

    def tell(self) -> History:
        """Return everything that has happened."""
        clients = {program.name for program in self.installation.programs}
        journal = [exchange for exchange in list(self.installation.farm.journal) if exchange.call.client in clients]
        seen = sorted(self.witness.seen, key=lambda each: each.revision)
        ended = [program.name for program in self.installation.programs if program.deaths > program.kills]
        return History(seen=seen, exchanges=journal, told=self.told, ended_by_themselves=ended)

    def _begin_to_witness(self) -> None:
        self.witness = Witness(self.kube, self.namespace, (*RUNS, *KEYS))
        self.witness.start()

    def _is_quiet(self) -> bool:
        diemjobs, keys, jobs, secrets = map(self._list_all, ("diemjobs", "diemapikeys", "jobs", "secrets"))
        left = {each["metadata"]["uid"] for each in (*diemjobs, *keys)}
        owners = {owner["uid"] for each in (*jobs, *secrets) for owner in each["metadata"].get("ownerReferences", [])}
        is_leaving = any("deletionTimestamp" in each["metadata"] for each in (*diemjobs, *keys, *jobs))
        is_moving = any(each.get("status", {}).get("phase") in {"Submitted", "Stopping"} for each in diemjobs)
        return owners <= left and not is_leaving and not is_moving

    def _list_all(self, kind: str) -> list[Raw]:
        return self.until_done(f"the {kind} are listed", lambda: self.kube.list_all(kind, self.namespace))
