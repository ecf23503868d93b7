"""Event filters: which are understood, which are refused, and which a user may not have (facts 1.2, 2.5 and 3)."""

import re
from dataclasses import dataclass

from simulator.errors import Refusal
from simulator.oauth import User

DOMAINS = "pbx|rcv|rcx|ms-teams|nice-incontact"
INSIGHTS = re.compile(rf"/ai/ringsense/v1/public/accounts/(?P<account>[^/?]+)/domains/(?:{DOMAINS})/insights")
REMINDER = re.compile(r"/restapi/v1\.0/subscription/~\?threshold=(?P<threshold>\d+)&interval=(?P<interval>\d+)")
#: filters that may be subscribed to but never fire here: telephony sessions, presence, messages, extension changes.
QUIET = re.compile(
    r"/restapi/v1\.0/account/(?P<account>[^/?]+)"
    r"/(?:telephony/sessions|presence|extension|extension/(?P<extension>[^/?]+)(?:/[a-z/-]+)?)(?:\?.*)?"
)
#: both official pages are right in their own way, so both permissions are needed (facts 1.2).
INSIGHT_PERMISSIONS = ("ReadRingSenseInsights", "ReadCompanyCallRecording")


@dataclass(frozen=True)
class Disabled:
    filter: str
    permission: str

    def rendered(self) -> dict[str, str]:
        return {
            "filter": self.filter,
            "reason": "InsufficientPermissions",
            "message": f"User needs to have [{self.permission}] permission",
        }


def check_filters(filters: list[str], account_id: str, user: User) -> None:
    """Raises Refusal for filters that make the whole request fail."""
    invalid = [text for text in filters if not _match(text)]
    if invalid or not filters:
        raise Refusal(400, "SUB-508", f"Event filters are invalid: [{', '.join(invalid)}]")
    for text in filters:
        found = _match(text)
        parts = found.groupdict() if found else {}
        if parts.get("account") not in {None, "~", account_id}:
            raise Refusal(403, "SUB-406", "Not allowed subscribe for events of other accounts")
        if parts.get("extension") not in {None, "~", user.extension_id}:
            raise Refusal(403, "SUB-405", "Not allowed subscribe for events of other extensions")
    if all(REMINDER.fullmatch(text) for text in filters):
        raise Refusal(400, "SUB-515", "Subscription can't have only a reminder event filter")


def split_by_permission(filters: list[str], user: User, scopes: set[str]) -> tuple[list[str], list[Disabled]]:
    """The filters that work for this user, and the others with what is missing."""
    enabled: list[str] = []
    disabled: list[Disabled] = []
    for text in filters:
        missing = _missing(user, scopes) if INSIGHTS.fullmatch(text) else []
        if missing:
            disabled.append(Disabled(text, missing[0]))
        else:
            enabled.append(text)
    return enabled, disabled


def concrete(text: str, user: User) -> str:
    """The filter with ``~`` replaced by real ids; a reminder keeps its ``~``."""
    if REMINDER.fullmatch(text):
        return text
    with_account = re.sub(r"(accounts?)/~", rf"\1/{user.account_id}", text)
    return with_account.replace("/extension/~", f"/extension/{user.extension_id}")


def insights_event_name(account_id: str, domain: str = "pbx") -> str:
    return f"/ai/ringsense/v1/public/accounts/{account_id}/domains/{domain}/insights"


def _missing(user: User, scopes: set[str]) -> list[str]:
    lacking = [permission for permission in INSIGHT_PERMISSIONS if permission not in user.permissions]
    return lacking if "RingSense" in scopes else ["RingSense", *lacking]


def _match(text: str) -> re.Match[str] | None:
    return INSIGHTS.fullmatch(text) or REMINDER.fullmatch(text) or QUIET.fullmatch(text)
