"""The commands of docs/OPERATIONS.md: runs them as they stand, and knows which it cannot run, and why."""

import os
import pathlib
import re
import subprocess

from documents import blocks, commands, spans
from processes import Failed

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).parent
TEXT = (ROOT / "docs" / "OPERATIONS.md").read_text()

OWN_MACHINE = "changes the machine that it runs on: its users and its programs"
CANARY = "the emulator has no CodeDeploy; scripts/test checks the template that it deploys"
CONTAINERS = "needs images of a registry"
LOCAL = "`scripts/stack-test --sam-local` runs it, where Docker and its image of Lambda are"
OWN_VALUES = "is for a model or an account of one's own"
WALKTHROUGH = "scripts/walkthrough runs it"
WORK_TREE = "would change the work tree that is tested"

# The commands that this test does not run, each with the reason.
LEFT_OUT = {
    "sam build": "this test begins with it, for the architecture of the machine",
    "sam build --parameter-overrides Architecture=x86_64": "this test begins with it, for the architecture of the machine",
    "git pull": WORK_TREE,
    'git checkout "$previous"': WORK_TREE,
    "install -m 755 target/release-artifacts/orchestrator-linux-amd64 /usr/local/bin/orchestrator": OWN_MACHINE,
    "useradd --system --shell /usr/sbin/nologin orchestrator": OWN_MACHINE,
    "install -d -m 700 -o orchestrator -g orchestrator /var/lib/orchestrator": OWN_MACHINE,
    "runuser -u orchestrator -- env ORCHESTRATOR_DATA=/var/lib/orchestrator orchestrator keys create --workspace acme "
    "--scopes actions:preview,actions:execute,connections:write": OWN_MACHINE,
    "systemctl enable --now orchestrator": OWN_MACHINE,
    "docker compose -f infra/compose.yaml build": CONTAINERS,
    "docker compose -f infra/compose.yaml run --rm orchestrator keys create --workspace acme --scopes "
    "actions:preview,actions:execute": CONTAINERS,
    "docker compose -f infra/compose.yaml up --detach": CONTAINERS,
    "docker buildx build -f infra/Dockerfile --platform linux/amd64,linux/arm64 --build-context "
    'build=target/release-artifacts --tag "$image" --push .': CONTAINERS,
    "docker buildx create --use": CONTAINERS,
    "sam deploy --parameter-overrides 'Name=value'": "is the shape of a command",
    "aws xray batch-get-traces --trace-ids 1-…": "is the shape of a command",
    "scripts/canary > infra/canary.yaml": CANARY,
    "sam build --template-file infra/canary.yaml": CANARY,
    "sam deploy --parameter-overrides 'Settings=AI_PROVIDER=bedrock;AI_MODEL=openai.gpt-oss-120b-1:0;"
    "AI_FALLBACK_MODEL=openai.gpt-oss-20b-1:0;AI_MAX_OUTPUT_TOKENS=3000'": "the emulator has no models; tests/it/bedrock.rs asks a fake",
}
# Every command of these sections is left out.
SECTIONS_LEFT_OUT = {"On this machine": LOCAL, "A model": OWN_VALUES, "Accounts": OWN_VALUES, "Keys": WALKTHROUGH}

# Programs whose commands in the middle of a sentence count, if they have options.
PROGRAMS = ("aws", "sam", "docker", "systemctl")


def all_commands(text=TEXT):
    for heading, block in blocks(text):
        if heading not in SECTIONS_LEFT_OUT:
            yield from commands(block)
    yield from (span for span in spans(text, PROGRAMS) if " -" in span)


class Operator:
    """Runs commands of the document in one folder, as a person does, and notes which."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment
        self.ran = set()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "samconfig.toml").write_text((ROOT / "samconfig.toml").read_text())
        for name in (".aws-sam", "infra"):
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(ROOT / name)

    def shell(self, text, **variables):
        """Runs this in a shell that knows the document's functions; returns what it prints."""
        (prelude,) = (block for _, block in blocks(TEXT) if "out() {" in block)
        self.ran |= set(commands(prelude))
        environment = self.environment() | variables
        environment["PATH"] = f"{HERE}:{environment['PATH']}"
        # What is left out of a block that runs otherwise.
        skip = 'git() { :; }; sleep() { :; }; sam() { [ "$1" = build ] || command sam "$@"; }\n'
        # A person's shell keeps its variables from block to block.
        kept = self.folder / "variables"
        keep = f"trap \"declare -p | grep -E '^declare -- [a-z_]+=' > '{kept}'\" EXIT\n"
        if kept.exists():
            skip += f"source '{kept}'\n"
        command = ["bash", "-euo", "pipefail", "-c", skip + keep + prelude + text]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"the commands {text!r} fail: {done.stdout}{done.stderr}")
        return done.stdout

    def run(self, heading, containing="", **variables):
        """Runs the blocks under a heading that contain these words, one after the other in one shell."""
        chosen = [block for under, block in blocks(TEXT) if under == heading and containing in block]
        if not chosen:
            raise Failed(f"{heading} has no such commands")
        printed = self.shell("".join(chosen), **variables)
        self.ran |= {command for block in chosen for command in commands(block)}
        return printed

    def left(self):
        """The commands that were neither run nor left out for a reason, and the reasons for what is no command."""
        every = set(all_commands())
        return sorted(every - self.ran - set(LEFT_OUT)), sorted(set(LEFT_OUT) - every)


def self_test():
    """A command that nobody runs is found, wherever it stands."""
    for more in ("```\naws sts get-caller-identity\n```\n", "Then run `aws sts get-caller-identity --output text`.\n"):
        new = set(all_commands(f"{TEXT}\n## New\n\n{more}")) - set(all_commands())
        if len(new) != 1 or not next(iter(new)).startswith("aws sts"):
            raise Failed(f"a new command is not found: {more!r} {new}")
    unknown = [heading for heading in SECTIONS_LEFT_OUT if not re.search(rf"^##+ {heading}$", TEXT, re.MULTILINE)]
    if unknown:
        raise Failed(f"docs/OPERATIONS.md has no section {unknown}")


if __name__ == "__main__":
    self_test()
    print(*sorted(set(all_commands())), sep=os.linesep)
