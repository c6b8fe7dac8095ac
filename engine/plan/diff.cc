#include "engine/plan/diff.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/buffer.h"
#include "engine/plan/linear_rows.h"
#include "engine/plan/open_model.h"

namespace strata {
namespace {

using Json = nlohmann::ordered_json;
using Values = std::map<std::string, std::string>;  // dotted key -> JSON

// {"a.b": 1} and {"a": {"b": 1}} are not the same: a key that could be taken for two stands in quotes.
std::string shown_key(const std::string& key) {
  const bool plain = !key.empty() && key.find_first_of(".\"") == std::string::npos;
  return plain ? key : Json(key).dump(-1, ' ', true, Json::error_handler_t::replace);
}

void flatten(const std::string& prefix, const Json& object, Values& values) {
  for (const auto& [key, value] : object.items()) {
    const std::string path = prefix.empty() ? shown_key(key) : prefix + "." + shown_key(key);
    if (value.is_object() && !value.empty())
      flatten(path, value, values);
    else
      values[path] = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  }
}

Values flat_config(const Checkpoint& checkpoint) {
  Values values;
  flatten("", Json::parse(checkpoint.config_text()), values);
  return values;
}

std::vector<ConfigDifference> config_differences(const Checkpoint& a, const Checkpoint& b) {
  const Values left = flat_config(a), right = flat_config(b);
  std::map<std::string, ConfigDifference> all;
  for (const auto& [key, value] : left) all[key] = {key, value, {}};
  for (const auto& [key, value] : right) {
    all[key].key = key;
    all[key].b = value;
  }
  std::vector<ConfigDifference> different;
  for (auto& [key, difference] : all)
    if (difference.a != difference.b) different.push_back(std::move(difference));
  return different;
}

// Where the bytes of two tensors of one type and shape part; nullopt when they are equal.
std::optional<std::uint64_t> first_difference(const Checkpoint& a, const TensorInfo& in_a, const Checkpoint& b,
                                              const TensorInfo& in_b, const StopFlag* stop) {
  constexpr std::uint64_t most = 8u << 20;
  Buffer left(std::min(most, in_a.bytes)), right(std::min(most, in_a.bytes));
  for (std::uint64_t at = 0; at < in_a.bytes; at += most) {
    check_interrupt(stop);
    const std::uint64_t size = std::min(most, in_a.bytes - at);
    a.read(in_a, left.bytes().first(size), at);
    b.read(in_b, right.bytes().first(size), at);
    const auto [here, there] = std::ranges::mismatch(left.bytes().first(size), right.bytes().first(size));
    if (there != right.bytes().first(size).end())
      return at + static_cast<std::uint64_t>(here - left.bytes().first(size).begin());
  }
  return std::nullopt;
}

std::string type_text(const TensorInfo& tensor) {
  return fmt::format("{} {}", dtype_name(tensor.dtype), shape_text(tensor.shape));
}

void compare_tensors(const Checkpoint& a, const Checkpoint& b, const StopFlag* stop, DiffReport& report) {
  using Kind = TensorDifference::Kind;
  for (const TensorInfo& in_a : a.tensors()) {
    const TensorInfo* const in_b = b.find(in_a.name);
    if (in_b == nullptr) {
      report.tensors.push_back({in_a.name, Kind::only_a, {}});
    } else if (in_a.dtype != in_b->dtype || in_a.shape != in_b->shape) {
      report.tensors.push_back({in_a.name, Kind::different, type_text(in_a) + " and " + type_text(*in_b)});
    } else if (const auto byte = first_difference(a, in_a, b, *in_b, stop)) {
      report.tensors.push_back({in_a.name, Kind::different, fmt::format("from byte {} on", *byte)});
    } else {
      ++report.equal_tensors;
    }
  }
  for (const TensorInfo& in_b : b.tensors())
    if (a.find(in_b.name) == nullptr) report.tensors.push_back({in_b.name, Kind::only_b, {}});
  std::ranges::sort(report.tensors, {}, &TensorDifference::tensor);
}

bool any_listed(const std::unordered_set<std::string_view>& names, const StoredLinear& stored) {
  return std::ranges::any_of(stored.fields,
                             [&](const Field& field) { return names.contains(stored.module + "." + field.suffix); });
}

void compare_linears(const OpenModel& a, const OpenModel& b, const StopFlag* stop, DiffReport& report) {
  std::unordered_set<std::string_view> names;
  for (const TensorDifference& difference : report.tensors) names.insert(difference.tensor);
  std::map<std::string_view, const LinearSpec*> in_b;
  for (const LinearSpec* linear : linears(*b.spec)) in_b[linear->module] = linear;
  for (const LinearSpec* linear : linears(*a.spec)) {
    const auto other = in_b.find(linear->module);
    if (other == in_b.end() || other->second->out != linear->out || other->second->in != linear->in) continue;
    const StoredLinear &left = a.linear(*linear).stored, &right = b.linear(*other->second).stored;
    if (!any_listed(names, left) && !any_listed(names, right)) continue;
    const LinearRows rows_a(a.checkpoint, left), rows_b(b.checkpoint, right);
    report.linears.push_back(
        {linear->module, left.text(), right.text(), distance(rows_a, rows_b, Extent::whole, stop).sqnr()});
  }
  std::ranges::stable_sort(report.linears, {}, &LinearDifference::sqnr);
}

}  // namespace

DiffReport diff(const DiffOptions& options) {
  const OpenModel a = open_model(options.a), b = open_model(options.b);
  DiffReport report;
  report.config = config_differences(a.checkpoint, b.checkpoint);
  compare_tensors(a.checkpoint, b.checkpoint, options.stop, report);
  compare_linears(a, b, options.stop, report);
  return report;
}

}  // namespace strata
