#!/usr/bin/env python3
"""Finds dead links in Markdown: missing files, and headings that no file has. Also finds dead names in call outlines.

A call outline is a fenced block ```outline. Each line has a file below shared/ and functions that it defines, and may end
with a comment:

    web/src/endpoints/plan2.rs  handler()  reads the body

Checks the .md files that git tracks, or those named. Links to other hosts are not followed.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
# A file, and functions such as `plan()` or `Planner::plan()`, separated by commas.
OUTLINE = re.compile(r"\s*([\w./-]+\.rs)\s+((?:[\w:]+\(\)(?:,\s*)?)+)")
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)", re.M)


def prose(text):
    """Returns the text without code, where brackets are not links."""
    text = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path):
    """Returns the anchors of a file's headings, made as GitHub makes them."""
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
    """Finds the dead links of a file."""
    for match in LINK.finditer(prose(path.read_text())):
        link = match[1] or match[2]
        if re.match(r"[a-z][a-z0-9+.-]*:", link, re.I):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        if not target.exists():
            yield f"{link}: there is no such file"
        elif not target.is_relative_to(ROOT):
            yield f"{link}: is outside the project"
        elif anchor and target.suffix == ".md" and unquote(anchor) not in anchors(target):
            yield f"{link}: there is no such heading"


def tracked(pattern):
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def unknown(path):
    """Finds the lines of call outlines whose file does not exist or does not define the function."""
    for block in re.findall(r"^```outline\n(.*?)^```", path.read_text(), re.M | re.S):
        for line in filter(str.strip, block.splitlines()):
            named = OUTLINE.match(line)
            if not named:
                yield f"{line.strip()}: an outline's line has a file and a function, `file.rs  function()`"
                continue
            file = ROOT / "shared" / named[1]
            if not file.is_file():
                yield f"{named[1]}: there is no such file below shared/"
                continue
            code = file.read_text()
            for function in re.findall(r"(\w+)\(\)", named[2]):
                if not re.search(rf"\bfn {function}\b", code):
                    yield f"{named[1]} does not define {function}()"


def main():
    names = sys.argv[1:] or tracked("*.md")
    wrong = [f"{name}: {what}" for name in names for check in (dead, unknown) for what in check((ROOT / name).resolve())]
    print("\n".join(wrong) or f"no dead link or name in {len(names)} files")
    return 1 if wrong else 0


sys.exit(main())
