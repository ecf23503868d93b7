"""`make scaling`: the tables of docs/scaling.md, computed by `scaling_model` from measured constants.

`--write` puts them into the document; a test holds the document against what this prints.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.scaling_costs import (
    DISK_GB,
    EVENTS_EACH,
    LOG,
    OBJECT_GB,
    PARTS,
    TRANSACTIONS,
    WORKING_DAYS_A_YEAR,
    audio_gb,
    busiest,
    compute_dollars,
    connections,
    cores,
    pods_of,
    postgres_gb,
    requested_cores,
    requested_gib,
    users_at,
)
from benchmarks.scaling_model import CAP, HOURS, LIFETIME_DAYS, WORKING_DAYS, Company, Fleet, fewest, simulate
from manifests.scaling import most_downloaders

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
COMPANIES: Final = (Company(10), Company(1_000), Company(10_000))
#: Service users whose weeks are shown: too few, just enough, and more.
SHOWN: Final = {1_000: (1, 2, 3, 4), 10_000: (5, 8, 10, 12, 20, 32)}
#: Hours that the last recording of a day may wait: "at once" is the hour it came in, "by morning" before the next day.
AT_ONCE, BY_MORNING = 0, 12
#: Service users that are tried, up to RingCentral's 20 requests a second from one address (facts 6).
MOST_CREDENTIALS: Final = 120


def main() -> int:
    """Print the tables, or write them into the document."""
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write them into docs/scaling.md")
    if parser.parse_args().write:
        DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    for name, lines in tables().items():
        sys.stdout.write("\n".join([f"{name}:", "", *lines, "", ""]))
    return 0


def filled(text: str) -> str:
    """The document with each table between `<!-- NAME -->` and `<!-- end -->` as it is computed now.

    Raises `ValueError` when the document has no place for one.
    """
    for name, lines in tables().items():
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        head, found, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"there is no place for the table {name!r}")
        text = head + begin + "\n".join(lines) + "\n" + end + tail
    return text


def tables() -> dict[str, list[str]]:
    """Every table by its name, as lines of Markdown."""
    return {
        "audio": list(_audio()),
        "companies": list(_companies()),
        **{f"week of {users:,}": list(_weeks(Company(users), shown)) for users, shown in SHOWN.items()},
        "measured": list(_measured()),
        "parts": list(_parts()),
        "sizes": list(_sizes()),
        "nodes": list(_nodes()),
    }


def fleet_for(company: Company, hours: int) -> Fleet:
    """The fewest service users, with the downloaders that they feed, so that nothing waits longer than `hours`."""
    fleets = [fleet_of(credentials) for credentials in range(1, MOST_CREDENTIALS + 1)]
    fleet = fewest(company, fleets, hours=hours)
    if fleet is None:
        raise ValueError(f"{company.users} users need more than {MOST_CREDENTIALS} service users")
    return fleet


def fleet_of(credentials: int) -> Fleet:
    """So many service users, and as many downloaders as they feed: the cap that the KEDA overlay is held to."""
    idle = Fleet(credentials, 0)
    return Fleet(credentials, most_downloaders(credentials, idle.seconds_each, idle.streams))


def _audio() -> Iterator[str]:
    kinds = {"MP3, 32 kbit/s": 240_000, "MP3, 48 kbit/s": 360_000, "WAV, 8 kHz, 16 bit": 960_000}
    yield from _head("a recording of", *kinds)
    for minutes in (1, 4, 30, 60):
        yield _row(f"{minutes} min", *(f"{minutes * size / 1e6:.1f} MB" for size in kinds.values()))


def _companies() -> Iterator[str]:
    return _by_company(
        {
            "recordings a day": lambda one: f"{one.a_day:,}",
            "in the busiest hour": lambda one: f"{one.a_day * max(HOURS) // 100:,}",
            "audio a day": lambda one: f"{audio_gb(one):,.1f} GB",
            "RingCentral keeps a recording for": _kept_for,
            "service users, everything by morning": lambda one: f"{fleet_for(one, BY_MORNING).credentials}",
            "service users, everything within its hour": lambda one: f"{fleet_for(one, AT_ONCE).credentials}",
            "downloaders for these": lambda one: f"{fleet_for(one, AT_ONCE).downloaders}",
        }
    )


def _weeks(company: Company, shown: Sequence[int]) -> Iterator[str]:
    names = ("requests a week", "wait at 18:00 of the first day", "hours until none waits", "longest wait", "lost")
    yield from _head("service users", "downloaders", *names)
    for credentials in shown:
        fleet = fleet_of(credentials)
        week = simulate(company, fleet)
        hours = week.caught_up_after
        cells = (
            f"{week.requests:,}",
            f"{week.backlog[17]:,}",
            "not in this week" if hours is None else f"{hours}",
            f"{week.longest_wait} h" if week.longest_wait else "within the hour",
            f"{week.lost:,}",
        )
        yield _row(f"{credentials}", f"{fleet.downloaders}", *cells)


def _measured() -> Iterator[str]:
    yield from _head("part", "CPU", "idle", "most memory")
    for part in PARTS:
        memory = "–" if part.megabytes is None else f"{part.megabytes} MB"
        idle = f"{part.idle:.0f} ms a second"
        yield _row(part.name, f"{part.milliseconds:.1f} ms for one {part.works_on}", idle, memory)


def _parts() -> Iterator[str]:
    yield from _head("part", "CPU for one recording", "full at", "people who telephone")
    for part in PARTS:
        second = 1000 / part.of_a_recording
        full = f"{_rounded(second):,} recordings a second and {part.unit}"
        yield _row(part.name, f"{part.of_a_recording:.1f} ms", full, f"{_rounded(users_at(second)):,}")
    budget = Fleet(MOST_CREDENTIALS, MOST_CREDENTIALS).downloads(10**6) / 3600
    full = f"{budget:.1f} recordings a second"
    yield _row(f"budget of {MOST_CREDENTIALS} service users", "–", full, f"{_rounded(users_at(budget)):,}")


def _sizes() -> Iterator[str]:
    return _by_company(
        {
            "cores at work in the busiest hour, beside idling": lambda one: f"{cores(one):.3f}",
            "connections to Postgres at most": lambda one: f"{connections(fleet_for(one, AT_ONCE))}",
            "messages a second in the busiest hour": lambda one: f"{busiest(one) * (1 + EVENTS_EACH):.2f}",
            "transactions a second then, beside 12 when idle": lambda one: f"{busiest(one) * TRANSACTIONS:.1f}",
            "Postgres, growth a year": lambda one: f"{postgres_gb(one):,.0f} GB",
            "Postgres, log (WAL) a day": lambda one: f"{one.a_day * LOG / 1e6:,.2f} GB",
            "audio, growth a year": lambda one: f"{audio_gb(one) * WORKING_DAYS_A_YEAR:,.0f} GB",
        }
    )


def _nodes() -> Iterator[str]:
    return _by_company(
        {
            "pods of ours": lambda one: f"{sum(number for _, number in pods_of(fleet_for(one, AT_ONCE)))}",
            "CPU requests": lambda one: f"{requested_cores(fleet_for(one, AT_ONCE)):.2f} cores",
            "memory requests": lambda one: f"{requested_gib(fleet_for(one, AT_ONCE)):.1f} GiB",
            "CPU and memory a month": lambda one: f"${compute_dollars(fleet_for(one, AT_ONCE)):,.0f}",
            "audio a month, after a year": lambda one: f"${audio_gb(one) * WORKING_DAYS_A_YEAR * OBJECT_GB:,.0f}",
            "Postgres' disk a month, after a year": lambda one: f"${postgres_gb(one) * DISK_GB:,.0f}",
        }
    )


def _kept_for(company: Company) -> str:
    """Whichever of RingCentral's limits comes first."""
    days = CAP / (company.a_day * WORKING_DAYS / 7)
    return f"{LIFETIME_DAYS} days" if days > LIFETIME_DAYS else f"{days:.1f} days"


def _by_company(rows: Mapping[str, Callable[[Company], str]]) -> Iterator[str]:
    yield from _head("people who telephone", *(f"{company.users:,}" for company in COMPANIES))
    for name, cell in rows.items():
        yield _row(name, *(cell(company) for company in COMPANIES))


def _rounded(number: float) -> int:
    """To two digits: no more is known."""
    return int(float(f"{number:.1e}"))


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield "|" + "---|" * len(cells)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
