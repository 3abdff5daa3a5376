"""Simulated listeners: their requests and their timings."""

import threading
import time

import pytest
from kubevoice.errors import KubeVoiceError
from kubevoice_cli.load import ChunkArrival, RequestTiming, Target, closed_loop, measure_request, open_loop, summarize


class RefusedError(KubeVoiceError):
    """The server is at capacity."""


def test_audio_that_comes_in_time_has_no_gaps_and_late_audio_has():
    def stream(text):
        yield ChunkArrival(0.05)
        time.sleep(0.2 if text == "late" else 0.0)
        yield ChunkArrival(0.05)

    late, early = (measure_request(Target(stream), text) for text in ("late", "early"))
    assert early.gaps == 0
    assert late.gaps == pytest.approx(0.15, abs=0.05)
    assert early.audio == late.audio == pytest.approx(0.1)
    assert early.first <= early.total < late.total


def test_failures_and_refusals_are_distinguished_and_nothing_is_lost():
    def stream(text):
        yield ChunkArrival(1.0)
        if text == "broken":
            raise KubeVoiceError("gone")
        if text == "busy":
            raise RefusedError("later")

    texts = ("fine", "broken", "busy")
    timings = closed_loop(Target(stream, (RefusedError,)), texts, 4, 30)
    metrics = summarize(timings, 2.0)
    assert (metrics["requests"], metrics["errors"], metrics["refused"]) == (30, 10, 10)
    assert (metrics["audio_seconds"], metrics["audio_seconds_per_second"]) == (10.0, 5.0)


def test_a_closed_loop_has_so_many_listeners_at_once_and_no_more():
    inside, most, lock = 0, 0, threading.Lock()

    def stream(_):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        yield ChunkArrival(1.0)
        with lock:
            inside -= 1

    assert len(closed_loop(Target(stream), ("a",), 3, 12)) == 12
    assert most == 3


def test_an_open_loop_does_not_wait_for_answers():
    def stream(_):
        time.sleep(0.5)
        yield ChunkArrival(1.0)

    began = time.monotonic()
    assert len(open_loop(Target(stream), ("a",), 50.0, 10)) == 10
    assert time.monotonic() - began < 2.5  # one after the other they would take five


def test_times_are_those_of_whole_answers():
    timings = [RequestTiming(0.1 * n, 0.2 * n, 1.0) for n in range(1, 11)] + [
        RequestTiming(9.0, 9.0, 0.0, error="gone")
    ]
    metrics = summarize(timings, 10.0)
    assert metrics["first_audio_ms_p50"] == pytest.approx(550, abs=1)
    assert metrics["total_ms_p95"] == pytest.approx(1910, abs=1)
    assert metrics["underruns"] == 0
    assert summarize([], 1.0)["first_audio_ms_p50"] is None
