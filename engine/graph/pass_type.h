// What is known of a pass without running it: enough to order passes, to plan a run and to print it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "engine/graph/facts.h"

namespace strata {

class Pass;

// The order in which a pass wants to see the layers; none: it looks at the whole model at once.
enum class Direction : std::uint8_t { forward, reverse, none };

std::string_view direction_name(Direction direction);  // "forward", "reverse", "none"

struct PassType {
  std::string_view name;
  std::string_view summary;
  int version = 1;  // changes when its result changes; goes into fingerprints
  Direction direction = Direction::forward;
  unsigned reads = 0;   // facts that it cannot do without
  unsigned uses = 0;    // facts that it takes into account when a pass of the run writes them
  unsigned writes = 0;  // facts; one that it also reads, it advances
  std::unique_ptr<Pass> (*make)() = nullptr;
};

std::span<const PassType* const> pass_types();     // generated from engine/passes/*.cc
const PassType& pass_type(std::string_view name);  // Error{bug} when there is none

}  // namespace strata
