"""The receiver: RingCentral's events in, answered within 3 s, each insights event on its queue.

In comes `POST /api/rc/webhook`. Out goes `InsightsReceived`, with the bytes that arrived: confirmed by the broker or,
when that takes too long, fsynced to the spool, which drains into the broker later. Delivered at least once: expect
duplicates. Needs neither a database nor a RingCentral secret. What may fail is told in `answers`.
"""
