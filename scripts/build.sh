#!/usr/bin/env bash
# build.sh PRESET TARGET...
# Configures build/PRESET when it is not yet, or when libtorch moved, and builds the targets. Prints little
# when there is little to do; scripts/setup.sh must have run.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1-} in release | dev | tsan) preset=$1 ;; *) sed -n '2,4s/^# //p' "$0"; exit 2 ;; esac
shift
folder=build/$preset

libtorch=${STRATA_LIBTORCH:-$(echo "$PWD"/build/libtorch/lib/python3*/site-packages/torch)}
configured=$(sed -n 's/^LibTorch_ROOT:PATH=//p' "$folder/CMakeCache.txt" 2>/dev/null || true)
if [ ! -e "$folder/build.ninja" ] || [ "$configured" != "$libtorch" ]; then
  echo "configure $preset"
  mkdir -p "$folder"
  # The paths of libtorch's libraries are looked up anew when its folder changed.
  cmake --preset "$preset" -DLibTorch_ROOT="$libtorch" -ULibTorch_INCLUDE_DIR -U'LibTorch_*_LIBRARY' >"$folder/configure.log" 2>&1 ||
    { grep -aA6 'CMake Error' "$folder/configure.log" >&2 || cat "$folder/configure.log" >&2; exit 1; }
fi

# One job a core, each with 2 GiB: a file that includes libtorch's headers takes up to 1.6 GB to compile.
memory=$(awk '/^MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
jobs=$(nproc)
[ "$memory" -ge "$jobs" ] || jobs=$((memory > 0 ? memory : 1))
echo "build $preset: $*"
if [ -t 1 ]; then
  cmake --build "$folder" -j "$jobs" --target "$@"
else
  cmake --build "$folder" -j "$jobs" --target "$@" >"$folder/build.log" 2>&1 ||
    { grep -avE '^\[[0-9]+/[0-9]+\] |^/usr/bin/ccache' "$folder/build.log" | head -n 60 >&2; exit 1; }
fi
