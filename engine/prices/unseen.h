// What the loss cannot see: units that no token of the data reached. They have no price and are not chosen for.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/prices/prices.h"
#include "profiles/model_spec.h"

namespace strata {

// Takes units out of the prices: each gets its smallest option by rule, and its bytes are those of others. What is tied
// stays, as it gets what the others of it do. `unseen`: of each unit. Those that stay, in their order.
std::vector<std::size_t> set_unseen_aside(Prices& prices, std::span<const char> unseen);

// "model.layers.2.mlp.experts 0, 3-5" for the Linears of experts; other Linears by their modules.
std::string names_of_experts(std::span<const LinearSpec* const> linears);

}  // namespace strata
