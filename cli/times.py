"""Times on the command line."""

from datetime import UTC, datetime

from common.settings import SettingsError


def time_of_option(name: str, text: str) -> datetime:
    """An ISO 8601 time or day, in UTC unless it says otherwise; raises `SettingsError`."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{name} is no time: write 2026-03-01 or 2026-03-01T09:00:00+01:00.") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def span_of_options(begin_name: str, begin: str, end_name: str, end: str) -> tuple[datetime, datetime]:
    """Two times, of which the first is earlier; raises `SettingsError`."""
    begins, ends = time_of_option(begin_name, begin), time_of_option(end_name, end)
    if begins >= ends:
        raise SettingsError(f"{begin_name} is not before {end_name}: there is nothing between.")
    return begins, ends
