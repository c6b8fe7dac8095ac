#include "formats/scheme.h"

#include <fmt/format.h>

#include "base/error.h"

namespace strata {
namespace {

SchemeArguments parse_arguments(const Config& config) {
  SchemeArguments arguments;
  arguments.bits = config.integer_or("num_bits", 8);
  arguments.type = config.text_or("type", "int");
  arguments.symmetric = config.boolean_or("symmetric", true);
  const std::int64_t group_size = config.integer_or("group_size", 0);
  arguments.group_size = group_size > 0 ? group_size : 0;
  arguments.strategy = config.text_or("strategy", group_size > 0 ? "group" : group_size < 0 ? "channel" : "tensor");
  if (config.has("dynamic")) arguments.dynamic = config.dump("dynamic");
  const std::string order = config.text_or("actorder", "");
  if (order == "group" || order == "dynamic")
    fail(Fault::input, "{}: actorder is \"{}\"; columns in an order of their own are not read", config.path(), order);
  return arguments;
}

std::string describe(const SchemeArguments& arguments) {
  return fmt::format("{}-bit {}{}, {}{}{}", arguments.bits, arguments.type, arguments.symmetric ? "" : " asymmetric",
                     arguments.strategy, arguments.group_size > 0 ? fmt::format(" {}", arguments.group_size) : "",
                     arguments.dynamic == "false" ? "" : ", dynamic " + arguments.dynamic);
}

}  // namespace

Scheme parse_scheme(const Config& group) {
  if (group.has("output_activations")) fail(Fault::input, "{}: quantized outputs are not read", group.path());
  Scheme scheme{group.text_or("format", ""), parse_arguments(group.section("weights")), std::nullopt};
  if (group.has("input_activations")) scheme.input = parse_arguments(group.section("input_activations"));
  return scheme;
}

const NumberFormat* number_format_of(const Scheme& scheme) {
  for (const NumberFormat* const format : number_formats()) {
    if (format->config_group.empty()) continue;
    const Scheme own = parse_scheme(Config::parse(format->config_group, std::string(format->name)));
    // Weights and scales of "naive-quantized" are stored as those of "float-quantized".
    const bool same_bytes = scheme.format.empty() || scheme.format == own.format ||
                            (scheme.format == "naive-quantized" && own.format == "float-quantized");
    if (same_bytes && own.weights == scheme.weights && own.input == scheme.input) return format;
  }
  return nullptr;
}

std::string describe(const Scheme& scheme) {
  return fmt::format("weights {}; inputs {}{}", describe(scheme.weights),
                     scheme.input ? describe(*scheme.input) : "unquantized",
                     scheme.format.empty() ? "" : "; format " + scheme.format);
}

}  // namespace strata
