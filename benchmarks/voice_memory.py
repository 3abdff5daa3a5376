"""Measure how much memory the replicas of a node could save by sharing a voice's weights.

    .venv/bin/python benchmarks/voice_memory.py --output benchmarks/results/voice_memory.json

Two processes load the built-in voice, as replicas do, and synthesize a sentence. Each reports its private memory
(Private_Dirty and Private_Clean of smaps_rollup) before and after it loads the voice, and after the sentence. At most
the weights can be shared, in the precision of the computation.
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


def measure_private_megabytes() -> float:
    """Return the private memory of this process, in MB."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return round(sum(map(int, re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE))) / 1024, 1)


def run_child() -> None:
    """Load the voice and synthesize a sentence, print the memory, and wait for the end of standard input."""
    before = measure_private_megabytes()
    engine = Engine.load(builtin_voice(VOICE))
    loaded = measure_private_megabytes()
    for _ in synthesize_parts(engine, build_script(engine, SENTENCE).parts, Controls()):
        pass
    print(json.dumps({"before": before, "loaded": loaded, "spoken": measure_private_megabytes()}), flush=True)
    sys.stdin.read()


def compute_weights_megabytes() -> float:
    """Return the size of the graphs' weights as float32, in MB."""
    graphs = [onnx.load(path).graph for path in sorted(builtin_voice(VOICE).glob("*.onnx"))]
    return round(4 * sum(prod(tensor.dims) for graph in graphs for tensor in graph.initializer) / 1e6, 1)


def main() -> None:
    """Print the memory of each process and the size of the weights as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="write the report to this file, too")
    args = parser.parse_args()
    if args.child:
        run_child()
        return
    command = [sys.executable, __file__, "--child"]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        for _ in range(PROCESSES)
    ]
    measurements = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
    for process in processes:
        process.communicate()
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "private_megabytes": measurements,
        "weights_megabytes": compute_weights_megabytes(),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
