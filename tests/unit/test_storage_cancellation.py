"""Work that runs to its end although its task is cancelled."""

import asyncio

import pytest

from common.storage.cancellation import to_the_end


class Work:
    """Waits until it may end, and says how far it came."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.ended = False
        self.error = error

    async def run(self) -> str:
        self.begun.set()
        await self.may_end.wait()
        self.ended = True
        if self.error:
            raise self.error
        return "result"


async def test_the_result_comes_back() -> None:
    work = Work()
    work.may_end.set()

    assert await to_the_end(work.run()) == "result"


async def test_an_error_comes_back_as_it_is() -> None:
    work = Work(KeyError("own"))
    work.may_end.set()

    with pytest.raises(KeyError, match="own"):
        await to_the_end(work.run())


@pytest.mark.parametrize("error", [None, KeyError("lost to the cancellation")])
async def test_a_cancellation_waits_for_the_end_however_often_it_is_asked_for(error: Exception | None) -> None:
    # Given work under way
    work = Work(error)
    task = asyncio.create_task(to_the_end(work.run()))
    await work.begun.wait()

    # When its task is cancelled twice before it may end
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=0)
    assert not task.done()
    work.may_end.set()

    # Then the work ends first, and the task is cancelled after it
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.ended
