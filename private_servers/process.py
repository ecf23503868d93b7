"""A server process that cannot outlive us: own session, own log, killed by the kernel when we die."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from private_servers.errors import PrivateServerError

#: Pause between two looks at a server that starts or freezes, in seconds: far below every start time, still idle.
LOOK_EVERY = 0.02

#: How long a server may take to end on request before it is killed, in seconds: RabbitMQ takes 1 to 3 s.
END_WITHIN = 30.0

#: How long the kernel may take to stop every thread of a process, in seconds: milliseconds, but of a busy machine.
FROZEN_WITHIN = 10.0

#: Lines of the log that an error shows: enough for the cause, few enough to read.
LOG_LINES = 15


class Process:
    """One running server; `user` is the numeric id to run as (root only)."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        env: Mapping[str, str],
        when_orphaned: signal.Signals = signal.SIGKILL,
        user: int | None = None,
    ) -> None:
        self.log = folder / "log"
        bound = [*_tied_to_us(when_orphaned), *map(str, command)]
        start = functools.partial(_popen, bound, folder, dict(env), self.log, user)
        self._popen = _spawner().submit(start).result()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with (-9: killed by signal 9), or None while it runs."""
        return self._popen.poll()

    def send(self, what: signal.Signals) -> None:
        """Signal it; nothing happens when it has ended."""
        self._popen.send_signal(what)

    def freeze(self) -> None:
        """Stop it, and return when none of its threads runs any more; raises `PrivateServerError`.

        The kernel stops them one by one: until then, they may still answer.
        """
        self.send(signal.SIGSTOP)
        self._wait_until_frozen(lambda: [self.pid])

    def freeze_children(self) -> None:
        """The same with the processes that it started."""
        self.send_to_children(signal.SIGSTOP)
        self._wait_until_frozen(lambda: _children(self.pid))

    def _wait_until_frozen(self, which: Callable[[], list[int]]) -> None:
        name = f"process {self.pid}, which is to freeze,"
        self.wait_until(lambda: all(map(_is_frozen, which())), within=FROZEN_WITHIN, name=name)

    def send_to_children(self, what: signal.Signals) -> None:
        """Signal the processes that it started; those of them that have just ended are left out."""
        for child in _children(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, what)

    def end(self, how: signal.Signals) -> None:
        """Ask it to end, wait, and kill it when it takes too long. May be called again."""
        self.send(how)
        try:
            self._popen.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def wait_until(self, is_ready: Callable[[], bool], *, within: float, name: str) -> None:
        """Return when it is ready; raise `PrivateServerError` with the log's tail when it ends or takes too long."""
        deadline = time.monotonic() + within
        while True:
            # In this order: what has ended before the look may be ready by having ended.
            alive = self.is_alive()
            if is_ready():
                return
            if not alive:
                raise PrivateServerError(f"{name} ended while starting; its last words:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise PrivateServerError(
                    f"{name} did not answer within {within:g} s; its last words:\n{self.log_tail()}"
                )
            time.sleep(LOOK_EVERY)

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])


def _tied_to_us(when_orphaned: signal.Signals) -> list[str]:
    """The command's prefix that has the kernel signal it when its parent dies, even by SIGKILL.

    SIGKILL is the default because it also ends a paused server; its data is temporary anyway.
    """
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    return [setpriv, "--pdeathsig", when_orphaned.name.removeprefix("SIG"), "--"] if setpriv else []


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:  # it has ended.
        return []


def _is_frozen(pid: int) -> bool:
    """Whether no thread of it runs: each is stopped, or has ended."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return True
    return not any(_runs(thread / "stat") for thread in threads)


def _runs(thread: Path) -> bool:
    try:
        state = thread.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "TtZX"


def _popen(
    command: list[str], folder: Path, env: dict[str, str], log: Path, user: int | None
) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in our terminal is ours to handle.
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )


@functools.cache
def _spawner() -> ThreadPoolExecutor:
    """The thread that starts all servers: the kernel takes the end of the *starting thread* for the parent's death."""
    return ThreadPoolExecutor(1, thread_name_prefix="private-servers")
