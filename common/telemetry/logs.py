"""structlog, set up once per process: static event names in the past tense, identifiers as fields, UTC timestamps."""

import asyncio
import logging
import sys
import traceback
from typing import Any, Literal

import structlog

#: Libraries whose own chatter (every reconnect, every request) would drown ours: only their warnings are shown.
_CHATTY = ("aio_pika", "aiormq", "botocore", "aiobotocore", "boto3", "httpx", "httpcore", "asyncio", "aiohttp")

#: Silent altogether: its warnings may hold whole messages, and what matters of them has lines of ours.
_SILENT = ("aiormq.channel",)


def configure_logs(level: str, log_format: Literal["json", "console"] | None, process: str) -> None:
    """Send every log line, ours and the libraries', to stdout in one format. May run twice: the last call counts."""
    console = log_format == "console" or (log_format is None and sys.stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _render_exception,
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def log_unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's exception handler: asyncio's own one prints an exception's text."""
    error = context.get("exception")
    structlog.get_logger().error("error_unhandled", what=context.get("message", "").partition("\n")[0], exc_info=error)


def _render_exception(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say an exception's type and where it came from, but not its text: that may quote a token, a name or a number."""
    exc_info = event.pop("exc_info", None)
    if not exc_info:
        return event
    error = exc_info if isinstance(exc_info, BaseException) else exc_info[1] if isinstance(exc_info, tuple) else None
    error = error or sys.exception()
    if error is not None:
        event["error"] = type(error).__name__
        event["trace"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-12:]
        ]
    return event
