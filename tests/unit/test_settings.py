"""Settings from the environment: each fault is one sentence that names its variable and repeats no value."""

import json
from pathlib import Path

import pytest

from common.settings import (
    BrokerSettings,
    DatabaseSettings,
    RingCentralSettings,
    SettingsError,
    StorageSettings,
    read_settings,
)
from services.poller.serve import PollerSettings
from services.webhook.settings import WebhookSettings

ENOUGH = {"AMQP_URL": "amqp://user:pass-word@rabbit:5671/vhost", "RC_ACCOUNT_ID": "4711"}


def faults(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(WebhookSettings, environment)
    return str(caught.value).splitlines()


def test_the_receiver_needs_a_broker_and_an_account_and_has_defaults_for_the_rest() -> None:
    settings = read_settings(WebhookSettings, ENOUGH)

    assert (settings.http_host, settings.http_port) == ("0.0.0.0", 8080)  # noqa: S104 - the default
    assert settings.spool_dir == Path("/var/lib/ringvault/spool")
    assert settings.spool_limit_bytes == 1 << 30
    assert settings.rc_webhook_token == ()


def test_every_missing_setting_is_named_with_what_it_is() -> None:
    assert sorted(faults({})) == [
        "AMQP_URL is not set: it is the RabbitMQ server.",
        "RC_ACCOUNT_ID is not set: it is the RingCentral account id, in digits.",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AMQP_URL", "http://s3cret"),
        ("AMQP_URL", "amqp://user:s3cret/5@rabbit"),
        ("AMQP_URL", "amqp://user:s3cret#5@rabbit"),
        ("AMQP_URL", "amqp://user:s3cret@rabbit:port"),
        ("AMQP_URL", "amqp://user:s3cret@[rabbit"),
        ("AMQP_URL", "amqp://user:s3cret\u2100@rabbit"),
        ("RC_ACCOUNT_ID", "s3cret"),
        ("RC_ACCOUNT_ID", "~"),
        ("HTTP_PORT", "s3cret"),
        ("HTTP_PORT", "65536"),
        ("ADMIN_PORT", "-1"),
        ("GRACE_PERIOD", "0"),
        ("SPOOL_LIMIT_BYTES", "0"),
        ("WEBHOOK_PATH_SECRET", "s3cret"),
        ("WEBHOOK_PATH_SECRET", "s3cret/with-a-slash-in-it"),
        ("WEBHOOK_ALLOWED_NETWORKS", "s3cret"),
        ("WEBHOOK_ALLOWED_NETWORKS", "192.0.2.0/24,,198.51.100.0/24"),
        ("WEBHOOK_ALLOWED_NETWORKS", "192.0.2.1/24"),
        ("WEBHOOK_TRUSTED_PROXIES", "192.0.2.0/33"),
        ("LOG_LEVEL", "s3cret"),
        ("LOG_FORMAT", "s3cret"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable_and_not_the_value(name: str, value: str) -> None:
    [fault] = faults({**ENOUGH, name: value})

    assert fault.startswith(f"{name} is not valid")
    assert fault.endswith(".")
    assert "s3cret" not in fault


def test_the_network_that_is_none_is_told_by_its_place() -> None:
    [fault] = faults({**ENOUGH, "WEBHOOK_ALLOWED_NETWORKS": "192.0.2.0/24, 198.51.100.1/24"})

    assert "number 2 of the list is no network: write 192.0.2.0/24" in fault


def test_networks_and_the_path_secret_may_be_set_and_only_the_secret_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    networks = {"WEBHOOK_ALLOWED_NETWORKS": "192.0.2.0/24, 2001:db8::/32", "WEBHOOK_TRUSTED_PROXIES": "10.0.0.7"}
    environment = {**ENOUGH, **networks, "WEBHOOK_PATH_SECRET_FILE": str(tmp_path / "secret")}

    settings = read_settings(WebhookSettings, environment)

    assert settings.webhook_path_secret is not None
    assert settings.webhook_path_secret.get_secret_value() == "0123456789abcdef"
    shown = json.loads(json.dumps(settings.masked()))
    assert shown["WEBHOOK_PATH_SECRET"] == "***"
    assert shown["WEBHOOK_ALLOWED_NETWORKS"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert shown["WEBHOOK_TRUSTED_PROXIES"] == ["10.0.0.7/32"]


@pytest.mark.parametrize("address", ["https://calls.example/api/rc/webhook/s3cret", "https://calls.example/h?k=s3cret"])
def test_the_receivers_address_is_shown_without_what_its_path_may_hold(address: str) -> None:
    environment = {
        **ENOUGH,
        "DATABASE_URL": "postgresql://localhost/x",
        "RC_CLIENT_ID": "a",
        "RC_CLIENT_SECRET": "b",
        "RC_JWT": "c",
        "RC_WEBHOOK_ADDRESS": address,
    }
    settings = read_settings(PollerSettings, environment)

    assert "s3cret" not in json.dumps(settings.masked()) + repr(settings)
    assert settings.masked()["RC_WEBHOOK_ADDRESS"] == "https://calls.example/***"


def test_all_faults_are_told_at_once() -> None:
    assert len(faults({"AMQP_URL": "x", "HTTP_PORT": "x"})) == 3


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_not_set(empty: str) -> None:
    assert faults({**ENOUGH, "RC_ACCOUNT_ID": empty})[0].startswith("RC_ACCOUNT_ID is not set")
    assert read_settings(WebhookSettings, {**ENOUGH, "HTTP_PORT": empty}).http_port == 8080


def test_a_level_may_be_written_in_capitals() -> None:
    assert read_settings(WebhookSettings, {**ENOUGH, "LOG_LEVEL": "WARNING"}).log_level == "warning"


def test_several_tokens_come_with_commas_between() -> None:
    settings = read_settings(WebhookSettings, {**ENOUGH, "RC_WEBHOOK_TOKEN": "new, old,"})

    assert [token.get_secret_value() for token in settings.rc_webhook_token] == ["new", "old"]


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("amqp://user:p@rabbit\n")

    settings = read_settings(WebhookSettings, {"AMQP_URL_FILE": str(file), "RC_ACCOUNT_ID": "1"})

    assert settings.amqp_url.get_secret_value() == "amqp://user:p@rabbit"


def test_a_secret_in_two_places_is_refused(tmp_path: Path) -> None:
    assert faults({**ENOUGH, "AMQP_URL_FILE": str(tmp_path / "url")}) == [
        "AMQP_URL and AMQP_URL_FILE are both set: keep one of them."
    ]


def test_a_secret_file_that_cannot_be_read_is_named_by_its_variable(tmp_path: Path) -> None:
    environment = {"RC_ACCOUNT_ID": "1", "AMQP_URL_FILE": str(tmp_path / "none")}
    assert faults(environment) == ["AMQP_URL_FILE names a file that cannot be read: No such file or directory."]

    (tmp_path / "none").write_bytes(b"\xff")
    assert faults(environment) == ["AMQP_URL_FILE names a file that cannot be read: it is not UTF-8 text."]


def test_an_empty_secret_file_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("\n")

    [fault] = faults({"RC_ACCOUNT_ID": "1", "AMQP_URL_FILE": str(tmp_path / "url")})
    assert fault.startswith("AMQP_URL is not set")


def test_what_is_shown_of_the_settings_has_no_secret_and_is_json() -> None:
    environment = {**ENOUGH, "RC_WEBHOOK_TOKEN": "s3cret,pass-word"}

    shown = read_settings(WebhookSettings, environment).masked()

    assert shown["AMQP_URL"] == "amqp://***@rabbit:5671/vhost"
    assert shown["SPOOL_DIR"] == "/var/lib/ringvault/spool"
    assert "s3cret" not in json.dumps(shown)
    assert "pass-word" not in json.dumps(shown)


def test_the_settings_themselves_do_not_print_their_secrets() -> None:
    assert "pass-word" not in repr(read_settings(WebhookSettings, ENOUGH))


def test_settings_do_not_change_and_unknown_variables_do_not_matter() -> None:
    settings = read_settings(WebhookSettings, {**ENOUGH, "PATH": "/bin"})

    with pytest.raises(ValueError, match="frozen"):
        settings.http_port = 1


def test_half_a_pair_of_storage_keys_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(StorageSettings, {"STORAGE_URL": "s3://bucket", "AWS_ACCESS_KEY_ID": "s3cret"})

    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_several_jwts_come_with_commas_between_and_none_is_too_few() -> None:
    base = {"RC_ACCOUNT_ID": "1", "RC_CLIENT_ID": "a", "RC_CLIENT_SECRET": "b"}

    assert len(read_settings(RingCentralSettings, {**base, "RC_JWT": "x,y"}).rc_jwt) == 2
    with pytest.raises(SettingsError, match="RC_JWT"):
        read_settings(RingCentralSettings, {**base, "RC_JWT": ","})


def test_secrets_in_any_url_are_hidden_in_the_log() -> None:
    settings = read_settings(
        StorageSettings,
        {"STORAGE_URL": "s3://KEY:topsecret@bucket/calls", "AWS_ENDPOINT_URL_S3": "https://KEY:topsecret@s3.example"},
    )

    assert "topsecret" not in str(settings.masked())
    assert settings.masked()["AWS_ENDPOINT_URL_S3"] == "https://***@s3.example"


@pytest.mark.parametrize("hosts", ["one,two", "one:5432,two:5433", "[::1]:5432,two"])
def test_postgres_may_have_several_hosts_which_are_shown(hosts: str) -> None:
    url = f"postgresql://user:secret@{hosts}/calls?target_session_attrs=read-write"

    settings = read_settings(DatabaseSettings, {"DATABASE_URL": url})

    assert settings.database_url.get_secret_value() == url
    assert settings.masked() == {"DATABASE_URL": f"postgresql://***@{hosts}/calls"}


def test_a_broker_without_a_host_is_told() -> None:
    with pytest.raises(SettingsError, match=r"^AMQP_URL is not valid .*: give a URL that names a host"):
        read_settings(BrokerSettings, {"AMQP_URL": "amqp://"})


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"S3_SERVER_SIDE_ENCRYPTION": "rot13"}, "S3_SERVER_SIDE_ENCRYPTION is not valid"),
        ({"S3_STORAGE_CLASS": "cold storage"}, "S3_STORAGE_CLASS is not valid"),
        ({"AWS_REQUEST_CHECKSUM_CALCULATION": "never"}, "AWS_REQUEST_CHECKSUM_CALCULATION is not valid"),
        ({"S3_SSE_KMS_KEY_ID": "k"}, "S3_SSE_KMS_KEY_ID needs S3_SERVER_SIDE_ENCRYPTION"),
        ({"S3_SSE_KMS_KEY_ID": "k", "S3_SERVER_SIDE_ENCRYPTION": "AES256"}, "S3_SSE_KMS_KEY_ID needs"),
    ],
)
def test_what_objects_are_to_have_is_looked_at_before_the_storage_is_asked(
    settings: dict[str, str], fault: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(StorageSettings, {"STORAGE_URL": "s3://bucket", **settings})

    assert str(caught.value).startswith(fault)
