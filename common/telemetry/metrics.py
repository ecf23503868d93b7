"""Every metric of ringvault, declared once with its meaning; nothing else in the project creates one.

Labels come from small closed sets. Identifiers, names and numbers go to the log or to Postgres, never into a label.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

#: The receiver has 3 s; the steps are dense where that limit is near.
_ANSWER_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3)
#: From a short recording on a fast line to an hour of stereo audio on a slow one.
_WORK_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900)

WEBHOOK_REQUESTS = Counter(
    "ringvault_webhook_requests", "Requests to the receiver by answer given.", ["outcome"], registry=REGISTRY
)
WEBHOOK_ANSWER_SECONDS = Histogram(
    "ringvault_webhook_answer_seconds",
    "Time from the request's head to the answer; RingCentral gives up after 3 s.",
    registry=REGISTRY,
    buckets=_ANSWER_SECONDS,
)
WEBHOOK_CONNECTIONS = Gauge(
    "ringvault_webhook_connections", "Connections to the receiver's public port.", registry=REGISTRY
)
WEBHOOK_CONNECTIONS_CLOSED = Counter(
    "ringvault_webhook_connections_closed",
    "Connections that the receiver has closed: for another one, or because a head did not arrive in time.",
    ["reason"],
    registry=REGISTRY,
)
SPOOL_EVENTS = Gauge("ringvault_spool_events", "Events that wait in this process's spool.", registry=REGISTRY)
SPOOL_OLDEST_SECONDS = Gauge(
    "ringvault_spool_oldest_seconds", "Age of the oldest event in this process's spool.", registry=REGISTRY
)
PUBLISHED = Counter(
    "ringvault_messages_published", "Messages handed to the broker, by fate.", ["queue", "outcome"], registry=REGISTRY
)
HANDLED = Counter(
    "ringvault_messages_handled", "Messages settled by this process.", ["queue", "outcome"], registry=REGISTRY
)
HANDLING_SECONDS = Histogram(
    "ringvault_message_handling_seconds",
    "Time from taking a message (or batch) in hand to settling it.",
    ["queue"],
    registry=REGISTRY,
    buckets=_WORK_SECONDS,
)
EVENTS_JOURNALED = Counter(
    "ringvault_events_journaled",
    "Insight events by what became of them: applied, duplicate, or kept with an error.",
    ["outcome"],
    registry=REGISTRY,
)
DATABASE_AWAY = Counter(
    "ringvault_database_away", "Times that Postgres was found away, by what it said.", ["error"], registry=REGISTRY
)
LEADER = Gauge("ringvault_poller_leader", "1 while this poller is the leader.", registry=REGISTRY)
POLLS = Counter("ringvault_call_log_polls", "Call-log polls by outcome.", ["outcome"], registry=REGISTRY)
POLLED_UNTIL = Gauge(
    "ringvault_call_log_polled_until_timestamp_seconds",
    "Business time of the last call-log poll that was committed.",
    registry=REGISTRY,
)
CALLS_SEEN = Counter("ringvault_calls_seen", "Call-log records written by polls.", registry=REGISTRY)
RECORDINGS_HEALED = Counter(
    "ringvault_recordings_healed",
    "Recordings that were missing until the call log was read again, by why.",
    ["why"],
    registry=REGISTRY,
)
RECORDINGS_ANNOUNCED = Counter("ringvault_recordings_announced", "Download jobs announced.", registry=REGISTRY)
SUBSCRIPTION_EXPIRES = Gauge(
    "ringvault_subscription_expires_timestamp_seconds", "When our subscription would end.", registry=REGISTRY
)
SUBSCRIPTION_LIVE = Gauge(
    "ringvault_subscription_live", "1 while our subscription delivers, by all that is known.", registry=REGISTRY
)
SUBSCRIPTION_OUTAGES = Counter(
    "ringvault_subscription_outages",
    "Intervals in which no event could reach us, by reason.",
    ["reason"],
    registry=REGISTRY,
)
INSIGHTS_ASKED = Counter(
    "ringvault_insights_asked",
    "Requests for insights that no event brought, by outcome: found, notes_only, missing, forbidden, rejected, failed.",
    ["outcome"],
    registry=REGISTRY,
)
CALLS_ASKED = Counter(
    "ringvault_calls_asked",
    "Requests for the call-log entry of one recording that polls did not show: found, missing, rejected, failed.",
    ["outcome"],
    registry=REGISTRY,
)
DOWNLOADS = Counter(
    "ringvault_downloads",
    "Download attempts by outcome and the kind of reason.",
    ["outcome", "reason"],
    registry=REGISTRY,
)
DOWNLOADED_BYTES = Counter("ringvault_downloaded_bytes", "Bytes of audio read from RingCentral.", registry=REGISTRY)
DOWNLOAD_SECONDS = Histogram(
    "ringvault_download_seconds", "Time of a stored download.", registry=REGISTRY, buckets=_WORK_SECONDS
)
DOWNLOAD_RESUMES = Counter(
    "ringvault_download_resumes",
    "Lost connections in the middle of an audio, by how the source went on: behind what was received, or anew.",
    ["reply"],
    registry=REGISTRY,
)
RECORDINGS_ASKED_FOR_LENGTH = Counter(
    "ringvault_recordings_asked_for_length",
    "Heavy requests for a recording's metadata, because its audio alone was no proof, by verdict.",
    ["verdict"],
    registry=REGISTRY,
)
RINGCENTRAL_REQUESTS = Counter(
    "ringvault_ringcentral_requests",
    "Requests to RingCentral by rate group and status.",
    ["group", "status"],
    registry=REGISTRY,
)
BUDGET_WAIT_SECONDS = Histogram(
    "ringvault_budget_wait_seconds",
    "Time a request waited for its slot.",
    ["group"],
    registry=REGISTRY,
    buckets=(0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 40, 60),
)
BUDGET_WAITING_SECONDS = Counter(
    "ringvault_budget_waiting_seconds",
    "Time in which at least one request of this process waited for a slot: nearly all of it where the budget limits.",
    ["group"],
    registry=REGISTRY,
)
TOKENS_MINTED = Counter("ringvault_tokens_minted", "Access tokens asked of RingCentral.", registry=REGISTRY)
LEDGER_CALLS = Gauge("ringvault_ledger_calls", "Calls of the last seven days; told by the leader.", registry=REGISTRY)
LEDGER_RECORDINGS = Gauge(
    "ringvault_ledger_recordings",
    "Recordings of the last seven days by the cell that their audio, or their insights, are in; told by the leader. Of "
    "each kind they add up to all.",
    ["kind", "cell", "reason"],
    registry=REGISTRY,
)
FIRST_LOSS = Gauge(
    "ringvault_first_loss_timestamp_seconds",
    "When RingCentral drops the first recording that is not stored yet; absent when nothing waits. Told by the leader.",
    ["retention_type"],
    registry=REGISTRY,
)
RETENTION_KEPT = Gauge(
    "ringvault_retention_kept",
    "Recordings that RingCentral keeps, as far as its cap. Told by the leader.",
    ["retention_type"],
    registry=REGISTRY,
)
RETENTION_CAP = Gauge(
    "ringvault_retention_cap", "How many RingCentral keeps at most.", ["retention_type"], registry=REGISTRY
)
RETENTION_FILLING = Gauge(
    "ringvault_retention_filling_per_day",
    "New recordings a day, which push the oldest out of a full cap. Told by the leader.",
    ["retention_type"],
    registry=REGISTRY,
)
LOSSES_EXPECTED = Gauge(
    "ringvault_losses_expected",
    "Recordings that are not stored and that no order can save with the present budget. Told by the leader.",
    registry=REGISTRY,
)
AUDIO_WAITING = Gauge(
    "ringvault_audio_waiting",
    "Recordings to be fetched, and those that are probably lost already but are still tried. Told by the leader.",
    ["chance"],
    registry=REGISTRY,
)
CATCH_UP_SECONDS = Gauge(
    "ringvault_catch_up_seconds",
    "When everything that waits would be fetched with the present budget; +Inf when more comes than it allows.",
    registry=REGISTRY,
)
