"""Programs that a run starts on loopback, and ends with itself."""

import os
import pathlib
import platform
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

REGION = "eu-central-1"
# Of the machine's environment they get what programs need, and no setting.
PLAIN = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


class Failed(Exception):
    """Something is not as it should be."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, look, seconds=60):
    """Looks again and again; gives back what it finds."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"{what}, within {seconds} s")
        time.sleep(0.1)


class Servers:
    """The programs, with a log of each in a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = []

    def start(self, name, arguments, environment=None, output=None):
        log = open(self.folder / f"{name}.log", "wb")
        process = subprocess.Popen(
            arguments, cwd=self.folder, env=PLAIN | (environment or {}), stdin=subprocess.DEVNULL,
            stdout=output or log, stderr=log, start_new_session=True,
        )
        self.running.append(process)
        return process

    def redis(self):
        port = free_port()
        self.start("redis", ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"])

        def answers():
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as connection:
                    connection.sendall(b"PING\r\n")
                    return connection.recv(7) == b"+PONG\r\n"
            except OSError:
                return False

        until("redis-server does not answer", answers)
        return f"redis://127.0.0.1:{port}"

    def fakes(self, program, model_key):
        """The providers' address and the model's."""
        process = self.start("fakes", [program, "--model-key", model_key], output=subprocess.PIPE)
        return [process.stdout.readline().decode().strip() for _ in range(2)]

    def ministack(self):
        port = free_port()
        (self.folder / "ministack").mkdir(exist_ok=True)
        self.start("ministack", ["ministack"], {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": REGION,
            "TMPDIR": str(self.folder / "ministack"),
            # Where the functions find it.
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            # Each call is allowed by a policy, or refused.
            "AUTH": "true",
        })

        def answers():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5).status == 200
            except (urllib.error.URLError, OSError):
                return False

        until("MiniStack does not answer", answers)
        return port

    def stop(self):
        for process in reversed(self.running):
            try:
                # With what it has started itself: MiniStack the functions.
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(10)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def architecture():
    """The machine's, as Lambda names it."""
    return {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
