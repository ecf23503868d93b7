"""The operator's command, `ringvault`."""
