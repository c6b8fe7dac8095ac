// What a run may choose between and what each choice costs: all that a choice of formats needs, without the model. It
// is kept as prices.json (docs/records.md), so that another budget is solved for in seconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/fingerprint.h"
#include "engine/plan/request.h"
#include "engine/solver/price.h"
#include "formats/number_format.h"

namespace strata {

struct PricedOption {
  const NumberFormat* format = nullptr;
  std::uint64_t bytes = 0;     // of all tensors of all members, exactly as written
  Price output, fisher_trace;  // nats a token

  const Price& by(PriceRule rule) const { return rule == PriceRule::output ? output : fisher_trace; }
};

// What a unit costs beyond its price where it alone is encoded, because tokens change experts behind it.
struct FlipJump {
  const NumberFormat* format = nullptr;  // one of its options, in which that was measured
  double nats = 0;                       // a token
  double standard_error = 0;             // over windows; infinite for a single one
  bool pooled = false;                   // too small to be seen by itself: that of its kind
  std::size_t together = 1;              // units that were measured at once
};

// Linears that must share a format.
struct PricedUnit {
  std::string name;         // module of its first member
  std::string visit;        // "layer 3"
  std::string_view kind;    // one of tensor_kinds
  std::size_t linears = 0;  // members
  std::uint64_t parameters = 0;
  std::vector<PricedOption> options;  // in the order of the menu, at least two
  bool tied = false;                  // gets the same option as all others that are; they have the same formats
  std::optional<FlipJump> jump = {};  // nothing where no router is behind it, or none was tried
};

struct PricedLinear {
  static constexpr std::size_t not_chosen = static_cast<std::size_t>(-1);

  std::string module;
  std::size_t unit = not_chosen;         // of Prices::units
  const NumberFormat* format = nullptr;  // where it is not chosen for
  std::string why;                       // likewise
};

struct Prices {
  Fingerprint made_from;
  std::int64_t tokens = 0, sequences = 0;  // that the prices were measured on
  std::size_t probes = 0;
  std::int64_t flip_tokens = 0;    // that jumps were measured on; 0: no unit was tried alone
  std::uint64_t other_bytes = 0;   // of the output's tensors that belong to no unit
  std::uint64_t unseen_bytes = 0;  // of those, of what was a unit and no token of the data reached
  std::vector<PricedUnit> units;
  std::vector<PricedLinear> linears;  // every one that the output stores, in the order of the model

  std::uint64_t parameters() const;  // of the units
  std::uint64_t smallest() const;    // bytes of the units, in the fewest that a choice takes
  // Units that get the same option: each alone, but for those that are tied. In the order of their first ones.
  std::vector<std::vector<std::size_t>> choices() const;
  double bits(std::uint64_t bytes) const {
    return 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters());
  }
};

std::size_t smallest_option(const PricedUnit& unit);

}  // namespace strata
