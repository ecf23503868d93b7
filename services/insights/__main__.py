"""`python -m services.insights`."""

from common.process import run_process
from services.insights.serve import InsightsSettings, serve

if __name__ == "__main__":
    run_process("insights", InsightsSettings, serve)
