#!/usr/bin/env bash
# KL of our outputs beside llm-compressor's, on all tokens that it was measured on. Without ../shared nothing is tested.
cd "$(dirname "$0")/../.." || exit 1
HF_HUB_OFFLINE=1 build/oracle/bin/python tests/oracle/peers_test.py build/release/strata --whole || [ $? = 77 ]
