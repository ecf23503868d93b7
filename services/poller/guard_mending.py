"""What a person has to do when RingCentral does not make a subscription, by its error code (facts 3)."""

from typing import Final

from common.ringcentral.errors import RingCentralError

#: What a disabled filter lacks; RingCentral's pages name both (facts 1.2).
PERMISSION: Final = "ReadRingSenseInsights and ReadCompanyCallRecording"
#: 30 subscriptions are the most that a user has for an app.
TOO_MANY: Final = "SUB-505"

_MENDING: Final = {
    TOO_MANY: "this user has 30 subscriptions for this app already: delete some that nobody needs",
    "SUB-520": "whoever answers at RC_WEBHOOK_ADDRESS does not echo Validation-Token: it is not the receiver",
    "SUB-521": "RC_WEBHOOK_ADDRESS cannot be reached from the internet: check DNS, firewall and proxy",
    "SUB-522": "RC_WEBHOOK_ADDRESS answers with another status than 200: check its path and the proxy",
    "SUB-524": "the TLS certificate of RC_WEBHOOK_ADDRESS is not valid, or its chain lacks an intermediate one",
    "SUB-525": "the answer of RC_WEBHOOK_ADDRESS is larger than 1024 bytes with its headers: let the proxy add none",
    "SUB-508": "RC_DOMAINS names a domain that RingCentral does not know",
    "CMN-101": "RingCentral does not take RC_WEBHOOK_ADDRESS or RC_WEBHOOK_TOKEN as it is written",
    "CMN-401": "the app lacks a scope: SubscriptionWebhook and RingSense, in the Developer Console",
}


def mending_of(error: RingCentralError) -> str | None:
    """One sentence for the operator, or None when the code is none of those."""
    return _MENDING.get(error.code or "")
