"""Names and labels of the metrics that the product and Ray expose to Prometheus."""

import re
from pathlib import Path

import ray
from kubevoice_operator.cluster.metrics import OperatorMetrics
from kubevoice_serving.http.metrics import HttpMetrics as ServingMetrics
from kubevoice_training.runtime.telemetry import METRICS
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

SUFFIXES = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_sum", "_count")}
TARGET_LABELS = {"namespace", "pod", "container", "job", "instance"}
"""Labels that a scrape adds."""
METRIC = re.compile(r"\b((?:kubevoice|ray)_[a-z0-9_]+)(?:\{([^}]*)\})?")


def _iter_samples(metrics, labels):
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in SUFFIXES[type(metric)]:
                bucket = {"le"} if suffix == "_bucket" else set()
                yield f"{metric._name}{suffix}", {*metric._labelnames, *bucket, *TARGET_LABELS, *labels}


def list_product_metrics():
    """Return the product's samples by name, each with its labels after a scrape by the chart's PodMonitors."""
    metrics = dict(_iter_samples(OperatorMetrics(), ()))
    metrics |= dict(_iter_samples(ServingMetrics(), {"voicemodel"}))
    return metrics | {f"kubevoice_stage_{name}": {"stage", "voicemodel", *TARGET_LABELS} for name in METRICS}


def read_ray_sources():
    """Return the sources of Ray that name its samples, without the prefix `ray_` of the exported names."""
    root = Path(ray.__file__).parent
    files = [root / "dashboard/modules/reporter/reporter_agent.py", *(root / "serve/_private").glob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def find_metrics(expression):
    """Yield the names of metrics in an expression, each with the labels of its selector."""
    for name, selector in METRIC.findall(expression):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))


def find_unknown_metrics(expression):
    """Return the metrics and labels of an expression that are not exposed."""
    metrics, text = list_product_metrics(), read_ray_sources()
    unknown = []
    for name, labels in find_metrics(expression):
        if name.startswith("ray_"):
            if f'"{name.removeprefix("ray_")}"' not in text:
                unknown.append(name)
        elif name not in metrics:
            unknown.append(name)
        else:
            unknown += [f"{name}{{{label}}}" for label in sorted(labels - metrics[name])]
    for grouping in re.findall(r"(?:by|on|ignoring) \(([^)]*)\)", expression):
        labels = {label.strip() for label in grouping.split(",")}
        if not any(labels <= metrics.get(name, TARGET_LABELS | {"voicemodel"}) for name, _ in find_metrics(expression)):
            unknown.append(f"({grouping})")
    return unknown
