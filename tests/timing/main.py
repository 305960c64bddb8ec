"""Whether the time of an answer tells another workspace's job from one that never was.

    PYTHONPATH=tests/lib python3 tests/timing/main.py target/release/orchestrator

Asks for both in turns over one connection, and prints the medians, their ratio, and how often one answer alone is told right by
the best threshold. It is no test: a busy machine adds noise, which hides a difference, and so it only says what it measured.
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 1200
WARM_UP = 100
NEVER = "018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10"


def run(program, folder, *arguments):
    return subprocess.run([program, *arguments], env=environment(folder), check=True, capture_output=True, text=True).stdout.strip()


def environment(folder):
    limits = {"LIMIT_REQUESTS_PER_KEY": "1000000", "LIMIT_REQUESTS_PER_WORKSPACE": "1000000"}
    return {"ORCHESTRATOR_DATA": folder, "PORT": "0", "RUST_LOG": "warn", **limits}


def ask(connection, method, path, key, body=None):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    begun = time.perf_counter_ns()
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, text, (time.perf_counter_ns() - begun) / 1000


def told_right(lower, upper):
    """The share of single answers that the best threshold between the two tells right; 0.5 is chance."""
    both = sorted([(value, 1) for value in lower] + [(value, -1) for value in upper])
    best = right = 0
    for _, step in both:
        right += step
        best = max(best, right, -right)
    return 0.5 + best / (2 * len(lower))


def main(program):
    program = os.path.realpath(program)
    with tempfile.TemporaryDirectory() as folder:
        create = ("keys", "create", "--scopes", "actions:preview,actions:execute", "--workspace")
        owner, stranger = run(program, folder, *create, "acme"), run(program, folder, *create, "other")
        server = subprocess.Popen([program], env=environment(folder), stdout=subprocess.PIPE, text=True)
        try:
            port = int(re.search(r":(\d+)$", server.stdout.readline().strip()).group(1))
            connection = http.client.HTTPConnection("127.0.0.1", port)
            params = {"to": "john@example.com", "subject": "Hello", "text": "Hello"}
            action = {"action": "gmail.send", "client_request_id": "invoice-1", "params": params}
            _, text, _ = ask(connection, "POST", "/ai/execute", owner, {"actions": [action], "actor_id": "ana"})
            job = json.loads(text)["job_ids"][0]
            ask(connection, "GET", f"/ai/jobs/{job}?wait=10", owner)
            for suffix in ("", "/content"):
                times = {job: [], NEVER: []}
                for turn in range(WARM_UP + ROUNDS):
                    for one in (job, NEVER) if turn % 2 else (NEVER, job):
                        status, _, took = ask(connection, "GET", f"/ai/jobs/{one}{suffix}", stranger)
                        assert status == 404, status
                        if turn >= WARM_UP:
                            times[one].append(took)
                foreign, never = statistics.median(times[job]), statistics.median(times[NEVER])
                right = told_right(times[job], times[NEVER])
                print(
                    f"GET /ai/jobs/{{job_id}}{suffix}: foreign {foreign:.0f} µs, never was {never:.0f} µs, "
                    f"ratio {foreign / never:.3f}; one answer is told right in {right:.1%}"
                )
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main(sys.argv[1])
