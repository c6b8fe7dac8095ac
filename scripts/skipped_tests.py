"""skipped_tests.py BUILD: names each test of the last run that was skipped, and why.

Reads what ctest wrote (BUILD/test.xml) and what the unit test programs wrote about their cases (BUILD/tests/*.junit.xml).
"""
import pathlib
import sys
import xml.etree.ElementTree as ET


def reason_of(case):
    """Why the test was skipped, as it said; None when it ran."""
    mark = case.find("skipped")
    if mark is None and case.get("status") not in ("notrun", "disabled"):
        return None
    output = (case.findtext("system-out") or "") + "\n" + ((mark.text or mark.get("message") or "") if mark is not None else "")
    said = [line.strip() for line in output.splitlines() if "SKIP" in line or "skipped" in line or "needs" in line]
    return said[-1] if said else "no reason printed"


def cases(build):
    """(name, reason or None) of every test that ran or was skipped."""
    build = pathlib.Path(build)
    for path in [build / "test.xml", *sorted((build / "tests").glob("*.junit.xml"))]:
        prefix = "" if path.name == "test.xml" else path.name.split("-")[0] + ": "
        for case in ET.parse(path).getroot().iter("testcase"):
            yield prefix + case.get("name"), reason_of(case)


if __name__ == "__main__":
    for name, reason in cases(sys.argv[1]):
        if reason is not None:
            print(f"  skipped: {name}: {reason}")
