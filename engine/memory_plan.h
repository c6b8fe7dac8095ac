// How much memory a run will take at its peak, from shapes alone. docs/design.md explains the terms.
#pragma once

#include <cstdint>

#include "engine/open_model.h"
#include "engine/output_plan.h"

namespace strata {

struct MemoryPlan {
  std::uint64_t base = 0;         // the process before the first layer, libraries included
  std::uint64_t data = 0;         // reading and tokenizing the data set; given back before the first layer
  std::uint64_t boundary = 0;     // hidden states of all samples
  std::uint64_t layer_bytes = 0;  // the largest visit as stored
  std::uint64_t weights = 0;      // the largest visit decoded to float32; 0 without data
  std::uint64_t moments = 0;      // mean squares of the largest layer's inputs; 0 where nothing weighs columns
  std::uint64_t forward = 0;      // temporaries of one chunk of samples
  std::uint64_t renders = 0;      // encoded Linears of the largest visit
  std::uint64_t decoded = 0;      // what the threads decode to measure the error
  std::uint64_t peak() const;
};

struct MemoryQuestion {
  std::int64_t samples = 0, tokens = 0;  // 0 without data
  int threads = 1;
  bool columns = false;  // mean squares of every input column are collected
};

MemoryPlan plan_memory(const OpenModel& model, const Assignment& assignment, const MemoryQuestion& question);

// Bytes that the encoded Linears of a visit take in memory; a format that copies the source takes none.
inline constexpr std::uint64_t render_alignment = 64;
std::uint64_t render_bytes(const OpenModel& model, const Assignment& assignment, const Visit& visit);

// Bytes of temporaries while `rows` tokens of `tokens`-long samples go through the widest layer.
std::uint64_t forward_scratch(const ModelSpec& model, std::int64_t rows);

}  // namespace strata
