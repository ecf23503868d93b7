"""`ringvault`: settings come from the environment, as for the services."""

import asyncio
import os
import sys
from typing import Annotated

import typer

from cli.backfill import app as backfill
from cli.dead_letters import app as dead_letters
from cli.ledger import ledger
from cli.loss_clock import loss_clock
from cli.on_database import sentence_of
from cli.outages import outages
from cli.rebuild import rebuild_rows
from cli.reconcile import reconcile_span
from cli.replay import replay_journal
from cli.verify import verify
from common.database.migrate import MINUTES, SchemaError
from common.database.migrate import migrate as apply
from common.settings import DatabaseSettings, SettingsError, read_settings

#: The exit status for what a person must mend; 1 is left to the unexpected.
EXIT_FAULT = 2

app = typer.Typer(
    name="ringvault",
    help="Every recorded RingCentral call in your own storage and Postgres.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(backfill)
app.add_typer(dead_letters)
app.command("reconcile")(reconcile_span)
app.command("replay")(replay_journal)
app.command("rebuild")(rebuild_rows)
app.command()(ledger)
app.command()(loss_clock)
app.command()(outages)
app.command()(verify)


@app.callback()
def _ringvault() -> None:
    """Every recorded RingCentral call in your own storage and Postgres."""


@app.command()
def migrate(
    minutes: Annotated[
        float, typer.Option(min=0.1, help="that one migration may take; large tables need more")
    ] = MINUTES,
) -> None:
    """Bring the schema of DATABASE_URL up to date; any number of these may run at once."""
    url = read_settings(DatabaseSettings, os.environ).database_url.get_secret_value()
    try:
        applied = asyncio.run(apply(url, minutes=minutes))
    except SchemaError as fault:
        raise SettingsError(str(fault)) from None
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise SettingsError(sentence) from None
    typer.echo("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


@app.command(
    # The simulator reads its own options, its --help among them: it is no part of the product and knows nothing of it.
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def simulator(context: typer.Context) -> None:
    """Run a RingCentral on this machine, until Ctrl-C; see docs/simulator.md and --help of this command."""
    from simulator.__main__ import main as run

    sys.exit(run(context.args, "ringvault simulator"))


def main() -> None:
    """Run the command; a fault that a person can mend is one sentence on stderr."""
    try:
        app()
    except SettingsError as fault:
        sys.stderr.write(f"ringvault: {fault}\n")
        sys.exit(EXIT_FAULT)


if __name__ == "__main__":
    main()
