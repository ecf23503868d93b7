"""Settings: environment variables → one frozen object per process, made of the shared parts below.

A secret may also lie in a file that `NAME_FILE` names. A fault raises `SettingsError`, whose text is one sentence per
fault, names the variable, and never repeats a value.
"""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo


class SettingsError(Exception):
    """A missing or malformed setting; the text is for the person who starts the process."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _parts(value: str) -> SplitResult:
    """The parts of a URL; a fault's text repeats none of them, for one may be a piece of a password."""
    try:
        parts = urlsplit(value)
        for host in _hosts_of(parts).split(","):  # Postgres takes several
            _ = urlsplit(f"//{host}").port  # a password with an unescaped / # or ? ends up here.
    except ValueError:
        raise ValueError("it is no URL; in a user name or password, write / as %2F, # as %23, ? as %3F") from None
    return parts


def _hosts_of(parts: SplitResult) -> str:
    """The part of a URL that says where: without who asks, and with what."""
    return parts.netloc.rpartition("@")[2]


def _http_url(value: object) -> object:
    if isinstance(value, str):
        parts = _parts(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("give an http or https URL")
        return value.rstrip("/")
    return value


def _url_of(*schemes: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str):
            parts = _parts(value)
            if parts.scheme not in schemes:
                raise ValueError(f"give a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
            if parts.scheme.startswith("amqp") and not parts.hostname:
                raise ValueError("give a URL that names a host")
        return value

    return BeforeValidator(check)


Lower = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
HttpUrl = Annotated[str, BeforeValidator(_http_url)]
SecretHttpUrl = Annotated[SecretStr, BeforeValidator(_http_url)]
Words = Annotated[tuple[str, ...], BeforeValidator(_split)]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_split)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[float, Field(gt=0, le=36500)]
Count = Annotated[int, Field(gt=0)]


class Settings(BaseModel):
    """What all parts share: frozen, unknown variables ignored, each field read from its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=str.upper, hide_input_in_errors=True)

    def masked(self) -> dict[str, object]:
        """Every effective setting by its variable's name, secrets and the passwords in URLs hidden: for the log."""
        return {name.upper(): _masked(getattr(self, name)) for name in type(self).model_fields}


class ProcessSettings(Settings):
    """What every process has."""

    admin_host: str = Field("127.0.0.1", description="where /livez, /readyz and /metrics are served")
    admin_port: Port = Field(9090, description="the port of the above; 0 takes any free one")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        "info", description="the least level that is logged"
    )
    log_format: Annotated[Literal["json", "console"] | None, Lower] = Field(
        None, description="json, or console as on a terminal"
    )
    grace_period: Seconds = Field(
        25.0, description="seconds that work in hand may take after SIGTERM; below Kubernetes' default of 30"
    )


class DatabaseSettings(Settings):
    """For processes that keep state."""

    database_url: Annotated[SecretStr, _url_of("postgresql", "postgres")] = Field(description="the Postgres database")


class BrokerSettings(Settings):
    """For processes that publish or consume."""

    amqp_url: Annotated[SecretStr, _url_of("amqp", "amqps")] = Field(description="the RabbitMQ server")


class AccountSettings(Settings):
    """Whose calls these are."""

    rc_account_id: Annotated[str, Field(pattern=r"^[0-9]+$")] = Field(
        description="the RingCentral account id, in digits"
    )


class RingCentralSettings(AccountSettings):
    """For processes that call RingCentral."""

    rc_server_url: HttpUrl = Field("https://platform.ringcentral.com", description="RingCentral's API server")
    rc_media_hosts: Words = Field(
        ("media.ringcentral.com",), description="hosts that may be sent the bearer token for audio"
    )
    rc_client_id: str = Field(min_length=1, description="the client id of the RingCentral app")
    rc_client_secret: SecretStr = Field(min_length=1, description="the client secret of the RingCentral app")
    rc_jwt: Secrets = Field(min_length=1, description="one JWT credential, or several with commas between")


class RetentionSettings(Settings):
    """How long RingCentral keeps recordings, and how many (facts 5): others for other plans, as 30 days with HIPAA."""

    retention_automatic_days: Days = Field(90.0, description="days that automatic recordings are kept")
    retention_automatic_cap: Count = Field(100_000, description="automatic recordings that an account keeps at most")
    retention_on_demand_days: Days = Field(90.0, description="days that on-demand recordings are kept")
    retention_on_demand_cap: Count = Field(200, description="on-demand recordings that an account keeps at most")

    @property
    def longest_kept(self) -> timedelta:
        """How long any recording is kept at most."""
        return timedelta(days=max(self.retention_automatic_days, self.retention_on_demand_days))


