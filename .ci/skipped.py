"""skipped.py JUNIT: fails when a test of the run was skipped that could have run here.

.ci/may-skip.txt names the tests that may be skipped, each with its reason: `name: reason`. Tests that
read ../shared may be skipped where that folder does not exist.
"""
import pathlib
import sys
import xml.etree.ElementTree as ET

HERE = pathlib.Path(__file__).resolve().parent
HAS_SHARED = (HERE.parent.parent / "shared").is_dir()


def allowed():
    lines = (HERE / "may-skip.txt").read_text().splitlines()
    return {line.rsplit(": ", 1)[0] for line in lines if line and not line.startswith("#")}


def main():
    reasons, may_skip = [], allowed()
    cases = list(ET.parse(sys.argv[1]).getroot().iter("testcase"))
    for case in cases:
        if case.find("skipped") is None and case.get("status") not in ("notrun", "disabled"):
            continue
        name, output = case.get("name"), case.findtext("system-out") or ""
        if name in may_skip or ("../shared" in output and not HAS_SHARED):
            continue
        said = [line.strip() for line in output.splitlines() if "SKIP" in line or "needs" in line]
        reasons.append(f"  {name}: {said[-1] if said else 'no reason printed'}")
    if not cases:
        reasons.append("  no test ran at all")
    if reasons:
        print("skipped, but could have run here:", *reasons, sep="\n")
        return 1
    return 0


sys.exit(main())
