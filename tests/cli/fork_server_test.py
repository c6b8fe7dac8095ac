"""A run that the fork server starts is a process as any other: words, folder, pipes, exit codes, signals, kill -9, time limits."""

import os
import signal
import subprocess
import sys
import time

from fork_server import ForkServer
from program import CALIBRATION, MODEL, PROGRAM, check, finish, folder

SERVER = os.environ.get("STRATA_FORK_SERVER")
if not SERVER:
    print("SKIPPED: needs STRATA_FORK_SERVER, the path of strata_faulty")
    sys.exit(77)

server = ForkServer(SERVER)
PIPES = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def both(*words, **options):
    """A fork and an exec of the same command; they must not differ."""
    forked, real = (server.run([PROGRAM, *words], real=real, **PIPES, **options) for real in (False, True))
    for what in ("returncode", "stdout", "stderr"):
        check(getattr(forked, what) == getattr(real, what), f"{words}: {what} of a fork and of an exec",
              f"{getattr(forked, what)}\n{getattr(real, what)}")
    return forked


def ends(run):
    """How the run ends within 10 s."""
    began = time.monotonic()
    run.communicate(timeout=60)
    check(time.monotonic() - began < 10, "a signal is not lost")
    return run.returncode


with folder() as temporary:
    check(both("--version").stdout.startswith(b"strata "), "stdout")
    check(both().returncode == 2, "no words at all")
    check(b"no such command" in both("qantize").stderr, "stderr")
    both("inspect", "a name with blanks,\n and \u00fcnicode")
    both("formats", "--json", text=True)
    check(both("inspect", os.path.basename(MODEL), cwd=os.path.dirname(MODEL)).returncode == 0, "the working folder")
    written = os.path.join(temporary, "written")
    with open(written, "wb") as file:
        server.run([PROGRAM, "formats"], stdout=file, check=True)
    with open(written, "rb") as file:
        check(file.read() == server.run([PROGRAM, "formats"], capture_output=True, real=True).stdout, "stdout is a file")
    with open("/dev/full", "wb") as full:
        check(server.run([PROGRAM, "formats"], stdout=full, stderr=subprocess.PIPE).returncode == 9, "stdout is /dev/full")
    for name, real in (("fork", False), ("exec", True)):
        out = os.path.join(temporary, name)
        server.run([PROGRAM, "quantize", MODEL, "-o", out, "--scheme", "W4A16", "-q"], real=real, check=True)
    for name in sorted(os.listdir(out)):
        with open(os.path.join(temporary, "fork", name), "rb") as a, open(os.path.join(out, name), "rb") as b:
            check(a.read() == b.read(), f"{name} of a fork and of an exec")

    slow = [PROGRAM, "quantize", MODEL, "-o", os.path.join(temporary, "slow"), "--scheme", "NVFP4", "--dataset", CALIBRATION,
            "--nsamples", "64", "--seqlen", "512", "--threads", "1"]
    for number, expected in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)):
        run = server.popen(slow, **PIPES)
        check(os.getpgid(run.pid) == os.getpgid(0), "a run is in the group of the test")
        check(any(b"[1/" in line for line in run.stderr), "a run is read while it goes on")
        run.send_signal(number)
        check(ends(run) == expected, f"signal {number}", run.returncode)
        try:
            os.kill(run.pid, 0)
            check(False, "a process that was waited for is gone")
        except ProcessLookupError:
            pass
    try:
        server.run(slow, timeout=0.2, **PIPES)
        check(False, "a time limit")
    except subprocess.TimeoutExpired:
        pass
    runs = [server.popen([PROGRAM, "--version"], **PIPES) for _ in range(20)]
    check([ends(run) for run in runs] == [0] * 20, "many at once")
    try:
        server.run([PROGRAM, "x" * (1 << 17), "y" * (1 << 17)], **PIPES)
        check(False, "a message that is too long is an error")
    except (OSError, RuntimeError):
        pass
finish()
