// The schema of quantization_config: what compressed-tensors 0.20 and vLLM refuse, and what they would read
// as something else than was meant.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/check/rules.h"
#include "formats/config/scheme.h"

namespace strata {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto formats = std::to_array<std::string_view>(
    {"dense", "int-quantized", "float-quantized", "naive-quantized", "pack-quantized", "nvfp4-pack-quantized",
     "mxfp4-pack-quantized", "mxfp6-pack-quantized", "mxfp8-quantized"});
constexpr auto strategies =
    std::to_array<std::string_view>({"tensor", "channel", "group", "block", "token", "tensor_group", "attn_head"});
constexpr auto input_strategies =
    std::to_array<std::string_view>({"token", "tensor", "group", "tensor_group", "attn_head"});
constexpr auto dynamic_strategies = std::to_array<std::string_view>({"token", "tensor", "tensor_group", "group"});

template <std::size_t size>
bool is_one_of(std::string_view text, const std::array<std::string_view, size>& words) {
  return std::ranges::find(words, text) != words.end();
}

bool is_null(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null();
}

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 80) + "...";
}

bool is_dtype(const Json& value) { return value.is_string() && value.get<std::string>().starts_with("torch."); }

bool is_block(const Json& value) {
  const auto positive = [](const Json& n) { return n.is_number_integer() && n.get<std::int64_t>() > 0; };
  return value.is_array() && value.size() == 2 && positive(value[0]) && positive(value[1]);
}

// One QuantizationArgs. `where` is "quantization_config.config_groups.group_0.weights".
class Arguments {
 public:
  Arguments(std::string where, const Json& value, Findings& findings)
      : where_(std::move(where)), value_(value), findings_(findings) {}

  // Whether every key is known and of its type.
  bool check_types() {
    if (!value_.is_object()) return wrong("", value_, "an object");
    struct Key {
      std::string_view name, expected;
      bool (*good)(const Json&);
    };
    static constexpr auto keys = std::to_array<Key>({
        {"num_bits", "an integer above 0", [](const Json& v) { return v.is_number_integer() && v.get<int>() > 0; }},
        {"type", "\"int\" or \"float\"", [](const Json& v) { return v == "int" || v == "float"; }},
        {"symmetric", "true or false", [](const Json& v) { return v.is_boolean(); }},
        {"group_size", "-1 or an integer above 0",
         [](const Json& v) { return v.is_number_integer() && (v.get<int>() == -1 || v.get<int>() > 0); }},
        {"strategy", "a strategy",
         [](const Json& v) { return v.is_string() && is_one_of(v.get<std::string>(), strategies); }},
        {"block_structure", "[rows, columns]", is_block},
        {"dynamic", "true, false or \"local\"", [](const Json& v) { return v.is_boolean() || v == "local"; }},
        {"actorder", "null, \"weight\" or \"static\"; columns in an order of their own are no longer read",
         [](const Json& v) { return v == "weight" || v == "static" || v == false; }},
        {"scale_dtype", "a type such as \"torch.uint8\"", is_dtype},
        {"zp_dtype", "a type such as \"torch.int8\"", is_dtype},
        {"observer", "a name", [](const Json& v) { return v.is_string(); }},
        {"observer_kwargs", "an object", [](const Json& v) { return v.is_object(); }},
    });
    bool good = true;
    for (const auto& [name, value] : value_.items()) {
      const auto key = std::ranges::find(keys, std::string_view(name), &Key::name);
      if (key == keys.end()) {
        findings_.add(where_, "{} is not a key of quantization arguments; compressed-tensors refuses it", name);
        good = false;
      } else if (!value.is_null() && !key->good(value)) {
        good = wrong(name, value, key->expected);
      }
    }
    return good;
  }

  // What the values must mean together.
  void check_meaning(bool input) {
    const std::string strategy = this->strategy();
    const bool grouped = strategy == "group" || strategy == "tensor_group";
    const bool sized = !is_null(value_, "group_size") && value_["group_size"].get<int>() > 0;
    const bool block = !is_null(value_, "block_structure");
    const bool local = !is_null(value_, "dynamic") && value_["dynamic"] == "local";
    const bool dynamic = local || (!is_null(value_, "dynamic") && value_["dynamic"] == true);
    if (grouped && !sized) findings_.add(where_, "strategy {} needs a group_size above 0", strategy);
    if (sized && !grouped)
      findings_.add(where_, "group_size {} does not go with strategy {}", value_["group_size"].get<int>(), strategy);
    if (block != (strategy == "block"))
      findings_.add(where_, "block_structure goes with strategy block, and only with it; strategy is {}", strategy);
    if (strategy == "token" && !dynamic) findings_.add(where_, "strategy token needs dynamic true");
    if (dynamic && !is_one_of(strategy, dynamic_strategies))
      findings_.add(where_, "dynamic does not go with strategy {}", strategy);
    if (local && strategy != "tensor_group")
      findings_.add(where_, "dynamic \"local\" goes with strategy tensor_group only, not with {}", strategy);
    if (!input) {
      if (dynamic) findings_.add(where_, "weights are not dynamic; loaders would quantize them again");
      return;
    }
    if (!is_one_of(strategy, input_strategies))
      findings_.add(where_, "inputs have no strategy {}; loaders take token, tensor, group, tensor_group and attn_head",
                    strategy);
    if (!is_null(value_, "actorder") && value_["actorder"] != false)
      findings_.add(where_, "actorder is for weights, not for inputs");
  }

