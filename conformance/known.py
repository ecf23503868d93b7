"""The known faults of RingCentral's file, one by one, and the operations that nobody here needs.

Only these are excused, and each must show in every run: one that the file no longer has would hide a fault of ours.
Facts are cited by section, as everywhere.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from conformance.exchange import Deviation


@dataclass(frozen=True, slots=True)
class KnownFault:
    """`excuses` says whether a deviation is this fault of the file and not ours."""

    name: str
    reason: str
    excuses: Callable[[Deviation], bool]


def _at(where: str, rule: str, detail: str = "", *, operation: str = ".*") -> Callable[[Deviation], bool]:
    """Deviations at a place that break a rule. All but the rule are patterns; `detail` is one in their sentence."""

    def excuses(deviation: Deviation) -> bool:
        return (
            rule == deviation.rule
            and re.fullmatch(where, deviation.where) is not None
            and re.search(detail, deviation.detail) is not None
            and re.fullmatch(operation, deviation.operation) is not None
        )

    return excuses


KNOWN_FAULTS: Final = (
    KnownFault(
        "GET account is not in the subset",
        "the file is cut down to our paths and leaves out the one that tells whose a credential is",
        _at("request", "operation", operation="GET /restapi/v1.0/account/~"),
    ),
    KnownFault(
        "subscription ids are too long",
        "ids are UUIDs of 36 characters, as the file's own examples are (facts 10)",
        _at("request path subscriptionId", "maxLength"),
    ),
    KnownFault(
        "speakers outside the company have no ids",
        "RingCentral's own sample has null there (facts 10)",
        _at(r"answer 200 body(/records/\*)?/speakerInfo/\*/(accountId|extensionId)", "type", "^a null "),
    ),
    KnownFault(
        "OauthBasicScheme is not defined",
        "the token endpoints refer to it (facts 10); HTTP Basic is what it means (facts 7)",
        _at("request authorisation", "security", "OauthBasicScheme"),
    ),
    KnownFault(
        "401 and 429 are not declared",
        "every operation answers them (facts 6, 7), the file declares them on a few (facts 10)",
        _at("answer (401|429) status", "undeclared"),
    ),
    KnownFault(
        "headers of answers are not declared",
        "X-Rate-Limit-* and Retry-After are described in the guides only (facts 6, 10)",
        _at("answer [0-9]+ header (X-Rate-Limit-(Group|Limit|Remaining|Window)|Retry-After)", "undeclared"),
    ),
    KnownFault(
        "errors of recording content are not declared",
        "the file has 200 only; ranges and these errors are described elsewhere (facts 5)",
        _at("answer (206|403|404|416|503) status", "undeclared", operation="readCallRecordingContent"),
    ),
    KnownFault(
        "errors of the permission check are not declared",
        "the file has 200 only; a parameter that is wrong is 400 everywhere (facts 8)",
        _at("answer 400 status", "undeclared", operation="checkUserPermission"),
    ),
    KnownFault(
        "503 of insights is not declared",
        "overload may meet any sort of request (facts 8)",
        _at("answer 503 status", "undeclared", operation="get(Recording|Session)Insights"),
    ),
    KnownFault(
        "errors have fields at the top as well",
        "code, message and names stand there once more on the wire (facts 8), the file has the nested ones only",
        _at(
            "answer [45][0-9]+ body/(errorCode|message|parameterName|parameterValue|permissionName)",
            "unnamed",
        ),
    ),
    KnownFault(
        "error_description is not named",
        "the token endpoint has the fields of RFC 6749 (facts 7), the file has one of them",
        _at("answer 400 body/error_description", "unnamed", operation="(getToken|revokeToken)"),
    ),
    KnownFault(
        "the paging of sessions contradicts itself",
        "sortableFields is required, and forbidden by the schema beside it: no answer can fit",
        _at("answer 200 body/paging", "required", "sortableFields", operation="getSessionInsights"),
    ),
    KnownFault(
        "the insight kind QnA is not named",
        "RingCentral sends it and the file does not have it (facts 10)",
        _at(r"answer 200 body(/records/\*)?/insights/QnA", "unnamed", operation="get(Recording|Session)Insights"),
    ),
)

#: Operations of the file that are not exercised, each with the reason.
NOT_NEEDED: Final[Mapping[str, str]] = {
    "syncAccountCallLog": "call-log-extract-sync is used instead; this one returns a frame of the newest calls only",
    "readUserCallLog": "the company's call log holds the calls of all users",
    "deleteUserCallLog": "nothing is ever deleted at RingCentral",
    "deleteCompanyCallRecordings": "nothing is ever deleted at RingCentral",
}


def known_fault(deviation: Deviation) -> KnownFault | None:
    return next((known for known in KNOWN_FAULTS if known.excuses(deviation)), None)
