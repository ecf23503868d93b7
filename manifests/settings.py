"""Every variable is a setting of the process that gets it, every required one is there, and no secret is written down.

The processes' own settings models decide; nothing is listed here twice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from common.settings import DatabaseSettings, ProcessSettings, Settings, SettingsError, read_settings
from demo.watch import WatchSettings
from manifests.rendering import Rendered, called
from manifests.workloads import Value, Workload, environment_of
from services.downloader.serve import DownloaderSettings
from services.insights.serve import InsightsSettings
from services.poller.serve import PollerSettings
from services.webhook.settings import WebhookSettings
from simulator.options import SimulatorOptions

#: What a container of ours may run, and what that reads.
MODELS: Final[Mapping[tuple[str, ...], type[Settings]]] = {
    ("python", "-m", "services.webhook"): WebhookSettings,
    ("python", "-m", "services.insights"): InsightsSettings,
    ("python", "-m", "services.poller"): PollerSettings,
    ("python", "-m", "services.downloader"): DownloaderSettings,
    ("python", "-m", "demo.watch"): WatchSettings,
    ("ringvault", "migrate"): DatabaseSettings,
}
_SIMULATOR: Final = ("python", "-m", "simulator")
#: What stands for a secret that is kept elsewhere: any text that its setting takes.
_STAND_INS: Final = {
    "DATABASE_URL": "postgresql://host/database",
    "AMQP_URL": "amqps://host/",
    "RC_WEBHOOK_ADDRESS": "https://host/api/rc/webhook",
}
_STAND_IN: Final = "kept-elsewhere-and-long-enough"


def model_of(container: Mapping[str, Any]) -> type[Settings] | None:
    """What a container of ours reads; none for what is not ours."""
    return MODELS.get(tuple(container.get("command", ())))


def is_service(workload: Workload) -> bool:
    """Whether it is one of the four."""
    model = model_of(workload.pod["containers"][0])
    return model is not None and issubclass(model, ProcessSettings)


def setting_faults(rendered: Rendered, workload: Workload) -> Iterator[str]:
    """Of one workload; those of other people's images are not ours to judge."""
    for container in workload.containers:
        if _is_ours(container["image"]):
            yield from (f"{workload.called}: {fault}" for fault in _faults(rendered, workload, container))


def written_down(rendered: Rendered) -> Iterator[str]:
    """Secrets in a ConfigMap, whoever reads it."""
    secrets = {name for model in MODELS.values() for name in _secret_names(model)}
    for one in rendered.of("ConfigMap"):
        for name in sorted(secrets & one.get("data", {}).keys()):
            yield f"{called(one)}: {name} is a secret and is written down: name a Secret instead"


def _is_ours(image: str) -> bool:
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0] == "ringvault"


def _faults(rendered: Rendered, workload: Workload, container: Mapping[str, Any]) -> Iterator[str]:
    for source in container.get("envFrom", ()):
        name = source.get("configMapRef", {}).get("name")
        if rendered.get("ConfigMap", name or "") is None:
            yield f"envFrom names {name or 'something else than a ConfigMap'}, which is not there"
    values, shared = environment_of(rendered, container)
    if tuple(container.get("command", ())) == _SIMULATOR:
        known = {f"SIMULATOR_{field.name.upper()}" for field in fields(SimulatorOptions)}
        yield from (f"{name} is no option of the simulator" for name in values if name not in known)
        return
    model = model_of(container)
    if model is None:
        yield f"{' '.join(container.get('command', ())) or 'no command'} is nothing that the image runs"
        return
    yield from _names(model, values, shared)
    yield from _secrets(model, container, values)
    yield from _texts(model, values)
    if issubclass(model, ProcessSettings):
        yield from _ports(workload, values)


def _names(model: type[Settings], values: Mapping[str, Value], shared: set[str]) -> Iterator[str]:
    """A variable for all may be any process's; one of its own must be this one's."""
    everybody = {name for one in MODELS.values() for name in _variables(one)}
    for name in values:
        if name not in (everybody if name in shared else _variables(model)):
            yield f"{name} is no setting of {'any process' if name in shared else 'this process'}"


def _variables(model: type[Settings]) -> set[str]:
    return {name.upper() for name in model.model_fields} | {f"{name}_FILE" for name in _secret_names(model)}


def _secret_names(model: type[Settings]) -> set[str]:
    return {name.upper() for name, field in model.model_fields.items() if "SecretStr" in repr(field.annotation)}


def _secrets(model: type[Settings], container: Mapping[str, Any], values: Mapping[str, Value]) -> Iterator[str]:
    for name in sorted(_secret_names(model) & values.keys()):
        if not values[name].secret:
            yield f"{name} is a secret and is written down: name a Secret instead"
    for one in container.get("env", ()):
        key = one.get("valueFrom", {}).get("secretKeyRef", {}).get("key", one["name"])
        if key != one["name"]:
            yield f"{one['name']} comes from the key {key}: call the key like the setting"


def _texts(model: type[Settings], values: Mapping[str, Value]) -> Iterator[str]:
    """What the process itself would say when it starts."""
    texts = {
        name: value.text if value.text is not None else _STAND_INS.get(name, _STAND_IN)
        for name, value in values.items()
        if not name.endswith("_FILE")
    }
    texts |= {
        name.removesuffix("_FILE"): _STAND_INS.get(name.removesuffix("_FILE"), _STAND_IN)
        for name in values
        if name.endswith("_FILE")
    }
    try:
        read_settings(model, texts)
    except SettingsError as faults:
        yield from str(faults).splitlines()


def _ports(workload: Workload, values: Mapping[str, Value]) -> Iterator[str]:
    written = {name: value.text for name, value in values.items()}
    if written.get("ADMIN_HOST") != "0.0.0.0":  # noqa: S104 - the kubelet comes from outside the pod.
        yield "ADMIN_HOST must be 0.0.0.0, or the kubelet cannot ask for the health"
    for port, name, default in (("admin", "ADMIN_PORT", "9090"), ("http", "HTTP_PORT", "8080")):
        declared = workload.port_of(port)
        if declared is not None and str(declared) != (written.get(name) or default):
            yield f"the port {port} is {declared}, but {name} is {written.get(name) or default}"
    if workload.port_of("admin") is None:
        yield "the port admin is not declared"
