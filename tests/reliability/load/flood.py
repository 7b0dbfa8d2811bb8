"""Floods the API from a process of its own, so that its work is not the callers'.

Reads one JSON object from standard input: url, token, names, seconds, connections. Some connections ask for the status
with that token, the others try keys that are none. Writes how often each was answered what, as JSON.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any

import aiohttp

ADDRESS = "127.0.0.2"
"""The flood comes from an address of its own, as it would."""

BAD_SHARE = 0.5
LIMIT = aiohttp.ClientTimeout(total=15)


async def flood(order: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return the numbers of answers by kind and HTTP code; "none" for no answer."""
    counts: dict[str, Counter[str]] = {"good": Counter(), "bad": Counter()}
    deadline = time.monotonic() + order["seconds"]
    connector = aiohttp.TCPConnector(limit=0, local_addr=(ADDRESS, 0))
    async with aiohttp.ClientSession(connector=connector, timeout=LIMIT) as session:
        kinds = ["bad" if place < order["connections"] * BAD_SHARE else "good" for place in range(order["connections"])]
        await asyncio.gather(*(_repeat(session, order, kind, counts[kind], deadline) for kind in kinds))
    return {kind: dict(count) for kind, count in counts.items()}


async def _repeat(
    session: aiohttp.ClientSession, order: dict[str, Any], kind: str, counts: Counter[str], deadline: float
) -> None:
    chance = random.Random()
    while time.monotonic() < deadline:
        token = order["token"] if kind == "good" else _spoil(order["token"], chance)
        body = {"id": chance.choice(order["names"]), "action": "status"}
        counts[await _ask(session, order["url"], body, token)] += 1


async def _ask(session: aiohttp.ClientSession, url: str, body: dict[str, str], token: str) -> str:
    try:
        async with session.post(url, json=body, headers={"x-api-key": token}) as response:
            await response.read()
            return str(response.status)
    except (aiohttp.ClientError, TimeoutError, OSError):
        await asyncio.sleep(0.05)
        return "none"


def _spoil(token: str, chance: random.Random) -> str:
    """Return a key that is none: a token with another signature, or none at all."""
    head, _, signature = token.rpartition(".")
    letters = [*signature]
    chance.shuffle(letters)
    return chance.choice([f"{head}.{''.join(letters)}x", "x" * 40, ""])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(flood(json.load(sys.stdin)))))
