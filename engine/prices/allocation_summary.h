// What people want to know of an allocation: what was asked and reached, what became of which kind of Linear, and which
// units the model's output depends on most.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/prices/allocation.h"

namespace strata {

struct KindFormats {
  std::string_view kind;                                          // one of tensor_kinds
  std::vector<std::pair<std::string_view, std::size_t>> formats;  // Linears of each, in order of first appearance
};

// Of all Linears, chosen for or not; kinds without any are left out.
std::vector<KindFormats> formats_by_kind(const Prices& prices, const Allocation& allocation);

// Units whose smallest option costs most, the costliest first; at most so many.
std::vector<std::size_t> most_sensitive(const Prices& prices, PriceRule rule, std::size_t most = 10);

// "key: value" lines, the same for every command. Without a budget in `asked`: of what nobody chose by one.
std::vector<std::pair<std::string, std::string>> allocation_facts(const Prices& prices, const Allocation& allocation,
                                                                  const MixedRequest& asked);

// assignment.json of the allocation.
std::string assignment_json(const Prices& prices, const Allocation& allocation);

}  // namespace strata
