"""`python -m services.poller`."""

from common.process import run_process
from services.poller.serve import PollerSettings, serve

if __name__ == "__main__":
    run_process("poller", PollerSettings, serve)
