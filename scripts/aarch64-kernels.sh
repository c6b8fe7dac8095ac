#!/usr/bin/env bash
# aarch64-kernels.sh [CATCH2 ARGUMENTS]: cross-compiles the number formats, their kernels and their tests for
# aarch64 and runs the tests under qemu, with NEON and with SVE of several lengths.
# Needs g++-aarch64-linux-gnu and qemu-user; fetches the arm64 libraries of this distribution with apt-get,
# as any user, into build/aarch64. Exit code 77 when that cannot be had here.
set -euo pipefail
cd "$(dirname "$0")/.."

out=build/aarch64
skip() { echo "aarch64-kernels: $1, so nothing is tested on aarch64"; exit 77; }
command -v aarch64-linux-gnu-g++ >/dev/null || skip 'no aarch64-linux-gnu-g++ (package g++-aarch64-linux-gnu)'
command -v qemu-aarch64 >/dev/null || skip 'no qemu-aarch64 (package qemu-user)'

# The arm64 packages, unpacked and not installed; apt gets lists of its own, so that this machine's stay.
apt=(-qq -o APT::Architectures=amd64,arm64 -o APT::Sandbox::User="$(id -un)" -o Dir::State::lists="$PWD/$out/lists"
     -o Dir::Cache="$PWD/$out/cache" -o Debug::NoLocking=1)
fetch() {
  local development=(libhwy-dev libfmt-dev libtbb-dev libsimdjson-dev libpcre2-dev libxxhash-dev) catch2 runtime
  mkdir -p "$out/lists/partial" "$out/cache/archives/partial" "$out/root"
  apt-get "${apt[@]}" update || return 1
  mapfile -t runtime < <(apt-cache depends "${development[@]}" | awk '$1 == "Depends:" && $2 ~ /^lib(hwy|fmt|tbb|simdjson)[0-9]/ {print $2}' | sort -u)
  catch2=$(dpkg -S /usr/include/catch2/catch_test_macros.hpp | sed 's/[:,].*//')
  (cd "$out/cache" && apt-get "${apt[@]}" download $(printf '%s:arm64 ' "${development[@]}" "${runtime[@]}" "$catch2")) || return 1
  for package in "$out"/cache/*.deb; do dpkg-deb -x "$package" "$out/root" || return 1; done
  touch "$out/root/complete"
}
mkdir -p "$out"
[ -e "$out/root/complete" ] || fetch >"$out/fetch.log" 2>&1 || skip "the arm64 packages cannot be fetched ($(tail -n 1 "$out/fetch.log"))"

# The table of number formats, which CMake generates elsewhere.
{
  echo '#include "formats/number_format.h"'
  echo 'namespace strata { namespace number {'
  for file in formats/number/*.cc; do echo "extern const NumberFormat $(basename "$file" .cc);"; done
  echo '} std::span<const NumberFormat* const> number_formats() { static constexpr const NumberFormat* table[] = {'
  for file in formats/number/*.cc; do echo "&number::$(basename "$file" .cc),"; done
  echo '}; return table; } }'
} >"$out/number_formats.cc"

# All of formats but the tokenizers, as a library, and the tests of the number formats.
sources=("$out/number_formats.cc" base/*.cc formats/*.cc formats/{kernels,weight,number,config,checkpoint,text}/*.cc
         formats/storage/{stored_linear,scale_tensor,mxfp4_blocks}.cc
         tests/support/{encoded_weight,source_folder,tiny_checkpoint}.cc tests/support/naive_*.cc)
tests=(tests/unit/formats/{kernels,number}/*_test.cc)

compiler=(aarch64-linux-gnu-g++)
if command -v ccache >/dev/null; then compiler=(ccache "${compiler[@]}"); fi
flags=(-std=c++20 -O2 -fno-math-errno -ffp-contract=off -I. -idirafter "$out/root/usr/include" -idirafter /usr/include
       -DHWY_SHARED_DEFINE -DFMT_SHARED "-DSTRATA_SOURCE_DIR=\"$PWD\"")
libraries=("-L$out/root/usr/lib/aarch64-linux-gnu" "-L$out/root/usr/lib" -lCatch2Main -lCatch2 -lhwy -ltbb -lfmt -lsimdjson -lpcre2-8 -lxxhash
           -Wl,--allow-shlib-undefined)

# compile SOURCE...: one object a source, as many at a time as there are cores; prints their names.
compile() {
  mkdir -p "$out/objects"
  printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} sh -c \
    'source=$1 object=$2/$(echo "$1" | tr / _).o; shift 2; "$@" -c "$source" -o "$object" && echo "$object"' \
    compile {} "$out/objects" "${compiler[@]}" "${flags[@]}"
}
library=$(compile "${sources[@]}")
rm -f "$out/libstrata.a"
aarch64-linux-gnu-ar rcs "$out/libstrata.a" $library
objects=$(compile "${tests[@]}")
aarch64-linux-gnu-g++ $objects "$out/libstrata.a" "${libraries[@]}" -o "$out/tests"

# NEON is tested in each run; they differ in how long an SVE vector is, if there is one. The millions of samples of
# the signal-to-noise ratios are left out: qemu is 20 times slower, and the bytes are compared by other tests.
[ $# != 0 ] || set -- '~*signal-to-noise*'
for sve in off 128 512; do
  cpu=max,sve$sve=on
  if [ $sve = off ]; then cpu=max,sve=off; fi
  echo "aarch64-kernels: $cpu"
  qemu-aarch64 -cpu "$cpu" -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$PWD/$out/root/usr/lib/aarch64-linux-gnu" \
    "$out/tests" "$@"
done
