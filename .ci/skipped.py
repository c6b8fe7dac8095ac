"""skipped.py BUILD: fails when a test of the last run in this build was skipped that could have run here.

.ci/may-skip.txt names the tests that may be skipped, each with its reason: `name: reason`. Tests that
read ../shared may be skipped where that folder does not exist, those that need an x86-64 processor elsewhere.
"""
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
HAS_SHARED = (HERE.parent.parent / "shared").is_dir()
sys.path.insert(0, str(HERE.parent / "scripts"))
from skipped_tests import cases  # noqa: E402


def allowed():
    lines = (HERE / "may-skip.txt").read_text().splitlines()
    return {line.rsplit(": ", 1)[0] for line in lines if line and not line.startswith("#")}


def main():
    may_skip, found = allowed(), list(cases(sys.argv[1]))

    def elsewhere(reason):
        return "../shared" in reason and not HAS_SHARED or "x86-64 processor" in reason and os.uname().machine != "x86_64"

    wrong = [f"  {name}: {reason}" for name, reason in found
             if reason is not None and name not in may_skip and not elsewhere(reason)]
    if not found:
        wrong.append("  no test ran at all")
    if wrong:
        print("skipped, but could have run here:", *wrong, sep="\n")
        return 1
    return 0


sys.exit(main())
