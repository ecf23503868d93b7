"""Everything one can choose about a simulator, as arguments, as ``SIMULATOR_*`` variables, or in a test."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

#: records that RingCentral's largest pages hold (facts 4.1, 4.4).
LARGEST_PAGE = 1000
#: orders of the call-log list; RingCentral's is not specified (facts 4.3).
ORDERS = ("newest", "oldest", "any")
#: kinds of ETag.
ETAGS = ("none", "weak", "strong")
RANGES = ("yes", "no", "ignored")


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """The choices. Durations are business seconds: at ``speed`` 60 one of them lasts a sixtieth of a real second.

    ``speed=1, history=0`` is the natural setting. With ``history=3600, speed=60`` the last hour is lived again within a
    minute; with ``history`` and ``elapsed`` both 3600 it is over at the start: all calls lie in the past.
    """

    host: str = field(default="127.0.0.1", metadata={"help": "address to listen on"})
    port: int = field(default=0, metadata={"help": "port to listen on, 0 for any free one"})
    seed: int = field(default=7, metadata={"help": "decides the whole company: same seed, same calls"})
    recordings: int = field(default=220, metadata={"help": "exact number of recordings the company makes"})
    extensions: int = field(default=12, metadata={"help": "people of the company"})
    licensed_share: float = field(default=0.85, metadata={"help": "share of them that have a licence for insights"})
    span: float = field(default=1500.0, metadata={"help": "business seconds, from the start, in which calls happen"})
    history: float = field(default=3600.0, metadata={"help": "how many business seconds before now the start lies"})
    elapsed: float = field(default=0.0, metadata={"help": "how many business seconds have passed already at the start"})
    speed: float = field(default=60.0, metadata={"help": "business seconds per real second"})
    begin_with_subscription: bool = field(
        default=False, metadata={"help": "business time stands still until the first subscription is made"}
    )
    account_id: str = field(default="700100200", metadata={"help": "account id of the company"})
    client_id: str = field(default="simulator-client-id", metadata={"help": "id of the registered app"})
    client_secret: str = field(default="simulator-client-secret", metadata={"help": "its secret"})
    jwt: str = field(default="simulator.jwt.one", metadata={"help": "JWT credentials, separated by commas"})
    users_of_jwts: str = field(
        default="",
        metadata={"help": "whose each JWT is: '0,0,1' gives the first two to one user; default each its own"},
    )
    public_url: str = field(
        default="", metadata={"help": "base of the addresses in answers, when clients reach it under another name"}
    )
    media_url: str = field(default="", metadata={"help": "base of contentUri, when it is not this server"})
    wav_share: float = field(default=0.15, metadata={"help": "share of recordings that are wav instead of mp3"})
    vbr_share: float = field(
        default=0.0, metadata={"help": "share of the mp3 recordings that have frames of varying bit rate"}
    )
    audio_etag: str = field(
        default="none", metadata={"help": "ETag of audio: none, weak or strong; RingCentral documents none"}
    )
    audio_ranges: str = field(
        default="yes", metadata={"help": "audio can be asked for in ranges: yes, no, or promised and then ignored"}
    )
    extra_recording_bytes: int = field(default=0, metadata={"help": "adds a call with one wav of this size"})
    foreign_users: str = field(
        default="", metadata={"help": "numbers of users that belong to another account, separated by commas"}
    )
    foreign_account_id: str = field(default="700100999", metadata={"help": "account id of that other company"})
    revoked_jwts: str = field(default="", metadata={"help": "those of the JWT credentials that are refused"})
    without_extract_sync: int = field(
        default=0, metadata={"help": "403 or 404: the account has no call-log-extract-sync and answers so"}
    )
    largest_page: int = field(
        default=1000, metadata={"help": "most records that one answer of the call log holds, whatever is asked for"}
    )
    call_log_order: str = field(
        default="newest", metadata={"help": "order of the call-log list: newest or oldest first, or any"}
    )
    faults: str = field(
        default="",
        metadata={"help": "what goes wrong by the seed: 'storm' for all, categories, or single names, by commas"},
    )
    fault_rate: float = field(default=0.2, metadata={"help": "share of requests that meet a fault while there are any"})
    fault_times: int = field(default=2, metadata={"help": "how often each kind happens at an endpoint, then no more"})
    stall_seconds: float = field(default=5.0, metadata={"help": "real seconds of silence of the stalls drawn"})
    blacklist_after: float = field(
        default=600.0, metadata={"help": "seconds of failing deliveries before blacklisting"}
    )
    reconcile_blacklisted: bool = field(
        default=False, metadata={"help": "every 15 minutes try blacklisted addresses again (the 2018 answer)"}
    )
    delivery_retries: int = field(default=0, metadata={"help": "further tries of a failed event, 30 s, 60 s, 120 s …"})
    delivery_concurrency: int = field(default=8, metadata={"help": "events under way at once"})

    def jwts(self) -> dict[str, int]:
        """Whose each JWT is: the credential and the number of its user."""
        credentials = listed(self.jwt)
        users = [int(number) for number in listed(self.users_of_jwts)] or list(range(len(credentials)))
        if len(users) != len(credentials):
            raise ValueError("users_of_jwts must name one user per JWT, for example '0,0,1' for three JWTs")
        return dict(zip(credentials, users, strict=True))

    def check(self) -> None:
        """Raises ValueError with a sentence about what cannot be."""
        self.jwts()
        if self.without_extract_sync not in {0, 403, 404}:
            raise ValueError("without_extract_sync must be 403 or 404, or 0 for an account that has the endpoint")
        if not 1 <= self.largest_page <= LARGEST_PAGE:
            raise ValueError(f"largest_page must be between 1 and {LARGEST_PAGE}")
        if self.call_log_order not in ORDERS:
            raise ValueError(f"call_log_order must be one of: {', '.join(ORDERS)}")
        if self.audio_etag not in ETAGS:
            raise ValueError(f"audio_etag must be one of: {', '.join(ETAGS)}")
        if self.audio_ranges not in RANGES:
            raise ValueError(f"audio_ranges must be one of: {', '.join(RANGES)}")
        if not 0 <= self.licensed_share <= 1:
            raise ValueError("licensed_share must be between 0 and 1")
        if not 0 < self.fault_rate <= 1:
            raise ValueError("fault_rate must be above 0 and at most 1")

    def is_foreign(self, user: int) -> bool:
        return str(user) in listed(self.foreign_users)


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _truth(text: str) -> bool:
    return text.strip().lower() in {"1", "true", "yes", "on"}


def read_options(
    arguments: Sequence[str], environment: Mapping[str, str], program: str = "simulator"
) -> SimulatorOptions:
    """Reads the command line; what it leaves out comes from ``SIMULATOR_<NAME>``, then from the defaults."""
    parser = argparse.ArgumentParser(prog=program, description="A RingCentral that runs on your machine.")
    for option in fields(SimulatorOptions):
        kind = type(option.default)
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=_truth if kind is bool else kind,
            # A string default is converted like an argument, so a wrong variable is named by the parser.
            default=environment.get(f"SIMULATOR_{option.name.upper()}") or option.default,
            help=f"{option.metadata['help']} (default {option.default!r})".replace("%", "%%"),
        )
    return SimulatorOptions(**vars(parser.parse_args(arguments)))
