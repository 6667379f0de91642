"""The dashboard, the alerts and the runbook speak of what there is, and of all that there is."""

import ast
import importlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from textwrap import dedent
from typing import Any

import grpc
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from support import promtool
from support.source import ROOT, SERVICES

PROMETHEUS = ROOT / "deploy/prometheus"
ALERTS = PROMETHEUS / "alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboards/holdfast.json"
RUNBOOK = ROOT / "docs/operations.md"
PROGRAMS = (*SERVICES, "gateway")
MODULES = tuple(f"{package}.metrics" for package in ("chassis", *PROGRAMS))
# What a metric is called where it is read.
ENDINGS = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}
# Prometheus' own, and those that its library adds to every program.
OTHERS = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
    "process_open_fds": set(),
    "process_start_time_seconds": set(),
}
# Labels that Prometheus puts on everything that it reads.
TARGET = {"job", "instance"}
WORDS = {"and", "or", "unless", "by", "on", "ignoring", "offset", "without", "group_left"}

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
NAME = re.compile(r"(?<![\w:$.])[a-zA-Z_:][\w:]*(?![\w:]*\s*\()")
GROUPING = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
BOUND = re.compile(r"(holdfast[\w:]+)(?:\{[^}]*\})?(?:\[\w+\])?\)?\s*(?:==|[<>]=?)\s*([\d.]+)")


@cache
def metrics() -> dict[str, set[str]]:
    """The names under which the programs' metrics are read, and their labels."""
    found = dict(OTHERS)
    for module in MODULES:
        for metric in vars(importlib.import_module(module)).values():
            if isinstance(metric, MetricWrapperBase):
                (told,) = metric.describe()
                for ending in ENDINGS[told.type]:
                    labels = set(metric._labelnames) | ({"le"} if ending == "_bucket" else set())
                    found[told.name + ending] = labels
    return found


def rules() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def dashboard() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return told


def panels() -> list[dict[str, Any]]:
    """Those that show something; rows are not among them."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def shown() -> list[str]:
    """What the dashboard asks for, with its variables put in."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    asked += [one["expr"] for one in dashboard()["annotations"]["list"] if "expr" in one]
    return [plain(one) for one in asked]


def plain(expression: str) -> str:
    return re.sub(r"\$(?:job|instance)\b", ".*", expression.replace("$__rate_interval", "5m"))


def expressions() -> list[str]:
    return [*(rule["expr"] for rule in rules()), *shown()]


def names_in(expression: str) -> set[str]:
    """The metrics that an expression reads."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", QUOTED.sub('""', GROUPING.sub("", expression)))
    bare = re.sub(r"\b\d+[smhd]\b", "", bare)
    return set(NAME.findall(bare)) - WORDS


@cache
def recorded() -> dict[str, str]:
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def known_labels(expression: str) -> set[str]:
    """The labels that something in an expression can have."""
    known = set(TARGET)
    for name in names_in(expression):
        known |= known_labels(recorded()[name]) if name in recorded() else metrics()[name]
    return known


@cache
def words_of_the_code() -> frozenset[str]:
    """Every string in the sources of the programs, and every code of gRPC."""
    paths = [path for folder in ("chassis", *PROGRAMS) for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    words = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return frozenset(
        [*(one for one in words if isinstance(one, str)), *(one.name for one in grpc.StatusCode)]
    )


def workers() -> set[str]:
    """The names of all that works in the background."""
    sources = [path.read_text() for path in ROOT.glob("*/wiring.py")]
    return {name for text in sources for name in re.findall(r'\bWorker\(\s*"([^"]+)"', text)}


def run(*arguments: str, folder: Path = PROMETHEUS) -> None:
    """Run promtool, which must find nothing wrong."""
    program = promtool.executable()
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must try the alerts: install promtool")
        pytest.skip("no promtool: install prometheus, or set HOLDFAST_TEST_PROMTOOL")
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_asked_of_prometheus_is_measured() -> None:
    """Each metric that an alert or a panel names is one that a program or a rule makes."""
    read = {name for one in expressions() for name in names_in(one)}
    assert read - metrics().keys() - recorded().keys() == set()


def test_each_rule_is_needed() -> None:
    """What is worked out beforehand is read by an alert or a panel."""
    read = {name for one in expressions() for name in names_in(one)}
    assert recorded().keys() - read == set()


def test_labels_are_those_of_the_metrics() -> None:
    """An expression groups and selects by labels that its metrics have."""
    wrong = []
    for expression in expressions():
        grouped = {one.strip() for part in GROUPING.findall(expression) for one in part.split(",")}
        used = (grouped - {""}) | {label for label, _ in MATCHER.findall(expression)}
        unknown = used - known_labels(expression)
        if unknown:
            wrong.append((expression, unknown))
    assert wrong == []


def test_values_of_labels_exist() -> None:
    """What alerts and panels select by, states and workers and codes, the code has, too."""
    selected = {pair for one in expressions() for pair in MATCHER.findall(one)}
    skipped = {"alertname", "alertstate", "severity", "http_response_status_code"}
    values = {
        (label, value)
        for label, given in selected
        if label not in skipped
        for value in given.split("|")
        if value not in (".*", "")
    }
    known = words_of_the_code()
    assert {pair for pair in values if pair[1] not in known} - {
        ("job", one) for one in PROGRAMS
    } == set()
    assert {value for label, value in values if label == "worker"} - workers() == set()
    assert {value for label, value in values if label == "job"} == set(PROGRAMS)


def test_texts_name_labels_that_are_there() -> None:
    """What an alert says and how a panel calls its lines uses only labels that there are."""
    said = [
        (rule["expr"], label)
        for rule in alerts()
        for text in rule["annotations"].values()
        for label in re.findall(r"\$labels\.(\w+)", text)
    ]
    said += [
        (plain(target["expr"]), label)
        for panel in panels()
        for target in panel["targets"]
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    ]
    assert [(expr, label) for expr, label in said if label not in known_labels(expr)] == []


def test_every_alert_says_what_to_do() -> None:
    """An alert has a severity, words for people, and a section of its own in the runbook."""
    headings = re.findall(r"^### (Holdfast\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in alerts())
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        told = rule["annotations"]
        assert told["summary"]
        assert told["description"]
        assert told["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_every_metric_is_explained() -> None:
    """The runbook's tables have each metric, and no other."""
    told = set(
        re.findall(
            r"^\| `(\w+)` \| (?:counter|gauge|histogram) \|", RUNBOOK.read_text(), re.MULTILINE
        )
    )
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metrics().keys() - OTHERS.keys()}
    assert told == ours


