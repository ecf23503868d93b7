"""`make openapi`: a running receiver, asked by schemathesis what its own description allows and what it forbids.

Ends with 1 when an answer is not as described: another status, media type, header or body, anything accepted that
is not described, another method than 405, or any 5xx.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.receiver import TOKEN, running
from private_servers.errors import PrivateServerError
from private_servers.rabbitmq import RabbitMQ

DESCRIPTION: Final = Path(__file__).parents[1] / "docs" / "receiver-openapi.yaml"
#: Requests that are drawn beside those at the edges of the description, by default: under a minute.
EXAMPLES: Final = 300
#: What an OpenAPI description cannot say: that the body may be left out only with a `Validation-Token`.
LEFT_OUT: Final = ("positive_data_acceptance",)


def main() -> int:
    """Run it; the exit status is schemathesis' own."""
    parser = argparse.ArgumentParser(prog="make openapi", description=__doc__)
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with RabbitMQ() as rabbitmq, running(rabbitmq, Path(folder)) as receiver:
                command = [sys.executable, "-m", "schemathesis.cli", "run", str(DESCRIPTION), "--no-color"]
                command += ["--url", f"http://127.0.0.1:{receiver.port}", "--header", f"Verification-Token: {TOKEN}"]
                command += ["--exclude-checks", ",".join(LEFT_OUT), "--max-examples", str(options.examples)]
                command += ["--seed", str(options.seed), "--generation-database", "none"]
                command += ["--suppress-health-check", "all"]  # they are about the speed of this machine.
                status = subprocess.run(command, env=os.environ, cwd=folder, check=False).returncode
                errors = sorted(set(receiver.errors()))
        except PrivateServerError as fault:
            sys.stderr.write(f"openapi: {fault}\n")
            return 1
    if errors:
        sys.stderr.write(f"openapi: errors in the receiver's log: {', '.join(errors)}\n")
    return status or bool(errors)


if __name__ == "__main__":
    sys.exit(main())
