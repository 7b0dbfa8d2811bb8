"""What a newcomer is told once everything runs: where it is, the key, and lines to copy. Pure text."""

from dataclasses import dataclass, field
from pathlib import Path

from hack.local.calls import PATH, Call

STATUS = Call(body={"id": "hello", "action": "status"})
START = Call(body={"id": "hello", "action": "start", "parameters": {"NAME": "newcomer"}})
STOP = Call(body={"id": "ticker", "action": "stop"})
START_TICKER = Call(body={"id": "ticker", "action": "start"})


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """What the text tells.

    Attributes:
        url: of the API, without a path.
        is_simulated: whether pods have no logs.
    """

    url: str
    token: str = field(repr=False)
    namespace: str
    env_file: Path
    kubectl: Path
    is_simulated: bool


def build_welcome(welcome: Welcome) -> str:
    """Return the text."""
    kubectl = f"{welcome.kubectl} -n {welcome.namespace}"
    logs = f"{kubectl} logs -l diem.io/diemjob=hello --tail=-1"
    return "\n".join(
        [
            "",
            "The operator and the API are running.",
            "",
            f"  URL  {welcome.url}{PATH}",
            f"  key  {welcome.token}",
            "",
            "In another terminal, first:",
            "",
            f"  . {welcome.env_file}",
            "",
            "The sample `hello` ends by itself, `ticker` runs until it is stopped:",
            "",
            *(f"  {call.curl_line}" for call in (STATUS, START, START_TICKER, STOP)),
            "",
            "The same with kubectl:",
            "",
            f"  {kubectl} get dj",
            f"  # no logs here: {logs}  (the node is simulated)" if welcome.is_simulated else f"  {logs}",
            "",
            "Below is the log of both. Ctrl-C ends and removes everything.",
            "",
        ]
    )
