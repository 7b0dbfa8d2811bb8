"""Shows which seeds the explorer has played, also when all went well: what was tried can be tried again."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the explorer's test has recorded."""
    for reports in (terminalreporter.stats.get(outcome, ()) for outcome in ("passed", "failed")):
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "simulation":
                    terminalreporter.write_line(f"Simulation: {value}")
