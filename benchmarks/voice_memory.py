"""What replicas of one node could save if they shared a voice's weights.

    .venv/bin/python benchmarks/voice_memory.py --output benchmarks/results/voice_memory.json

Two processes load the voice that ships, as replicas do, and speak a sentence; the kernel then says of each how much of
its memory nobody else has (Private_Dirty and Private_Clean of smaps_rollup), before the voice and after. What could be
shared at most is the weights, in the precision that they are computed in.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from math import prod
from pathlib import Path

import onnx
from kubevoice.engine import Controls, Engine, build_script, synthesize_parts
from kubevoice.voice import builtin_voice

SENTENCE = "今天下午三点我们在公司的大会议室里讨论明年的工作计划，请大家提前准备好材料。"
VOICE = "builtin://base"
PROCESSES = 2


def private_megabytes() -> float:
    """Return the memory of this process that no other process has."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return round(sum(map(int, re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE))) / 1024, 1)


def child() -> None:
    """Load and speak; tell what that took, and stay until standard input ends."""
    before = private_megabytes()
    engine = Engine.load(builtin_voice(VOICE))
    loaded = private_megabytes()
    for _ in synthesize_parts(engine, build_script(engine, SENTENCE).parts, Controls()):
        pass
    print(json.dumps({"before": before, "loaded": loaded, "spoken": private_megabytes()}), flush=True)
    sys.stdin.read()


def weights_megabytes() -> float:
    """Return what the graphs' weights take as float32."""
    graphs = [onnx.load(path).graph for path in sorted(builtin_voice(VOICE).glob("*.onnx"))]
    return round(4 * sum(prod(tensor.dims) for graph in graphs for tensor in graph.initializer) / 1e6, 1)


def main() -> None:
    """Print what each process says, and what is weights, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="write the figures to this file, too")
    args = parser.parse_args()
    if args.child:
        child()
        return
    command = [sys.executable, __file__, "--child"]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        for _ in range(PROCESSES)
    ]
    told = [json.loads(process.stdout.readline()) for process in running if process.stdout]
    for process in running:
        process.communicate()
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "private_megabytes": told,
        "weights_megabytes": weights_megabytes(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
