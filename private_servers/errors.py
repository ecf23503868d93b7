"""The one error of private servers."""

#: What works everywhere; every error that names something missing on this machine ends with it.
OTHER_WAY = "use `docker compose --profile demo up` instead"


class PrivateServerError(RuntimeError):
    """A private server cannot run here or did not start: one sentence, and the log's last lines if there are any."""


def cannot_run(server: str, missing: str) -> PrivateServerError:
    return PrivateServerError(f"A private {server} cannot run on this machine: {missing}; {OTHER_WAY}.")
