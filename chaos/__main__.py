"""`python -m chaos matrix | soak`: see `--help`."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from chaos.disks import disks_of, with_disks
from chaos.faults import FAULTS, TARGETS, Cell
from chaos.matrix import run_cells
from chaos.soak import run_soak
from chaos.table import show_table
from chaos.world import World, open_world
from private_servers.errors import PrivateServerError

#: One cell of each target that asks much of it, in less than six minutes together. A cut of S3 or RingCentral would ask
#: more, but waits for the minute before the third attempt.
SHORT: Final = (
    "receiver:full",
    "insights:SIGKILL",
    "poller:SIGKILL",
    "downloader:SIGKILL",
    "RabbitMQ:SIGKILL",
    "Postgres:frozen",
    "S3:frozen",
    "RingCentral:frozen",
)


def main() -> int:
    """Run what the arguments say; 0 when nothing was lost or doubled and all has recovered."""
    options = _options()
    if options.fills_disks and "CHAOS_INSIDE" not in os.environ:
        return with_disks(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="ringvault-chaos-world-") as folder:
            return _run(options, Path(folder), console)
    except PrivateServerError as fault:
        sys.stderr.write(f"chaos: {fault}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace, folder: Path, console: Console) -> int:
    started = time.monotonic()
    console.print(f"Starting servers, the simulator and two processes of each service; seed {options.seed} …")
    with open_world(folder, disks_of(os.environ), options.seed) as world:
        world.start_all()
        good = bool(options.run(world, options, console))
        if not good:
            logs = Path.cwd() / ".demo" / "chaos"
            shutil.rmtree(logs, ignore_errors=True)
            shutil.copytree(folder, logs, ignore=shutil.ignore_patterns("spool", "audio"))
            console.print(f"The logs of all processes are in {logs}.", soft_wrap=True)
    console.print(f"{time.monotonic() - started:.0f} s with seed {options.seed}", highlight=False)
    return 0 if good else 1


def _matrix(world: World, options: argparse.Namespace, console: Console) -> bool:
    results = run_cells(world, options.cells, options.seed, console)
    show_table(console, results)
    return all(result.good for result in results)


def _soak(world: World, options: argparse.Namespace, console: Console) -> bool:
    return run_soak(world, options.minutes, options.seed, console)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    commands = parser.add_subparsers(required=True)
    matrix = commands.add_parser("matrix", help="break each part in each way, one after another")
    matrix.add_argument(
        "--short", dest="cells", action="store_const", const=[cell_of(one) for one in SHORT], help="a few cells only"
    )
    matrix.add_argument(
        "--cells",
        type=lambda text: [cell_of(one) for one in text.split(",")],
        help="only these, for example receiver:SIGKILL,S3:cut",
    )
    matrix.set_defaults(
        run=_matrix, fills_disks=True, cells=[Cell(target, fault) for target in TARGETS for fault in FAULTS]
    )
    soak = commands.add_parser("soak", help="run for long, with an outage of each server")
    soak.add_argument("--minutes", type=float, default=20, help="how long the load lasts (default 20)")
    soak.set_defaults(run=_soak, fills_disks=False)
    for command in (matrix, soak):
        command.add_argument("--seed", type=int, default=1, help="decides load and victims (default 1)")
    return parser.parse_args()


def cell_of(text: str) -> Cell:
    targets = {shown.lower(): name for name, shown in TARGETS.items()}
    faults = {name.lower(): name for name in FAULTS}
    target, _, fault = text.strip().lower().partition(":")
    if target not in targets or fault not in faults:
        raise argparse.ArgumentTypeError(
            f"{text} is no cell: name one of {', '.join(TARGETS.values())}, then :, then one of {', '.join(FAULTS)}"
        )
    return Cell(targets[target], faults[fault])


if __name__ == "__main__":
    sys.exit(main())
