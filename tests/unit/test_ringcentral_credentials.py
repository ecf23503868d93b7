"""A credential gives nothing away, and what was kept for an old one counts as absent for its successor."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from common.ringcentral.credentials import Credential
from common.ringcentral.token import AccessToken

OURS = Credential("client-7", "secret-7", "jwt-7")


def test_a_token_is_read_with_the_credential_that_wrote_it() -> None:
    sealed = OURS.encrypt("token-7")

    assert b"token-7" not in sealed
    assert OURS.decrypt(sealed) == "token-7"


@pytest.mark.parametrize(
    "other",
    [replace(OURS, client_id="client-8"), replace(OURS, client_secret="secret-8"), replace(OURS, jwt="jwt-8")],
)
def test_a_rotated_credential_has_another_fingerprint_and_reads_nothing_old(other: Credential) -> None:
    assert other.fingerprint != OURS.fingerprint
    assert other.decrypt(OURS.encrypt("token-7")) is None


@pytest.mark.parametrize("row", [b"", b"no token", b"gAAAAA=="])
def test_a_row_that_cannot_be_read_counts_as_absent(row: bytes) -> None:
    assert OURS.decrypt(row) is None


def test_nothing_secret_is_shown() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    shown = f"{OURS!r} {OURS} {AccessToken('token-7', '1', 1, now, now)!r}"

    assert "secret-7" not in shown
    assert "jwt-7" not in shown
    assert "token-7" not in shown
