"""RingCentral's own Python SDK against the simulator. A program of its own; prints one JSON line.

It imports nothing of ours. The SDK puts the access token into the texts of its errors (facts 11), so that only their
kinds are told.
"""

import hashlib
import json
import os
import sys

from ringcentral import SDK


def main() -> int:
    """Log in by JWT, list the subscriptions, read the call log, fetch a recording, log out."""
    sdk = SDK(os.environ["RC_CLIENT_ID"], os.environ["RC_CLIENT_SECRET"], os.environ["RC_SERVER_URL"])
    platform = sdk.platform()
    try:
        platform.login(jwt=os.environ["RC_JWT"])
        subscriptions = platform.get("/restapi/v1.0/subscription").json_dict()["records"]
        query = {"recordingType": "All", "perPage": 100, "view": "Detailed"}
        records = platform.get("/restapi/v1.0/account/~/call-log", query).json_dict()["records"]
        recording = next(record["recording"] for record in records if "recording" in record)
        audio = platform.get(recording["contentUri"]).body()
        platform.logout()
    except Exception as error:  # noqa: BLE001 - the SDK raises bare exceptions; their texts hold the token.
        print(json.dumps({"error": type(error).__name__}))  # noqa: T201 - the one line that is promised.
        return 1
    result = {
        "subscriptions": len(subscriptions),
        "records": len(records),
        "recording": recording["id"],
        "bytes": len(audio),
        "sha256": hashlib.sha256(audio).hexdigest(),
    }
    print(json.dumps(result))  # noqa: T201 - as above.
    return 0


if __name__ == "__main__":
    sys.exit(main())
