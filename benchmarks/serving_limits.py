"""Measure the replicas' memory over many requests, and their answers under overload.

    make demo
    .venv/bin/python benchmarks/serving_limits.py --output benchmarks/results/serving_limits.json

Memory is the resident memory of each replica's process, after each twentieth of the requests. For overload the capacity
is measured first, with eight listeners who each wait for their answer. Then five times as many requests a second are
sent for --seconds, and the first audio of the accepted ones is compared with that of one listener alone.
"""

import argparse
import json
import os
import platform
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubevoice_cli.bench import TEXTS, server_target
from kubevoice_cli.load import Target, closed_loop, open_loop, summarize

SHORT = ("你好。", "再见。", "谢谢你。")
LARGEST_MB, GROWTH, EXCESS, SLOWER = 600.0, 1.05, 5.0, 2.0


def measure_replicas() -> dict[str, float]:
    """Return the resident memory of each Ray Serve replica on this machine, in MB."""
    megabytes = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_text().strip("\0 ")
            resident = re.search(r"^VmRSS:\s+(\d+) kB", (folder / "status").read_text(), re.MULTILINE)
        except OSError:
            continue
        if (replica := re.match(r"ray::ServeReplica:\w+:(\w+)", name)) and resident:
            megabytes[f"{replica[1]} {folder.name}"] = round(int(resident[1]) / 1024, 1)
    return megabytes


def measure_memory(target: Target, requests: int) -> dict[str, Any]:
    """Return the memory of each replica after each twentieth of the requests."""
    series: dict[str, list[float]] = {}
    errors = 0
    for _ in range(20):
        answers = closed_loop(target, SHORT, 4, requests // 20)
        errors += sum(one.error is not None for one in answers)
        for name, resident in measure_replicas().items():
            series.setdefault(name, []).append(resident)
    series = {name: values for name, values in series.items() if len(values) == 20}
    flat = all(max(values[10:]) <= GROWTH * max(values[:10]) for values in series.values())
    return {
        "requests": requests,
        "errors": errors,
        "megabytes": series,
        "met": bool(series) and flat and errors == 0 and max(map(max, series.values())) <= LARGEST_MB,
    }


def measure_overload(target: Target, seconds: float) -> dict[str, Any]:
    """Return how requests are answered at five times the capacity."""
    alone = summarize(closed_loop(target, TEXTS, 1, 20), 1.0)
    began = time.monotonic()
    closed_loop(target, TEXTS, 8, 80)
    capacity = 80 / (time.monotonic() - began)
    rate = EXCESS * capacity
    began = time.monotonic()
    answers = open_loop(target, TEXTS, rate, round(rate * seconds))
    summary = summarize(answers, time.monotonic() - began)
    refusal_seconds = sorted(one.total for one in answers if one.refused)
    first, usual = summary["first_audio_ms_p95"], alone["first_audio_ms_p95"]
    return {
        "alone": alone,
        "capacity": round(capacity, 2),
        "rate": round(rate, 2),
        "overloaded": summary,
        "refused_after_ms_p95": round(1000 * refusal_seconds[int(0.95 * len(refusal_seconds))], 1)
        if refusal_seconds
        else None,
        "met": summary["errors"] == 0 and bool(first and usual and first <= SLOWER * usual),
    }


def main() -> int:
    """Measure overload and memory and print the report as JSON; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="a server on this machine")
    parser.add_argument("--requests", type=int, default=10_000, help="for the memory")
    parser.add_argument("--seconds", type=float, default=20.0, help="of overload")
    parser.add_argument("--output", type=Path, help="write the report to this file, too")
    args = parser.parse_args()
    target = server_target(args.url, None)
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before",
        "overload": measure_overload(target, args.seconds),
        "memory": measure_memory(target, args.requests),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")
    return 0 if report["overload"]["met"] and report["memory"]["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
