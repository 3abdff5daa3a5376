"""The chart, rendered by Helm. Helm and other programs are built once from the Go module proxy."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from testcluster import UnavailableError
from testcluster.build import CHART as PROGRAMS
from testcluster.build import MODULES, Toolbox

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "kubevoice"
RELEASE, SYSTEM = "kubevoice", "kubevoice-system"


def build_program(name):
    """Build a program of `PROGRAMS` if needed, and return its path."""
    toolbox = Toolbox(MODULES["chart"])
    try:
        toolbox.build(PROGRAMS)
    except UnavailableError as lack:
        pytest.skip(str(lack))
    return toolbox.binary(name)


def helm(*arguments, values=None, **variables):
    """Run Helm with additional environment `variables`. An argument `-` reads `values` from standard input."""
    text, environment = yaml.safe_dump(values or {}, allow_unicode=True), os.environ | variables
    command = [build_program("helm"), *arguments]
    return subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)


def template(values=None, *options, namespace=SYSTEM):
    """Run `helm template` for a release of the chart."""
    return helm("template", RELEASE, CHART, "--namespace", namespace, "--values", "-", *options, values=values)


def render_chart(values=None, *options, namespace=SYSTEM):
    """Return the objects of a release with these values."""
    result = template(values, *options, namespace=namespace)
    assert result.returncode == 0, result.stderr
    return [item for item in yaml.safe_load_all(result.stdout) if item]


def render_pod_monitors():
    """Return the PodMonitors of a release with monitoring."""
    objects = render_chart({"monitoring": {"podMonitors": {"enabled": True}}})
    return [item for item in objects if item["kind"] == "PodMonitor"]


def read_panel_queries(namespace, voicemodel):
    """Return titles and queries of the dashboard's panels, with Grafana's variables replaced for these voices."""
    variables = {"$__rate_interval": "15s", "$__range": "5m", "$namespace": namespace, "$voicemodel": voicemodel}
    panels = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    return [
        (panel["title"], re.sub(r"\$\w+", lambda match: variables[match[0]], target["expr"]))
        for panel in panels
        for target in panel.get("targets", ())
    ]
