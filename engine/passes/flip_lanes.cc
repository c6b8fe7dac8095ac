#include "engine/passes/flip_lanes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "engine/plan/tensor_kind.h"
#include "profiles/layer_questions.h"

namespace strata {
namespace {

// The last visit with a router; nothing where there is none.
std::optional<std::size_t> last_router(const OpenModel& model) {
  for (std::size_t visit = model.visits.size(); visit-- > 0;)
    if (const LayerSpec* const layer = model.visits[visit].layer; layer != nullptr && experts_of(*layer) != nullptr)
      return visit;
  return std::nullopt;
}

bool is_of_mlp(const MenuUnit& unit) {
  const std::string_view kind = tensor_kind(unit.members.front()->module + ".weight");
  return kind == "experts" || kind == "mlp";
}

// What units that share a lane have in common: "experts gate_proj".
std::string role_of(const MenuUnit& unit) {
  const std::string& module = unit.members.front()->module;
  return std::string(tensor_kind(module + ".weight")) + " " + module.substr(module.rfind('.') + 1);
}

std::vector<FlipLane> grouped(const Menu& menu, const std::map<std::string, std::vector<std::size_t>>& by_role,
                              std::size_t most) {
  std::vector<FlipLane> lanes;
  for (const auto& [role, units] : by_role)
    for (std::size_t first = 0; first < units.size(); first += most) {
      FlipLane& lane = lanes.emplace_back(FlipLane{.units = {}, .starts = menu.units[units[first]].visit});
      lane.units.assign(units.begin() + static_cast<std::ptrdiff_t>(first),
                        units.begin() + static_cast<std::ptrdiff_t>(std::min(first + most, units.size())));
    }
  std::ranges::stable_sort(lanes, {}, &FlipLane::starts);
  return lanes;
}

// What lanes may take of the calibration data.
struct Share {
  double windows = 0;  // of a lane, of those of the data
  double states = 0;   // bytes of hidden states of a lane
  std::size_t visits = 0;

  bool holds(const std::vector<FlipLane>& lanes) const {
    double forwards = windows;
    for (const FlipLane& lane : lanes)
      forwards += windows * static_cast<double>(visits - lane.starts) / static_cast<double>(visits);
    const double count = static_cast<double>(lanes.size() + 1);
    return forwards <= most_flip_forwards &&
           (windows * count <= most_flip_states || states * count <= least_flip_bytes);
  }
};

}  // namespace

std::size_t smallest_encoding(const MenuUnit& unit) {
  std::optional<std::size_t> smallest;
  for (std::size_t i = 0; i < unit.options.size(); ++i)
    if (!unit.options[i].source && (!smallest || unit.options[i].bytes < unit.options[*smallest].bytes)) smallest = i;
  if (!smallest) fail(Fault::bug, "{}: none of its options encodes it", unit.members.front()->module);
  return *smallest;
}

std::int64_t flip_windows(const QuantizeRequest& request, std::int64_t samples, std::int64_t tokens) {
  return std::clamp((request.mixed.flip_tokens + tokens - 1) / tokens, std::int64_t{1}, samples);
}

std::vector<FlipLane> flip_lanes(const PassQuestion& question, const Menu& menu) {
  const QuantizeRequest& request = question.request;
  const std::optional<std::size_t> router = last_router(question.model);
  if (!request.mixed.wanted() || !question.learns || request.mixed.flip_tokens == 0 || !router) return {};
  std::map<std::string, std::vector<std::size_t>> by_role;
  for (std::size_t u = 0; u < menu.units.size(); ++u)
    if (const MenuUnit& unit = menu.units[u]; unit.visit < *router || (unit.visit == *router && !is_of_mlp(unit)))
      by_role[role_of(unit)].push_back(u);
  const CalibrationRequest& data = request.calibration;
  const auto windows = static_cast<double>(flip_windows(request, data.nsamples, data.seqlen));
  const Share share{.windows = windows / static_cast<double>(data.nsamples),
                    .states = windows * static_cast<double>(data.seqlen * question.model.spec->hidden) * sizeof(float),
                    .visits = question.model.visits.size()};
  std::size_t most = 1;
  std::vector<FlipLane> lanes = grouped(menu, by_role, most);
  while (!share.holds(lanes) && most < menu.units.size()) lanes = grouped(menu, by_role, ++most);
  return lanes;
}

}  // namespace strata
