"""How a call looks in the call log (facts 4.2; the specification's CallLogRecord)."""

from dataclasses import dataclass
from typing import Any

from simulator.clock import written
from simulator.company import Call, Recording, Revision

Record = dict[str, Any]


@dataclass(frozen=True)
class Renderer:
    """Writes records with this account's addresses."""

    account_id: str
    url: str
    media_url: str

    @property
    def base(self) -> str:
        return f"{self.url}/restapi/v1.0/account/{self.account_id}"

    def record(self, call: Call, revision: Revision, *, detailed: bool) -> Record:
        """The record for a client, who has been told from now on."""
        call.tell(revision)
        shown: Record = {
            "uri": f"{self.base}/call-log/{call.id}?view={'Detailed' if detailed else 'Simple'}",
            "id": call.id,
            "sessionId": call.session_id,
            **self._facts(call, revision),
            **self._recording(call.recording if revision.with_recording else None),
        }
        if call.short_recording:
            shown["shortRecording"] = True
        if revision.deleted:
            shown["deleted"] = True
        if call.nulls:
            shown |= {"reason": None, "reasonDescription": None, "delegate": None}
            shown["from"] = {**shown["from"], "name": None}
        if call.ai_notes:
            shown["metadataCategories"] = ["AiNotes"]
        if detailed:
            shown |= {
                "legs": self._legs(call, revision),
                "lastModifiedTime": written(revision.at),
                "transport": "PSTN",
                "billing": {"costIncluded": 0.0, "costPurchased": 0.0},
            }
        return shown

    def metadata(self, recording: Recording) -> Record:
        return {
            "id": recording.id,
            "contentUri": self._content_uri(recording),
            "contentType": recording.audio.content_type,
            "duration": round(recording.audio.duration_ms / 1000),
        }

    def _facts(self, call: Call, revision: Revision) -> Record:
        """What a record and its legs have in common."""
        own = {
            "phoneNumber": call.extension.phone_number,
            "extensionNumber": call.extension.number,
            "extensionId": str(call.extension.id),
            "name": call.extension.name,
        }
        other = {"phoneNumber": call.other_number, "name": call.other_name}
        outbound = call.direction == "Outbound"
        return {
            "startTime": written(call.started_at),
            "duration": call.duration_ms // 1000,
            "durationMs": call.duration_ms,
            "type": "Voice",
            "internalType": "Local",
            "direction": call.direction,
            "action": "VoIP Call" if outbound else "Phone Call",
            "result": _result(call, revision),
            "from": own if outbound else other,
            "to": other if outbound else own,
            "extension": {"id": call.extension.id, "uri": f"{self.base}/extension/{call.extension.id}"},
            "telephonySessionId": call.telephony_session_id,
            "partyId": call.party_id,
            "finished": revision.finished,
        }

    def _legs(self, call: Call, revision: Revision) -> list[Record]:
        """The master leg repeats the record's recording; a second recording is on the last leg alone."""
        legs: list[Record] = []
        for number in range(revision.legs):
            recording = call.recording if number == 0 else None
            if number == revision.legs - 1 and call.leg_recording:
                recording = call.leg_recording
            leg = {
                **self._facts(call, revision),
                "legType": "Accept" if number == 0 else ("Hunting" if call.queue else "TransferCall"),
                **self._recording(recording if revision.with_recording else None),
            }
            if number == 0:
                leg["master"] = True
            legs.append(leg)
        return legs

    def _recording(self, recording: Recording | None) -> Record:
        if recording is None:
            return {}
        shown = {
            "uri": f"{self.base}/recording/{recording.id}",
            "id": recording.id,
            "type": recording.mode,
            "contentUri": self._content_uri(recording),
        }
        return {"recording": shown}

    def _content_uri(self, recording: Recording) -> str:
        return f"{self.media_url}/restapi/v1.0/account/{self.account_id}/recording/{recording.id}/content"


def listed_recordings(call: Call, revision: Revision) -> list[Recording]:
    """What the record shows by that revision."""
    return call.recordings() if revision.with_recording else []


def _result(call: Call, revision: Revision) -> str:
    if not revision.finished:
        return "In Progress"
    if revision.result:
        return revision.result
    return "Call connected" if call.direction == "Outbound" else "Accepted"
