"""What a company costs: measured milliseconds and kilobytes, and what Kubernetes is asked for. Pure."""

from dataclasses import dataclass
from typing import Final

from benchmarks.scaling_model import HOURS, WORKING_DAYS, Company, Fleet

WORKING_DAYS_A_YEAR: Final = 52 * WORKING_DAYS
#: Insight events of a recording: the notes, and the rest (facts 1).
EVENTS_EACH: Final = 2
#: Bytes of insights for a minute: 150 words, and the fields around each sentence. An assumption; kept three times: as
#: it came, as JSON, and in the row. Postgres compresses them, which is not reckoned with.
TEXT_A_MINUTE: Final = 2_000
COPIES: Final = 3
#: Dollars a month for a core with 4 GB, a GB of object storage and a GB of disk: of the order of what the large clouds
#: list. An assumption.
CORE, OBJECT_GB, DISK_GB = 30.0, 0.023, 0.10


@dataclass(frozen=True, slots=True)
class Part:
    """What a part takes by `make bench-constants`: milliseconds of CPU for what it works on, and in an idle second."""

    name: str
    works_on: str
    milliseconds: float
    idle: float
    #: The most megabytes of a process; None for servers, which take what they are given.
    megabytes: int | None = None

    @property
    def of_a_recording(self) -> float:
        """Milliseconds of CPU for a recording, with its events."""
        return self.milliseconds * (EVENTS_EACH if self.works_on == "event" else 1)

    @property
    def unit(self) -> str:
        """What is full: a service's process, which uses one core; or a core of a server, which uses all."""
        return "core" if self.megabytes is None else "process"


PARTS: Final = (
    Part("receiver", "event", 1.5, 0.0, 59),
    Part("insights", "event", 3.7, 0.0, 75),
    Part("poller", "recording", 1.5, 6.0, 80),
    Part("downloader", "recording", 15.4, 0.7, 92),
    Part("RabbitMQ", "recording", 2.0, 2.7),
    Part("Postgres", "recording", 10.9, 8.0),
)
#: Kilobytes of Postgres by `make bench-constants`: a row with its indexes, and the log of one recording; and the
#: transactions of one recording with its call and events, nearly all of one statement.
ROW, CALL, EVENT, LOG = 9.8, 2.0, 4.6, 24.5
TRANSACTIONS: Final = 8.9


@dataclass(frozen=True, slots=True)
class Pods:
    """What `deploy/kubernetes` starts and asks for; `millicores` and `mebibytes` are requests. A test compares."""

    name: str
    replicas: int
    millicores: int
    mebibytes: int
    #: Connections of one to Postgres, beside its streams (docs/operations.md).
    connections: int


PODS: Final = (
    Pods("webhook", 2, 50, 128, 0),
    Pods("insights", 2, 50, 128, 8),
    Pods("poller", 2, 50, 128, 8),
    Pods("downloader", 1, 100, 192, 4),
)


def busiest(company: Company) -> float:
    """Recordings a second in the busiest hour."""
    return company.a_day * max(HOURS) / 100 / 3600


def users_at(recordings_a_second: float) -> float:
    """People whose busiest hour brings so many recordings."""
    return recordings_a_second / busiest(Company(1_000)) * 1_000


def cores(company: Company) -> float:
    """At work in the busiest hour, all parts together."""
    return sum(part.of_a_recording for part in PARTS) / 1000 * busiest(company)


def pods_of(fleet: Fleet) -> list[tuple[Pods, int]]:
    """Each kind with its number."""
    return [(pods, fleet.downloaders if pods.name == "downloader" else pods.replicas) for pods in PODS]


def requested_cores(fleet: Fleet) -> float:
    """CPU that Kubernetes sets aside."""
    return sum(pods.millicores * number for pods, number in pods_of(fleet)) / 1000


def requested_gib(fleet: Fleet) -> float:
    """Memory that Kubernetes sets aside."""
    return sum(pods.mebibytes * number for pods, number in pods_of(fleet)) / 1024


def compute_dollars(fleet: Fleet) -> float:
    """A month: whichever is more, by cores or by the 4 GB that come with each."""
    return max(requested_cores(fleet), requested_gib(fleet) / 4) * CORE


def connections(fleet: Fleet) -> int:
    """To Postgres, at most."""
    streams = fleet.downloaders * fleet.streams
    return streams + sum(pods.connections * number for pods, number in pods_of(fleet))


def audio_gb(company: Company) -> float:
    """Of a day."""
    return company.a_day * company.minutes * company.bytes_a_minute / 1e9


def postgres_gb(company: Company) -> float:
    """Of a year."""
    kilobytes = ROW + CALL * company.records_each + EVENT * EVENTS_EACH
    kilobytes += company.minutes * TEXT_A_MINUTE * COPIES / 1e3
    return company.a_day * WORKING_DAYS_A_YEAR * kilobytes / 1e6
