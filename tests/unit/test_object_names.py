"""Names of objects: readable for what RingCentral sends, safe and different for anything."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.storage.object_names import check_name, recording_object_name

NOON = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
# Surrogates included: JSON can carry them.
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=300)
LIKELY_TO_CLASH = st.text("aA_-./5f%é", max_size=12)


def name(source_record_id: str = "1", *, account_id: str = "7", domain: str = "pbx", at: datetime = NOON) -> str:
    return recording_object_name(account_id, domain, at, source_record_id, "audio/mpeg")


def test_what_ringcentral_sends_stays_readable() -> None:
    assert (
        recording_object_name("400131", "ms-teams", NOON, "5501", "audio/mpeg") == "400131/ms-teams/2026/03/09/5501.mp3"
    )


def test_the_day_is_the_day_in_utc() -> None:
    evening_in_new_york = datetime(2026, 3, 9, 22, 30, tzinfo=timezone(timedelta(hours=-4)))

    assert name(at=evening_in_new_york) == "7/pbx/2026/03/10/1.mp3"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        name(at=datetime(2026, 3, 9, 12, 0))  # noqa: DTZ001 - the very thing that is refused.


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("audio/mpeg", "mp3"),
        ("Audio/MPEG; charset=binary", "mp3"),
        ("audio/wav", "wav"),
        ("audio/x-wav", "wav"),
        ("audio/ogg", "bin"),
        ("", "bin"),
        ("../../x", "bin"),
    ],
)
def test_the_extension_follows_the_media_type(content_type: str, extension: str) -> None:
    assert recording_object_name("7", "pbx", NOON, "1", content_type).endswith(f"/1.{extension}")


@given(ANYTHING, ANYTHING, ANYTHING, st.text())
def test_any_input_gives_a_name_that_every_storage_takes(account: str, domain: str, source: str, kind: str) -> None:
    made = recording_object_name(account, domain, NOON, source, kind)

    assert check_name(made) == made
    assert re.fullmatch(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+/2026/03/09/[A-Za-z0-9_-]+\.(mp3|wav|bin)", made)
    assert all(len(part) <= 160 for part in made.split("/"))


@given(st.one_of(st.tuples(ANYTHING, ANYTHING), st.tuples(LIKELY_TO_CLASH, LIKELY_TO_CLASH)))
def test_different_ids_never_share_a_name(ids: tuple[str, str]) -> None:
    one, other = ids

    assert (name(one) == name(other)) == (one == other)


@given(
    st.tuples(LIKELY_TO_CLASH, LIKELY_TO_CLASH, LIKELY_TO_CLASH),
    st.tuples(LIKELY_TO_CLASH, LIKELY_TO_CLASH, LIKELY_TO_CLASH),
)
def test_different_accounts_or_domains_never_share_a_name(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    names = [name(source, account_id=account, domain=domain) for account, domain, source in (one, other)]

    assert (names[0] == names[1]) == (one == other)


@given(st.text("xé", min_size=100, max_size=100), st.sampled_from(["", "y", "_", "-"]))
def test_long_ids_that_differ_only_at_their_end_keep_apart(start: str, end: str) -> None:
    assert name(start * 3 + end) != name(start * 3 + end + "z")


def test_an_id_that_looks_like_the_escape_of_another_keeps_apart() -> None:
    assert len({name("a/b"), name("a_2fb"), name("a_2Fb"), name("a_5f2fb")}) == 4


def test_an_empty_id_has_a_name_too() -> None:
    assert name("") not in {name("_"), name("-"), name("_-")}


@pytest.mark.parametrize(
    "bad",
    ["", "/", "/etc/passwd", "a//b", "../a", "a/../b", "a/.", ".hidden", "a/.b", "a\\b", "a%2eb", "a b", "a\n", "é"],
)
def test_a_name_that_could_escape_or_be_refused_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="no storage should be asked for"):
        check_name(bad)
