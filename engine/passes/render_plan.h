// What `render` takes, wants to learn, and depends on.
#pragma once

#include <cstdint>
#include <span>

#include "engine/graph/pass_type.h"

namespace strata {

// Bytes that encoded Linears take in memory; a format that copies the source takes none.
inline constexpr std::uint64_t render_alignment = 64;
std::uint64_t render_bytes(const OpenModel& model, const Assignment& assignment,
                           std::span<const LinearSpec* const> linears);

Collect render_collects(const PassQuestion& question, const LinearPlan& linear);
void render_cost(const CostQuestion& question, CostSheet& sheet);
void render_key(const KeyQuestion& question, Fingerprint& print);

}  // namespace strata
