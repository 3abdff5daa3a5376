"""The chart as the real Helm reads it. Its programs are built once, from the Go module proxy."""

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


def program(name):
    """The path of one of the chart's programs."""
    toolbox = Toolbox(MODULES["chart"])
    try:
        toolbox.build(PROGRAMS)
    except UnavailableError as lack:
        pytest.skip(str(lack))
    return toolbox.binary(name)


def helm(*arguments, values=None, **variables):
    """Run Helm with environment `variables`; `values` reach it by standard input where an argument is `-`."""
    text, environment = yaml.safe_dump(values or {}, allow_unicode=True), os.environ | variables
    command = [program("helm"), *arguments]
    return subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)


def template(values=None, *options, namespace=SYSTEM):
    """Run `helm template` for a release of the chart."""
    return helm("template", RELEASE, CHART, "--namespace", namespace, "--values", "-", *options, values=values)


def render_chart(values=None, *options, namespace=SYSTEM):
    """The objects that a release with these values consists of."""
    done = template(values, *options, namespace=namespace)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def pod_monitors():
    """The PodMonitors that a release with monitoring has."""
    objects = render_chart({"monitoring": {"podMonitors": {"enabled": True}}})
    return [item for item in objects if item["kind"] == "PodMonitor"]


def panel_queries(namespace, voicemodel):
    """What the dashboard's panels ask for, as Grafana would ask for these voices: titles and queries."""
    variables = {"$__rate_interval": "15s", "$__range": "5m", "$namespace": namespace, "$voicemodel": voicemodel}
    panels = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    return [
        (panel["title"], re.sub(r"\$\w+", lambda match: variables[match[0]], target["expr"]))
        for panel in panels
        for target in panel.get("targets", ())
    ]
