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
