// What a tensor is for, told from its name alone: works for families that Strata does not know.
#pragma once

#include <array>
#include <string_view>

namespace strata {

// In the order in which `strata inspect` prints them.
inline constexpr std::array<std::string_view, 9> tensor_kinds = {"attention", "mlp",  "experts", "router", "norm",
                                                                 "embedding", "head", "scales",  "other"};

// One of tensor_kinds. Vision towers, projectors and draft layers are "other".
std::string_view tensor_kind(std::string_view name);

}  // namespace strata
