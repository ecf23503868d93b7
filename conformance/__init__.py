"""Conformance: what our client sends and our simulator answers, held against RingCentral's own OpenAPI file.

In: the path of that file (`RINGCENTRAL_OPENAPI`), which is not part of this project. Out: what was covered, how much
was checked, and every deviation that is not a known fault of the file. Fails when there is one, when an operation was
never answered with a 2xx without a reason, when a known fault was never seen, and when RingCentral's own SDK cannot use
the simulator.
"""
