"""On a terminal, text is broken at blanks to its width (or $COLUMNS); in a pipe a decision is one line."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import termios

import program
from program import MODEL, PROGRAM, check, strata

# Decisions with long texts, of which there are many.
DECIDED = ("--scheme", "W4A16", "--override", "*.mlp.gate=FP8_DYNAMIC", "--override", "*.experts.*=W4A16_ASYM")


def on_terminal(arguments, width, **environment):
    """What the program writes to stdout and stderr where both are a terminal of this width, as lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    settings = termios.tcgetattr(theirs)
    settings[1] &= ~termios.OPOST  # no carriage returns
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    variables = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    run = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                           env={**variables, **environment})
    os.close(theirs)
    text = b""
    while True:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        text += block
    os.close(ours)
    check(run.wait(timeout=120) == 0, f"{arguments[0]} on a terminal", text)
    return re.sub("\x1b\\[[0-9]+m", "", text.decode()).split("\n")  # not even a letter of two bytes is cut


def too_wide(lines, width):
    """Lines that are wider though their last cell could be broken: it is not one word, nor a command."""
    return [line for line in lines if len(line) > width and " " in line.strip().split("  ")[-1].strip() and
            not line.strip().split("  ")[-1].strip().startswith(("strata ", "vllm "))]


def same_words(lines, text):
    return " ".join(lines).split() == text.split()


def main():
    with program.folder() as temporary:
        model = shutil.copytree(MODEL, os.path.join(temporary, "mod\u00e8le \u672c\u5f53"))
        out = os.path.join(temporary, "out")
        quantized = strata("quantize", model, "-o", out, *DECIDED, "-q")
        check(quantized.code == 0, "quantize", quantized)
        piped = {"plan": strata("plan", model, *DECIDED), "inspect": strata("inspect", model), "verify": strata("verify", out)}
        check(max(map(len, piped["plan"].out.split("\n"))) > 120, "in a pipe a decision is one line", piped["plan"])
        for width in (60, 80, 100):
            for name, arguments in {"plan": ["plan", model, *DECIDED], "inspect": ["inspect", model], "verify": ["verify", out]}.items():
                lines = on_terminal(arguments, width)
                check(not too_wide(lines, width), f"{name} fits {width} columns", "\n".join(lines))
                check(name != "plan" or any(len(line) > width - 25 for line in lines), f"{name} uses {width} columns", lines)
                if name != "plan":  # free disk changes from one run to the next
                    check(same_words(lines, piped[name].out), f"{name} loses no word", (lines, piped[name].out))
            lines = on_terminal(["quantize", model, "-o", out, *DECIDED, "--force", "-q"], width)
            check(not too_wide(lines, width), f"quantize fits {width} columns", "\n".join(lines))
        lines = on_terminal(["plan", model, *DECIDED], 200, COLUMNS="50")
        check(not too_wide(lines, 50), "$COLUMNS counts", "\n".join(lines))
        for wrong in ("", "0", "-5", "many", "1e3"):
            lines = on_terminal(["plan", model, *DECIDED], 70, COLUMNS=wrong)
            check(not too_wide(lines, 70) and any(len(line) > 50 for line in lines), f"COLUMNS={wrong} does not", "\n".join(lines))
        check(strata("plan", model, *DECIDED, env={**os.environ, "COLUMNS": "50"}).out.count("\n") == piped["plan"].out.count("\n"),
              "and not in a pipe")
    program.finish()


main()
