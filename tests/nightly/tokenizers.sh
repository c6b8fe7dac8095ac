#!/usr/bin/env bash
# Ids of every text of the fixtures to its end, by every tokenizer. Without ../shared nothing is tested.
cd "$(dirname "$0")/../.." || exit 1
HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false build/oracle/bin/python tests/oracle/tokenizer_test.py build/release/strata --whole || [ $? = 77 ]
