"""The commands that a document prints: in its blocks, and in the middle of its sentences."""

import re


def blocks(text, languages=("",)):
    """The blocks of commands: the heading that each is under, and its text."""
    heading = ""
    for part in re.finditer(r"^#+ ([^\n]*)$|^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if part[1]:
            heading = part[1]
        elif part[2] in languages:
            yield heading, part[3]


def commands(block):
    """The commands of a block, without comments, and lines that are continued as one."""
    for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines():
        for command in re.sub(r"(^|\s)#.*$", "", line).split(" && "):
            if command.strip():
                yield command.strip()


def spans(text, programs):
    """What stands in the middle of a sentence and begins with one of these programs."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(rf"`((?:[A-Z_]+=\S+ )*(?:{'|'.join(programs)})(?: [^`]*)?)`", prose):
        yield re.sub(r"\s+", " ", span.strip())
