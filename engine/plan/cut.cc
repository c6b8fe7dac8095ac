#include "engine/plan/cut.h"

#include <algorithm>

namespace strata {

std::uint64_t MemoryPlan::peak() const {
  return base + std::max(data, boundary + source + weights + moments + forward + renders + decoded + files + libraries);
}

}  // namespace strata
