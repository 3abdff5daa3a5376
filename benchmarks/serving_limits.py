"""Whether serving keeps its memory over many requests, and its promises when far too much is asked.

    make demo
    .venv/bin/python benchmarks/serving_limits.py --output benchmarks/results/serving_limits.json

Memory is what the kernel says of each replica's process, after every twentieth of the requests. For overload the
capacity is measured first, with many listeners who each wait for their answer; then five times as many requests a
second are made as it has, for as long as is said, and what was accepted is compared with one listener alone.
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


def replicas() -> dict[str, float]:
    """Return the resident memory of each Serve replica on this machine, in MB."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_text().strip("\0 ")
            resident = re.search(r"^VmRSS:\s+(\d+) kB", (folder / "status").read_text(), re.MULTILINE)
        except OSError:
            continue
        if (replica := re.match(r"ray::ServeReplica:\w+:(\w+)", name)) and resident:
            found[f"{replica[1]} {folder.name}"] = round(int(resident[1]) / 1024, 1)
    return found


def memory(target: Target, requests: int) -> dict[str, Any]:
    """Return the memory of each replica after every twentieth of the requests."""
    series: dict[str, list[float]] = {}
    errors = 0
    for _ in range(20):
        heard = closed_loop(target, SHORT, 4, requests // 20)
        errors += sum(one.error is not None for one in heard)
        for name, resident in replicas().items():
            series.setdefault(name, []).append(resident)
    series = {name: values for name, values in series.items() if len(values) == 20}
    flat = all(max(values[10:]) <= GROWTH * max(values[:10]) for values in series.values())
    return {
        "requests": requests,
        "errors": errors,
        "megabytes": series,
        "met": bool(series) and flat and errors == 0 and max(map(max, series.values())) <= LARGEST_MB,
    }


def overload(target: Target, seconds: float) -> dict[str, Any]:
    """Return what became of five times the requests that can be answered."""
    alone = summarize(closed_loop(target, TEXTS, 1, 20), 1.0)
    began = time.monotonic()
    closed_loop(target, TEXTS, 8, 80)
    capacity = 80 / (time.monotonic() - began)
    rate = EXCESS * capacity
    began = time.monotonic()
    heard = open_loop(target, TEXTS, rate, round(rate * seconds))
    found = summarize(heard, time.monotonic() - began)
    refused = sorted(one.total for one in heard if one.refused)
    first, usual = found["first_audio_ms_p95"], alone["first_audio_ms_p95"]
    return {
        "alone": alone,
        "capacity": round(capacity, 2),
        "rate": round(rate, 2),
        "overloaded": found,
        "refused_after_ms_p95": round(1000 * refused[int(0.95 * len(refused))], 1) if refused else None,
        "met": found["errors"] == 0 and bool(first and usual and first <= SLOWER * usual),
    }


def main() -> int:
    """Print both as JSON; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="a server on this machine")
    parser.add_argument("--requests", type=int, default=10_000, help="for the memory")
    parser.add_argument("--seconds", type=float, default=20.0, help="of overload")
    parser.add_argument("--output", type=Path, help="write the figures to this file, too")
    args = parser.parse_args()
    target = server_target(args.url, None)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before",
        "overload": overload(target, args.seconds),
        "memory": memory(target, args.requests),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")
    return 0 if result["overload"]["met"] and result["memory"]["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
