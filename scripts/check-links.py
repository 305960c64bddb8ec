#!/usr/bin/env python3
"""Finds dead links in Markdown: files that are not there, and headings that no file has. And dead names in
docs/ARCHITECTURE.md: files of code that are not there, and functions that no file of their paragraph has.

Looks at the .md files that git tracks, or at those named. Links to other hosts are left alone.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)", re.M)


def prose(text):
    """The text without code, in which brackets are no links."""
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """The ids that the headings of a file get, as GitHub makes them."""
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", path.read_text(), flags=re.M | re.S)
    found, seen = set(), {}
    for title in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", text, re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        again = seen.get(slug, 0)
        seen[slug] = again + 1
        found.add(f"{slug}-{again}" if again else slug)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def dead(path):
    for match in LINK.finditer(prose(path.read_text())):
        link = match[1] or match[2]
        if re.match(r"[a-z][a-z0-9+.-]*:", link, re.I):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        if not target.exists():
            yield f"{link}: there is no such file"
        elif not target.is_relative_to(ROOT):
            yield f"{link}: leads out of the project"
        elif anchor and target.suffix == ".md" and unquote(anchor) not in anchors(target):
            yield f"{link}: there is no such heading"


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def unknown(path):
    """Names between backticks, `…/file.rs` and `function()`, that the code does not have."""
    sources = tracked("*.rs")
    # A paragraph ends with an empty line, or where the next item of a list begins.
    for paragraph in re.split(r"\n\s*\n|\n(?=\d+\. |- |\|)", path.read_text()):
        named = re.findall(r"`([\w./-]+\.rs)`", paragraph)
        files = [file for name in named for file in sources if f"/{file}".endswith(f"/{name}")]
        yield from (f"{name}: there is no such file" for name in named if not any(f"/{f}".endswith(f"/{name}") for f in files))
        code = "\n".join((ROOT / file).read_text() for file in files)
        for function in re.findall(r"`(\w+)\(\)`", paragraph):
            if not re.search(rf"\bfn {function}\b", code):
                yield f"{function}(): no file that its paragraph names has it ({', '.join(named) or 'it names none'})"


def main():
    names = sys.argv[1:] or tracked("*.md")
    wrong = [f"{name}: {what}" for name in names for what in dead((ROOT / name).resolve())]
    wrong += [f"docs/ARCHITECTURE.md: {what}" for what in unknown(ROOT / "docs/ARCHITECTURE.md")]
    print("\n".join(wrong) or f"no dead link in {len(names)} files")
    return 1 if wrong else 0


sys.exit(main())
