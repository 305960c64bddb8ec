"""Runs the shipped configuration: a real Prometheus scrapes the program during a scripted run.

The script fixes every request and its count, so the expected result of every rule is known in advance."""

import os
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import yaml

import dashboard
from model import FILL, USAGE, Model
from processes import LISTENING, Process, free_port, request, until
from queries import Known, exported

SCRAPE = 0.5
# Prometheus extrapolates an increase by half a scrape at both ends. Over this many seconds that stays within
# `TOLERANCE`.
SAMPLED = 25
TOLERANCE = (0.98, 1.06)
# Quantiles are interpolated within a bucket, so a small difference in a rank is a larger one in seconds.
QUANTILES = (0.85, 1.15)
JOB = "orchestrator-local"
TOKEN = "ya29.for-tests-alone"

# How often each event happens while Prometheus scrapes.
PLANS = {"thank": 18, "slowly thank": 4, "ask back": 2, "gibberish": 4, "unreachable": 4, "spend it all": 1}
OVER_BUDGET = 4
COMPLETED, UNAUTHORIZED, UNKNOWN, WAITING = 8, 3, 2, 2
REPLAYED, CONFLICTS, DENIED, NOT_ROLLED_OUT = 5, 3, 12, 4
# The objectives leave these routes out.
PROBES = ("/healthz", "/readyz")
# The first 429 creates its series, and Prometheus does not count the first value of a series as an increase.
UNSEEN = 1
# A refused token is retried once.
ASKED_WITH_A_BAD_TOKEN = 2
WITHOUT_ANSWER = PLANS["gibberish"] + PLANS["unreachable"]

FIRES = {
    "AiHttpErrorBudgetBurnsFast", "AiHttpErrorBudgetBurnsSlowly", "AiPlanLatencyBudgetBurnsSlowly", "AiPlannerFailing",
    "AiTokenBudgetExhausted", "AiTokenSpendHigh", "AiTokenSpendHighToday", "AiJobsFailing", "AiJobOutcomeUnknown",
    "AiPermissionDenialsRising", "AiProviderErrors", "AiProviderUnauthorized",
}  # fmt: skip
# These fire after Redis is killed, and then the program.
FIRES_WITHOUT_REDIS = {"AiMetricsStoreDown"}
FIRES_AT_THE_END = {"AiScrapeDown"}
# These need hours, a broken disk, a foreign message or a server with keys, so only their unit tests show them firing.
UNIT_TESTS_ALONE = {
    "AiExecuteLatencyBudgetBurnsFast", "AiExecuteLatencyBudgetBurnsSlowly", "AiPlanLatencyBudgetBurnsFast", "AiQueueOld",
    "AiQueueDeep", "AiJobsStuck", "AiQueueUnreadableMessages", "AiNotScraped", "AiMetricsLost", "AiAuthFailuresRising",
    "AiApprovalsExpiring",
    "AiWebhooksFailing",
}  # fmt: skip


