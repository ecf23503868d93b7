"""A RingCentral that runs on your machine: same paths, same rules, same refusals, a company drawn from a seed.

In: HTTP requests as RingCentral takes them, and orders under ``/simulator/``. Out: answers, and events to subscribed
webhooks. It imports nothing of this project: its rules come from published facts, not from what a client needs.
"""

from simulator.options import SimulatorOptions
from simulator.simulator import Simulator

__all__ = ["Simulator", "SimulatorOptions"]
