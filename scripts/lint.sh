#!/usr/bin/env bash
# lint.sh [--form | --all] [--most N] [BASE]
# Form: every source is as clang-format leaves it. Lints: clang-tidy (.clang-tidy) finds nothing in the layers' sources that
# differ from the commit BASE, nor in the headers they include. Default: the last commit that is a day older than HEAD.
#   --form     only the form, which takes seconds; the lints want build/dev configured (scripts/build.sh dev TARGET)
#   --all      the lints of all of them: 20 minutes on two cores
#   --most N   the lints of the N sources that changed last
set -euo pipefail
cd "$(dirname "$0")/.."

lints=changed
most=100000
base=
while [ $# -gt 0 ]; do
  case $1 in
    --form) lints= ;;
    --all) lints=all ;;
    --most) most=${2:?--most needs a number}; shift ;;
    -h | --help) sed -n '2,7s/^# //p' "$0"; exit ;;
    -*) echo "lint: unknown argument $1; see scripts/lint.sh --help" >&2; exit 2 ;;
    *) base=$1 ;;
  esac
  shift
done
[[ $most =~ ^[1-9][0-9]*$ ]] || { echo "lint: --most $most: expected a number from 1" >&2; exit 2; }

# Without git (a copy, or a checkout of another user) every source is looked at, and none is known to have changed.
has_git=
! git rev-parse HEAD >/dev/null 2>&1 || has_git=1
sources_of() {
  if [ -n "$has_git" ]; then git ls-files "$@"; else
    find . -path ./build -prune -o \( -name '*.cc' -o -name '*.h' \) -print | sed 's,^\./,,'
  fi
}

version=$(clang-format --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
if [ "$version" = 14 ]; then
  sources_of '*.cc' '*.h' | tr '\n' '\0' | xargs -0 clang-format --dry-run -Werror ||
    { echo "lint: clang-format -i FILE mends these" >&2; exit 1; }
else  # another version breaks some lines otherwise
  echo "lint: the form is that of clang-format 14, and this is $version: not checked"
fi
[ -n "$lints" ] || exit 0
[ -n "$has_git" ] || [ "$lints" = all ] || { echo "lint: without git nothing says what changed; --all lints all"; exit 0; }

product='^\(base\|formats\|profiles\|cache\|engine\|cli\)/'  # tests and benchmarks have idioms of their own
if [ "$lints" = all ]; then
  mapfile -t sources < <(sources_of '*.cc' | { grep "$product.*\.cc$" || [ $? = 1 ]; })
else
  [ -n "$base" ] || base=$(git rev-list -1 --before="$(($(git log -1 --format=%ct) - 86400))" HEAD)
  [ -n "$base" ] || base=$(git rev-list --max-parents=0 HEAD | tail -n 1)
  # The last changed first; those that are gone again left out.
  mapfile -t sources < <({ git diff --name-only HEAD; git log --format= --name-only "$base..HEAD"; } | awk '!seen[$0]++' |
    { grep "$product.*\.cc$" || [ $? = 1 ]; } | while read -r file; do [ ! -e "$file" ] || echo "$file"; done)
fi
count=${#sources[@]}
[ "$count" -le "$most" ] || sources=("${sources[@]:0:most}")
echo "lint: clang-tidy on ${#sources[@]} of $count sources${base:+ that changed since $(git log -1 --format=%h "$base")}"
[ ${#sources[@]} != 0 ] || exit 0
printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -n 4 clang-tidy --quiet -p build/dev
