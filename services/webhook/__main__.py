"""`python -m services.webhook`."""

from common.process import run_process
from services.webhook.service import serve
from services.webhook.settings import WebhookSettings

if __name__ == "__main__":
    run_process("webhook", WebhookSettings, serve)
