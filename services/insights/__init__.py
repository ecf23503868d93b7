"""Event from the queue → journal and `recordings` row, in one transaction; in batches when there is a backlog.

In comes `InsightsReceived`. What is journaled is acknowledged, understood or not; the dead letters hold only what could
not be journaled.
"""
