"""`ringvault loss-clock`: when RingCentral drops what is not stored yet, and whether the budget can keep ahead.

Needs DATABASE_URL and RC_ACCOUNT_ID; and RC_CLIENT_ID for the rate limit that was learnt, or the usual one counts.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from pydantic import Field

from cli.on_database import on_database
from cli.table import lines_of
from common.database.loss_clock import read_loss_clock, retentions_of
from common.database.pool import Pool
from common.loss_clock import Reading
from common.ringcentral.budget import DEFAULT_RATE, Budget, Group
from common.settings import AccountSettings, DatabaseSettings, RetentionSettings

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR


class LossClockSettings(DatabaseSettings, AccountSettings, RetentionSettings):
    """What the command needs."""

    rc_client_id: str | None = Field(None, description="the client id of the RingCentral app")


def loss_clock(*, as_json: Annotated[bool, typer.Option("--json", help="as JSON: one object")] = False) -> None:
    """When RingCentral drops what is not stored yet, and whether the budget can keep ahead."""

    async def look(settings: LossClockSettings, pool: Pool) -> Reading:
        rate = await Budget(pool, settings.rc_client_id).rate(Group.HEAVY) if settings.rc_client_id else None
        now = datetime.now(UTC)
        return await read_loss_clock(pool, settings.rc_account_id, retentions_of(settings), now, rate or DEFAULT_RATE)

    reading = on_database(LossClockSettings, look)
    typer.echo(json.dumps(_object(reading), indent=2) if as_json else _text(reading))


def _object(reading: Reading) -> dict[str, Any]:
    caught_up = reading.caught_up_in
    return {
        "at": reading.now.isoformat(),
        "waiting": reading.waiting,
        "too_late": reading.too_late,
        "losses_expected": reading.expected_losses,
        "hours_until_caught_up": None if caught_up is None else round(caught_up.total_seconds() / _HOUR, 1),
        "types": [
            {
                "retention_type": kept.retention.retention_type,
                "kept": kept.count,
                "cap": kept.retention.cap,
                "days": kept.retention.lifetime.total_seconds() / _DAY,
                "new_a_day": round(kept.rate * _DAY, 1),
                "hours_until_first_loss": _hours_until_first_loss(reading, kept.retention.retention_type),
            }
            for kept in reading.kept
        ],
    }


def _hours_until_first_loss(reading: Reading, retention_type: str) -> float | None:
    moment = reading.first_loss.get(retention_type)
    return None if moment is None else round((moment - reading.now).total_seconds() / _HOUR, 1)


def _text(reading: Reading) -> str:
    told = _object(reading)
    head = ["TYPE", "KEPT", "OF AT MOST", "FOR DAYS", "NEW A DAY", "FIRST LOSS IN HOURS"]
    rows = [
        [
            one["retention_type"],
            f"{one['kept']:,}",
            f"{one['cap']:,}",
            f"{one['days']:g}",
            f"{one['new_a_day']:,}",
            "nothing waits" if one["hours_until_first_loss"] is None else f"{one['hours_until_first_loss']:,}",
        ]
        for one in told["types"]
    ]
    hours = told["hours_until_caught_up"]
    return "\n".join(
        [
            *lines_of([head, *rows]),
            f"{reading.waiting:,} recordings wait; {reading.too_late:,} more are probably lost, and tried last",
            f"{reading.expected_losses:,} cannot be saved with this budget, whatever the order",
            "more comes than the budget allows: it never catches up; add a service user to RC_JWT"
            if hours is None
            else f"all is fetched in {hours:,} hours, live calls included",
        ]
    )
