"""What `make fuzz` sends: each request drawn from a seed and its number alone, so that any of them can be sent again.

Genuine events, mutated ones, JSON that is no event, odd heads, odd framing, and what is no HTTP at all.
"""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.receiver import ACCOUNT, TOKEN

PATH: Final = "/api/rc/webhook"
EVENT: Final = f"/ai/ringsense/v1/public/accounts/{ACCOUNT}/domains/pbx/insights"
#: Text that has broken programs: NUL, half a surrogate pair, a byte-order mark, right-to-left, four bytes in UTF-8.
_TEXTS: Final = (
    "",
    "\x00",
    "\ud83d",
    "\udfff",
    "\ufeff",
    "\u202e",
    "😀",
    "a" * 3000,
    "../..",
    "%00",
    "{{7*7}}",
    "'; --",
)
_NUMBERS: Final = (0, -1, 2**53 + 1, 2**63, -(2**64), 10**400, 1e308, 1e-320, 0.1, True, False, None)


@dataclass(frozen=True, slots=True)
class Shot:
    """One connection's bytes, and how many answers are waited for; with none the sender leaves at once."""

    kind: str
    data: bytes
    answers: int = 1


def shot(seed: int, number: int) -> Shot:
    """The request of a number; the same seed and number give the same bytes."""
    chance = random.Random(f"{seed}-{number}")
    kind = chance.choices(list(_KINDS), weights=[weight for weight, _ in _KINDS.values()])[0]
    made = _KINDS[kind][1](chance)
    return made if isinstance(made, Shot) else Shot(kind, made)


def head(
    fields: Mapping[str, str] | None = None, *, method: str = "POST", target: str = PATH, token: str = TOKEN
) -> str:
    """A request's head without the empty line at its end."""
    usual = {"Host": "calls.example.com", "Content-Type": "application/json", "Verification-Token": token}
    lines = [f"{name}: {value}" for name, value in (usual | dict(fields or {})).items()]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines])


def request(body: bytes, fields: Mapping[str, str] | None = None) -> bytes:
    """A request that is framed as it should be."""
    return f"{head(fields)}\r\nContent-Length: {len(body)}\r\n\r\n".encode("utf-8", "surrogatepass") + body


def event(chance: random.Random) -> dict[str, Any]:
    """A genuine event."""
    number = str(chance.randrange(10**12))
    words = " ".join(chance.choices(["the", "order", "was", "late", "Zürich", "please"], k=chance.randrange(5, 200)))
    return {
        "uuid": f"{chance.getrandbits(128):032x}",
        "event": EVENT,
        "timestamp": "2026-02-03T10:20:30.400Z",
        "subscriptionId": "c6f5",
        "ownerId": "4004",
        "body": {
            "title": "A call about a delivery",
            "domain": "pbx",
            "sourceRecordId": number,
            "sourceSessionId": f"s-{number}",
            "callDirection": "Inbound",
            "recordingDurationMs": chance.randrange(10**6),
            "creationTime": "2026-02-03T10:20:00.000Z",
            "lastModifiedTime": "2026-02-03T10:20:30.400Z",
            "speakerInfo": [{"speakerId": "1", "name": "Ours", "phoneNumber": "+15550104004"}],
            "insights": {"Transcript": [{"speakerId": "1", "text": words, "start": 0.0, "end": 3.5}]},
        },
    }


def value(chance: random.Random, depth: int = 4) -> Any:
    """Any JSON."""
    match chance.randrange(6 if depth else 3):
        case 0:
            return chance.choice(_TEXTS)
        case 1:
            return chance.choice(_NUMBERS)
        case 2:
            return chance.choice([EVENT, ACCOUNT, "/restapi/v1.0/subscription/~", [], {}])
        case 3:
            return [value(chance, depth - 1) for _ in range(chance.randrange(5))]
        case _:
            keys = [*event(chance), *_TEXTS]
            return {chance.choice(keys): value(chance, depth - 1) for _ in range(chance.randrange(6))}


