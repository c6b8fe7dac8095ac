// What decides about the formats of a menu beside what can be stored: who is to serve the output, and on how many
// devices.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/plan/open_model.h"
#include "engine/plan/tensor_parallel.h"

namespace strata {

struct MenuRules {
  Runtime runtime = Runtime::vllm;
  bool any_runtime = false;  // formats that the runtime does not load are legal all the same
  int tensor_parallel = 1;   // devices that each layer is spread over

  // transformers loads experts of a model in several formats, and all but one of them wrong, without a word.
  bool ties_experts() const { return runtime == Runtime::transformers; }
};

// Thread-safe to read.
class ServedUnits {
 public:
  ServedUnits(const OpenModel& model, const MenuRules& rules);

  // Why a unit in a format cannot be served as asked, or on so many devices; nullopt when it can.
  std::optional<std::string> refusal(const std::vector<const LinearSpec*>& unit, const NumberFormat& format) const {
    return refusal(unit, format, rules_.tensor_parallel);
  }
  std::optional<std::string> refusal(const std::vector<const LinearSpec*>& unit, const NumberFormat& format,
                                     int devices) const;

  bool are_experts(const std::vector<const LinearSpec*>& unit) const { return experts_.at(unit.front()->index) != 0; }

 private:
  std::optional<std::string> not_loaded(const LinearSpec& first, const NumberFormat& format) const;

  const MenuRules rules_;
  const TensorParallel parallel_;
  const LinearSpec* head_ = nullptr;  // nullptr where it is tied
  std::vector<char> experts_;         // by LinearSpec::index
};

}  // namespace strata
