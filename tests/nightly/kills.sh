#!/usr/bin/env bash
# kill -9 at 200 random moments, 6 times at every kind of call that touches files, and all the while resuming.
cd "$(dirname "$0")/../.." || exit 1
exec python3 tests/fault/kill_test.py build/release/tests/strata_faulty --nightly
