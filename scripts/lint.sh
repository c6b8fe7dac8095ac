#!/usr/bin/env bash
# lint.sh [--form] [BASE]
# Form: every source is as clang-format leaves it. Lints: clang-tidy (.clang-tidy) finds nothing in the sources that differ
# from the commit BASE, nor in the headers they include. Default: the last commit that is a day older than HEAD.
#   --form   only the form, which takes seconds; the lints want build/dev configured (scripts/build.sh dev TARGET)
set -euo pipefail
cd "$(dirname "$0")/.."

form_only=
base=
for argument in "$@"; do
  case $argument in
    --form) form_only=1 ;;
    -h | --help) sed -n '2,5s/^# //p' "$0"; exit ;;
    -*) echo "lint: unknown argument $argument; see scripts/lint.sh --help" >&2; exit 2 ;;
    *) base=$argument ;;
  esac
done

version=$(clang-format --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
if [ "$version" = 14 ]; then
  git ls-files -z '*.cc' '*.h' | xargs -0 clang-format --dry-run -Werror ||
    { echo "lint: clang-format -i FILE mends these" >&2; exit 1; }
else  # another version breaks some lines otherwise
  echo "lint: the form is that of clang-format 14, and this is $version: not checked"
fi
[ -z "$form_only" ] || exit 0

[ -n "$base" ] || base=$(git rev-list -1 --before="$(($(git log -1 --format=%ct) - 86400))" HEAD)
[ -n "$base" ] || base=$(git rev-list --max-parents=0 HEAD | tail -n 1)
mapfile -t changed < <(git diff --name-only --diff-filter=d "$base" -- '*.cc')
echo "lint: clang-tidy on ${#changed[@]} sources that changed since $(git log -1 --format=%h "$base")"
[ ${#changed[@]} != 0 ] || exit 0
printf '%s\0' "${changed[@]}" | xargs -0 -P "$(nproc)" -n 4 clang-tidy --quiet -p build/dev
