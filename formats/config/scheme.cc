#include "formats/config/scheme.h"

#include <fmt/format.h>

#include <charconv>

#include "base/error.h"

namespace strata {
namespace {

// [128, 128], or "128x128" as older writers spell it.
std::array<std::int64_t, 2> parse_block(const Config& config) {
  if (!config.has("block_structure")) return {0, 0};
  std::array<std::int64_t, 2> block = {0, 0};
  const std::string shown = config.dump("block_structure");
  if (shown.starts_with('"')) {
    const std::string text = config.text("block_structure");
    const char* const end = text.data() + text.size();
    const auto rows = std::from_chars(text.data(), end, block[0]);
    if (rows.ec == std::errc() && rows.ptr != end && *rows.ptr == 'x') {
      const auto columns = std::from_chars(rows.ptr + 1, end, block[1]);
      if (columns.ec != std::errc() || columns.ptr != end) block = {0, 0};
    }
  } else if (const std::vector<std::int64_t> sizes = config.integers("block_structure"); sizes.size() == 2) {
    block = {sizes[0], sizes[1]};
  }
  if (block[0] <= 0 || block[1] <= 0)
    fail(Fault::input, "{}: block_structure is {}, expected [rows, columns]", config.path(), shown);
  return block;
}

std::string parse_scales(const Config& config) {
  std::string dtype = config.text_or("scale_dtype", "");
  if (dtype.starts_with("torch.")) dtype.erase(0, 6);
  if (dtype == "uint8" || dtype == "float8_e8m0fnu") return "e8m0";
  if (dtype == "float8_e4m3fn") return "e4m3";
  if (dtype == "bfloat16" || dtype == "float16" || dtype == "float32") return "";
  return dtype;
}

void refuse_column_order(const Config& config) {
  const std::string order = config.text_or("actorder", "");
  if (order.empty() || order == "weight" || order == "static") return;  // the columns are stored where they were
  fail(Fault::input, "{}: actorder is \"{}\"; columns in an order of their own are not read", config.path(), order);
}

// Older writers leave scale_dtype out where the bits or the format say it.
void complete_scales(SchemeArguments& arguments, std::string_view format) {
  if (!arguments.scales.empty() || arguments.type != "float") return;
  if (arguments.strategy == "tensor_group" && arguments.bits == 4) arguments.scales = "e4m3";
  if (arguments.strategy != "group" || arguments.group_size != 32) return;
  if (arguments.bits < 8 || format.starts_with("mxfp")) arguments.scales = "e8m0";
}

bool stores(const NumberFormat& format, const Scheme& scheme, std::string_view stored) {
  const StatedScheme& own = format.scheme;
  return format.quantizes() && stored_alike(stored, own.format) && own.weights == scheme.weights &&
         own.input == scheme.input;
}

}  // namespace

SchemeArguments parse_arguments(const Config& config) {
  SchemeArguments arguments;
  arguments.bits = config.integer_or("num_bits", 8);
  arguments.type = config.text_or("type", "int");
  arguments.symmetric = config.boolean_or("symmetric", true);
  const std::int64_t group_size = config.integer_or("group_size", 0);
  arguments.group_size = group_size > 0 ? group_size : 0;
  arguments.block = parse_block(config);
  const std::string_view implied = group_size > 0           ? "group"
                                   : group_size < 0         ? "channel"
                                   : arguments.block[0] > 0 ? "block"
                                                            : "tensor";
  arguments.strategy = config.text_or("strategy", implied);
  if (config.has("dynamic")) arguments.dynamic = config.dump("dynamic");
  arguments.scales = parse_scales(config);
  refuse_column_order(config);
  return arguments;
}

Scheme parse_scheme(const Config& group, std::string_view format) {
  if (group.has("output_activations")) fail(Fault::input, "{}: quantized outputs are not read", group.path());
  Scheme scheme{group.text_or("format", format), parse_arguments(group.section("weights")), std::nullopt};
  complete_scales(scheme.weights, scheme.format);
  if (!group.has("input_activations")) return scheme;
  scheme.input = parse_arguments(group.section("input_activations"));
  complete_scales(*scheme.input, scheme.format);
  return scheme;
}

std::string_view inferred_format(const Scheme& scheme) {
  const SchemeArguments& weights = scheme.weights;
  const bool floats = weights.type == "float";
  if (floats && weights.group_size == 32 && weights.scales == "e8m0") {
    if (weights.bits == 4) return "mxfp4-pack-quantized";
    if (weights.bits == 6) return "mxfp6-pack-quantized";
    if (weights.bits == 8) return "mxfp8-quantized";
  }
  if (floats && weights.bits == 4 && weights.group_size == 16) return "nvfp4-pack-quantized";
  if (!floats) return scheme.input ? "int-quantized" : "pack-quantized";
  return scheme.input ? "float-quantized" : "naive-quantized";
}

bool stored_alike(std::string_view stored, std::string_view own) {
  return stored == own || (stored == "naive-quantized" && (own == "float-quantized" || own == "int-quantized"));
}

const NumberFormat* number_format_of(const Scheme& scheme) {
  const std::string_view stored = scheme.format.empty() ? inferred_format(scheme) : std::string_view(scheme.format);
  const NumberFormat* copied = nullptr;
  for (const NumberFormat* const format : number_formats()) {
    if ((format->source_only && copied != nullptr) || !stores(*format, scheme, stored)) continue;
    if (!format->source_only) return format;
    copied = format;
  }
  return copied;
}

std::string describe(const SchemeArguments& arguments) {
  std::string text = fmt::format("{}-bit {}{}, {}", arguments.bits, arguments.type,
                                 arguments.symmetric ? "" : " asymmetric", arguments.strategy);
  if (arguments.group_size > 0) text += fmt::format(" {}", arguments.group_size);
  if (arguments.block[0] > 0) text += fmt::format(" {}x{}", arguments.block[0], arguments.block[1]);
  if (!arguments.scales.empty()) text += fmt::format(", scales {}", arguments.scales);
  if (arguments.dynamic != "false") text += ", dynamic " + arguments.dynamic;
  return text;
}

std::string describe(const Scheme& scheme) {
  return fmt::format("weights {}; inputs {}{}", describe(scheme.weights),
                     scheme.input ? describe(*scheme.input) : "unquantized",
                     scheme.format.empty() ? "" : "; format " + scheme.format);
}

}  // namespace strata
