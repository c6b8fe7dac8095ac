"""What the black-box tests share: the program under test, the demo model, checks that say what they saw."""

import json
import os
import subprocess
import sys
import tempfile

from fork_server import ForkServer

PROGRAM = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "demo", "model")
CALIBRATION = os.path.join(ROOT, "demo", "calibration.jsonl")
HELDOUT = os.path.join(ROOT, "demo", "heldout.jsonl")
COMMANDS = sorted(file.removesuffix(".cc") for file in os.listdir(os.path.join(ROOT, "cli", "command")) if file.endswith(".cc"))

failures = []
starts = ForkServer(os.environ.get("STRATA_FORK_SERVER"))  # of the same commands, beside PROGRAM
unstarted = [PROGRAM]


class Result:
    def __init__(self, arguments, completed):
        self.arguments, self.code = arguments, completed.returncode
        self.out, self.err = completed.stdout.decode(), completed.stderr.decode()

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"strata {' '.join(self.arguments)}\nexit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def strata(*arguments, **options):
    """A run to its end. The first of a test is of PROGRAM itself, the others are forks where there is a server."""
    command = [PROGRAM, *map(str, arguments)]
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    real = bool(unstarted)
    unstarted.clear()
    completed = starts.run(command, stdin=subprocess.DEVNULL, timeout=300, real=real, **options)
    completed.stdout, completed.stderr = completed.stdout or b"", completed.stderr or b""
    return Result(command[1:], completed)


def check(condition, what, seen=""):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}\n{seen}\n", flush=True)


def check_error(result, code, *texts):
    """One line `strata: ...` on stderr with every text, nothing on stdout, the exit code."""
    check(result.code == code, f"exit {code}", result)
    check(result.out == "", "stdout is empty on an error", result)
    last = result.err.rstrip("\n").split("\n")[-1]
    check(last.startswith("strata: ") and result.err.endswith("\n"), "the error is one line on stderr", result)
    for text in texts:
        check(text in last, f"the error says: {text}", result)


def folder():
    return tempfile.TemporaryDirectory(prefix="strata_cli_")


def finish():
    print(f"{len(failures)} failures" if failures else "ok")
    sys.exit(1 if failures else 0)
