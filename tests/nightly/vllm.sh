#!/usr/bin/env bash
# vllm.sh: every number format alone on every model at hand in vLLM's engine, as its head, and with an FP8 cache.
# Takes about 15 minutes. Needs build/release and scripts/setup.sh --vllm.
set -euo pipefail
cd "$(dirname "$0")/../.."

build/vllm/bin/python tests/oracle/vllm_test.py build/release/strata --whole
