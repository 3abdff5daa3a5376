"""A second event loop, for what must go on while the first has its hands full.

A thousand VoiceModels that change at once keep the event loop busy for seconds; the Lease must be renewed meanwhile.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["Aside", "second_loop"]

Aside = Callable[[Coroutine[Any, Any, Any]], "asyncio.Future[Any]"]


@asynccontextmanager
async def second_loop() -> AsyncIterator[Aside]:
    """Run an event loop in a thread of its own; give a function that runs a coroutine there, to be awaited here."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="aside", daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)
        loop.close()