 private:
  bool wrong(std::string_view key, const Json& value, std::string_view expected) {
    findings_.add(where_, "{}{}is {}, expected {}", key, key.empty() ? "" : " ", shown(value), expected);
    return false;
  }

  std::string strategy() const {
    if (!is_null(value_, "strategy")) return value_["strategy"].get<std::string>();
    if (is_null(value_, "group_size")) return is_null(value_, "block_structure") ? "tensor" : "block";
    return value_["group_size"].get<int>() > 0 ? "group" : "channel";
  }

  std::string where_;
  const Json& value_;
  Findings& findings_;
};

void check_arguments(const std::string& where, const Json& value, bool input, Findings& findings) {
  Arguments arguments(where, value, findings);
  if (arguments.check_types()) arguments.check_meaning(input);
}

bool are_texts(const Json& value) {
  return value.is_array() && std::ranges::all_of(value, [](const Json& text) { return text.is_string(); });
}

bool only_attention(const Json& targets) {
  return std::ranges::all_of(targets, [](const Json& t) { return t.get<std::string>().ends_with("Attention"); });
}

// The number format of a group when it is one of ours that no runtime reads, nullptr otherwise.
const NumberFormat* research_format(const Json& group) {
  if (is_null(group, "format")) return nullptr;
  try {
    const NumberFormat* const format = number_format_of(parse_scheme(Config::parse(group.dump(), "group")));
    return format != nullptr && !format->serving.any() ? format : nullptr;
  } catch (const Error&) {  // whatever it is, the checks of the schema name it
    return nullptr;
  }
}

// What transformers takes a group without a format for; "" when it is no group that can be read.
std::string_view inferred(const Json& group) {
  try {
    return inferred_format(parse_scheme(Config::parse(group.dump(), "group")));
  } catch (const Error&) {  // the checks of the schema name it
    return {};
  }
}

// Of a group without one: vLLM reads the top level's, transformers infers it. Older writers leave it out, which is fine
// where both come to the same.
std::string check_missing_format(const std::string& where, const Json& group, const std::string& top,
                                 Findings& findings) {
  const std::string_view found = inferred(group);
  if (!found.empty() && stored_alike(top, found)) {
    findings.note(where, "names no format; loaders come to the \"{}\" of the top level", top);
    return top;
  }
  findings.add(where,
               "format is missing: vLLM reads \"{}\" from the top level, transformers takes the group for \"{}\"", top,
               found);
  return {};
}

// Gives the group's format, "" when it has none. `top` is that of the top level.
std::string check_group(const std::string& where, const Json& group, const std::string& top, Findings& findings) {
  if (!group.is_object()) {
    findings.add(where, "is {}, expected an object", shown(group));
    return {};
  }
  if (const NumberFormat* format = research_format(group)) {
    findings.note(where, "is {}, which no released runtime reads", format->name);
    return group["format"];
  }
  static constexpr auto keys =
      std::to_array<std::string_view>({"targets", "weights", "input_activations", "output_activations", "format"});
  for (const auto& [name, value] : group.items())
    if (!is_one_of(name, keys)) findings.add(where, "{} is not a key of a group; compressed-tensors refuses it", name);
  const Json targets = group.value("targets", Json());
  const bool named = are_texts(targets) && !targets.empty();
  if (!named) findings.add(where, "targets is {}, expected a list of names", shown(targets));
  const bool attention = named && only_attention(targets);
  if (is_null(group, "weights") && !attention) findings.add(where, "has no weights; vLLM refuses such a group");
  for (const char* const part : {"weights", "input_activations", "output_activations"})
    if (!is_null(group, part))
      check_arguments(where + "." + part, group[part], part != std::string_view("weights"), findings);
  if (!is_null(group, "format") && group["format"].is_string() &&
      is_one_of(group["format"].get<std::string>(), formats))
    return group["format"];
  if (!is_null(group, "format"))
    findings.add(where, "format is {}, expected the name of a format", shown(group["format"]));
  else if (!attention && !is_null(group, "weights"))
    return check_missing_format(where, group, top, findings);
  return {};
}

