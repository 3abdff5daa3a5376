"""Alerts and dashboard query metrics that exist, and promtool tests each alert."""

import json
import shutil
import subprocess

import exposition
import pytest
import yaml
from chart import CHART, ROOT

RULES = yaml.safe_load((CHART / "files" / "rules.yaml").read_text(encoding="utf-8"))
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
TESTS = ROOT / "tests" / "chart" / "rules_test.yaml"
DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
PANELS = DASHBOARD["panels"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel.get("targets", ())]
WANTED = {
    "Requests per second",
    "Latency",
    "First audio",
    "Errors",
    "Real-time factor",
    "CPU",
    "Memory",
    "GPU",
    "Replicas",
    "Cache",
    "Queue",
    "Progress",
    "Stage durations",
}


def promtool(*arguments):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def test_prometheus_takes_the_rules():
    done = promtool("check", "rules", CHART / "files" / "rules.yaml")
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_each_alert_goes_off_when_it_should_and_not_before():
    done = promtool("test", "rules", TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_test_and_says_what_to_do():
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == set(ALERTS)
    documented = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for name, rule in ALERTS.items():
        assert f"`{name}`" in documented, name
        assert name.startswith("KubeVoice"), name
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert set(rule["annotations"]) == {"summary", "description"}, name


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_what_is_said(name):
    assert exposition.find_unknown_metrics(ALERTS[name]["expr"]) == []


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[f"{title}-{n}" for n, (title, _) in enumerate(QUERIES)])
def test_a_panel_asks_for_what_is_said(title, query):
    assert list(exposition.find_metrics(query)), title
    assert exposition.find_unknown_metrics(query) == []


def test_what_nobody_says_is_noticed():
    wrong = 'sum by (shoe) (rate(kubevoice_requests_total{size="1"}[5m])) / kubevoice_nothing + ray_node_nothing'
    assert exposition.find_unknown_metrics(wrong) == [
        "kubevoice_requests_total{size}",
        "kubevoice_nothing",
        "ray_node_nothing",
        "(shoe)",
    ]


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path):
    concrete = [
        query.replace("$__rate_interval", "5m").replace("$__range", "1h").replace("$namespace", ".*")
        for _, query in QUERIES
    ]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(concrete)]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stderr


def test_the_dashboard_can_be_imported():
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    assert DASHBOARD["uid"] == "kubevoice"
    assert "id" not in DASHBOARD, "an id belongs to one Grafana"
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    source = {"type": "prometheus", "uid": "${datasource}"}
    for holder in (*variables.values(), *PANELS, *(t for panel in PANELS for t in panel.get("targets", ()))):
        assert holder.get("datasource", source) == source
    for panel in PANELS:
        assert panel["type"] in ("row", "timeseries", "stat"), panel["title"]
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references) > 0
    used = {name for _, query in QUERIES for name in ("namespace", "voicemodel") if f"${name}" in query}
    assert used | {"datasource"} == set(variables)


def test_panels_fill_rows_and_do_not_overlap():
    taken = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len(taken) == 24 * (1 + max(y for _, y in taken)), "a gap"


def test_what_operations_ask_for_is_shown():
    assert {panel["title"] for panel in PANELS} >= WANTED
