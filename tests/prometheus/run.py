"""The tests of scripts/prometheus-test."""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

import dashboard
import live
import rules
import test_queries
from processes import Failed

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "infra/prometheus"


def main():
    arguments = argparse.ArgumentParser(prog="scripts/prometheus-test")
    arguments.add_argument("--binaries", type=pathlib.Path, default=ROOT / "target/debug", help="the folder of the programs")
    arguments.add_argument("--rules-only", action="store_true", help="skip the run of the program")
    arguments.add_argument("--screenshots", type=pathlib.Path, help="a folder for screenshots of Prometheus' pages")
    asked = arguments.parse_args()
    began = time.monotonic()

    def log(text):
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    own = unittest.defaultTestLoader.loadTestsFromModule(test_queries)
    if not unittest.TextTestRunner(stream=sys.stderr, verbosity=0).run(own).wasSuccessful():
        return 1
    board = json.loads((ROOT / "infra/grafana/orchestrator.json").read_text())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="prometheus-test-"))
    try:
        found = dashboard.mistakes(board)
        found += rules.check(SHIPPED, (ROOT / "docs/OPERATIONS.md").read_text(), folder)
        log("checked the rules, their tests and the dashboard")
        if not found and not asked.rules_only:
            pictures = None
            if asked.screenshots:
                from pictures import take

                def pictures(prometheus):
                    take(prometheus, asked.screenshots, folder, log)

            found += live.check(folder, asked.binaries, SHIPPED, board, log, pictures)
        for mistake in found:
            print(mistake, file=sys.stderr)
        log(f"{len(found)} mistakes" if found else "no mistakes")
        return 1 if found else 0
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