class WebhookTokenSettings(Settings):
    """For the receiver, which checks verification tokens, and the poller, which hands them to RingCentral."""

    rc_webhook_token: Secrets = Field((), description="the subscription's verification token; several while rotating")


class StorageSettings(Settings):
    """For processes that write or read audio."""

    storage_url: Annotated[str, _url_of("s3", "file")] = Field(description="s3://bucket/prefix or file:///folder")
    aws_endpoint_url_s3: HttpUrl | None = Field(None, description="the S3 server, when it is not Amazon's")
    aws_ca_bundle: str | None = Field(None, description="the file of the authority of the S3 server's certificate")
    aws_region: str = Field("us-east-1", description="the region of the bucket")
    aws_access_key_id: SecretStr | None = Field(None, description="the S3 access key")
    aws_secret_access_key: SecretStr | None = Field(None, description="the S3 secret key")
    aws_request_checksum_calculation: Annotated[Literal["when_required", "when_supported"], Lower] = Field(
        "when_required", description="when_supported for a bucket that wants checksums, as one with Object Lock does"
    )
    s3_server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None, description="how the S3 server is to encrypt each object: AES256, aws:kms or aws:kms:dsse"
    )
    s3_sse_kms_key_id: str | None = Field(None, description="the key for aws:kms, when it is not the account's own")
    s3_storage_class: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = Field(
        None, description="the storage class of each object, such as STANDARD_IA"
    )

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both or neither")
        return self

    @model_validator(mode="after")
    def _a_key_belongs_to_kms(self) -> Self:
        if self.s3_sse_kms_key_id and not (self.s3_server_side_encryption or "").startswith("aws:kms"):
            raise ValueError("S3_SSE_KMS_KEY_ID needs S3_SERVER_SIDE_ENCRYPTION=aws:kms or aws:kms:dsse")
        return self


S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S], environment: Mapping[str, str]) -> S:
    """The settings of one process; raises `SettingsError` with one sentence per fault."""
    values: dict[str, str] = {}
    faults: list[str] = []
    for name, field in kind.model_fields.items():
        try:
            value = _value(name.upper(), environment, secret=_is_secret(field))
        except SettingsError as fault:
            faults.append(str(fault))
            continue
        if value:
            values[name.upper()] = value
    try:
        if not faults:
            return kind.model_validate(values)
    except ValidationError as error:
        faults += [_sentence(kind, dict(fault)) for fault in error.errors(include_url=False, include_input=False)]
    raise SettingsError("\n".join(dict.fromkeys(faults)))


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in repr(field.annotation)


def _value(name: str, environment: Mapping[str, str], *, secret: bool) -> str | None:
    file = environment.get(f"{name}_FILE") if secret else None
    if not file:
        return environment.get(name, "").strip() or None
    if environment.get(name):
        raise SettingsError(f"{name} and {name}_FILE are both set: keep one of them.")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(f"{name}_FILE names a file that cannot be read: {reason}.") from None


def _sentence(kind: type[Settings], fault: dict[str, Any]) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    if not fault["loc"]:
        return f"{message}."
    name = str(fault["loc"][0])
    description = kind.model_fields[name.lower()].description
    if fault["type"] == "missing":
        return f"{name} is not set: it is {description}."
    return f"{name} is not valid ({description}): {message[0].lower()}{message[1:]}."


def _masked(value: object) -> object:
    if isinstance(value, tuple):
        return [_masked(item) for item in value]
    if isinstance(value, Path | IPv4Network | IPv6Network):
        return str(value)
    secret = isinstance(value, SecretStr)
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    parts = urlsplit(text) if isinstance(text, str) and "://" in text else None
    if parts is not None and parts.hostname:  # a URL: say where it points, hide who asks and with what
        place = _hosts_of(parts)
        if secret and parts.scheme.startswith("http"):  # its path is the secret
            return f"{parts.scheme}://{place}/***"
        return f"{parts.scheme}://{'***@' if secret or parts.username else ''}{place}{parts.path}"
    return "***" if secret else value
