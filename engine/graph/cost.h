// What passes take, by resource: rows of the plan of a sweep.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/graph/moving_states.h"
#include "engine/plan/cut.h"

namespace strata {

struct PassQuestion;
struct SweepPlan;

// The parts that a sweep is cut into. Not thread-safe: it remembers what was asked.
class PartSizes {
 public:
  using Bytes = std::uint64_t (*)(const PassQuestion& question, const Part& part);

  // Both outlive it.
  PartSizes(const PassQuestion& question, std::span<const Part> parts) : question_(question), parts_(parts) {}

  std::uint64_t largest(Bytes bytes) const;  // over all parts; 0 when there are none
  std::span<const Part> parts() const { return parts_; }

 private:
  const PassQuestion& question_;
  const std::span<const Part> parts_;
  mutable std::unordered_map<Bytes, std::uint64_t> known_;
};

struct CostQuestion {
  const PassQuestion& pass;
  const SweepPlan& sweep;
  const Cut& cut;
  const PartSizes& sizes;
  std::span<const MovingStates> moving = {};  // what its passes advance; none without data
  bool columns = false;                       // sums of squares of input columns are collected

  // Hidden states that the pass advances. Error{bug} when it advances none of that fact.
  const MovingStates& states_of(const FactInfo& fact) const;
  // Blocks of samples that go through a layer at once.
  std::uint64_t blocks_alive(const MovingStates& states) const;
};

enum class Resource : std::uint8_t { host, device, disk };

struct CostRow {
  Resource resource = Resource::host;
  std::string_view holder;
  std::uint64_t bytes = 0;
  bool reserved = false;  // memory that nobody leases piece by piece: the sweep takes it as a whole
};

// Rows of one holder add up.
class CostSheet {
 public:
  void add(Resource resource, std::string_view holder, std::uint64_t bytes) { row(resource, holder).bytes += bytes; }
  void reserve(std::string_view holder, std::uint64_t bytes);

  std::span<const CostRow> rows() const { return rows_; }
  std::uint64_t of(Resource resource, std::string_view holder) const;  // 0 when it has no row
  std::uint64_t total(Resource resource) const;
  std::uint64_t reserved() const;  // bytes of host memory

 private:
  CostRow& row(Resource resource, std::string_view holder);
  std::vector<CostRow> rows_;
};

}  // namespace strata
