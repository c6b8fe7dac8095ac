// What passes of a sweep have told each other so far.
#pragma once

#include <memory>
#include <unordered_map>

#include "engine/graph/fact.h"

namespace strata {

// Not thread-safe.
class FactBoard {
 public:
  void put(const FactInfo& fact, std::shared_ptr<void> value) { values_.insert_or_assign(&fact, std::move(value)); }

  // nullptr when it is not there.
  std::shared_ptr<void> find(const FactInfo& fact) const {
    const auto found = values_.find(&fact);
    return found == values_.end() ? nullptr : found->second;
  }

  void take_down(const FactInfo& fact) { values_.erase(&fact); }

  // A part or a layer is over: what lives no longer than that goes, and what is known of one layer.
  void end(Life life) {
    std::erase_if(values_, [&](const auto& entry) {
      return entry.first->life <= life || (life == Life::layer && !entry.first->whole_model && !entry.first->moves_on);
    });
  }

 private:
  std::unordered_map<const FactInfo*, std::shared_ptr<void>> values_;
};

}  // namespace strata
