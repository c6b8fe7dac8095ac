#!/usr/bin/env bash
# The kernels on aarch64, under qemu. Without its tools nothing is tested, and that is no failure.
"$(dirname "$0")/../../scripts/aarch64-kernels.sh" || [ $? = 77 ]
