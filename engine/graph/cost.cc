#include "engine/graph/cost.h"

#include <algorithm>

#include "base/error.h"

namespace strata {

std::uint64_t PartSizes::largest(Bytes bytes) const {
  const auto [known, fresh] = known_.try_emplace(bytes);
  if (fresh)
    for (const Part& part : parts_) known->second = std::max(known->second, bytes(question_, part));
  return known->second;
}

const MovingStates& CostQuestion::states_of(const FactInfo& fact) const {
  const MovingStates* const states = find_states(moving, fact);
  if (states == nullptr) fail(Fault::bug, "{}: costs are asked for, but nothing of it moves", fact.name);
  return *states;
}

std::uint64_t CostQuestion::blocks_alive(const MovingStates& states) const {
  return static_cast<std::uint64_t>(std::min<std::int64_t>(cut.threads, states.shape.blocks()));
}

CostRow& CostSheet::row(Resource resource, std::string_view holder) {
  for (CostRow& row : rows_)
    if (row.resource == resource && row.holder == holder) return row;
  return rows_.emplace_back(CostRow{.resource = resource, .holder = holder});
}

void CostSheet::reserve(std::string_view holder, std::uint64_t bytes) {
  CostRow& mine = row(Resource::host, holder);
  mine.bytes += bytes;
  mine.reserved = true;
}

std::uint64_t CostSheet::of(Resource resource, std::string_view holder) const {
  for (const CostRow& row : rows_)
    if (row.resource == resource && row.holder == holder) return row.bytes;
  return 0;
}

std::uint64_t CostSheet::total(Resource resource) const {
  std::uint64_t total = 0;
  for (const CostRow& row : rows_)
    if (row.resource == resource) total += row.bytes;
  return total;
}

std::uint64_t CostSheet::reserved() const {
  std::uint64_t total = 0;
  for (const CostRow& row : rows_)
    if (row.reserved) total += row.bytes;
  return total;
}

}  // namespace strata
