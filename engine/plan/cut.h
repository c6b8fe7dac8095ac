// How a run is cut so that it fits in memory, and what it will take at its peak.
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

// Bytes.
struct MemoryPlan {
  std::uint64_t base = 0;       // the process before the first layer, libraries and what they load later included
  std::uint64_t data = 0;       // reading and tokenizing the data set; given back before the first layer
  std::uint64_t boundary = 0;   // hidden states of all samples, where experts send them, the sum of experts so far
  std::uint64_t source = 0;     // parts as stored
  std::uint64_t weights = 0;    // the largest part decoded to float32; 0 without data
  std::uint64_t moments = 0;    // mean squares of the largest part's inputs; 0 where nothing weighs columns
  std::uint64_t forward = 0;    // temporaries of the blocks of samples under way
  std::uint64_t renders = 0;    // encoded Linears
  std::uint64_t decoded = 0;    // what the threads decode to encode it, and to measure the error
  std::uint64_t files = 0;      // buffers of reading and writing
  std::uint64_t libraries = 0;  // memory that others take: the reader's, and the matrix library's
  std::uint64_t peak() const;
};

}  // namespace strata
