"""The four processes. Each is a package that runs with `python -m services.NAME`; none imports another."""
