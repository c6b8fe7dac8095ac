"""--help fits a screen, shows defaults and goes to stdout."""

import re

from program import COMMANDS, check, check_error, finish, strata

LINES, COLUMNS = 46, 80
MANY_LINES = {"quantize": 78, "plan": 82}

for words in [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)]:
    result = strata(*words)
    lines = result.out.split("\n")[:-1]
    check(result.code == 0 and result.err == "", "help exits 0 and says nothing on stderr", result)
    most = MANY_LINES.get(words[0], LINES)
    check(len(lines) <= most, f"help has at most {most} lines, not {len(lines)}", result)
    check(max(map(len, lines)) <= COLUMNS, f"help has at most {COLUMNS} columns", result)
    check("\x1b" not in result.out, "help has no escape codes", result)

listed = re.findall(r"^  (\w+) ", strata("--help").out.split("Options:")[0], re.M)
check(listed == COMMANDS, "strata --help lists every command", listed)

quantize = strata("quantize", "--help").out
for default in ["scale-search", "5GB", "128", "2048", "cpu", "all cores", "OUT.work", "no limit", "f32", "all free", "auto", "none"]:
    check(f"default {default}" in quantize, f"quantize --help shows the default {default}", quantize)
evaluate = strata("eval", "--help").out
for default in ["256", "16384", "served", "f32", "all"]:
    check(f"default {default}" in evaluate, f"eval --help shows the default {default}", evaluate)
for name in COMMANDS:
    text = strata(name, "--help").out
    for option in ["--json", "-v, --verbose", "-q, --quiet", "--log-format text|json", "--color auto|always|never", "--help"]:
        check(option in text, f"{name} --help shows {option}", text)

check("strata quantize MODEL" in strata("quantize", "-m", "x", "--help").out, "--help wins over what is missing")
check(re.fullmatch(r"strata \d+\.\d+\.\d+\n", strata("--version").out), "--version", strata("--version"))
nothing = strata()
check(nothing.code == 2 and nothing.out == "" and "Commands:" in nothing.err, "no command: help on stderr, exit 2", nothing)
check_error(strata("--json", "formats"), 2, "--json: the command comes first")
finish()
