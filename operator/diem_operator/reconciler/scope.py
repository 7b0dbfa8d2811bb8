"""Which namespaces the operator serves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The namespaces whose objects are looked at.

    Args:
        namespaces: the only ones; all where empty.
        excluded: those that are left alone even so, such as the operator's own: a Job there could use its identity.
    """

    namespaces: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def serves(self, namespace: str) -> bool:
        """Whether objects of this namespace are looked at."""
        return namespace not in self.excluded and (not self.namespaces or namespace in self.namespaces)

    @property
    def listed(self) -> tuple[str | None, ...]:
        """What to LIST so as to see all of it: namespaces, or None for the whole cluster."""
        if not self.namespaces:
            return (None,)
        return tuple(namespace for namespace in self.namespaces if self.serves(namespace))