def test_every_alert_is_tried() -> None:
    """The tests of the alerts see each of them fire."""
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    samples = [
        sample["labels"]
        for test in tests
        for asked in test["promql_expr_test"]
        for sample in asked["exp_samples"]
    ]
    fired = {
        re.findall(r'alertname="(\w+)"', labels)[0]
        for labels in samples
        if 'alertstate="firing"' in labels
    }
    assert fired == {rule["alert"] for rule in alerts()}


def test_alerts_do_as_their_tests_say() -> None:
    """Prometheus' own tool accepts the rules, and finds that each fires when it should."""
    run("check", "rules", "alerts.yml")
    run("test", "rules", "alerts_test.yml")


def test_prometheus_accepts_what_the_dashboard_asks(tmp_path: Path) -> None:
    """Every expression of the dashboard is one that Prometheus can read."""
    asked = [{"record": f"asked:{number}", "expr": one} for number, one in enumerate(shown())]
    group = {"groups": [{"name": "asked", "rules": asked}]}
    (tmp_path / "asked.yml").write_text(yaml.safe_dump(group))
    run("check", "rules", "--lint=none", "asked.yml", folder=tmp_path)


def test_prometheus_reads_the_programs_as_the_alerts_call_them() -> None:
    """Each job is called as its program, and the rules are the ones that are tried here."""
    told = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert {one["job_name"] for one in told["scrape_configs"]} >= set(PROGRAMS)
    assert {Path(one).name for one in told["rule_files"]} == {ALERTS.name}


def test_an_alertmanager_is_named_as_the_runbook_says(tmp_path: Path) -> None:
    """Prometheus accepts its settings and what the runbook adds, so that somebody is told."""
    (added,) = re.findall(r"^ *```yaml\n(.*?)```$", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / ALERTS.name).write_text(ALERTS.read_text())
    told = (PROMETHEUS / "prometheus.yml").read_text() + dedent(added)
    assert yaml.safe_load(told)["alerting"]["alertmanagers"]
    (tmp_path / "prometheus.yml").write_text(told)
    run("check", "config", "prometheus.yml", folder=tmp_path)


def test_every_panel_can_be_read() -> None:
    """A panel has its own id, a title, plain words, a unit, a place of its own and a question."""
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["targets"]
        assert all(target["expr"] for target in panel["targets"])
        if panel["type"] in ("timeseries", "stat"):
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_panels_do_not_lie_on_each_other() -> None:
    """No two panels share a place, and none sticks out."""
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    squares = [set(squares_of(place)) for place in places]
    assert not [1 for one, other in combinations(squares, 2) if one & other]


def squares_of(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


def test_variables_of_the_dashboard_are_declared() -> None:
    """What the dashboard puts in for `$…` it also lets one choose."""
    text = DASHBOARD.read_text()
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__all"}
    assert used == {one["name"] for one in dashboard()["templating"]["list"]}


def test_lines_of_the_dashboard_are_where_alerts_fire() -> None:
    """The orange and red marks of a panel are the bounds of the alerts on the same metric."""
    bounds: dict[str, set[float]] = {}
    for rule in alerts():
        for name, number in BOUND.findall(rule["expr"]):
            bounds.setdefault(name, set()).add(float(number))
    checked = 0
    for panel in panels():
        read = {name for one in panel["targets"] for name in names_in(plain(one["expr"]))}
        marks = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        marked = {one["value"] for one in marks if one["color"] in ("orange", "red")} - {None}
        # What is counted there is alerts and programs, not the metric itself.
        counts = panel["targets"][0]["expr"].startswith("count")
        if not marked or counts:
            continue
        allowed = {bound for name in read for bound in bounds.get(name, ())}
        assert marked <= allowed, panel["title"]
        checked += 1
    assert checked > 10
