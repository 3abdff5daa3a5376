"""Load on a voice: many listeners at once, and what each of them heard when. Pure but for the clock and the threads."""

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kubevoice.errors import KubeVoiceError

__all__ = ["Heard", "Listen", "Piece", "Target", "closed_loop", "figures", "open_loop"]

SLACK_SECONDS = 0.005
"""A gap shorter than this is not heard."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some audio of a stream, by its length in seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What one listener heard, in seconds since he asked. `error` says why there is nothing, or not all."""

    first: float = 0.0
    total: float = 0.0
    audio: float = 0.0
    gaps: float = 0.0
    """Silence where audio was late, if it was played from the first piece on."""
    error: str | None = None
    refused: bool = False
    """Whether it was refused at once for being too much."""


Listen = Callable[[str], Iterator[Piece]]


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked: `listen` yields the pieces of a text as they arrive.

    It raises KubeVoiceError if it cannot, one of `busy` if it has too much to do.
    """

    listen: Listen
    busy: tuple[type[Exception], ...] = ()


def hear(target: Target, text: str) -> Heard:
    """Listen to one text."""
    began = time.monotonic()
    first = played = gaps = audio = 0.0
    try:
        for piece in target.listen(text):
            now = time.monotonic() - began
            first = first or now
            played = played or now
            if now > played + SLACK_SECONDS:
                gaps += now - played
                played = now
            played += piece.seconds
            audio += piece.seconds
    except target.busy as error:
        return Heard(total=time.monotonic() - began, error=str(error), refused=True)
    except KubeVoiceError as error:
        return Heard(first, time.monotonic() - began, audio, gaps, str(error))
    return Heard(first, time.monotonic() - began, audio, gaps)


def closed_loop(target: Target, texts: Sequence[str], listeners: int, requests: int) -> list[Heard]:
    """Let so many listeners ask, each again as soon as he has heard all, until so many requests were made."""
    left, taken = itertools.count(), threading.Lock()

    def ask(_: int) -> list[Heard]:
        heard: list[Heard] = []
        while True:
            with taken:
                number = next(left)
            if number >= requests:
                return heard
            heard.append(hear(target, texts[number % len(texts)]))

    with ThreadPoolExecutor(listeners) as pool:
        return [one for found in pool.map(ask, range(listeners)) for one in found]


def open_loop(target: Target, texts: Sequence[str], rate: float, requests: int) -> list[Heard]:
    """Make requests at a steady rate per second, however long the answers take."""
    with ThreadPoolExecutor(requests) as pool:
        began, waiting = time.monotonic(), []
        for number in range(requests):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            waiting.append(pool.submit(hear, target, texts[number % len(texts)]))
        return [future.result() for future in waiting]


def _percentile(values: Sequence[float], share: float) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def figures(heard: Sequence[Heard], elapsed: float) -> dict[str, float | int | None]:
    """Summarise: times in milliseconds, of requests that were answered whole."""
    good = [one for one in heard if one.error is None]

    def milliseconds(name: str, share: float) -> float | None:
        found = _percentile([getattr(one, name) * 1000 for one in good], share)
        return None if found is None else round(found, 1)

    audio = sum(one.audio for one in good)
    return {
        "requests": len(heard),
        "errors": sum(one.error is not None and not one.refused for one in heard),
        "refused": sum(one.refused for one in heard),
        "first_audio_ms_p50": milliseconds("first", 0.5),
        "first_audio_ms_p95": milliseconds("first", 0.95),
        "total_ms_p50": milliseconds("total", 0.5),
        "total_ms_p95": milliseconds("total", 0.95),
        "underruns": sum(one.gaps > 0 for one in good),
        "underrun_ms_max": round(1000 * max((one.gaps for one in good), default=0.0), 1),
        "audio_seconds": round(audio, 2),
        "audio_seconds_per_second": round(audio / elapsed, 2) if elapsed else None,
    }
