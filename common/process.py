"""How every service process begins and ends: settings, logs, admin port, then its work until SIGTERM or SIGINT."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from common.clock import PausingClock, SystemClock
from common.settings import ProcessSettings, SettingsError, read_settings
from common.telemetry.admin import serve_admin
from common.telemetry.health import Health
from common.telemetry.logs import configure_logs, log_unhandled

S = TypeVar("S", bound=ProcessSettings)
#: What a service does, with its settings, its health, the event that stops it, and its clock.
Serve = Callable[[S, Health, asyncio.Event, PausingClock], Awaitable[None]]

#: The exit status of a process that cannot start as it is set up, and of one that met the unexpected.
EXIT_SETTINGS = 2
EXIT_FAILED = 1


class CannotStart(Exception):
    """A dependency refuses for a reason that a person must mend; the text is one sentence that says which and how."""


def run_process(name: str, kind: type[S], serve: Serve[S]) -> None:
    """Run one service until it is told to stop, and exit: 0 after a stop, 2 with one sentence per fault for what
    it cannot use, 1 after the unexpected.

    `serve` gets the settings, the process's health, the event that is set on SIGTERM or SIGINT, and its clock; it
    returns when it has finished or handed back what it had in hand.
    """
    try:
        settings = read_settings(kind, os.environ)
        configure_logs(settings.log_level, settings.log_format, name)
        asyncio.run(_main(name, settings, serve))
    except (SettingsError, CannotStart) as fault:
        sys.stderr.write("".join(f"ringvault {name}: {line}\n" for line in str(fault).splitlines()))
        sys.exit(EXIT_SETTINGS)
    except Exception:
        # Python would print the exception's text, which may quote a secret.
        log = structlog.get_logger()
        log.exception("process_failed")
        sys.exit(EXIT_FAILED)


async def _main(name: str, settings: S, serve: Serve[S]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = structlog.get_logger()
    log.info("process_started", **settings.masked())
    health = Health()
    try:
        async with serve_admin(settings.admin_host, settings.admin_port, health):
            await serve(settings, health, stop, SystemClock())
    except socket.gaierror:
        raise CannotStart("a host name cannot be resolved; check HTTP_HOST and ADMIN_HOST.") from None
    except OSError as error:
        if error.errno in {98, 99, 13}:  # address in use, not available, not allowed: the port settings are wrong
            raise CannotStart(f"a port cannot be opened: {error.strerror}; check HTTP_PORT and ADMIN_PORT.") from None
        raise
    log.info("process_stopped", name=name)
