#include "formats/config/config_group.h"

namespace strata {
namespace {

Json text_or_null(std::string_view text) { return text.empty() ? Json() : Json(text); }

// The type that codes of scales are viewed as.
std::string_view scale_dtype(std::string_view scales) {
  if (scales == "e8m0") return "torch.uint8";
  return scales == "e4m3" ? "torch.float8_e4m3fn" : "";
}

// `observer`: what looks for the extremes; empty where there is none.
Json arguments_json(const StatedArguments& arguments, std::string_view observer) {
  const auto& [rows, columns] = arguments.block;
  return {{"num_bits", arguments.bits},
          {"type", arguments.type},
          {"symmetric", arguments.symmetric},
          {"strategy", arguments.strategy},
          {"group_size", arguments.group_size > 0 ? Json(arguments.group_size) : Json()},
          {"dynamic", parse_json(arguments.dynamic)},
          {"actorder", nullptr},
          {"block_structure", rows > 0 ? Json::array({rows, columns}) : Json()},
          {"observer", text_or_null(observer)},
          {"observer_kwargs", Json::object()},
          {"scale_dtype", text_or_null(scale_dtype(arguments.scales))},
          {"zp_dtype", arguments.symmetric ? Json() : Json("torch.int8")}};
}

}  // namespace

Json input_arguments(const StatedArguments& arguments) {
  return arguments_json(arguments, arguments.dynamic == "true" ? "" : "static_minmax");
}

Json config_group(const StatedScheme& scheme) {
  Json group = {{"format", scheme.format}, {"output_activations", nullptr}};
  if (!scheme.input) group["input_activations"] = nullptr;
  group["weights"] = arguments_json(scheme.weights, "memoryless_minmax");
  if (scheme.input) group["input_activations"] = input_arguments(*scheme.input);
  return group;
}

}  // namespace strata
