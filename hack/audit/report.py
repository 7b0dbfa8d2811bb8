"""What came out: what is wrong, what nobody could tell, what is known and does not affect us."""

from dataclasses import dataclass

FOUND = 1
INCOMPLETE = 2


@dataclass(frozen=True, kw_only=True)
class Report:
    """Sentences for a person, each with the file or the package it is about.

    Attributes:
        found: somebody has to do something.
        unseen: what could not be examined, and why.
        exempt: known, and explained in the VEX document.
    """

    found: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()

    def __add__(self, other: "Report") -> "Report":
        return Report(
            found=_join(self.found, other.found),
            unseen=_join(self.unseen, other.unseen),
            exempt=_join(self.exempt, other.exempt),
        )

    @property
    def lines(self) -> list[str]:
        """What to print, the most important last."""
        return [
            *(f"does not affect us: {sentence}" for sentence in self.exempt),
            *(f"NOT EXAMINED: {sentence}" for sentence in self.unseen),
            *(f"FOUND: {sentence}" for sentence in self.found),
            self._conclude(),
        ]

    @property
    def exit_code(self) -> int:
        """Never 0 when something was not examined."""
        if self.found:
            return FOUND
        return INCOMPLETE if self.unseen else 0

    def _conclude(self) -> str:
        if self.found:
            return f"{len(self.found)} things to mend"
        if self.unseen:
            return "Nothing is known to be wrong, but not everything could be examined: this is no all-clear"
        return "Everything was examined, and nothing is known against it"


def _join(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
