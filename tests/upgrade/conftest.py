"""The servers of the end-to-end tests."""

from tests.end_to_end.conftest import postgres, rabbitmq, s3

__all__ = ["postgres", "rabbitmq", "s3"]
