"""``python -m simulator``: runs until SIGTERM or SIGINT; one JSON line on stdout says where and with what."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from simulator.options import SimulatorOptions, read_options
from simulator.simulator import Simulator


def main(arguments: Sequence[str], program: str = "simulator") -> int:
    """The exit status; what cannot be is one sentence on stderr. ``--help`` and unknown options raise SystemExit."""
    options = read_options(arguments, os.environ, program)
    try:
        asyncio.run(_run(options))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{program}: {error}\n")
        return 1
    return 0


async def _run(options: SimulatorOptions) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Simulator(options) as simulator:
        sys.stdout.write(f"{simulator.announcement()}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
