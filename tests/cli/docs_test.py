"""docs/cli.md holds --help of every command as the program prints it. `--write` brings it up to date."""

import os
import re
import sys

from program import COMMANDS, ROOT, check, finish, strata

path = os.path.join(ROOT, "docs", "cli.md")
with open(path, encoding="utf-8") as file:
    written = file.read()

blocks = re.compile(r"```text\n\$ strata (.*)\n(?:.*\n)*?```\n")


def regenerated(match):
    return f"```text\n$ strata {match[1]}\n{strata(*match[1].split()).out}```\n"


fresh = blocks.sub(regenerated, written)
if "--write" in sys.argv:
    with open(path, "w", encoding="utf-8") as file:
        file.write(fresh)
    sys.exit(0)

shown = [match[1] for match in blocks.finditer(written)]
check(sorted(shown) == sorted(["--help", *(f"{name} --help" for name in COMMANDS)]), "docs/cli.md shows every command", shown)
for match in blocks.finditer(written):
    check(match[0] == regenerated(match), f"docs/cli.md shows `strata {match[1]}` as it is", regenerated(match))

keys = re.findall(r"^\| `(\w+)` \|", written, re.M)
for event in ["run_start", "pass_start", "layer", "decision", "run_end", "error"]:
    check(event in keys, f"docs/cli.md documents the event {event}")
if fresh != written:
    print("python3 tests/cli/docs_test.py PROGRAM --write brings it up to date")
finish()
