"""Checks that PromQL names only metrics, recording rules, labels and label values that exist."""

import re

import promql_parser

# Prometheus adds these labels to every scraped series, and these series of its own.
TARGET_LABELS = {"job", "instance"}
OWN_SERIES = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity", "provider"}}
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")
SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})? [^ ]+$")
LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)",?')


def exported(text):
    """Parses an exposition into {metric: {label: values}}."""
    metrics = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            for part in HISTOGRAM_PARTS if kind == "histogram" else ("",):
                metrics.setdefault(name + part, {})
        elif line and not line.startswith("#"):
            name, labels = SAMPLE.match(line).groups()
            for label, value in LABEL.findall(labels or ""):
                metrics[name].setdefault(label, set()).add(value)
    return metrics


def children(expression):
    """Returns the direct subqueries of a query."""
    parts = [getattr(expression, name, None) for name in ("expr", "lhs", "rhs", "vector_selector", "param")]
    arguments = getattr(expression, "args", None)
    parts += arguments if isinstance(arguments, list) else []
    return [part for part in parts if isinstance(part, promql_parser.Expr)]


def nodes(expression):
    """Yields every node of a parsed query."""
    yield expression
    for child in children(expression):
        yield from nodes(child)


def matches(matcher, value):
    """Returns whether a matcher matches a value."""
    negative = matcher.op in (promql_parser.MatchOp.NotEqual, promql_parser.MatchOp.NotRe)
    if matcher.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.NotEqual):
        return (value == matcher.value) != negative
    return (re.fullmatch(matcher.value, value) is not None) != negative


def literals(matcher):
    """Returns the plain words in a matcher: two for `a|b`, none for a pattern."""
    if matcher.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.NotEqual):
        return [matcher.value]
    return [word for word in matcher.value.split("|") if re.fullmatch(r"[\w/{}.-]+", word) and ".." not in word]


class Known:
    """The metrics, rules and labels that queries may name."""

    def __init__(self, metrics, rules=()):
        """`metrics` come from `exported`; `rules` are pairs of a recording rule's name and its query."""
        self.labels = {name: set(labels) | TARGET_LABELS for name, labels in metrics.items()}
        self.labels |= {name: labels | TARGET_LABELS for name, labels in OWN_SERIES.items()}
        self.values = metrics
        for name, query in rules:
            self.labels[name] = outcome_labels(promql_parser.parse(query), self.labels)

    def mistakes(self, query):
        """Returns the mistakes of a query, in words."""
        found = []
        for node in nodes(promql_parser.parse(query)):
            if isinstance(node, promql_parser.VectorSelector):
                found += self.selector_mistakes(node)
            modifier = getattr(node, "modifier", None)
            if isinstance(node, promql_parser.AggregateExpr) and modifier is not None:
                below = outcome_labels(node.expr, self.labels)
                found += [f"no label {label} to aggregate by" for label in modifier.labels if label not in below]
        return found

    def selector_mistakes(self, selector):
        if selector.name not in self.labels:
            return [f"nothing exports {selector.name}"]
        found = []
        for matcher in selector.matchers.matchers:
            if matcher.name not in self.labels[selector.name]:
                found.append(f"{selector.name} has no label {matcher.name}")
                continue
            seen = self.values.get(selector.name, {}).get(matcher.name)
            if matcher.name in TARGET_LABELS or seen is None:
                continue
            if not any(matches(matcher, value) for value in seen):
                found.append(f"{selector.name}: no {matcher.name} is {matcher.op} {matcher.value!r}")
            words = literals(matcher)
            # In alternatives such as "10|10.0", which spell the same number, one must exist.
            numbers = {float(word) for word in words if re.fullmatch(r"\d+(\.\d+)?", word)}
            if len(numbers) == 1 and any(word in seen for word in words):
                continue
            found += [f"{selector.name}: no {matcher.name} is {word!r}" for word in words if word not in seen]
        return found


def outcome_labels(expression, labels):
    """Returns the labels that the series of a query's result may have."""
    if isinstance(expression, promql_parser.VectorSelector):
        return labels.get(expression.name, set())
    if isinstance(expression, promql_parser.AggregateExpr):
        below = outcome_labels(expression.expr, labels)
        modifier = expression.modifier
        if modifier is None:
            return set()
        if modifier.type == promql_parser.AggModifierType.By:
            return below & set(modifier.labels)
        return below - set(modifier.labels)
    below = set().union(*(outcome_labels(child, labels) for child in children(expression)))
    if isinstance(expression, promql_parser.Call) and expression.func.name == "histogram_quantile":
        below -= {"le"}
    return below
