"""Postgres: the pool, the migrations, and one typed function per named SQL block.

Works behind a transaction pooler: no prepared statement outlives its transaction, no session state, no LISTEN, no
session-level advisory lock. Errors of `DATABASE_AWAY` mean "wait and try again"; all others are ours to mend.
"""
