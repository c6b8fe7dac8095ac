#!/bin/sh
# run.sh PYTHON SCRIPT STRATA: runs an oracle script; 77 (skipped) when its venv is not there.
if [ ! -x "$1" ]; then
  echo "SKIPPED: no oracle venv; scripts/setup.sh --oracle makes it"
  exit 77
fi
exec "$@"
