"""Postgres: the pool, the migrations, and one typed function per named SQL block.

Works behind a transaction pooler: no prepared statement outlives its transaction, no session state, no LISTEN, no
session-level advisory lock. `DatabaseAway` means "wait and try again", wherever it comes from; all other errors are
ours to mend.
"""
