"""The endpoints: path, budget group, and the scope and permission that each one asks for (facts 1 to 5)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from simulator import account_endpoints as account
from simulator import call_log, call_log_sync
from simulator import recording_endpoints as recordings
from simulator import subscription_endpoints as subscriptions
from simulator.answers import Answer
from simulator.world import Incoming, World

Handler = Callable[[World, Incoming], Awaitable[Answer]]

ACCOUNT = "/restapi/v1.0/account/{account_id}"
SUBSCRIPTION = "/restapi/v1.0/subscription"
INSIGHTS = "/ai/ringsense/v1/public/accounts/{account_id}/domains/{domain}"


@dataclass(frozen=True)
class Endpoint:
    """``name`` is how counts and faults call it; ``query_token``: the token may come in the query (media only)."""

    name: str
    method: str
    path: str
    group: str
    handler: Handler
    scope: str = ""
    permission: str = ""
    query_token: bool = False


ENDPOINTS = (
    Endpoint("account.get", "GET", ACCOUNT, "light", account.get_account, "ReadAccounts"),
    Endpoint(
        "permission.check",
        "GET",
        f"{ACCOUNT}/extension/{{extension_id}}/authz-profile/check",
        "light",
        account.check_permission,
    ),
    Endpoint(
        "call_log.list",
        "GET",
        f"{ACCOUNT}/call-log",
        "heavy",
        call_log.list_call_log,
        "ReadCallLog",
        "FullCompanyCallLog",
    ),
    Endpoint(
        "call_log.get",
        "GET",
        f"{ACCOUNT}/call-log/{{call_ids}}",
        "heavy",
        call_log.get_call_records,
        "ReadCallLog",
        "FullCompanyCallLog",
    ),
    Endpoint(
        "call_log.sync",
        "GET",
        f"{ACCOUNT}/call-log-extract-sync",
        "heavy",
        call_log_sync.extract_sync,
        "ReadCallLog",
        "ReadCallLog",
    ),
    Endpoint(
        "recording.get",
        "GET",
        f"{ACCOUNT}/recording/{{recording_id}}",
        "heavy",
        recordings.get_recording,
        "ReadCallRecording",
        "ReadCompanyCallRecording",
    ),
    Endpoint(
        "recording.content",
        "GET",
        f"{ACCOUNT}/recording/{{recording_id}}/content",
        "heavy",
        recordings.get_content,
        "ReadCallRecording",
        "ReadCompanyCallRecording",
        query_token=True,
    ),
    Endpoint(
        "insights.record",
        "GET",
        f"{INSIGHTS}/records/{{record_id}}/insights",
        "light",
        account.insights_of_record,
        "RingSense",
    ),
    Endpoint(
        "insights.session",
        "GET",
        f"{INSIGHTS}/sessions/{{session_id}}/insights",
        "light",
        account.insights_of_session,
        "RingSense",
    ),
    Endpoint("subscription.list", "GET", SUBSCRIPTION, "light", subscriptions.list_subscriptions),
    Endpoint(
        "subscription.create", "POST", SUBSCRIPTION, "medium", subscriptions.create_subscription, "SubscriptionWebhook"
    ),
    Endpoint("subscription.get", "GET", f"{SUBSCRIPTION}/{{subscription_id}}", "light", subscriptions.get_subscription),
    Endpoint(
        "subscription.update", "PUT", f"{SUBSCRIPTION}/{{subscription_id}}", "medium", subscriptions.update_subscription
    ),
    Endpoint(
        "subscription.renew",
        "POST",
        f"{SUBSCRIPTION}/{{subscription_id}}/renew",
        "light",
        subscriptions.renew_subscription,
    ),
    Endpoint(
        "subscription.delete",
        "DELETE",
        f"{SUBSCRIPTION}/{{subscription_id}}",
        "medium",
        subscriptions.delete_subscription,
    ),
)
