"""Checks the rules as files: promtool accepts them, every rule has a test that can fail both ways, and every alert has
a runbook."""

import os
import re
import subprocess

import yaml


def promtool(*arguments):
    # A lazier garbage collector makes promtool a fifth faster.
    environment = os.environ | {"GOGC": "800"}
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


def check(shipped, operations, folder):
    """Returns the mistakes, in words."""
    found = []
    files = ["prometheus-recording.yml", "prometheus-alerts.yml"]
    for arguments in (
        ("check", "config", "--syntax-only", shipped / "prometheus.yml"),
        ("check", "rules", *(shipped / name for name in files)),
    ):
        code, said = promtool(*arguments)
        if code:
            found.append(f"promtool {' '.join(map(str, arguments))}:\n{said}")
    tests = sorted((shipped / "tests").glob("*.yml"))
    code, said = promtool("test", "rules", *tests)
    if code:
        found.append(f"promtool test rules:\n{said}")
    if found:
        return found
    rules = {name: yaml.safe_load((shipped / name).read_text()) for name in files}
    for group in (group for content in rules.values() for group in content["groups"]):
        for rule in group["rules"]:
            found += style(rule, operations)
    # Mutate every rule so that it never or always has a result: its own test must fail both times.
    found += untested(rules, tests, folder, "never", "vector(0) > 1")
    found += untested(rules, tests, folder, "always", "vector(12345)")
    return found


def style(rule, operations):
    """Checks a rule's name, and an alert's severity, texts and runbook."""
    if "record" in rule:
        good = re.fullmatch(r"job(_[a-z]+)*:ai_[a-z_]+:[a-z0-9_]+", rule["record"])
        return [] if good else [f"{rule['record']} is not named level:metric:operations"]
    name, notes = rule["alert"], rule["annotations"]
    found = [f"{name} lacks {note}" for note in ("summary", "description", "runbook_url") if not notes.get(note)]
    if rule["labels"].get("severity") not in ("page", "ticket"):
        found.append(f"{name} is neither page nor ticket")
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", operations, re.MULTILINE)}
    file, _, anchor = notes.get("runbook_url", "").partition("#")
    if file != "docs/OPERATIONS.md" or anchor not in anchors or anchor != name.lower():
        found.append(f"{name}: {notes.get('runbook_url')} is not a heading of docs/OPERATIONS.md")
    return found


def untested(rules, tests, folder, mutation, query):
    """Returns the rules whose tests still pass when the rule is replaced by this query."""
    place = folder / mutation
    (place / "tests").mkdir(parents=True)
    names = []
    for file, content in rules.items():
        groups = []
        for group in content["groups"]:
            changed = [{**rule, "expr": query} for rule in group["rules"]]
            for rule in changed:
                rule.pop("for", None)
            groups.append({**group, "rules": changed})
            names += [rule.get("record") or rule["alert"] for rule in changed]
        (place / file).write_text(yaml.safe_dump({"groups": groups}))
    for test in tests:
        (place / "tests" / test.name).write_text(test.read_text())
    _, said = promtool("test", "rules", *sorted((place / "tests").glob("*.yml")))
    noticed = set(re.findall(r"^ +alertname: (\w+),", said, re.MULTILINE))
    for expression in re.findall(r'^ +expr: "(.*)", time:', said, re.MULTILINE):
        noticed |= set(re.findall(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", expression))
    return [f"no test fails when {name} {mutation} has a result" for name in names if name not in noticed]
