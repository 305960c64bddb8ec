"""Checks the dashboard against Grafana's types, and extracts its queries."""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

COLUMNS = 24


def mistakes(board):
    """Returns the mistakes of a dashboard, in words."""
    found = unknown(board, known(board), "")
    panels = board["panels"]
    ids = [panel["id"] for panel in panels]
    found += [f"the id {panel} is used twice" for panel in sorted(set(ids)) if ids.count(panel) > 1]
    taken = {}
    for panel in panels:
        name, place = panel["title"], panel["gridPos"]
        if place["x"] + place["w"] > COLUMNS:
            found.append(f"{name}: wider than the page")
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
            if taken.setdefault(cell, name) != name:
                found.append(f"{name} overlaps {taken[cell]}")
                break
        if panel["type"] == "row":
            continue
        if not panel.get("description"):
            found.append(f"{name}: without a description")
        if panel["fieldConfig"]["defaults"].get("min") != 0:
            found.append(f"{name}: its axis does not begin at 0")
        wanted = {"type": "prometheus", "uid": "${datasource}"}
        for part in [panel, *panel["targets"]]:
            if part.get("datasource") != wanted:
                found.append(f"{name}: its data source is not the variable")
        refs = [target["refId"] for target in panel["targets"]]
        if not refs or len(set(refs)) != len(refs):
            found.append(f"{name}: its queries need a refId each")
    lowest = max(y for _, y in taken) + 1
    found += [f"a hole at {x}, {y}" for y in range(lowest) for x in range(COLUMNS) if (x, y) not in taken]
    variables = {variable["name"]: variable["type"] for variable in board["templating"]["list"]}
    if variables.get("datasource") != "datasource":
        found.append("the data source has no variable")
    return found


def known(board):
    """Returns the dashboard as Grafana's own types read it: unknown fields are lost."""
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(board)))


def unknown(ours, theirs, path):
    """Returns the differences: what `theirs` lacks or has otherwise."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            mistake
            for key, value in ours.items()
            for mistake in (unknown(value, theirs[key], f"{path}/{key}") if key in theirs else missing(value, f"{path}/{key}"))
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [mistake for place, pair in enumerate(zip(ours, theirs, strict=True)) for mistake in unknown(*pair, f"{path}/{place}")]
    return [] if ours == theirs else [f"{path}: Grafana has {theirs!r} for {ours!r}"]


def missing(value, path):
    # The types omit empty values.
    return [] if value in (None, [], {}, "") else [f"{path}: Grafana does not know it"]


def queries(board):
    """Yields the title and query of each panel and annotation, with the dashboard's variables filled in."""
    filled = {"$__rate_interval": "5m", "$__range": "1h", "$job": "orchestrator.*"}
    titled = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]
    titled += [(annotation["name"], annotation["expr"]) for annotation in board["annotations"]["list"]]
    for title, query in titled:
        for variable, value in filled.items():
            query = query.replace(variable, value)
        yield title, query
