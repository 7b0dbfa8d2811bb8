"""For all tests: what this machine could not run and why, so that nobody takes a green run for more than it is."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the reasons of skipped tests, each once."""
    reasons = Counter(_read_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section("left out on this machine")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} tests: {reason}" if count > 1 else f"1 test: {reason}")


def _read_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # What a skip leaves as its representation is (path, line, "Skipped: reason").
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return told.removeprefix("Skipped: ")
