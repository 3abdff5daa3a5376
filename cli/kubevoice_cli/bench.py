"""`bench`: measure first audio, latency and throughput of a voice, in this process or on a server."""

import json
import os
import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from kubevoice.errors import InputError, KubeVoiceError
from kubevoice.voice import builtin_voice
from rich.table import Table

from kubevoice_cli.client import ServerBusyError, open_request
from kubevoice_cli.console import answers, plain
from kubevoice_cli.load import ChunkArrival, Target, closed_loop, open_loop, summarize

__all__ = ["TEXTS", "bench", "server_target"]

TEXTS = (
    "今天天气真好，我们一起去公园散步，然后回家做饭，晚上再看一部有意思的老电影。",
    "请各位乘客注意，开往上海的高速列车将在十分钟以后从三号站台准时出发，请排队上车。",
    "银行行长说，这一行的长处是稳，短处是慢，所以他们正在重新研究怎样为客户服务。",
    "她把信看了两遍，慢慢地放回桌上，走到窗前，望着外面的雨，很久没有说一句话。",
)
BYTES_PER_SAMPLE, CHUNK_BYTES = 2, 1 << 16
OVERHEAD_REQUESTS = 20
HIGHEST_RATE = 1000.0
"""Requests a second; at a higher rate this program is the limit."""


def bench(
    *,
    url: Annotated[str | None, typer.Option(help="Measure this server instead of this process.")] = None,
    voice: Annotated[str | None, typer.Option(help="Folder of a bundle or builtin://NAME; with --url, a name.")] = None,
    listeners: Annotated[int, typer.Option(help="Closed loop: listeners at once.", min=1, max=256)] = 1,
    rate: Annotated[
        float | None, typer.Option(help="Open loop instead: requests a second, sent without waiting for responses.")
    ] = None,
    requests: Annotated[int, typer.Option(help="Requests in all.", min=1, max=100_000)] = 20,
    text: Annotated[
        list[str] | None, typer.Option(help="Text to synthesize; may be repeated. [four sentences]")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of ONNX Runtime, without --url.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object.")] = False,
) -> None:
    """Measure first audio, latency, underruns and throughput.

    Parameters
    ----------
    url, voice : str or None
        What is measured: a server, or a bundle in this process.
    listeners, requests : int
        Listeners at once in a closed loop, and requests in all.
    rate : float or None
        Requests a second of an open loop; None is a closed loop.
    text : list of str or None
        Texts, used in turn; None is TEXTS.
    threads : int
        Threads of ONNX Runtime in this process.
    as_json : bool
        Whether the metrics are printed as JSON.

    Raises
    ------
    InputError
        If the rate is out of range, or if there is no such voice.
    KubeVoiceError
        If no request was answered.
    """
    if rate is not None and not 0 < rate <= HIGHEST_RATE:
        raise InputError(f"--rate is {rate:g}; it must be above 0 and at most {HIGHEST_RATE:g}")
    target = server_target(url, voice) if url else _engine_target(voice, threads)
    texts = tuple(text) if text else TEXTS
    closed_loop(target, texts, 1, 2)  # warms up, so that loading is not measured
    began = time.monotonic()
    timings = (
        closed_loop(target, texts, listeners, requests) if rate is None else open_loop(target, texts, rate, requests)
    )
    metrics: dict[str, Any] = summarize(timings, time.monotonic() - began)
    metrics["load"] = {"listeners": listeners} if rate is None else {"rate": rate}
    metrics["rtf"] = _compute_rtf(metrics["audio_seconds_per_second"]) if rate is None and listeners == 1 else None
    metrics["overhead_ms_p50"] = _measure_overhead(url, voice, texts) if url else None
    metrics["cached_ms_p50"] = _measure_cached(url, voice, texts[0]) if url else None
    metrics["peak_rss_mb"] = None if url else round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    metrics["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    errors = sorted({one.error for one in timings if one.error and not one.refused})
    if as_json:
        answers.print_json(json.dumps(metrics | {"error_messages": errors[:5]}, ensure_ascii=False))
    else:
        _show(metrics, errors)


def _compute_rtf(audio_per_second: float | None) -> float | None:
    """Return the real-time factor; None without audio."""
    return round(1 / audio_per_second, 4) if audio_per_second else None


def _engine_target(voice: str | None, threads: int) -> Target:
    from kubevoice.engine import Controls, Engine, build_script, synthesize_parts

    where = voice or "builtin://base"
    engine = Engine.load(builtin_voice(where) if where.startswith("builtin://") else Path(where), threads=threads)

    def stream(text: str) -> Iterator[ChunkArrival]:
        for samples in synthesize_parts(engine, build_script(engine, text).parts, Controls()):
            yield ChunkArrival(len(samples) / engine.sample_rate)

    return Target(stream)


def server_target(url: str, voice: str | None) -> Target:
    """Return a server as a target; its response cache is not used.

    Parameters
    ----------
    url : str
        Address of the server.
    voice : str or None
        Name of the voice; None is the default voice.

    Returns
    -------
    Target
        The target; HTTP 429 counts as a refusal.
    """

    def stream(text: str) -> Iterator[ChunkArrival]:
        body = {"input": text, "response_format": "pcm", "stream": True} | ({"voice": voice} if voice else {})
        with open_request(url, body, bypass_cache=True) as response:
            rate = int(response.headers["X-Sample-Rate"])
            while data := response.read1(CHUNK_BYTES):
                yield ChunkArrival(len(data) / BYTES_PER_SAMPLE / rate)

    return Target(stream, (ServerBusyError,))


def _measure_overhead(url: str, voice: str | None, texts: tuple[str, ...]) -> float:
    """Return the median time of a complete response without queue and synthesis, in milliseconds."""
    extra = []
    for number in range(OVERHEAD_REQUESTS):
        body = {"input": texts[number % len(texts)], "response_format": "wav"} | ({"voice": voice} if voice else {})
        began = time.monotonic()
        with open_request(url, body, bypass_cache=True) as response:
            response.read()
            spent = float(response.headers["X-Queue-Seconds"]) + float(response.headers["X-Synthesis-Seconds"])
        extra.append(1000 * (time.monotonic() - began - spent))
    return round(sorted(extra)[len(extra) // 2], 1)


def _measure_cached(url: str, voice: str | None, text: str) -> float | None:
    """Return the median time of a response from the response cache, in milliseconds; None if the server has none."""
    body = {"input": text, "response_format": "mp3"} | ({"voice": voice} if voice else {})
    times = []
    for _ in range(OVERHEAD_REQUESTS):
        began = time.monotonic()
        with open_request(url, body) as response:
            response.read()
            if response.headers["X-Cache"] != "miss":
                times.append(1000 * (time.monotonic() - began))
    return round(sorted(times)[len(times) // 2], 1) if times else None


def _show(metrics: dict[str, Any], errors: list[str]) -> None:
    table = Table("metric", "")
    for name, value in metrics.items():
        if value is not None:
            table.add_row(name, plain(str(value)))
    answers.print(table)
    for message in errors[:5]:
        answers.print(f"error: {plain(message)}")
    if not metrics["audio_seconds"]:
        raise KubeVoiceError("no request was answered")
