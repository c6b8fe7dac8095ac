#include "engine/cache_scales.h"

#include "formats/kernels/minifloat.h"

namespace strata {

std::vector<TensorInfo> cache_scale_tensors(const AttentionSpec& attention) {
  const std::string module = attention.k.module.substr(0, attention.k.module.rfind('.'));
  std::vector<TensorInfo> tensors;
  for (const char* const name : {".k_scale", ".v_scale"})
    tensors.push_back({.name = module + name, .dtype = Dtype::f32, .shape = {1}, .bytes = sizeof(float)});
  return tensors;
}

std::array<float, 2> cache_scales(const AttentionSpec& attention, const Moments& moments) {
  const Moments::Cache seen = moments.cache(attention);
  return {seen.keys / e4m3_max, seen.values / e4m3_max};
}

}  // namespace strata
