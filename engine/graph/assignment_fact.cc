// An assignment as bytes, for the sweeps after the one that decided.
#include <nlohmann/json.hpp>

#include "engine/graph/facts.h"
#include "engine/plan/assignment.h"

namespace strata {
namespace {

using Json = nlohmann::json;

std::string print(const Assignment& assignment) {
  Json formats = Json::array();
  for (const NumberFormat* format : assignment.formats) formats.push_back(format->name);
  const Json json = {{"formats", std::move(formats)},
                     {"copied", std::string(assignment.copied.begin(), assignment.copied.end())},
                     {"rule", static_cast<int>(assignment.rule)},
                     {"kv_cache_fp8", assignment.kv_cache_fp8},
                     {"vllm_loads", assignment.vllm_loads},
                     {"untied", assignment.untied},
                     {"decisions", assignment.decisions},
                     {"nothing", assignment.nothing},
                     {"prices", assignment.prices}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Assignment> parse(std::string_view bytes) {
  const Json json = Json::parse(bytes, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  try {
    Assignment assignment;
    for (const Json& name : json.at("formats")) {
      assignment.formats.push_back(find_number_format(name.get<std::string>()));
      if (assignment.formats.back() == nullptr) return std::nullopt;
    }
    const std::string copied = json.at("copied").get<std::string>();
    assignment.copied.assign(copied.begin(), copied.end());
    if (assignment.copied.size() != assignment.formats.size()) return std::nullopt;
    assignment.rule = static_cast<ScaleRule>(json.at("rule").get<int>());
    assignment.kv_cache_fp8 = json.at("kv_cache_fp8").get<bool>();
    assignment.vllm_loads = json.at("vllm_loads").get<bool>();
    assignment.untied = json.at("untied").get<bool>();
    assignment.decisions = json.at("decisions").get<std::vector<std::pair<std::string, std::string>>>();
    assignment.nothing = json.at("nothing").get<std::string>();
    assignment.prices = json.at("prices").get<std::string>();
    return assignment;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

extern const Keeping assignment_keeping{keeping_by<Assignment, print, parse>};

}  // namespace strata
