"""Starts programs on loopback, waits for them and ends them. Used by the tests in Python: the scripts that run them put
this folder into PYTHONPATH."""

import atexit
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

TIMEOUT = 60
LISTENING = r"listening on (http://\S+)\n"


class Failed(Exception):
    """A check failed, or a program did not do what it should in time."""


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, timeout=TIMEOUT):
    """Polls until the condition returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {timeout} s")
        time.sleep(0.1)


def request(method, url, body=None, timeout=60):
    """Returns the status and the JSON body (or text); the status is 0 when nothing answers."""
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
    """A child process that logs to a file. It ends with this program, together with whatever it started itself."""

    def __init__(self, folder, name, command, env=None, cwd=None):
        self.name, self.log = name, folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=cwd, start_new_session=True
            )
        atexit.register(self.stop, signal.SIGKILL)

    def says(self, pattern):
        """Waits until the pattern is in the log, and returns its first group."""

        def look():
            text = self.log.read_text(errors="replace")
            if self.child.poll() is not None:
                raise Failed(f"{self.name} ended:\n{text[-2000:]}")
            found = re.search(pattern, text, re.MULTILINE)
            return found and found[1]

        return until(f"{self.name} starts", look)

    def stop(self, with_signal=signal.SIGTERM):
        if self.child.poll() is not None:
            return
        os.killpg(self.child.pid, with_signal)
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
