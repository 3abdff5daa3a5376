"""An event loop in a thread of its own, for work that must not wait for the main one.

A thousand VoiceModels that change at once keep the main event loop busy for seconds; the Lease must be renewed
meanwhile.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["RunInBackground", "background_loop"]

RunInBackground = Callable[[Coroutine[Any, Any, Any]], "asyncio.Future[Any]"]


@asynccontextmanager
async def background_loop() -> AsyncIterator[RunInBackground]:
    """Run a second event loop in a thread while the block runs.

    Yields
    ------
    RunInBackground
        A function that runs a coroutine in that loop and returns a future of the caller's loop.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="background", daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        # At once: asyncio.to_thread would wait for a free thread, and lookups of names may hold all of them.
        thread.join()
        loop.close()
