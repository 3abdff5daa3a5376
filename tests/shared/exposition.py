"""What the product's processes say to Prometheus: names of samples, and their labels."""

import re
from pathlib import Path

import ray
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_serving.http.metrics import HttpMetrics as ServingMetrics
from kubevoice_training.runtime.telemetry import METRICS
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

SUFFIXES = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_sum", "_count")}
PLACE = {"namespace", "pod", "container", "job", "instance"}
"""What a scrape adds of itself."""
METRIC = re.compile(r"\b((?:kubevoice|ray)_[a-z0-9_]+)(?:\{([^}]*)\})?")


def _samples(metrics, more):
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in SUFFIXES[type(metric)]:
                bucket = {"le"} if suffix == "_bucket" else set()
                yield f"{metric._name}{suffix}", {*metric._labelnames, *bucket, *PLACE, *more}


def list_product_metrics():
    """Names of our samples, each with the labels that it has after a scrape by the chart's PodMonitors."""
    metrics = dict(_samples(OperatorMetrics(), ()))
    metrics |= dict(_samples(ServingMetrics(), {"voicemodel"}))
    return metrics | {f"kubevoice_stage_{figure}": {"stage", "voicemodel", *PLACE} for figure in METRICS}


def read_ray_sources():
    """The text in which Ray names its samples, without the `ray_` that it exports them under."""
    root = Path(ray.__file__).parent
    files = [root / "dashboard/modules/reporter/reporter_agent.py", *(root / "serve/_private").glob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def find_metrics(expression):
    """Names in an expression, each with the labels that its selector names."""
    for name, selector in METRIC.findall(expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))


def find_unknown_metrics(expression):
    """What an expression names that nobody says."""
    known, text = list_product_metrics(), read_ray_sources()
    wrong = []
    for name, labels in find_metrics(expression):
        if name.startswith("ray_"):
            if f'"{name.removeprefix("ray_")}"' not in text:
                wrong.append(name)
        elif name not in known:
            wrong.append(name)
        else:
            wrong += [f"{name}{{{label}}}" for label in sorted(labels - known[name])]
    for grouping in re.findall(r"(?:by|on|ignoring) \(([^)]*)\)", expression):
        labels = {label.strip() for label in grouping.split(",")}
        if not any(labels <= known.get(name, PLACE | {"voicemodel"}) for name, _ in find_metrics(expression)):
            wrong.append(f"({grouping})")
    return wrong
