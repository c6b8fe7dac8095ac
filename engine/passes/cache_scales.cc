#include "engine/passes/cache_scales.h"

#include "formats/kernels/minifloat.h"

namespace strata {

std::array<float, 2> cache_scales(const AttentionSpec& attention, const Moments& moments) {
  const Moments::Cache seen = moments.cache(attention);
  return {seen.keys / e4m3_max, seen.values / e4m3_max};
}

}  // namespace strata
