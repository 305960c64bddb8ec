"""A person at `sam deploy --guided` who presses Enter at every question."""

import os
import pty
import re
import select
import subprocess
import time

from processes import Failed

# A question is what stands after the last line break, once nothing more comes.
QUESTION = re.compile(r"([^\r\n]*[\w\]])(?::| ?\?) ?$")
MOST_QUESTIONS = 40
QUIET_S = 1.0


def press_enter_at_every_question(command, cwd, env, log, timeout=240):
    """Runs the command on a terminal, and returns the questions that it asked."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    text, questions = "", []
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], QUIET_S)
            if ready:
                try:
                    text += os.read(ours, 65536).decode(errors="replace")
                except OSError:
                    break
                continue
            asked = QUESTION.search(re.sub(r"\x1b\[[0-9;]*m", "", text))
            if asked:
                question = asked[1].strip()
                if question in questions or len(questions) == MOST_QUESTIONS:
                    raise Failed(f"Enter does not answer {question!r}")
                questions.append(question)
                os.write(ours, b"\n")
                text += "\n"
        else:
            raise Failed(f"no end after {questions}")
        if child.wait(30):
            raise Failed(f"it ended with {child.returncode}")
        return questions
    finally:
        log.write_text(text)
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(ours)
