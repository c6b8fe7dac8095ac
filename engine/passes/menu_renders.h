// The Linears of a part as every option of the menu would serve them: encoded by the code that writes outputs, and
// decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/leased_buffer.h"
#include "engine/graph/pass_question.h"
#include "engine/passes/render_store.h"
#include "engine/plan/menu_index.h"
#include "engine/rounding/rounding.h"

namespace strata {

class Desk;
struct Part;

class MenuRenders {
 public:
  struct Served {
    std::span<const float> weight;     // [out, in]
    QuantizeInput quantize = nullptr;  // what the runtime does to inputs; nullptr: leaves them alone
    float input_scale = 0;
    double weight_error = 0;  // mean over the weights of the square of what changes
  };

  // `scales`: how scales are chosen.
  MenuRenders(const MenuIndex& menu, const RoundingMethod& method, ScaleRule scales, Runtime runtime)
      : menu_(menu), method_(method), rule_(scales), runtime_(runtime) {}

  // What to make of a part, if not all options by what calibration has seen.
  struct Wanted {
    std::function<bool(const MenuUnit& unit, std::size_t option)> option = {};  // empty: all
    // The largest |x| that enters; nothing: its input is left alone. Empty: that of facts::moments.
    std::function<std::optional<float>(const LinearSpec& linear)> input_amax = {};
    bool stored = true;  // looked for among those that are kept
  };

  // Those of the desk's part; what was there goes. Error{input} naming the Linear, as the pass `render` has them.
  void make(Desk& desk) { make(desk, {}); }
  void make(Desk& desk, const Wanted& wanted);

  // nullptr where the option is the source itself, or the Linear is none of the part or not on the menu.
  const Served* find(const LinearSpec& linear, std::size_t option) const;

  // Bytes that make() holds for a part with a menu of so many formats, and those of its scratch.
  static std::uint64_t memory(const Part& part, std::size_t formats);

 private:
  struct Task;
  std::vector<Task> tasks_of(const Desk& desk, const Wanted& wanted);
  void run(const Desk& desk, const Wanted& wanted, Task& task) const;
  static void copy(const Desk& desk, Task& task);

  const MenuIndex& menu_;
  const RoundingMethod& method_;
  const ScaleRule rule_;
  const Runtime runtime_;
  StoredRenders stored_;  // of the visit
  std::optional<LeasedBuffer> room_;
  std::unordered_map<const LinearSpec*, std::vector<Served>> served_;  // by option; no weight: the source itself
};

}  // namespace strata
