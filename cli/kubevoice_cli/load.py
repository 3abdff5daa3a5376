"""Load generator: many listeners at once, and the timing of the audio that each received."""

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kubevoice.errors import KubeVoiceError

__all__ = [
    "ChunkArrival",
    "RequestTiming",
    "Stream",
    "Target",
    "closed_loop",
    "measure_request",
    "open_loop",
    "summarize",
]

SLACK_SECONDS = 0.005
"""A shorter gap is not audible."""


@dataclass(frozen=True, slots=True)
class ChunkArrival:
    """A chunk of a stream that has just arrived, by its length in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class RequestTiming:
    """Timing of one request, in seconds since it was sent."""

    first: float = 0.0
    """When the first chunk arrived."""
    total: float = 0.0
    """When the last chunk arrived."""
    audio: float = 0.0
    """Length of the audio received."""
    gaps: float = 0.0
    """Silence where audio was late, if it is played from the first chunk on."""
    error: str | None = None
    """Why there is no audio, or not all of it."""
    refused: bool = False
    """Whether the server refused it because it is at capacity."""


Stream = Callable[[str], Iterator[ChunkArrival]]


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured.

    Attributes
    ----------
    stream
        Yields the chunks of a text's speech as they arrive; raises KubeVoiceError if it fails.
    refusals
        Errors that it raises when it is at capacity.
    """

    stream: Stream
    refusals: tuple[type[Exception], ...] = ()


def measure_request(target: Target, text: str) -> RequestTiming:
    """Request the speech of one text and time its chunks.

    Parameters
    ----------
    target : Target
        Where the speech is requested.
    text : str
        The text.

    Returns
    -------
    RequestTiming
        Its timing. An error of the target is in it and not raised.
    """
    began = time.monotonic()
    first = played = gaps = audio = 0.0
    try:
        for chunk in target.stream(text):
            now = time.monotonic() - began
            first = first or now
            played = played or now
            if now > played + SLACK_SECONDS:
                gaps += now - played
                played = now
            played += chunk.seconds
            audio += chunk.seconds
    except target.refusals as error:
        return RequestTiming(total=time.monotonic() - began, error=str(error), refused=True)
    except KubeVoiceError as error:
        return RequestTiming(first, time.monotonic() - began, audio, gaps, str(error))
    return RequestTiming(first, time.monotonic() - began, audio, gaps)


def closed_loop(target: Target, texts: Sequence[str], listeners: int, requests: int) -> list[RequestTiming]:
    """Send requests from a fixed number of listeners, each of whom sends the next when the last is answered.

    Parameters
    ----------
    target : Target
        Where the speech is requested.
    texts : sequence of str
        Texts, used in turn.
    listeners : int
        Requests at the same time.
    requests : int
        Requests in all.

    Returns
    -------
    list of RequestTiming
        The timing of every request, in no particular order.
    """
    numbers, lock = itertools.count(), threading.Lock()

    def run_listener(_: int) -> list[RequestTiming]:
        timings: list[RequestTiming] = []
        while True:
            with lock:
                number = next(numbers)
            if number >= requests:
                return timings
            timings.append(measure_request(target, texts[number % len(texts)]))

    with ThreadPoolExecutor(listeners) as pool:
        return [timing for timings in pool.map(run_listener, range(listeners)) for timing in timings]


def open_loop(target: Target, texts: Sequence[str], rate: float, requests: int) -> list[RequestTiming]:
    """Send requests at a fixed rate, whether or not earlier ones are answered.

    Parameters
    ----------
    target : Target
        Where the speech is requested.
    texts : sequence of str
        Texts, used in turn.
    rate : float
        Requests a second.
    requests : int
        Requests in all.

    Returns
    -------
    list of RequestTiming
        The timing of every request, in the order they were sent.
    """
    with ThreadPoolExecutor(requests) as pool:
        began, futures = time.monotonic(), []
        for number in range(requests):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            futures.append(pool.submit(measure_request, target, texts[number % len(texts)]))
        return [future.result() for future in futures]


def _percentile(values: Sequence[float], share: float) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def summarize(timings: Sequence[RequestTiming], elapsed: float) -> dict[str, float | int | None]:
    """Return the metrics of a run.

    Parameters
    ----------
    timings : sequence of RequestTiming
        All requests of the run.
    elapsed : float
        Length of the run in seconds.

    Returns
    -------
    dict
        Counts of all requests; percentiles, in milliseconds, of those that were answered in full. None where there
        are none.
    """
    complete = [timing for timing in timings if timing.error is None]

    def milliseconds(name: str, share: float) -> float | None:
        value = _percentile([getattr(timing, name) * 1000 for timing in complete], share)
        return None if value is None else round(value, 1)

    audio = sum(timing.audio for timing in complete)
    return {
        "requests": len(timings),
        "errors": sum(timing.error is not None and not timing.refused for timing in timings),
        "refused": sum(timing.refused for timing in timings),
        "first_audio_ms_p50": milliseconds("first", 0.5),
        "first_audio_ms_p95": milliseconds("first", 0.95),
        "total_ms_p50": milliseconds("total", 0.5),
        "total_ms_p95": milliseconds("total", 0.95),
        "underruns": sum(timing.gaps > 0 for timing in complete),
        "underrun_ms_max": round(1000 * max((timing.gaps for timing in complete), default=0.0), 1),
        "audio_seconds": round(audio, 2),
        "audio_seconds_per_second": round(audio / elapsed, 2) if elapsed else None,
    }
