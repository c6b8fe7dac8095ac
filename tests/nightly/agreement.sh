#!/usr/bin/env bash
# quantize and verify agree, on forty times the draws that CI makes.
cd "$(dirname "$0")/../.." || exit 1
exec build/release/tests/engine_test "[large]"
