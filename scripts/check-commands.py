#!/usr/bin/env python3
"""Finds commands of the documents that no test runs and that no list leaves out for a reason.

scripts/check-commands.py [--program WORD...]

Every command in a block of a document is in RUN below, with the place that runs it or the reason why nothing does. The blocks of
docs/OPERATIONS.md have such a list in tests/stack/operations.py. In the middle of a sentence, a script must exist, and
with --program, `orchestrator` must know its commands and options. CHANGELOG.md and the history of measurements tell of the past.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from documents import blocks, commands, spans  # noqa: E402

CONTAINERS = "needs images of a registry"
CLIENT = "the client is not to be had here; scripts/mcp-test tries the server with clients that are"
MEASURES = "measures, for minutes to an hour"
WALKTHROUGH = "scripts/walkthrough runs it"

RUN = {
    "README.md": {
        "cargo run": "scripts/walkthrough starts it",
        "docker build -f infra/Dockerfile -t ai-orchestrator .": CONTAINERS,
        "docker run --rm -v orchestrator:/data ai-orchestrator keys create --workspace acme --scopes "
        "actions:preview,actions:execute": CONTAINERS,
        "docker run -p 127.0.0.1:8787:8787 -v orchestrator:/data -e HOST=0.0.0.0 ai-orchestrator": CONTAINERS,
        'cargo run -q -- plan "Send email to john@example.com saying thanks for the meeting"': WALKTHROUGH,
        "cargo run -q -- execute PLAN_ID": WALKTHROUGH,
        "cargo run -q -- jobs": WALKTHROUGH,
        "cargo run -q -- outbox": WALKTHROUGH,
    },
    "docs/MCP.md": {
        "orchestrator keys create --workspace acme --scopes actions:preview,actions:execute,accounts:read --agent "
        "--name claude": WALKTHROUGH,
        'claude mcp add --transport http orchestrator URL/mcp --header "Authorization: Bearer KEY"': CLIENT,
    },
    "docs/PERFORMANCE.md": {"scripts/bench": "scripts/test runs it with --short", "scripts/soak": MEASURES},
    "docs/SCALE.md": {
        "scripts/scale-sim --update": "changes the document",
        "scripts/scale-sim --load 5 model=10000 'Lambda, concurrent=100'": WALKTHROUGH,
    },
    "docs/evidence/agentdojo.md": {"scripts/agentdojo": "scripts/test runs tests/planner/check.py, which has its suite"},
    "docs/evidence/calls.md": {
        "cargo test -p orchestrator --features aws --test it -- calls --nocapture": "scripts/test runs this test",
    },
    "docs/evidence/performance.md": {
        "scripts/bench": "scripts/test runs it with --short",
        "cargo build --profile bench -p orchestrator -p bench": "scripts/bench runs it",
        "target/release/bench --program target/release/orchestrator load --seconds 1.5": "scripts/bench runs it",
        "target/release/bench --program target/release/orchestrator memory": "scripts/bench runs it",
        "cargo bench -p orchestrator --bench plan2": MEASURES,
        "scripts/bench-lambda --runs 25": MEASURES,
        "scripts/bench-parts": MEASURES,
        "cargo bench -p orchestrator --bench micro -- --callgrind": MEASURES,
        "cargo bench -p orchestrator --bench growth": MEASURES,
        "cargo test -p adapters every_operation": "scripts/test runs this test",
        "cargo test -p adapters --features aws --test aws a_page": "scripts/test runs this test",
        "cargo tree --locked -p orchestrator -e normal --prefix none | sed 's/ (\\*)$//' | grep -v '(/' | sort -u | wc -l": "only counts",
        "scripts/bench-build": MEASURES,
        "scripts/page-speed": MEASURES,
    },
    "docs/evidence/planner-real-model.md": {
        "OPENAI_BASE_URL=http://127.0.0.1:8081/v1 OPENAI_API_KEY=… AI_MODEL=local AI_MAX_TOKENS_PER_MIN=1000000 cargo run -- eval "
        "--json tests/fixtures/eval/plain.jsonl": "needs a model of one's own",
    },
    "docs/evidence/planner-rules.md": {
        "cargo run -- eval tests/fixtures/eval/plain.jsonl": WALKTHROUGH,
        "cargo run -- eval tests/fixtures/eval/plain_english.jsonl": WALKTHROUGH,
    },
    "docs/evidence/prometheus.md": {
        "scripts/prometheus-test --screenshots docs/evidence/images": "scripts/test runs it without pictures",
    },
    "docs/evidence/quoted-text.md": {
        "cargo test -p orchestrator --all-features --test it quoted -- --nocapture": "scripts/test runs this test",
    },
    "docs/evidence/soak.md": {"scripts/soak": MEASURES},
}
#: Blocks of bash that are run as a whole.
WHOLE = {"README.md": WALKTHROUGH, "docs/API.md": WALKTHROUGH}
HISTORY = ("CHANGELOG.md", "docs/evidence/performance-history.md")
NEEDS_FEATURE = ("orchestrator create-table",)
#: What a reader puts in.
PLACEHOLDERS = {"JOB_ID": "2a7b1a4e-5d1f-8c7b-9a54-3f0c9be1d0aa", "PLAN_ID": "5f0c2f3e-8f0b-4c39-9b0c-0b6e5a0f2d11", "W": "acme"}


def unlisted(name, text):
    """The commands of a document's blocks that are not listed, and what is listed and is no command any more."""
    if name == "docs/OPERATIONS.md":
        return set(), set()
    found = {command for _, block in blocks(text) for command in commands(block)}
    if name not in WHOLE:
        found |= {command for _, block in blocks(text, ("bash", "sh", "console")) for command in commands(block)}
    listed = set(RUN.get(name, {}))
    return found - listed, listed - found


def wrong_arguments(span, program):
    """What the program says of the arguments of a sentence; it stops at --help before it asks for what is missing."""
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(re.sub(r"^([A-Z_]+=\S+ )*orchestrator ?", "", span))]
    done = subprocess.run([*program, *words, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[0]


def main():
    program = sys.argv[sys.argv.index("--program") + 1 :] if "--program" in sys.argv else None
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True)
    bad, count = [], 0
    for name in listed.stdout.split():
        if name in HISTORY:
            continue
        text = (ROOT / name).read_text()
        new, gone = unlisted(name, text)
        bad += [f"{name}: nothing runs `{command}`, and RUN does not say why" for command in sorted(new)]
        bad += [f"{name}: RUN has `{command}`, which the document does not" for command in sorted(gone)]
        for span in spans(text, (r"scripts/[\w.-]+",)):
            count += 1
            bad += [] if (ROOT / span.split()[0]).is_file() else [f"{name}: `{span}`: there is no such script"]
        for span in spans(text, ("orchestrator",)) if program else ():
            if span not in NEEDS_FEATURE and " " in span:
                count += 1
                bad += [f"{name}: `{span}`: {wrong}"] if (wrong := wrong_arguments(span, program)) else []
    bad += [f"RUN names {name}, which is no document" for name in RUN if not (ROOT / name).is_file()]
    print(
        "\n".join(bad) or f"{sum(map(len, RUN.values()))} commands in blocks are run or left out for a reason; {count} in sentences exist"
    )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
