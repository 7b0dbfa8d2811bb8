"""`python -m hack.local run|demo`, which is what make calls. Only translates arguments and errors."""

import argparse
import sys
from pathlib import Path

from hack.local.demo import demo
from hack.local.endings import end_at_first_signal
from hack.local.errors import LocalRunError
from hack.local.installation import ROOT
from hack.local.reporting import say
from hack.local.run import run
from tests.localcluster import LocalClusterError, NodeKind
from tests.localcluster.interruption import Terminated

_KINDS = (NodeKind.REAL, NodeKind.SIMULATED, NodeKind.AUTO)
_PORT_COUNT = 65536


def main() -> int:
    """Run one command and return the exit code."""
    arguments = _parse()
    end_at_first_signal()
    try:
        if arguments.command == "run":
            run(arguments.node, port=arguments.port, folder=arguments.folder)
        else:
            demo(arguments.node)
    except (LocalRunError, LocalClusterError) as error:
        say(f"\nerror: {error}")
        return 1
    except Terminated as end:
        say(f"\n{end}")
        return end.exit_code
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.local", description="DIEM on a Kubernetes on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="start everything, follow the logs, remove everything at Ctrl-C")
    running.add_argument("--port", type=_read_port, default=8080, help="where the API listens; 0 for any free port")
    running.add_argument("--folder", type=Path, default=ROOT / ".local", help="gets what other terminals need")
    telling = commands.add_parser("demo", help="play a story and fail when a step is not as it should be")
    for command in (running, telling):
        command.add_argument("--node", type=_read_node, default=NodeKind.AUTO, help="real, simulated or auto")
    return parser.parse_args()


def _read_port(text: str) -> int:
    if not text.isdecimal() or int(text) not in range(_PORT_COUNT):
        raise argparse.ArgumentTypeError(f"{text!r} is no TCP port; use 1 to 65535, or 0 for any free one")
    return int(text)


def _read_node(text: str) -> NodeKind:
    if text not in {kind.value for kind in _KINDS}:
        raise argparse.ArgumentTypeError(f"{text!r} runs no pods; use {', '.join(kind.value for kind in _KINDS)}")
    return NodeKind(text)


if __name__ == "__main__":
    sys.exit(main())
