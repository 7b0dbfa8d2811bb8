"""A programmable proxy between one of our processes and the API server: TLS on both sides, loopback only.

It passes everything on unchanged unless a rule says otherwise, and keeps a record of every call in one order for all
proxies, so that "before" and "after" need no clock.
"""

from tests.reliability.proxy.calls import Call, Exchange
from tests.reliability.proxy.farm import ProxyFarm
from tests.reliability.proxy.rules import Rule, Rules
from tests.reliability.proxy.server import FaultProxy

__all__ = ["Call", "Exchange", "FaultProxy", "ProxyFarm", "Rule", "Rules"]