void check_groups(const Json& section, Findings& findings) {
  const Json groups = section.value("config_groups", Json());
  const std::string where = "quantization_config.config_groups";
  const bool cache_alone = groups.is_object() && !is_null(section, "kv_cache_scheme");
  if (groups.empty() && cache_alone) return;
  if (!groups.is_object() || groups.empty()) {
    findings.add(where, "is {}, expected an object with one group or more", shown(groups));
    return;
  }
  const std::string top =
      is_null(section, "format") || !section["format"].is_string() ? "" : section["format"].get<std::string>();
  std::set<std::string> used;
  for (const auto& [name, group] : groups.items())
    if (const std::string format = check_group(fmt::format("{}.{}", where, name), group, top, findings);
        !format.empty())
      used.insert(format);
  if (used.empty()) return;
  const std::string expected = used.size() == 1 ? *used.begin() : "mixed-precision";
  if (top != expected)
    findings.add("quantization_config", "format is \"{}\", but the groups have {} format{}: expected \"{}\"", top,
                 used.size(), used.size() == 1 ? "" : "s", expected);
}

void check_top(const Json& section, Findings& findings) {
  const std::string where = "quantization_config";
  const Json status = section.value("quantization_status", Json());
  if (status != "compressed")
    findings.add(where, "quantization_status is {}, expected \"compressed\"; transformers would expect dense weights",
                 is_null(section, "quantization_status") ? "missing" : shown(status));
  if (!is_null(section, "ignore") && !are_texts(section["ignore"]))
    findings.add(where, "ignore is {}, expected a list of names", shown(section["ignore"]));
  for (const char* const key : {"sparsity_config", "transform_config"})
    if (!is_null(section, key) && !section[key].is_object())
      findings.add(where, "{} is {}, expected an object", key, shown(section[key]));
  for (const char* const key : {"run_compressed"})
    if (section.contains(key))
      findings.add(where, "{} is a switch of a loader, not of a checkpoint; leave it out", key);
  if (!is_null(section, "global_compression_ratio") && !section["global_compression_ratio"].is_number())
    findings.add(where, "global_compression_ratio is {}, expected a number",
                 shown(section["global_compression_ratio"]));
  if (!is_null(section, "version") && !section["version"].is_string())
    findings.add(where, "version is {}, expected a text", shown(section["version"]));
  if (!is_null(section, "kv_cache_scheme"))
    check_arguments(where + ".kv_cache_scheme", section["kv_cache_scheme"], true, findings);
}

}  // namespace

void check_quantization_schema(std::string_view config_text, Findings& findings) {
  const Json config = Json::parse(config_text, nullptr, false);  // it was parsed when the folder was opened
  if (is_null(config, "quantization_config")) return;
  const Json& section = config["quantization_config"];
  if (!section.is_object() || section.value("quant_method", Json()) != "compressed-tensors") return;
  check_top(section, findings);
  check_groups(section, findings);
}

namespace rule {

// compressed-tensors looks at the top level first, then under text_config: a stale one there would be found by
// a loader that builds the text model alone.
void stale_config(const VerifyContext& context, Findings& findings) {
  const Config& config = context.output.checkpoint.config();
  const bool top = config.has("quantization_config");
  if (config.has("text_config"))
    for (const char* const key : {"quantization_config", "compression_config"})
      if (config.section("text_config").has(key))
        findings.add("config.json", "text_config.{} is there{}; a loader may take it for the model's", key,
                     top ? " beside quantization_config" : "");
  if (top && config.has("compression_config"))
    findings.add("config.json", "compression_config is there beside quantization_config; a loader may take it");
}

// transformers sorts the keys when it saves a config: group_10 comes before group_2.
void group_order(const VerifyContext& context, Findings& findings) {
  const Config& config = context.output.checkpoint.config();
  if (!config.has("quantization_config") || !config.section("quantization_config").has("config_groups")) return;
  const std::vector<std::string> names = config.section("quantization_config").section("config_groups").keys();
  const auto unsorted = std::ranges::is_sorted_until(names);
  if (unsorted != names.end())
    findings.note("config.json",
                  "group {} stands after {}; a tool that sorts keys would change their order, "
                  "name them group_00, group_01 and so on",
                  *unsorted, *std::prev(unsorted));
}

}  // namespace rule
}  // namespace strata
