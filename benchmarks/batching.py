"""What it saves to make the decoder's steps of several listeners together.

    .venv/bin/python benchmarks/batching.py --output benchmarks/results/batching.json

So many sentences of the voice that ships are spoken piece by piece in turns, as a replica does for its listeners, each
decoded alone and all in a batch. One thread, CPU time over the length of the audio; both ways by turns, the least of
several rounds. The samples of both ways are compared: the largest difference between them is in the result.
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


def spoken(engine: Engine, listeners: int, *, together: bool) -> tuple[float, list[NDArray[np.float32]]]:
    """Speak to so many by turns; return the CPU seconds of it and what each hears."""
    scheduler = DecoderScheduler() if together else None
    parts = [build_script(engine, TEXTS[number % len(TEXTS)]).parts for number in range(listeners)]
    began = time.process_time()
    streams: list[Iterator[NDArray[np.float32]]] = [
        synthesize_parts(engine, one, Controls(), scheduler=scheduler) for one in parts
    ]
    heard: list[list[NDArray[np.float32]]] = [[] for _ in parts]
    waiting = list(range(listeners))
    while waiting:
        # Whose audio runs out first, as nobody has heard any yet.
        number = min(waiting, key=lambda one: sum(map(len, heard[one])))
        piece = next(streams[number], None)
        if piece is None:
            waiting.remove(number)
        else:
            heard[number].append(piece)
    return time.process_time() - began, [np.concatenate(pieces) for pieces in heard]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    engine = Engine.load(builtin_voice("builtin://base"))
    rows = []
    for listeners in LISTENERS:
        best = {False: float("inf"), True: float("inf")}
        heard: dict[bool, list[NDArray[np.float32]]] = {}
        for _ in range(ROUNDS):
            for together in (False, True):
                seconds, heard[together] = spoken(engine, listeners, together=together)
                best[together] = min(best[together], seconds)
        audio = sum(map(len, heard[True])) / engine.sample_rate
        rows.append(
            {
                "listeners": listeners,
                "alone": round(best[False] / audio, 4),
                "together": round(best[True] / audio, 4),
                "ratio": round(best[True] / best[False], 3),
                "largestDifference": max(
                    float(np.abs(one - other).max()) for one, other in zip(heard[False], heard[True], strict=True)
                ),
            }
        )
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} after",
        "realTimeFactor": rows,
    }
    print(json.dumps(result, indent=1))
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