def _genuine(chance: random.Random) -> bytes:
    return request(json.dumps(event(chance)).encode())


def _mutated(chance: random.Random) -> bytes:
    raw = bytearray(json.dumps(event(chance), ensure_ascii=chance.random() < 0.5).encode())
    for _ in range(chance.randrange(1, 8)):
        at, size = chance.randrange(len(raw)), chance.randrange(1, 40)
        match chance.randrange(4):
            case 0:
                raw[at] ^= 1 << chance.randrange(8)
            case 1 if len(raw) > size + 1:
                del raw[at : at + size]
            case 2:
                raw[at:at] = raw[at : at + size]
            case _:
                raw[at:at] = chance.choice([b'"', b"{", b"]", b"\x00", b"\\u", b"\xff", b"1e999", b"null", b","])
        raw = raw or bytearray(b"{")
    return request(bytes(raw))


def _reshaped(chance: random.Random) -> bytes:
    """An event in which some values are others."""
    changed = event(chance)
    for place in (changed, changed["body"]):
        for name in chance.sample(sorted(place), chance.randrange(3)):
            place[name] = value(chance)
    return request(json.dumps(changed).encode())


def _any_json(chance: random.Random) -> bytes:
    return request(json.dumps(value(chance)).encode())


def _any_bytes(chance: random.Random) -> bytes:
    return request(chance.randbytes(chance.randrange(2000)))


