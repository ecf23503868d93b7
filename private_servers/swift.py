"""OpenStack Swift with its S3 interface, as Debian packages it: real, strict, and of another make than the others.

It refuses small parts and wrong Content-MD5, has no conditional puts and no encryption headers. Its account, container,
object and proxy servers run in one process (`swift_in_one.py`), because a test needs no more; nothing is replicated.
"""

import os
from pathlib import Path
from typing import ClassVar, Final

from private_servers.errors import cannot_run
from private_servers.packages import Packaged
from private_servers.process import Process
from private_servers.s3 import S3Server, ask, checked

#: What Swift keeps beside each file; the name is any other.
ATTRIBUTE = "user.ringvault"


class SwiftS3(S3Server):
    """One device, one replica, one user."""

    name: ClassVar[str] = "swift-s3"
    port_count: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self.access_key = f"calls:{self.access_key.lower()}"  # Swift's own shape: account and user.

    def create_bucket(self, name: str) -> None:
        """May be called again. A bucket is a container of Swift's own interface, which needs no signature."""
        url = f"http://127.0.0.1:{self.port}"
        told = ask("GET", f"{url}/auth/v1.0", {"X-Auth-User": self.access_key, "X-Auth-Key": self.secret_key})
        ask("PUT", f"{told['X-Storage-Url']}/{checked(name)}", {"X-Auth-Token": told["X-Auth-Token"]})

    def _prepare(self, folder: Path) -> None:
        (folder / "devices/one").mkdir(parents=True)
        try:
            os.setxattr(folder, ATTRIBUTE, b"")
        except OSError as error:
            raise cannot_run("Swift", f"the temporary folder keeps no extended attributes ({error.strerror})") from None

    def _launch(self, folder: Path) -> Process:
        root = SWIFT.files()
        libraries = [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")]
        environment = {
            **self._environment(folder),
            "PYTHONHOME": str(root / "usr"),
            "PYTHONPATH": str(root / "usr/lib/python3/dist-packages"),
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "SWIFT_KEY": self.access_key,  # command lines can be read by others.
            "SWIFT_SECRET": self.secret_key,
        }
        script = Path(__file__).with_name("swift_in_one.py")
        apart = ["-P"]  # or it would find modules of ours beside the script that are named like its own.
        return Process([_python(root), *apart, script, folder, *map(str, self._ports)], folder=folder, env=environment)


def _python(root: Path) -> Path:
    return root / "usr/bin/python3"


def _root_of(root: Path) -> Path | None:
    """The root itself, when it has Swift and the Python that it belongs to."""
    whole = _python(root).exists() and (root / "usr/lib/python3/dist-packages/swift").is_dir()
    return root if whole else None


#: All of Debian's Python is fetched with it, whose packages must belong together: about 16 MB, unpacked 76 MB.
SWIFT: Final = Packaged("Swift", "python3-swift", _root_of, with_it=("python3", "libpython3"))
