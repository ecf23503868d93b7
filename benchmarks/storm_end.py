"""What must be true of every row once a storm is over, beside what is true of any pipeline. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def faults_at_the_end(truth: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A sentence for each recording that is not at its end, and for each that lacks what RingCentral gives when asked.

    At its end is what is stored, and what nothing is tried for any more and says why. Of one that the
    call log does not show in the end, and whose events were lost, nobody may ever have been told.
    """
    by_name = {(row["domain"], row["source_record_id"]): row for row in rows}
    told_of = {
        one["record_id"] for one in truth["insights"] if any(fate["delivered"] for fate in one["kinds"].values())
    }
    for recording in truth["recordings"]:
        row = by_name.get(("pbx", recording["id"]))
        if row is None:
            if recording["listed"] or recording["id"] in told_of:
                yield f"recording {recording['id']}: no row"
        elif row["audio_state"] != "stored" and (row["audio_due_at"] or not row["audio_reason"]):
            yield f"recording {recording['id']}: its audio is at no end: {row['audio_state']}, {row['audio_reason']}"
    for told in truth["insights"]:
        row = by_name.get((told["domain"], told["record_id"]))
        if row is None:
            continue
        found = row["insights"]
        missing = sorted(kind for kind, fate in told["kinds"].items() if fate["fetchable"] and kind not in found)
        if missing:
            yield f"recording {told['record_id']}: RingCentral gives more insights than it has: {', '.join(missing)}"