class Program:
    """The program and the servers it talks to."""

    def __init__(self, folder, binaries):
        self.model = Model()
        self.fakes = Process(folder, "fakes", [binaries / "fakes"])
        fakes = self.fakes.says(r"^(http://\S+)\n")
        self.fakes_url = fakes
        scope = "https://www.googleapis.com/auth/gmail.send"
        self.control("tokens", {"token": TOKEN, "provider": "google", "scopes": [scope], "address": "ana@example.com"})
        redis = self.redis_port = free_port()
        save_nothing = ["--save", "", "--appendonly", "no", "--dir", folder]
        self.redis = Process(folder, "redis", ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", *save_nothing])
        self.redis.says(r"(Ready to accept connections)")
        env = {
            "PATH": os.environ["PATH"],
            "PORT": "0",
            "ORCHESTRATOR_DATA": str(folder / "data"),
            "REDIS_URL": f"redis://127.0.0.1:{redis}",
            "OPENAI_BASE_URL": self.model.url,
            "AI_MAX_TOKENS_PER_MIN": "200000",
            "ALLOW_RECIPIENT_DOMAINS": "example.com",
            "GOOGLE_ACCESS_TOKEN": TOKEN,
            "GMAIL_BASE_URL": fakes,
            "FLAGS_MICROSOFT_ROLLOUT_PERCENT": "0",
        }
        self.process = Process(folder, "orchestrator", [binaries / "orchestrator"], env)
        self.url = self.process.says(LISTENING)
        self.ids = 0
        self.asked = []
        # Sends take more than a second, unless a fault is scripted.
        slow = {"fault": "slow", "ms": 1200, "on": "gmail.messages.send"}
        self.control("faults", {"random": {"seed": 1, "percent": 100, "faults": [slow]}})

    def stop(self):
        for process in (self.process, self.redis, self.fakes):
            process.stop()
        self.model.stop()

    def control(self, what, body):
        status, _ = request("POST", f"{self.fakes_url}/_fakes/{what}", body)
        assert status == 204, f"the fakes answered {status}"

    def call(self, method, route, path, body, wanted):
        """Sends a request and records it."""
        began = time.monotonic()
        status, answer = request(method, self.url + path, body)
        assert status == wanted, f"{route} answered {status} instead of {wanted}: {answer}"
        self.asked.append((route, status, time.monotonic() - began))
        return answer

    def plan(self, words, wanted=200):
        prompt = f"{words}: send email to john@example.com saying thanks"
        return self.call("POST", "/ai/plan2", "/ai/plan2", {"prompt": prompt}, wanted)

    def action(self, key=None, to="john@example.com", provider="google", subject="Hello"):
        self.ids += 1
        action = {"google": "gmail.send", "microsoft": "outlook.send"}[provider]
        params = {"to": to, "subject": subject, "text": "Hello."}
        return {"provider": provider, "action": action, "params": params, "client_request_id": key or f"r{self.ids}"}

    def execute(self, action, wanted=202):
        return self.call("POST", "/ai/execute", "/ai/execute", {"actions": [action], "actor_id": "ana@example.com"}, wanted)

    def send(self, ends, fault=None, requests=1, key=None):
        """Executes a mail and waits until its job ends."""
        if fault:
            self.control("faults", {"next": [{"fault": fault, "on": "gmail.messages.send"}] * requests})
        job = self.execute(self.action(key))["job_ids"][0]
        route = "/ai/jobs/{job_id}"
        answer = self.call("GET", route, f"/ai/jobs/{job}?wait=20", None, 200)
        code = (answer["error"] or {}).get("code")
        assert (answer["status"], code) == ends, f"the job ended as {answer['status']}, {code}"

    def wait(self):
        """Executes a mail that the provider rate-limits for ten minutes."""
        fault = {"fault": "too-many-requests", "retry_after_s": 600, "on": "gmail.messages.send"}
        self.control("faults", {"next": [fault]})
        before = self.operations()
        self.execute(self.action())
        until("a send is rate-limited", lambda: self.operations() > before)
        # The account's other jobs would wait, too.
        until("the account is held", self.let_go)

    def let_go(self):
        """Ends the holds of accounts; returns whether there was one."""
        script = b"local held = redis.call('KEYS', '*hold*') for _, key in ipairs(held) do redis.call('DEL', key) end return #held"
        with socket.create_connection(("127.0.0.1", self.redis_port), 5) as redis:
            redis.sendall(b'EVAL "%s" 0\r\n' % script)
            return redis.recv(64) not in (b"", b":0\r\n")

    def operations(self):
        return len(request("GET", f"{self.fakes_url}/_fakes/deliveries")[1]["operations"])

    def metrics(self):
        status, text = request("GET", f"{self.url}/metrics")
        assert status == 200, f"/metrics answered {status}"
        return text


def run(program, times, prometheus=None):
    """The script. `times` scales each count. Only with a Prometheus does it make slow plans and, at the end, exhaust
    the token budget."""
    answers = {"gibberish": 502, "unreachable": 503}
    late = [] if prometheus else ["slowly thank"]
    # Slow plans first, so that the rest happens meanwhile.
    words = sorted((words for words in PLANS if words not in ["spend it all", *late]), key=lambda words: "slowly" not in words)
    with ThreadPoolExecutor(12) as pool:
        planned = [pool.submit(program.plan, prompt, answers.get(prompt, 200)) for prompt in words for _ in range(times(PLANS[prompt]))]
        sent = [pool.submit(program.send, ("completed", None)) for _ in range(times(COMPLETED))]
        for future in sent:
            future.result()
        for _ in range(times(UNAUTHORIZED)):
            program.send(("error", "reauth-required"), "unauthorized", ASKED_WITH_A_BAD_TOKEN)
        for _ in range(times(UNKNOWN)):
            program.send(("error", "outcome-unknown"), "accept-then-close")
        for _ in range(times(WAITING)):
            program.wait()
        for path in PROBES:
            program.call("GET", path, path, None, 200)
        key = f"again-{times.__name__}"
        program.send(("completed", None), key=key)
        for _ in range(times(REPLAYED)):
            assert program.execute(program.action(key))["jobs"][0]["replayed"]
        for _ in range(times(CONFLICTS)):
            program.execute(program.action(key, subject="Something else"), 422)
        for _ in range(times(DENIED)):
            program.execute(program.action(to="eve@elsewhere.example"), 403)
        for _ in range(times(NOT_ROLLED_OUT)):
            program.execute(program.action(provider="microsoft"), 403)
        for future in planned:
            future.result()
    if prometheus:
        program.plan("spend it all")
        program.plan("thank", 429)
        until("the first 429 is scraped", lambda: prometheus.ask('ai_http_requests_total{status="429"}'))
        for _ in range(OVER_BUDGET - 1):
            program.plan("thank", 429)


def once(_):
    return 1


def every(count):
    return count


class Prometheus:
    """A Prometheus with the shipped rules and configuration. Only the intervals, the target and each alert's `for`
    are changed."""

    def __init__(self, folder, shipped, target):
        configuration = yaml.safe_load((shipped / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": f"{int(SCRAPE * 1000)}ms", "evaluation_interval": "1s"}
        local = [scrape for scrape in configuration["scrape_configs"] if scrape["job_name"] == JOB]
        local[0]["static_configs"] = [{"targets": [target]}]
        configuration["scrape_configs"] = local
        for name in configuration["rule_files"]:
            rules = (shipped / name).read_text()
            (folder / name).write_text(re.sub(r"^( +for: )\w+$", r"\g<1>1s", rules, flags=re.MULTILINE))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        subprocess.run(["promtool", "check", "config", folder / "prometheus.yml"], check=True, stdout=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{free_port()}"
        address = self.url.removeprefix("http://")
        command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"]
        self.process = Process(folder, "prometheus", [*command, f"--web.listen-address={address}"], cwd=folder)
        until("Prometheus is ready", lambda: request("GET", f"{self.url}/-/ready")[0] == 200)

    def ask(self, query):
        """Runs an instant query; returns its samples as (labels, value)."""
        status, answer = request("POST", f"{self.url}/api/v1/query?" + urlencode({"query": query}))
        assert status == 200, f"{query}: {answer}"
        return [(sample["metric"], float(sample["value"][1])) for sample in answer["data"]["result"]]

    def alerts(self):
        """Returns the names of the firing alerts."""
        found = request("GET", f"{self.url}/api/v1/alerts")[1]["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

    def rules(self):
        groups = request("GET", f"{self.url}/api/v1/rules")[1]["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


def quantile(share, counts):
    """Computes a histogram's quantile as Prometheus does, from buckets (lower, upper, count)."""
    rank, below = share * sum(count for _, _, count in counts), 0
    for lower, upper, count in counts:
        if below + count >= rank:
            return lower + (upper - lower) * (rank - below) / count
        below += count
    raise ValueError("a share is from 0 to 1")


def expectations(asked):
    """Returns each recording rule's expected range by the values of its labels without `job`. All other series must be
    0."""

    def about(value, tolerance=TOLERANCE):
        return value * tolerance[0], value * tolerance[1]

    def rates(counts, seconds=300):
        return {labels: about(count / seconds) for labels, count in counts.items()}

    def whole(value, tolerance=TOLERANCE):
        return {(): about(value, tolerance)}

    routes = {route: [ask for ask in asked if ask[0] == route] for route, _, _ in asked}
    seen = {route: len(asks) - (UNSEEN if route == "/ai/plan2" else 0) for route, asks in routes.items()}
    callers = sum(count for route, count in seen.items() if route not in PROBES)
    planned = sum(PLANS.values())
    slow = PLANS["slowly thank"]
    good = planned - WITHOUT_ANSWER
    # Plans fall into the bucket from 1 s to 2.5 s, slow ones from 10 s to 25 s; a refusal by the budget takes no time.
    plans = [(1, 2.5, planned - slow), (10, 25, slow)]
    new = COMPLETED + UNAUTHORIZED + UNKNOWN + WAITING + 1
    completed, ended = COMPLETED + 1, COMPLETED + 1 + UNAUTHORIZED + UNKNOWN
    # No plan at all is asked for once more.
    counted = planned - PLANS["unreachable"] + PLANS["gibberish"]
    tokens = {
        ("input",): about((counted - 1) * USAGE["prompt_tokens"] + FILL),
        ("output",): about(counted * USAGE["completion_tokens"]),
    }
    unauthorized = UNAUTHORIZED * ASKED_WITH_A_BAD_TOKEN
    refused = unauthorized + UNKNOWN
    # Latency depends on the machine, so the client's own measurement is the upper bound.
    longest = {route: max(took for _, _, took in asks) for route, asks in routes.items()}
    executes = [took for route, status, took in asked if (route, status) == ("/ai/execute", 202)]
    slow_executes = sum(took > 0.5 for took in executes) / len(executes)
    windows = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
    return {
        "job_route:ai_http_requests:rate5m": rates({(route,): count for route, count in seen.items()}) | {("/metrics",): (1 / 300, 10)},
        "job:ai_http_requests:rate5m": whole(callers / 300),
        "job_route:ai_http_request_duration_seconds:p95_rate5m": {(route,): (0, 2.5 * took + 0.01) for route, took in longest.items()}
        | {
            ("/ai/plan2",): about(quantile(0.95, [(0, 0.1, OVER_BUDGET - UNSEEN), *plans]), QUANTILES),
            ("/metrics",): (0, 5),
        },
        **{f"job:ai_http_errors_per_request:ratio_rate{window}": whole(WITHOUT_ANSWER / callers) for window in windows},
        **{f"job:ai_execute_slow_per_request:ratio_rate{window}": {(): (-1e-9, slow_executes + 1e-9)} for window in windows},
        **{f"job:ai_plan_slow_per_request:ratio_rate{window}": whole(slow / good) for window in windows},
        "job_status:ai_planner_requests:rate5m": rates(
            {
                ("ok",): good - PLANS["ask back"],
                ("questions",): PLANS["ask back"],
                ("invalid",): PLANS["gibberish"],
                ("error",): PLANS["unreachable"],
                ("budget",): OVER_BUDGET,
            }
        ),
        "job:ai_planner_duration_seconds:p50_rate5m": whole(quantile(0.5, plans), QUANTILES),
        "job:ai_planner_duration_seconds:p95_rate5m": whole(quantile(0.95, plans), QUANTILES),
        "job:ai_planner_duration_seconds:p99_rate5m": whole(quantile(0.99, plans), QUANTILES),
        "job:ai_planner_failures_per_request:ratio_rate10m": whole(WITHOUT_ANSWER / planned),
        "job_direction:ai_planner_tokens:increase1h": tokens,
        "job_direction:ai_planner_tokens:increase1d": tokens,
        "job:ai_token_budget_rejections:increase10m": whole(OVER_BUDGET),
        "job_outcome:ai_idempotency:rate5m": rates({("new",): new, ("replayed",): REPLAYED, ("conflict",): CONFLICTS}),
        "job_status:ai_jobs:rate5m": rates(
            {
                ("enqueued",): new,
                ("completed",): completed,
                ("error",): UNAUTHORIZED,
                ("unknown",): UNKNOWN,
            }
        ),
        "job:ai_jobs_accepted:increase30m": whole(new),
        "job:ai_jobs_ended:increase1h": whole(ended),
        "job:ai_jobs_unknown:increase1h": whole(UNKNOWN),
        "job:ai_job_errors_per_end:ratio_rate15m": whole(UNAUTHORIZED / ended),
        "job:ai_queue_depth:max": {(): (WAITING + 1, WAITING + 1)},
        "job:ai_queue_oldest_age_seconds:max": {(): (0, 120)},
        "job:ai_queue_unreadable_messages:increase1h": {(): (0, 0)},
        "job:ai_webhook_failures:increase1h": {(): (0, 0)},
        "job:ai_webhook_deliveries:increase1h": {(): (0, 0)},
        "job:ai_webhook_disabled:increase1h": {(): (0, 0)},
        # A worker claims a job at once, if the machine is not busy.
        "job:ai_job_queue_wait_seconds:p95_rate5m": {(): (0, 2.5)},
        "job:ai_job_duration_seconds:p95_rate5m": whole(quantile(0.95, [(0, 0.1, ended - completed), (1, 2.5, completed)]), QUANTILES),
        "job:ai_permission_denials:increase10m": whole(DENIED),
        "job:ai_permission_denials:increase1d": whole(DENIED),
        "job:ai_auth_failures:increase10m": {(): (0, 0)},
        "job:ai_auth_failures:increase1d": {(): (0, 0)},
        "job_provider:ai_rollout_denials:increase1h": {("microsoft",): about(NOT_ROLLED_OUT)},
        "job_provider_outcome:ai_provider_requests:rate5m": rates(
            {
                ("ok", "google"): completed,
                ("unauthorized", "google"): unauthorized,
                ("maybe_sent", "google"): UNKNOWN,
                ("rate_limited", "google"): WAITING,
            }
        ),
        "job_provider:ai_provider_errors_per_request:ratio_rate10m": {("google",): about(refused / (completed + refused + WAITING))},
        # A busy machine may lose a flush; the other numbers show it then.
        "job:ai_metrics_lost_flushes:increase1h": {(): (0, 100)},
        "job_provider:ai_provider_unauthorized:increase15m": {("google",): about(unauthorized)},
    }


def disagreements(expected, samples_of):
    """Returns the rules whose results are out of range."""
    found = []
    for name, wanted in expected.items():
        said = {}
        for labels, value in samples_of(name):
            said[tuple(value for label, value in sorted(labels.items()) if label not in ("__name__", "job"))] = value
        for labels, (least, most) in wanted.items():
            value = said.pop(labels, None)
            if value is None or not least <= value <= most:
                found.append(f"{name}{labels or ''} is {value}, not from {least:.6g} to {most:.6g}")
        found += [f"{name}{labels} is {value}, not 0" for labels, value in said.items() if value > 0]
    return found


def check(folder, binaries, shipped, board, log, screenshots=None):
    """Runs everything; returns the mistakes, in words."""
    program = Program(folder, binaries)
    prometheus = None
    try:
        log("a first round creates every series")
        run(program, once)
        program.asked.clear()
        prometheus = Prometheus(folder, shipped, program.url.removeprefix("http://"))
        until("the first scrapes", lambda: prometheus.ask(f'count_over_time(up{{job="{JOB}"}}[1m]) > 2'))
        log(f"Prometheus at {prometheus.url} scrapes {program.url}; the script runs")
        run(program, every, prometheus)
        finished = time.time()
        asked = list(program.asked)

        recording = {rule["name"]: rule["query"] for rule in prometheus.rules() if rule["type"] == "recording"}
        known = Known(exported(program.metrics()), list(recording.items()))
        found = [f"{rule['name']}: {mistake}" for rule in prometheus.rules() for mistake in known.mistakes(rule["query"])]
        for title, query in dashboard.queries(board):
            found += [f"the panel {title}: {mistake}" for mistake in known.mistakes(query)]

        until("there are enough samples", lambda: prometheus.ask(f'count_over_time(up{{job="{JOB}"}}[5m]) * {SCRAPE} > {SAMPLED}'))
        last = f'timestamp(job:ai_jobs_ended:increase1h{{job="{JOB}"}}) > {finished + 3}'
        until("the rules are evaluated again", lambda: prometheus.ask(last))
        expected = expectations(asked)
        found += [f"{name} has no expected result here" for name in recording if name not in expected]
        found += [f"there is no rule {name}" for name in expected if name not in recording]
        found += disagreements(expected, lambda name: prometheus.ask(f'{name}{{job="{JOB}"}}'))
        for title, query in dashboard.queries(board):
            if not prometheus.ask(query):
                found.append(f"the panel {title} is empty: {query}")
        log(f"checked {len(recording)} recording rules")

        until("the alerts fire", lambda: prometheus.alerts() >= FIRES, 20)
        found += [f"{name} fires" for name in prometheus.alerts() - FIRES]
        log(f"{len(FIRES)} alerts fire: {', '.join(sorted(FIRES))}")
        if screenshots:
            screenshots(prometheus)
        program.redis.stop(signal.SIGKILL)
        until("the alert on the metrics store fires", lambda: prometheus.alerts() >= FIRES_WITHOUT_REDIS, 20)
        log(f"and without Redis {', '.join(sorted(FIRES_WITHOUT_REDIS))}")
        program.process.stop(signal.SIGKILL)
        until("the alert on the scrape fires", lambda: prometheus.alerts() >= FIRES_AT_THE_END, 20)
        log(f"and without the program {', '.join(sorted(FIRES_AT_THE_END))}")
        every_alert = {rule["name"] for rule in prometheus.rules() if rule["type"] == "alerting"}
        found += [
            f"this test does not say whether {name} fires"
            for name in every_alert - FIRES - FIRES_WITHOUT_REDIS - FIRES_AT_THE_END - UNIT_TESTS_ALONE
        ]
        return found
    finally:
        program.stop()
        if prometheus:
            prometheus.process.stop()
