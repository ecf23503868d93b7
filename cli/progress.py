"""What a command tells on stderr while it works: on a terminal it stands in the place of how far it is."""

import sys

import typer


def show(progress: str) -> None:
    """How far it is, on a terminal only, in the place of what it was."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{progress}")


def say(what: str) -> None:
    """Something that stays, as a line of its own."""
    show("")
    typer.echo(what, err=True)
