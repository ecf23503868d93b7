"""All of a Swift in one process: `python swift_in_one.py FOLDER PORT ACCOUNT-PORT CONTAINER-PORT OBJECT-PORT`.

Runs under Debian's Python with Debian's Swift, which knows nothing of this project; key and secret come from the
environment as SWIFT_KEY (`account:user`) and SWIFT_SECRET. The folder holds a folder `devices/one`.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import eventlet
from eventlet import wsgi
from paste.deploy import loadapp as load_part
from swift.common import utils
from swift.common.http_protocol import SwiftHttpProtocol
from swift.common.ring import RingBuilder
from swift.common.storage_policy import reload_storage_policies
from swift.common.wsgi import loadapp as load_proxy

#: A ring of so many partitions, as a power of two: one device needs few.
PARTITION_POWER = 4

#: What Swift's own guide puts before its proxy, without what a test has no use for. Without proxy-logging an answer to
#: HEAD may have no length, and eventlet then ends it like a body, which no client expects.
SETTINGS = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0

[pipeline:main]
pipeline = catch_errors gatekeeper cache proxy-logging listing_formats s3api tempauth copy slo proxy-server

[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
paste.filter_factory = __main__:memory
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{user} = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[app:account]
use = egg:swift#account
[app:container]
use = egg:swift#container
[app:object]
use = egg:swift#object
"""

Wsgi = Callable[[dict[str, Any], Any], Any]


class Memory:
    """In place of memcached, which lets several processes share what one process has anyway."""

    def __init__(self) -> None:
        self._kept: dict[str, object] = {}

    def get(self, key: str, **_: object) -> object:
        return self._kept.get(key)

    def set(self, key: str, value: object, *_args: object, **_kwargs: object) -> None:
        self._kept[key] = value

    def delete(self, key: str, **_: object) -> None:
        self._kept.pop(key, None)


def memory(_settings: dict[str, str], **_: str) -> Callable[[Wsgi], Wsgi]:
    """The filter that gives requests the cache."""
    kept = Memory()

    def around(app: Wsgi) -> Wsgi:
        def answer(request: dict[str, Any], start: Any) -> Any:
            return app({**request, "swift.cache": kept}, start)

        return answer

    return around


def main(folder: Path, port: int, ports: dict[str, int]) -> None:
    """Serve until killed."""
    utils.eventlet_monkey_patch()  # as Swift's own start does: requests are served in green threads.
    settings = folder / "swift-in-one.conf"
    account, _, user = os.environ["SWIFT_KEY"].partition(":")
    secret = os.environ["SWIFT_SECRET"]
    settings.write_text(SETTINGS.format(folder=folder, account=account, user=user, secret=secret))
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = ringvault\n")
    utils.set_swift_dir(str(folder))
    reload_storage_policies()
    for part, part_port in ports.items():
        _write_ring(folder / f"{part}.ring.gz", part_port)
        app = load_part(f"config:{settings}", name=part)
        eventlet.spawn(_serve, part_port, app)
    _serve(port, load_proxy(str(settings)))


def _serve(port: int, app: Wsgi) -> None:
    """As Swift's own `run_server` does; header names are left as they are for the sake of S3 clients."""
    socket = eventlet.listen(("127.0.0.1", port))
    wsgi.server(socket, app, utils.NullLogger(), protocol=SwiftHttpProtocol, capitalize_response_headers=False)


def _write_ring(file: Path, port: int) -> None:
    builder = RingBuilder(PARTITION_POWER, 1, 1)
    place = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    builder.add_dev({"region": 1, "zone": 1, "device": "one", "weight": 1, "meta": "", **place})
    builder.rebalance()
    builder.get_ring().save(str(file))


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[2:]]
    main(Path(sys.argv[1]), numbers[0], dict(zip(("account", "container", "object"), numbers[1:], strict=True)))
