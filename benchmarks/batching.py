"""Measure what decoder batching saves: steps of several listeners in one call of the decoder.

    .venv/bin/python benchmarks/batching.py --output benchmarks/results/batching.json

The built-in voice synthesizes one sentence for each listener, chunk by chunk in turn, as a replica does: first with a
decoder call for each listener, then with batched calls. The result is the real-time factor, as CPU time on one thread.
Both ways alternate, and the minimum of several rounds counts. The result also has the largest difference between the
samples of both ways.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from kubevoice.engine import Controls, DecoderScheduler, Engine, build_script
from kubevoice.engine.synthesis import synthesize_parts
from kubevoice.voice import builtin_voice
from numpy.typing import NDArray

TEXTS = (
    "今天下午三点我们在公司的大会议室里讨论明年的工作计划，请大家提前准备好材料。",
    "这家餐厅的菜做得又快又好吃，周末常常要排队等一个多小时才能坐下。",
    "您的快递已经放在小区门口的柜子里了，请凭短信里的号码在今天晚上以前取走。",
    "从这里到火车站坐地铁要四十分钟，如果路上不堵车，打车大概半个小时就到。",
)
LISTENERS = (1, 2, 4, 8, 16)
ROUNDS = 7


def synthesize_for_listeners(
    engine: Engine, listeners: int, *, batched: bool
) -> tuple[float, list[NDArray[np.float32]]]:
    """Synthesize a sentence for each of `listeners`, chunk by chunk in turn.

    Returns
    -------
    tuple[float, list[NDArray[np.float32]]]
        CPU seconds, and the audio of each listener as [samples].
    """
    scheduler = DecoderScheduler() if batched else None
    parts = [build_script(engine, TEXTS[number % len(TEXTS)]).parts for number in range(listeners)]
    began = time.process_time()
    streams: list[Iterator[NDArray[np.float32]]] = [
        synthesize_parts(engine, one, Controls(), scheduler=scheduler) for one in parts
    ]
    chunks: list[list[NDArray[np.float32]]] = [[] for _ in parts]
    waiting = list(range(listeners))
    while waiting:
        # The listener with the least audio runs out first.
        number = min(waiting, key=lambda one: sum(map(len, chunks[one])))
        chunk = next(streams[number], None)
        if chunk is None:
            waiting.remove(number)
        else:
            chunks[number].append(chunk)
    return time.process_time() - began, [np.concatenate(parts) for parts in chunks]


def main() -> None:
    """Measure all numbers of listeners and print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    engine = Engine.load(builtin_voice("builtin://base"))
    rows = []
    for listeners in LISTENERS:
        best = {False: float("inf"), True: float("inf")}
        audio: dict[bool, list[NDArray[np.float32]]] = {}
        for _ in range(ROUNDS):
            for batched in (False, True):
                seconds, audio[batched] = synthesize_for_listeners(engine, listeners, batched=batched)
                best[batched] = min(best[batched], seconds)
        duration = sum(map(len, audio[True])) / engine.sample_rate
        rows.append(
            {
                "listeners": listeners,
                "alone": round(best[False] / duration, 4),
                "together": round(best[True] / duration, 4),
                "ratio": round(best[True] / best[False], 3),
                "largestDifference": max(
                    float(np.abs(one - other).max()) for one, other in zip(audio[False], audio[True], strict=True)
                ),
            }
        )
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} after",
        "realTimeFactor": rows,
    }
    print(json.dumps(report, indent=1))
    if args.output:
        args.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
