"""Tells a story on the terminal: numbered steps, what is asked in each, and what is answered."""

from hack.local.reporting import say


class Narrator:
    """Counts the steps."""

    def __init__(self) -> None:
        """Begin before the first step."""
        self.step = 0

    def begin(self, title: str) -> None:
        """Head the next step."""
        self.step += 1
        say(f"\n{self.step}. {title}")

    def asked(self, command: str) -> None:
        """Show a command line."""
        say(f"   $ {command}")

    def answered(self, text: str) -> None:
        """Show what it printed."""
        for line in text.strip().splitlines() or ["(nothing)"]:
            say(f"     {line}")

    def remarked(self, text: str) -> None:
        """Show what neither asks nor answers."""
        say(f"   {text}")
