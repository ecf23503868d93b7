"""What an operator sees of a process: log lines (JSON, one event each), metrics, and the admin port with health."""
