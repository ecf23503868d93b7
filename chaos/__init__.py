"""The kill matrix and the soak: every part is broken under load and held against the simulator's truth.

`python -m chaos matrix` breaks each part in each way, one after another; `python -m chaos soak` lets it all run for
long, with an outage of each server, and watches memory and file descriptors. Both exit with 1 when anything is lost,
doubled or does not recover.
"""
