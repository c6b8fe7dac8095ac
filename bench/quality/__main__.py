#!/usr/bin/env python3
"""Quality of formats chosen within a budget, measured on the fixture models.

    python3 bench/quality surrogate    predicted against measured KL of whole assignments and of single units
    python3 bench/quality budgets      at equal bytes beside rules made by hand, PrismaQuant and the floor of the inputs
    python3 bench/quality errors       standard errors of prices against what repetitions show
    python3 bench/quality flips        laws of what routing flips add, on the mixtures of experts

Prints tables in Markdown. Texts of calibration and evaluation are disjoint and everything is seeded. What was measured is
remembered below --work: a second run only prints. Models that are not there are named and left out. With
build/oracle/bin/python the floor of the inputs is measured too.
"""

import argparse
import os
import sys

import budgets
import errors
import flips
import surrogate
from fixtures import FIXTURES, ROOT
from measure import Bench
from program import Program

TABLES = {"surrogate": surrogate.table, "budgets": budgets.table, "errors": errors.table, "flips": flips.table}


def main():
    names = [fixture.name for fixture in FIXTURES]
    parser = argparse.ArgumentParser(prog="bench/quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--model", action="append", choices=names, help="of the fixtures; repeatable (default all)")
    parser.add_argument("--strata", default=os.path.join(ROOT, "build", "release", "strata"), help="the program")
    parser.add_argument("--work", default=os.path.join(ROOT, "build", "quality"), help="what was measured")
    parser.add_argument("--threads", type=int, default=2, help="threads, of which each assignment takes one")
    options = parser.parse_args()
    program = Program(options.strata, os.path.join(options.work, "answers"))
    measured = 0
    for fixture in FIXTURES:
        if options.model and fixture.name not in options.model:
            continue
        if fixture.missing():
            print(f"SKIPPED {fixture.name}: {fixture.missing()} is missing")
            continue
        TABLES[options.table](Bench(program, fixture, options.work, options.threads))
        measured += 1
    return 0 if measured else 77


if __name__ == "__main__":
    sys.exit(main())
