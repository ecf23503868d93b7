"""The check of `deploy/kubernetes`, without a cluster: schemas, and what we ask of every pod beyond them.

`make check-kubernetes` installs what it needs and runs it.
"""
