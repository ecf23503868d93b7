"""More downloaders than the budget feeds only wait: the cap of the scaler is held against what it is made of."""

import math
from collections.abc import Iterator
from typing import Final

from manifests.rendering import Object, Rendered, called
from manifests.workloads import Workload, environment_of
from services.poller.announce import window_size

#: RingCentral's heavy requests a minute and user: one is one recording's audio.
_PER_MINUTE: Final = 10
#: DOWNLOAD_CONCURRENCY where none is set.
_STREAMS: Final = 4


def most_downloaders(users: int, seconds: float, streams: int) -> int:
    """How many keep busy: `users` give so many recordings a minute, each keeps a stream for `seconds`."""
    return max(1, math.ceil(users * _PER_MINUTE / 60 * seconds / streams))


def scaling_faults(rendered: Rendered) -> Iterator[str]:
    """Of every ScaledObject."""
    for scaler in rendered.of("ScaledObject"):
        name = scaler["spec"]["scaleTargetRef"]["name"]
        target = rendered.get("Deployment", name)
        faults = [*_triggers(rendered, scaler)]
        faults += [f"there is no Deployment {name}"] if target is None else [*_cap(rendered, scaler, target)]
        yield from (f"{called(scaler)}: {fault}" for fault in faults)


def _cap(rendered: Rendered, scaler: Object, target: Object) -> Iterator[str]:
    if "replicas" in target["spec"]:
        yield f"{called(target)} has replicas of its own, which undo the scaler's each time"
    noted = scaler["metadata"].get("annotations", {})
    values, _ = environment_of(rendered, Workload(target).pod["containers"][0])
    concurrency = values.get("DOWNLOAD_CONCURRENCY")
    try:
        users = int(noted["ringvault/service-users"])
        seconds = float(noted["ringvault/seconds-per-recording"])
    except (KeyError, ValueError):
        yield "the annotations ringvault/service-users and ringvault/seconds-per-recording must be numbers"
        return
    most = most_downloaders(users, seconds, int(concurrency.text) if concurrency and concurrency.text else _STREAMS)
    wanted = scaler["spec"].get("maxReplicaCount", 100)
    if wanted > most:
        yield f"maxReplicaCount is more than the {most} that the budget can feed"
    yield from _window(scaler, window_size(users * _PER_MINUTE / 60), wanted)


def _window(scaler: Object, jobs: int, wanted: int) -> Iterator[str]:
    """The queue is a short window: full, it must ask for all downloaders."""
    values = [one["metadata"].get("value", "") for one in scaler["spec"]["triggers"] if one["type"] == "rabbitmq"]
    for value in values:
        asked = math.ceil(jobs / int(value)) if value.isdigit() and int(value) else 0
        if asked < wanted:
            yield f"the queue has {jobs} jobs at most, which ask for {asked} of {wanted} downloaders: lower the value"


def _triggers(rendered: Rendered, scaler: Object) -> Iterator[str]:
    for trigger in scaler["spec"]["triggers"]:
        told = trigger["metadata"]
        if told.get("protocol") != "http" or told.get("excludeUnacknowledged") == "true":
            yield "only the management API tells of unacknowledged messages: protocol: http"
        wanted = trigger.get("authenticationRef", {}).get("name", "")
        if rendered.get("TriggerAuthentication", wanted) is None:
            yield f"there is no TriggerAuthentication {wanted}"
