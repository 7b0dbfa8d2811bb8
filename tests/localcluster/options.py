"""What a cluster consists of, and getting this machine ready for it. Nothing of a cluster is started here."""

from dataclasses import dataclass
from pathlib import Path

from tests.localcluster import building, programs
from tests.localcluster.node_kind import NodeKind
from tests.localcluster.programs import Program
from tests.localcluster.real_node import prepare_machine
from tests.localcluster.reporting import Log


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """What a cluster consists of.

    Attributes:
        node: never AUTO.
        dns: pods resolve the names of Services; real ones only, the others ask nobody.
        restricted: Pod Security "restricted" is enforced wherever a namespace's labels do not say otherwise.
    """

    node: NodeKind
    audit: bool = False
    controllers: bool = True
    scheduler: bool
    dns: bool = False
    restricted: bool = False
    apiserver_arguments: tuple[str, ...] = ()

    @property
    def programs(self) -> tuple[Program, ...]:
        """All that it needs; each once."""
        wanted = [*programs.CONTROL_PLANE, *([programs.SCHEDULER] if self.scheduler else [])]
        if self.node is NodeKind.REAL:
            wanted += [*programs.REAL_NODE, *([programs.COREDNS] if self.dns else [])]
        if self.node is NodeKind.SIMULATED:
            wanted += programs.SIMULATED_NODE
        return tuple(dict.fromkeys(wanted))


def prepare(options: ClusterOptions, log: Log) -> dict[str, Path]:
    """Install and build whatever such a cluster needs and is not there; return the programs' paths by name."""
    if options.node is NodeKind.REAL:
        prepare_machine(log)
    return building.obtain(options.programs, log)
