"""What the seed planned to go wrong, and what of it has happened."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tally:
    """``name`` as it is chosen by; ``place``: an endpoint, or ``records``, ``audio`` or ``events``.

    ``happened`` counts what a client has met, not what was only prepared.
    """

    name: str
    place: str
    planned: int
    happened: int

    def told(self) -> dict[str, object]:
        left = self.planned - self.happened
        return {
            "name": self.name,
            "place": self.place,
            "planned": self.planned,
            "happened": self.happened,
            "left": left,
        }
