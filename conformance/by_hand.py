"""Requests that our client does not make, or not on purpose: the rest of the file's operations, and every refusal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from conformance.exchange import BY_HAND, WRONG_ON_PURPOSE

ACCOUNT: Final = "/restapi/v1.0/account/~"
SUBSCRIPTION: Final = "/restapi/v1.0/subscription"
PERMISSIONS: Final = f"{ACCOUNT}/extension/~/authz-profile/check"
INSIGHTS: Final = "/ai/ringsense/v1/public/accounts/~/domains/pbx"
_FILTER: Final = "/ai/ringsense/v1/public/accounts/~/domains/pbx/insights"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Requests of each group that are allowed while this runs: refusals here are ordered, not earned.
_UNLIMITED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request and the status that it must be answered with. Without `token` it carries none."""

    status: int
    path: str
    params: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    token: bool = True


class ByHand:
    """Sends requests with a token of its own; `surprises` tells of answers with another status than expected."""

    def __init__(self, simulator: Mapping[str, str], jwt: str, webhook_url: str, truth: Mapping[str, Any]) -> None:
        self.surprises: list[str] = []
        self.sent = 0
        self._jwt, self._webhook_url = jwt, webhook_url
        self._recording = truth["recordings"][0]
        self._http = httpx.Client(base_url=simulator["url"], timeout=30)
        self._basic = httpx.BasicAuth(simulator["client_id"], simulator["client_secret"])
        self._token = ""

    def run(self) -> None:
        """Everything, in an order in which each step finds what it needs."""
        with self._http:
            self._order("limits", dict.fromkeys(("light", "medium", "heavy", "auth"), _UNLIMITED))
            self._log_in()
            for request in (*self._right(), *self._subscription_calls(), *self._wrong()):
                self._send(request)
            self._refusals()
            self._log_out()

    def _send(self, request: Request) -> httpx.Response:
        wrong = request.status >= 400
        headers = {"User-Agent": WRONG_ON_PURPOSE if wrong else BY_HAND, **request.headers}
        if request.token:
            headers.setdefault("Authorization", f"Bearer {self._token}")
        answer = self._http.request(
            request.method,
            request.path,
            params=list(request.params) or None,
            json=request.json,
            data=request.form,
            headers=headers,
            auth=self._basic if request.form else None,
        )
        self.sent += 1
        if answer.status_code != request.status:
            place = f"{request.method} {request.path} {dict(request.params) or ''}".strip()
            self.surprises.append(f"{place}: answered {answer.status_code}, expected {request.status}")
        return answer

    def _order(self, what: str, order: Mapping[str, Any]) -> None:
        """Tell the simulator what to do; its control endpoint is no part of RingCentral."""
        self._http.post(f"/simulator/{what}", json=order).raise_for_status()

    def _log_in(self) -> None:
        form = {"grant_type": _GRANT, "assertion": self._jwt, "access_token_ttl": "600"}
        self._token = self._send(_token_request(200, form)).json()["access_token"]

    def _log_out(self) -> None:
        self._send(Request(200, "/restapi/oauth/revoke", method="POST", form={"token": self._token}, token=False))

    def _right(self) -> Iterator[Request]:
        log, recording = f"{ACCOUNT}/call-log", f"{ACCOUNT}/recording/{self._recording['id']}"
        call = self._recording["call_log_ids"][0]
        records = self._send(Request(200, log, (("perPage", "2"), ("view", "Detailed")))).json()["records"]
        first = records[0]
        number = next(first[side]["phoneNumber"] for side in ("from", "to") if "phoneNumber" in first[side])
        yield Request(200, log, (("perPage", "max"), ("recordingType", "All"), ("view", "Simple")))
        yield Request(200, log, (("direction", "Inbound"), ("direction", "Outbound"), ("type", "Voice")))
        yield Request(200, log, (("perPage", "1"), ("page", "2"), ("withRecording", "true"), ("showDeleted", "true")))
        yield Request(200, log, (("sessionId", first["sessionId"]),))
        yield Request(200, log, (("telephonySessionId", first["telephonySessionId"]),))
        yield Request(200, log, (("phoneNumber", number.lstrip("+")), ("metadataCategory", "AiNotes")))
        yield Request(200, log, (("dateFrom", "2020-01-01T00:00:00.000Z"), ("dateTo", "2020-01-02T00:00:00.000Z")))
        yield Request(200, f"{log}/{call}", (("view", "Detailed"),))
        yield Request(207, f"{log}/{call},{first['id']},none", (("view", "Simple"),))
        yield from self._sync_calls()
        yield Request(200, recording)
        yield Request(200, f"{recording}/content", (("contentDisposition", "Attachment"),))
        yield Request(206, f"{recording}/content", headers={"Range": "bytes=10-99"})
        record = f"{INSIGHTS}/records/{self._recording['id']}/insights"
        yield Request(200, record, (("insightTypes", "Transcript,Summary"),))
        yield Request(200, f"{INSIGHTS}/sessions/{self._recording['telephony_session_id']}/insights")
        yield Request(200, PERMISSIONS, (("permissionId", "ReadCallLog"),))

    def _sync_calls(self) -> Iterator[Request]:
        sync = f"{ACCOUNT}/call-log-extract-sync"
        full = Request(200, sync, (("syncType", "FSync"), ("recordCount", "2"), ("dateFrom", "2020-01-01T00:00:00Z")))
        token = self._send(full).json()["syncInfo"]["syncToken"]
        yield Request(200, sync, (("syncType", "ISync"), ("syncToken", token), ("view", "Detailed")))

    def _subscription_calls(self) -> Iterator[Request]:
        """One that is blacklisted, and one of a user who may not have insights: both are shown in their own way."""
        mode = {"transportType": "WebHook", "address": self._webhook_url, "verificationToken": "by-hand"}
        body = {"eventFilters": [_FILTER, f"{ACCOUNT}/telephony/sessions"], "deliveryMode": mode}
        self._order("permissions", {"revoke": ["ReadRingSenseInsights"]})
        made = self._send(Request(200, SUBSCRIPTION, method="POST", json=body)).json()
        yield Request(200, PERMISSIONS, (("permissionId", "ReadRingSenseInsights"),))
        self._order("permissions", {"grant": ["ReadRingSenseInsights"]})
        one = f"{SUBSCRIPTION}/{made['id']}"
        yield Request(200, f"{one}/renew", method="POST")
        yield Request(200, one, method="PUT", json={"eventFilters": [_FILTER], "expiresIn": 900})
        self._order("subscriptions/blacklist", {"id": made["id"]})
        yield Request(200, one)
        yield Request(200, SUBSCRIPTION)
        yield Request(204, one, method="DELETE")

    def _wrong(self) -> Iterator[Request]:
        """400, 401, 404 and 416."""
        missing = f"{ACCOUNT}/recording/1"
        nobody = {"grant_type": _GRANT, "assertion": "nobody"}
        yield Request(400, f"{ACCOUNT}/call-log", (("direction", "Sideways"),))
        yield Request(400, f"{ACCOUNT}/call-log", (("dateFrom", "yesterday"),))
        yield Request(400, f"{ACCOUNT}/call-log-extract-sync", (("syncType", "ISync"), ("syncToken", "stale")))
        yield Request(400, f"{INSIGHTS}/records/1/insights", (("insightTypes", "Weather"),))
        yield Request(400, SUBSCRIPTION, method="POST", json={"eventFilters": [_FILTER]})
        yield Request(400, PERMISSIONS, (("permissionId", "Fly"),))
        yield _token_request(400, nobody)
        yield _token_request(400, {"grant_type": "password"})
        yield Request(401, SUBSCRIPTION, token=False)
        yield Request(401, f"{INSIGHTS}/records/1/insights", headers={"Authorization": "Bearer unknown"})
        yield Request(404, f"{ACCOUNT}/call-log/none")
        yield Request(404, missing)
        yield Request(404, f"{missing}/content")
        yield Request(404, f"{INSIGHTS}/records/1/insights")
        yield Request(404, f"{INSIGHTS}/sessions/s-none/insights")
        for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/renew")):
            yield Request(404, f"{SUBSCRIPTION}/none{path}", method=method)
        content = f"{ACCOUNT}/recording/{self._recording['id']}/content"
        yield Request(416, content, headers={"Range": "bytes=999999999999-"})

    def _refusals(self) -> None:
        """403, 429 and 503, which are ordered from the simulator."""
        record = f"{INSIGHTS}/records/{self._recording['id']}/insights"
        everywhere = {
            "call_log.list": f"{ACCOUNT}/call-log",
            "call_log.sync": f"{ACCOUNT}/call-log-extract-sync",
            "recording.get": f"{ACCOUNT}/recording/{self._recording['id']}",
            "recording.content": f"{ACCOUNT}/recording/{self._recording['id']}/content",
            "insights.record": record,
            "subscription.list": SUBSCRIPTION,
        }
        permissions = ["ReadCallLog", "ReadCompanyCallRecording", "FullCompanyCallLog", "ReadRingSenseInsights"]
        self._order("permissions", {"revoke": permissions})
        for name, path in everywhere.items():
            if name != "subscription.list":
                self._send(Request(403, path))
        self._order("permissions", {"grant": permissions})
        for name, path in everywhere.items():
            for status in (429, 503):
                order = {"kind": "429"} if status == 429 else {"kind": "status", "status": 503, "retry_after": 1}
                self._order("faults", {"endpoint": name, **order})
                self._send(Request(status, path))
        self._order("limits", {"light": 1})
        self._send(Request(429, SUBSCRIPTION))
        self._order("limits", {"light": _UNLIMITED})


def _token_request(status: int, form: Mapping[str, str]) -> Request:
    return Request(status, "/restapi/oauth/token", method="POST", form=form, token=False)
