#!/bin/sh
# run.sh PYTHON SCRIPT [ARGUMENT...]: runs a script of the oracles; 77 (skipped) when their venv is not there.
if [ ! -x "$1" ]; then
  echo "SKIPPED: no oracle venv; scripts/setup.sh --oracle makes it"
  exit 77
fi
# To compile transformers takes longer than to run most scripts: its bytecode is kept, whatever the environment says.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX="${PYTHONPYCACHEPREFIX:-$(dirname "$(dirname "$1")")/bytecode}"
exec "$@"
