// How a sweep is cut so that it fits in memory.
#pragma once

#include <cstdint>

#include "engine/plan/part.h"

namespace strata {

// None of this changes a byte of the output.
struct Cut {
  PartLimits limits = {};
  bool in_memory = true;  // hidden states; else in a scratch file
  int threads = 1;        // that compute
  int slots = 3;          // parts of the source in memory: read ahead, computed with, still written from
  int renders = 2;        // parts whose encoded Linears are in memory: made, and being written
};

}  // namespace strata