def _deep(chance: random.Random) -> bytes:
    depth = chance.choice([100, 900, 1100, 50_000, 500_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return request(b'{"event": "' + EVENT.encode() + b'", "body": ' + opening * depth + b"1" + closing * depth + b"}")


def _twice(chance: random.Random) -> bytes:
    pairs = [(name, chance.choice([item, value(chance)])) for name, item in [*event(chance).items()] * 3]
    chance.shuffle(pairs)
    return request(("{" + ",".join(f"{json.dumps(name)}:{json.dumps(item)}" for name, item in pairs) + "}").encode())


def _encoded(chance: random.Random) -> bytes:
    name = chance.choice(["gzip", "deflate", "br", "zstd", "compress", "identity", "gzip, gzip", "", "ÿ"])
    plain = chance.choice([json.dumps(event(chance)).encode(), bytes(chance.randrange(2_000_000))])
    body = gzip.compress(plain) if name == "gzip" else zlib.compress(plain) if name == "deflate" else plain
    return request(body[:200_000], {"Content-Encoding": name})


def _oversized(chance: random.Random) -> Shot:
    if chance.random() < 0.05:  # to its end: some megabytes each.
        return Shot("oversized", request(b" " * chance.randrange(8_000_000, 9_500_000)))
    size = chance.choice([8 * 2**20 + 1, 2**31, 2**63, 10**30])
    return Shot("oversized", f"{head()}\r\nContent-Length: {size}\r\n\r\n{{".encode())


def _odd_fields(chance: random.Random) -> bytes:
    names = ["Validation-Token", "Verification-Token", "Content-Type", "X-Forwarded-For", "Expect", "Cookie", "Host"]
    names += ["Connection", "Upgrade", "TE", "Trailer", "Accept-Encoding", "Transfer-Encoding", "Content-Length", "X"]
    values = [*_TEXTS, "100-continue", "upgrade", "h2c", "websocket", "chunked", "gzip, chunked", "-1", "1, 1", "é" * 9]
    fields = [(chance.choice(names), chance.choice(values)) for _ in range(chance.choice([1, 2, 3, 90]))]
    lines = "".join(f"{name}: {item}\r\n" for name, item in fields)
    body = chance.choice([b"", json.dumps(event(chance)).encode()])
    rest = f"\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head().encode() + rest.encode("utf-8", "surrogatepass") + body


def _odd_line(chance: random.Random) -> bytes:
    methods = ["GET", "HEAD", "PUT", "OPTIONS", "CONNECT", "TRACE", "DELETE", "post", "PO ST", "", "X" * 3000]
    targets = [
        PATH,
        "*",
        "/",
        f"{PATH}/x",
        f"{PATH}?a=%ff&b",
        "//",
        "/%",
        "/%00",
        "/\x7f",
        "http://[",
        "http://a:b/",
        "a:1",
    ]
    targets += ["/" + "a" * 3000, f"http://calls.example.com{PATH}", PATH.upper(), "/../" + PATH, "/é"]
    line = f"{chance.choice(methods)} {chance.choice(targets)} {chance.choice(['HTTP/1.1', 'HTTP/1.0', 'HTTP/9', ''])}"
    return f"{line}\r\nHost: a\r\nVerification-Token: {TOKEN}\r\nContent-Length: 0\r\n\r\n".encode()


def _handshake(chance: random.Random) -> bytes:
    token = chance.choice([f"{chance.getrandbits(128):032x}", *_TEXTS, "é", "a" * 600, " a ", "a\tb", TOKEN])
    return f"POST {PATH} HTTP/1.1\r\nHost: a\r\nValidation-Token: {token}\r\nContent-Length: 0\r\n\r\n".encode(
        "utf-8", "surrogatepass"
    )


def _stranger(chance: random.Random) -> bytes:
    token = chance.choice(["", "guessed", TOKEN[:-1], TOKEN + "a", "é", "\ud83d"])
    body = json.dumps(event(chance)).encode()
    return f"{head(token=token)}\r\nContent-Length: {len(body)}\r\n\r\n".encode("utf-8", "surrogatepass") + body


def _chunked(chance: random.Random) -> Shot:
    body = json.dumps(event(chance)).encode()
    sizes = [b"%x" % len(body)] * 3 + [b"-1", b"g", b"", b"0x10", b"ffffffffffffffffff", b"5;a=" + b"b" * 3000, b"1"]
    size, end = chance.choice(sizes), chance.choice([b"\r\n0\r\n\r\n"] * 3 + [b"", b"\r\n0\r\nX: a\r\n\r\n", b"0\r\n"])
    data = f"{head({'Transfer-Encoding': 'chunked'})}\r\n\r\n".encode() + size + b"\r\n" + body + end
    return Shot("chunked", data, answers=int(chance.random() < 0.5))


def _left(chance: random.Random) -> Shot:
    """Somewhere in the middle, the sender leaves."""
    whole = _genuine(chance)
    return Shot("left", whole[: chance.randrange(len(whole))], answers=0)


def _pipelined(chance: random.Random) -> Shot:
    parts = [chance.choice([_genuine, _mutated, _handshake, _stranger])(chance) for _ in range(3)]
    return Shot("pipelined", b"".join(parts), answers=3)


def _no_http(chance: random.Random) -> bytes:
    texts = [b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n\r\n\r\n", b"AMQP\x00\x00\x09\x01"]
    return chance.choice([*texts, b"SSH-2.0-x\r\n", chance.randbytes(chance.randrange(1, 500))]) + b"\r\n\r\n"


#: How often each kind is drawn, in parts of about a hundred. Mutations are most: they get the furthest.
_KINDS: Final[Mapping[str, tuple[float, Callable[[random.Random], bytes | Shot]]]] = {
    "genuine": (15, _genuine),
    "mutated": (20, _mutated),
    "reshaped": (10, _reshaped),
    "any json": (8, _any_json),
    "any bytes": (5, _any_bytes),
    "deep": (0.5, _deep),  # half a megabyte each.
    "keys twice": (4, _twice),
    "encoded": (4, _encoded),
    "oversized": (2, _oversized),
    "odd fields": (8, _odd_fields),
    "odd line": (5, _odd_line),
    "handshake": (5, _handshake),
    "stranger": (4, _stranger),
    "chunked": (4, _chunked),
    "left": (3, _left),
    "pipelined": (2, _pipelined),
    "no http": (3, _no_http),
}
