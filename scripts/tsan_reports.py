#!/usr/bin/env python3
"""tsan_reports.py LOG...: the reports of ThreadSanitizer that count; exit code 1 when there are some.

The oneTBB of a distribution is not instrumented: how it hands work to its threads and waits for it is invisible, and
every task looks like a race with whoever started it. So whole runs compute on one thread there, and reports of other
tests in which a thread of oneTBB takes part are only counted. What is left is about our own threads: the computing
one, the reader, the writer, those of the readers' pool.
That tasks of one loop do not touch each other's places is shown by the tests that compare bytes of 1, 2 and 7 threads.
"""

import re
import sys


def threads_of_tbb(report):
    made = re.findall(r"Thread (T\d+) .*created by.*?\n((?:    #.*\n)+)", report)
    return {name for name, stack in made if any("libtbb" in line for line in stack.splitlines()[:3])}


def accesses(report):
    return set(re.findall(r" by (main thread|thread T\d+)", report.split("created by")[0]))


def main():
    counted = dropped = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        for report in text.split("==================\n"):
            if "WARNING: ThreadSanitizer" not in report:
                continue
            workers = threads_of_tbb(report)
            if any(who.removeprefix("thread ") in workers for who in accesses(report)):
                dropped += 1
                continue
            counted += 1
            print(report)
    print(f"tsan: {counted} reports about threads of ours; {dropped} about tasks of oneTBB, which is not instrumented")
    return 1 if counted else 0


sys.exit(main())
