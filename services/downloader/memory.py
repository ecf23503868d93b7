"""Where the C library takes the memory of parts from."""

import ctypes
from contextlib import suppress
from typing import Final

#: `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` of glibc's malloc.h.
_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = -1
#: Bytes from which memory is a piece of its own: below the parts of an upload, above what comes and goes often.
_FROM_BYTES: Final = 2**20
#: Free bytes at the heap's end that are kept: some reads of 256 KB. With glibc's 128 KB each read takes memory from the
#: system and gives it back, a tenth of all CPU of a download.
_KEPT_BYTES: Final = 4 * 2**20


def keep_parts_apart() -> None:
    """Let the memory of each part go back to the system when it is freed. May run twice.

    glibc does so until the first is freed; then it takes them from its heap, which grows by what comes to lie between
    them: a downloader held 20 MB more after twenty minutes than it used. Other C libraries have no such call.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _FROM_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
