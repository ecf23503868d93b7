"""Made-up people: names, and numbers from the ranges that are reserved for fiction (+1 NPA 555-01xx)."""

from random import Random

from simulator.company import Extension

FIRST_NAMES = ("Ada", "Bruno", "Clara", "Dario", "Edith", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Luca")
LAST_NAMES = ("Ahorn", "Birke", "Cedro", "Dattel", "Eibe", "Fichte", "Ginster", "Hasel", "Ilex", "Kiefer", "Linde")
#: area codes with a 555 exchange; 01xx of it is never given to anybody.
AREA_CODES = ("202", "303", "415", "512", "617", "703", "808")


def draw_name(rng: Random) -> str:
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"


def draw_number(rng: Random) -> str:
    return f"+1{rng.choice(AREA_CODES)}55501{rng.randrange(100):02d}"


def draw_extensions(rng: Random, count: int, licensed_share: float) -> list[Extension]:
    """So many people; the first ones, in that share, have a licence for insights."""
    first = rng.randrange(600_000_000, 700_000_000)
    licensed = round(count * licensed_share)
    return [
        Extension(
            id=first + index * 4,
            number=str(101 + index),
            name=draw_name(rng),
            phone_number=draw_number(rng),
            licensed=index < licensed,
        )
        for index in range(count)
    ]


def masked(number: str) -> str:
    """The number as RingCentral hides it from some readers (facts 4.2)."""
    return f"{number[:-4]}XXXX"
