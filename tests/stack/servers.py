"""The servers that the stack needs, on loopback."""

import os
import pathlib
import platform
import shutil

from processes import Process, free_port, request, until

REGION = "eu-central-1"
# Programs get this much of the machine's environment, so that none of its settings reaches them.
PLAIN = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


class Servers:
    """Starts the servers, each with a log in the folder."""

    def __init__(self, folder):
        self.folder = folder
        # The Python that MiniStack is installed in.
        self.python = pathlib.Path(shutil.which("ministack")).with_name("python")
        self.running = []

    def start(self, name, command, env=None):
        process = Process(self.folder, name, command, PLAIN | (env or {}), self.folder)
        self.running.append(process)
        return process

    def fakes(self, program, model_key):
        """Returns the address of the providers and that of the model."""
        process = self.start("fakes", [program, "--model-key", model_key])
        return process.says(r"^(http\S+)\n"), process.says(r"^http\S+\n(http\S+)\n")

    def ministack(self):
        port = free_port()
        folder = self.folder / "ministack"
        folder.mkdir(exist_ok=True)
        url = f"http://127.0.0.1:{port}"
        env = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": REGION,
            "TMPDIR": str(folder),
            # The functions find it here.
            "AWS_ENDPOINT_URL": url,
            # Every call needs a policy that allows it.
            "AUTH": "true",
        }
        self.start("ministack", [self.python, pathlib.Path(__file__).with_name("emulator.py")], env)
        until("MiniStack answers", lambda: request("GET", f"{url}/_ministack/health")[0] == 200)
        return port

    def stop(self):
        for process in reversed(self.running):
            process.stop()


def architecture():
    """The machine's architecture, as Lambda names it."""
    return {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
