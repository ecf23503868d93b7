"""What can be chosen to go wrong by the seed, by name: ``category:kind``."""

from simulator.storm import STORM
from simulator.wrinkles import WRINKLES

#: once in the run, all subscriptions are blacklisted.
BLACKLISTED = "events:blacklisted"
#: events of another account come to the same address.
FOREIGN_ACCOUNT = "events:foreign-account"

NAMES = frozenset({one.name for one in STORM} | set(WRINKLES) | {BLACKLISTED, FOREIGN_ACCOUNT})
CATEGORIES = frozenset(name.partition(":")[0] for name in NAMES)
#: only by their own name, and why.
BY_NAME_ONLY = {
    "budget:bare": "each costs at least 30 s of waiting, as nothing says how long",
    "http:truncated": "only the content tells, so a client may well settle for what it got",
    "http:cut-unframed": "only the content tells, so a client may well settle for what it got",
}


def chosen_faults(text: str) -> frozenset[str]:
    """The names that a choice like ``storm``, ``http,token`` or ``http:503,events`` means.

    Raises ValueError for what is neither a category nor a name.
    """
    chosen: set[str] = set()
    for part in (part.strip() for part in text.split(",")):
        if part in NAMES:
            chosen.add(part)
        elif part == "storm" or part in CATEGORIES:
            chosen |= {name for name in NAMES - set(BY_NAME_ONLY) if part in {"storm", name.partition(":")[0]}}
        elif part:
            raise ValueError(
                f"faults: {part!r} is none; choose storm, {', '.join(sorted(CATEGORIES))}, or of these: "
                f"{', '.join(sorted(NAMES))}"
            )
    return frozenset(chosen)
