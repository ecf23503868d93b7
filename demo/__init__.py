"""The demonstration: a simulated company runs through the real product, and the result is held against the truth.

`python -m demo` starts private servers, the simulator and the four services; `python -m demo.watch` watches services
that run already (as in the compose file). Both end with a check and exit with its result.
"""
