"""What may never be seen where people look for causes: secrets, names, numbers and what was spoken; and the search."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from common.ringcentral.credentials import Credential
from tests.end_to_end.facts import ACCOUNT
from tests.end_to_end.sender import insights_event

#: Secrets that the test gives out: each is found by its own words.
CLIENT_SECRET = "marked-client-secret/0+1"
JWT = "eyJtYXJr.marked-jwt.c2lnbmVk"
WEBHOOK_TOKEN = "marked-verification-token"
GUESSED_TOKEN = "marked-guess-of-a-stranger"

#: Somebody who is in no simulated company, so that whatever tells of them was fed in by the test.
FIRST_NAME, LAST_NAME = "Ottilie", "Quarzfels"
NUMBER = "+15550107319"
SPOKEN = "the marzipan pigeons fly at dusk"
PERSON = {"name": f"{FIRST_NAME} {LAST_NAME}", "number": NUMBER, "said": SPOKEN}
#: All of it as one sentence, for whoever quotes what he got.
TELLING = f"{FIRST_NAME} {LAST_NAME} ({NUMBER}) said that {SPOKEN}"

#: Letters of a text that a person spoke, at least: shorter ones ("7", "Positive") say nothing of anybody.
TELLS_FROM = 12


@dataclass(frozen=True)
class Mark:
    """One thing that may not be seen, and what it is."""

    what: str
    text: str

    def forms(self) -> set[str]:
        """As it stands, and as it is written in URLs, JSON, Python, Base64 and hex; a number also without its +."""
        raw = self.text.encode()
        bare = {self.text.removeprefix("+1")} if self.text.startswith("+1") else set()
        encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(), raw.hex()}
        return (
            {self.text, quote(self.text, safe=""), quote_plus(self.text), json.dumps(self.text)[1:-1]} | bare | encoded
        )


def seen(marks: Iterable[Mark], haystack: Mapping[str, str]) -> list[str]:
    """Which marks are seen where, without repeating them."""
    folded = {where: text.casefold() for where, text in haystack.items()}
    return [
        f"{mark.what} in {where}"
        for mark in marks
        for where, text in folded.items()
        if any(form.casefold() in text for form in mark.forms())
    ]


def telling_event(recording_id: str, *, title: str = "", account_id: str = ACCOUNT) -> bytes:
    """An event that tells of the marked person in every place where RingCentral puts names, numbers and text."""
    other = {"speakerId": "2", "name": PERSON["name"], "extensionId": None, "phoneNumber": NUMBER}
    ours = {"speakerId": "1", "name": f"Brother of {LAST_NAME}", "extensionId": "4004", "phoneNumber": "+15550104004"}
    insights = {"Transcript": [{"speakerId": "2", "text": SPOKEN}], "Summary": [{"value": TELLING}]}
    title = f"{title} Call from {PERSON['name']}"
    return insights_event(recording_id, insights, account_id=account_id, title=title, speakerInfo=[ours, other])


def secrets_of(settings: Mapping[str, str], tokens: Iterable[str]) -> list[Mark]:
    """Every secret that a pipeline with these settings has."""
    credential = Credential(settings["RC_CLIENT_ID"], settings["RC_CLIENT_SECRET"], settings["RC_JWT"])
    basic = base64.b64encode(f"{credential.client_id}:{credential.client_secret}".encode()).decode()
    key = credential._cipher()
    return [
        Mark("the client secret", credential.client_secret),
        Mark("the Basic header of the client", basic),
        Mark("the JWT", credential.jwt),
        Mark(
            "the key of the tokens' encryption",
            base64.urlsafe_b64encode(key._signing_key + key._encryption_key).decode(),
        ),
        Mark("the verification token", settings["RC_WEBHOOK_TOKEN"]),
        Mark("a stranger's guess of it", GUESSED_TOKEN),
        Mark("the database's password", urlsplit(settings["DATABASE_URL"]).password or ""),
        Mark("the broker's password", urlsplit(settings["AMQP_URL"]).password or ""),
        Mark("the S3 access key", settings["AWS_ACCESS_KEY_ID"]),
        Mark("the S3 secret key", settings["AWS_SECRET_ACCESS_KEY"]),
        *(Mark(f"access token {number}", token) for number, token in enumerate(tokens, 1)),
    ]


def people_of(rows: Iterable[Mapping[str, Any]]) -> list[Mark]:
    """Names, numbers and spoken words of the recordings' rows, and of the marked person."""
    found = {"a first name": {FIRST_NAME}, "a last name": {LAST_NAME}, "a number": {NUMBER}, "a text": {SPOKEN}}
    for row in rows:
        speakers = row["speakers"] or []
        found.setdefault("a name", set()).update(row[column] for column in ("from_name", "to_name"))
        found["a name"].update(speaker["name"] for speaker in speakers)
        found["a number"].update(row[column] for column in ("from_number", "to_number"))
        found["a number"].update(speaker["phoneNumber"] for speaker in speakers)
        found["a text"].update(text for text in _texts_in(row["insights"]) if len(text) >= TELLS_FROM)
    return [Mark(what, text) for what, texts in found.items() for text in sorted(filter(None, texts))]


def _texts_in(value: Any) -> Iterator[str]:
    """Every text in the insights that a person may have said or an AI may have written; ids are none."""
    if isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str) and name in {"text", "value"}:
                yield item
            else:
                yield from _texts_in(item)
