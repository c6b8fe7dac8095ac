#!/usr/bin/env bash
# setup.sh [--oracle] [--vllm] [--clang] [--no-packages]
# Installs what Strata is built from; a second run finds everything there and does nothing.
#   distribution packages   Debian 12 or Ubuntu 24.04 and later, with apt as root or through sudo
#   libtorch                from its pip wheel, into build/libtorch; STRATA_LIBTORCH=<folder> names another
#   --oracle                also the Python packages that the oracle tests compare with, into build/oracle
#   --vllm                  --oracle, and vLLM's CPU build with the torch of that, into build/vllm (1.4 GB)
#   --clang                 also clang with the runtimes of its sanitizers and fuzzer, clang-format and clang-tidy
#   --no-packages           leave the distribution packages alone
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build ccache pkg-config python3 python3-venv libcli11-dev libfmt-dev libhwy-dev libpcre2-dev
          libsimdjson-dev libtbb-dev liburing-dev libutf8proc-dev libxxhash-dev libzstd-dev nlohmann-json3-dev)
# The libraries that libtorch_cpu.so itself asks for, and none of the other CUDA packages of its wheel.
libtorch=(torch==2.11.0 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*')
oracle=(torch==2.13.0 'transformers==5.15.*' 'compressed-tensors==0.20.*' safetensors tokenizers accelerate jinja2 numpy)
vllm=tests/oracle/vllm_oracle/requirements.txt
log=build/setup.log

die() { printf 'setup: %s\n' "$1" >&2; exit 1; }

# quietly WHAT WAY_OUT COMMAND...: the output goes to the log; a failure shows its last error line.
quietly() {
  local what=$1 way_out=$2 reason unreached
  shift 2
  printf '\n== %s: %s\n' "$what" "$*" >>"$log"
  "$@" >>"$log" 2>&1 && return
  reason=$(grep -aE '^(E:|ERROR|Error|error:|sudo:)' "$log" | tail -n 1 || true)
  unreached=$(grep -aom 1 -E '(Failed to fetch|connection broken by|No space left).*' "$log" || true)
  die "$what failed: ${reason:-see $log}${unreached:+ (${unreached:0:200})}; $way_out (all output: $log)"
}

# Prints those of the named packages that are not installed.
not_installed() {
  local found name
  found=" $(dpkg-query -W -f='${Package}:${db:Status-Status} ' "$@" 2>/dev/null || true) "
  for name in "$@"; do [[ $found == *" $name:installed "* ]] || echo "$name"; done
}

# The newest version of a package that is installed or could be.
candidate() { apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" {print $2}'; }

# Catch2 3 is libcatch2-dev in Debian, catch2 in Ubuntu. Debian 12 itself has only Catch2 2, under the name
# catch2, and where that is installed the transitional catch2 of the backports must come along.
have_catch2() {
  local version
  version=$(dpkg-query -W -f='${db:Status-Status} ${Version}\n' catch2 libcatch2-dev 2>/dev/null | awk '$1 == "installed" {print $2; exit}')
  dpkg --compare-versions "$version" ge 3
}
catch2_packages() {
  local version
  version=$(candidate libcatch2-dev)
  if dpkg --compare-versions "$version" ge 3; then
    echo libcatch2-dev
    if apt-cache madison catch2 | grep -qF " $version "; then echo "catch2=$version"; fi
  elif dpkg --compare-versions "$(candidate catch2)" ge 3; then
    echo catch2
  fi
}

# Prints a deb822 source for the backports of release $1 on the mirror that this machine already uses, with
# its key. Understands deb822 files and one-line files.
backports_source() {
  local file
  for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -r "$file" ] || continue
    awk -v release="$1" -v deb822="$([[ $file == *.sources ]] && echo 1)" -f scripts/backports.awk "$file" && return
  done
  return 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then env DEBIAN_FRONTEND=noninteractive "$@"; else sudo -n env DEBIAN_FRONTEND=noninteractive "$@"; fi
}

enable_backports() {
  . /etc/os-release
  [ "${ID:-}" = debian ] && [ -n "${VERSION_CODENAME:-}" ] || return 0
  local source
  source=$(backports_source "$VERSION_CODENAME") ||
    die "Catch2 3 is needed, and no apt source of this machine names $VERSION_CODENAME, so its backports cannot be derived; install Catch2 3 by hand"
  echo "setup: adding $VERSION_CODENAME-backports (for Catch2 3)"
  printf '%s\n' "$source" | as_root tee /etc/apt/sources.list.d/strata-backports.sources >/dev/null
  quietly 'apt-get update' 'check the network and the apt sources' as_root apt-get update
}

have_clang() {
  command -v clang-format >/dev/null && command -v clang-tidy >/dev/null || return
  clang++ -x c++ -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null <<<'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }'
}
# Where the runtime of the sanitizers is a package of its own, clang only recommends it.
clang_packages() {
  printf '%s\n' clang clang-format clang-tidy
  if [ -n "$(candidate libclang-rt-dev)" ]; then echo libclang-rt-dev; fi
}

install_packages() {
  local missing clang=() catch2=()
  mapfile -t missing < <(not_installed "${packages[@]}")
  [ -z "$with_clang" ] || have_clang || clang=(clang clang-format clang-tidy)
  if have_catch2; then
    [ $((${#missing[@]} + ${#clang[@]})) != 0 ] || return 0
  else
    catch2=("libcatch2-dev (3 or later; Debian 12 has it in its backports)")
  fi
  if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    die "packages are missing, and this user is neither root nor may use sudo without a password; run: sudo apt-get install -y ${missing[*]} ${clang[*]} ${catch2[*]}"
  fi
  quietly 'apt-get update' 'check the network and the apt sources' as_root apt-get update
  if [ ${#catch2[@]} != 0 ]; then
    mapfile -t catch2 < <(catch2_packages)
    if [ ${#catch2[@]} = 0 ]; then
      enable_backports
      mapfile -t catch2 < <(catch2_packages)
    fi
    [ ${#catch2[@]} != 0 ] || die "no apt source of this machine has Catch2 3; add one, or install it by hand and use --no-packages"
  fi
  [ ${#clang[@]} = 0 ] || mapfile -t clang < <(clang_packages)
  missing+=("${clang[@]}" "${catch2[@]}")
  echo "setup: installing ${missing[*]}"
  quietly 'apt-get install' "try it by hand: apt-get install ${missing[*]}" \
    as_root apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
}

# make_venv FOLDER PIP_ARGUMENT...: a venv with these packages. The list is written last: a venv whose list
# differs, or that was left half-made, is made again.
make_venv() {
  local folder=$1 list
  shift
  list=$(printf '%s\n' "$@")
  if [ "$(cat "$folder/strata-packages" 2>/dev/null)" = "$list" ] && "$folder/bin/python" -c '' 2>/dev/null; then return; fi
  if [ $# -le 12 ]; then echo "setup: installing $* into $folder"; else echo "setup: installing $# packages into $folder"; fi
  rm -rf "$folder" 2>/dev/null || die "$folder cannot be replaced: was it made by another user? remove it first"
  quietly "python3 -m venv" 'is python3-venv of this python3 installed?' python3 -m venv "$folder"
  quietly 'pip install' 'check the network, the free disk space and that python3 is 3.10 to 3.14' \
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --progress-bar off --no-compile "$@"
  printf '%s\n' "$list" >"$folder/strata-packages"
}

# borrow_torch VENV LENDER: VENV finds what it has not itself among the packages of LENDER.
borrow_torch() {
  local packages lent
  packages=$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  lent=$("$2/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo "$lent" >"$packages/strata-borrowed.pth"
}

check_libtorch() {
  [ -e "$1/lib/libtorch_cpu.so" ] && [ -e "$1/include/ATen/core/Tensor.h" ]
}

with_oracle=
with_vllm=
with_clang=
with_packages=1
for argument in "$@"; do
  case $argument in
    --oracle) with_oracle=1 ;;
    --vllm) with_oracle=1 with_vllm=1 ;;
    --clang) with_clang=1 ;;
    --no-packages) with_packages= ;;
    -h | --help) sed -n '2,9s/^# //p' "$0"; exit ;;
    *) die "unknown argument $argument; see scripts/setup.sh --help" ;;
  esac
done

mkdir -p build
: >"$log"
if [ -n "$with_packages" ]; then
  command -v apt-get >/dev/null ||
    die "this machine has no apt; install the packages of README.md, \"Without apt\", and use --no-packages"
  install_packages
fi
if [ -n "${STRATA_LIBTORCH:-}" ]; then
  check_libtorch "$STRATA_LIBTORCH" ||
    die "STRATA_LIBTORCH=$STRATA_LIBTORCH has no lib/libtorch_cpu.so or no include/ATen; it must name site-packages/torch or an unpacked libtorch"
else
  make_venv build/libtorch --no-deps "${libtorch[@]}"
fi
[ -z "$with_oracle" ] || make_venv build/oracle "${oracle[@]}"
if [ -n "$with_vllm" ] && [ "$(uname -m)" != x86_64 ]; then
  echo "setup: vLLM's pinned packages are for x86-64 processors; its test will be skipped"
elif [ -n "$with_vllm" ]; then
  mapfile -t pinned < <(grep -v '^#' "$vllm")
  make_venv build/vllm --no-deps "${pinned[@]}"
  borrow_torch build/vllm build/oracle
fi
