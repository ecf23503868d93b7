"""``python -m simulator``: runs until SIGTERM or SIGINT; one JSON line on stdout says where and with what."""

import asyncio
import os
import signal
import sys

from simulator.options import SimulatorOptions, read_options
from simulator.simulator import Simulator


def main() -> int:
    options = read_options(sys.argv[1:], os.environ)
    try:
        options.jwts()
        asyncio.run(_run(options))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"simulator: {error}\n")
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
    sys.exit(main())
