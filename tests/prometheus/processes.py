"""The processes of a run: each on a free port of loopback, each ended by its own id."""

import atexit
import contextlib
import http.server
import json
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

PATIENCE = 60


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, patience=PATIENCE, pause=0.1):
    """Asks again and again until there is an answer; fails when it takes too long."""
    deadline = time.monotonic() + patience
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {patience} s")
        time.sleep(pause)


def request(method, url, body=None, timeout=60):
    """Status and JSON body (or text); status 0 when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=timeout) as got:
            status, text = got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    except OSError:
        return 0, None
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


class Process:
    """A child whose output goes to a file."""

    def __init__(self, folder, name, command, env=None, cwd=None):
        self.name, self.path = name, folder / f"{name}.log"
        with open(self.path, "w") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=cwd)
        # However the run ends, none of its children is left.
        atexit.register(self.stop, signal.SIGKILL)

    def says(self, pattern):
        """Waits for a line and gives the pattern's first group."""

        def look():
            if self.child.poll() is not None:
                raise SystemExit(f"{self.name} ended:\n{self.path.read_text()[-2000:]}")
            found = re.search(pattern, self.path.read_text(), re.MULTILINE)
            return found and found[1]

        return until(f"{self.name} starts", look)

    def stop(self, with_signal=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(with_signal)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Model:
    """A chat completions endpoint that answers by a word of the prompt, after a fixed time.

    Times are chosen to fall into the middle of a histogram's bucket, so that a slow machine changes no number."""

    USAGE = {"prompt_tokens": 150, "completion_tokens": 200}
    FILL = 3_000_000

    def __init__(self):
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = model.answer(asked["messages"][-1]["content"])
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, prompt):
        time.sleep(0.6 if "unreachable" in prompt else 11 if "slowly" in prompt else 1.2)
        if "unreachable" in prompt:
            return 500, {"error": {"message": "no"}}
        usage = dict(self.USAGE)
        plan = {"intent": "send_email", "notes": None, "actions": [], "questions": ["To whom?"], "confidence": 0.9}
        if "ask back" not in prompt:
            params = {"to": ["john@example.com"], "subject": "Thanks", "text": "Thanks."}
            params |= {"html": None, "cc": None, "bcc": None, "reply_to": None}
            plan["actions"] = [{"provider": "google", "action": "gmail.send", "params": params}]
            plan["questions"] = []
        if "spend it all" in prompt:
            usage["prompt_tokens"] = self.FILL
        content = "no plan" if "gibberish" in prompt else json.dumps(plan)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        return 200, {"object": "chat.completion", "choices": [choice], "usage": usage}

    def stop(self):
        self.server.shutdown()
