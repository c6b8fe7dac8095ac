// Lets tests in other languages call the formats layer on files:
//   format_probe encode FORMAT IN OUT [RULE]   "<m>.weight", optional F32 "<m>.fused_amax", "<m>.input_amax",
//                                       "<m>.column_weight" -> the fields of <m> and "<m>.decoded";
//                                       RULE: minmax (default), search, compressed_tensors
//   format_probe decode FORMAT IN OUT   the fields of <m> and I64 "<m>.shape" -> "<m>.decoded"
//   format_probe input FORMAT IN OUT [RUNTIME]  "<m>.input", optional F32 "<m>.scale" -> "<m>.quantized";
//                                       RUNTIME: transformers (default), vllm
//   format_probe config CONFIG LINEARS  lines "module format fused_name fused,with" -> config.json on stdout
//   format_probe match CONFIG           module names on stdin -> one line "module format" each
#include <fmt/core.h>

#include <cstring>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "formats/config/quantization_config.h"
#include "formats/number_format.h"
#include "formats/weight/weights.h"
#include "tests/support/encoded_weight.h"

namespace {

using namespace strata;
using test::StoredTensor;

float scalar_or_zero(const std::map<std::string, StoredTensor>& tensors, const std::string& suffix) {
  float value = 0;
  const auto found = tensors.find(suffix);
  if (found != tensors.end()) std::memcpy(&value, found->second.bytes.data(), sizeof value);
  return value;
}

StoredTensor decoded(const std::string& module, const NumberFormat& format, const test::EncodedWeight& encoded,
                     const Shape& shape) {
  return test::f32_tensor(module + ".decoded", shape, test::decode_weight(format, encoded, shape));
}

ScaleRule scale_rule(std::string_view name) {
  if (name == "minmax") return ScaleRule::minmax;
  if (name == "search") return ScaleRule::search;
  if (name == "compressed_tensors") return ScaleRule::compressed_tensors;
  fail(Fault::usage, "format_probe: there is no rule '{}'", name);
}

Runtime runtime(std::string_view name) {
  if (name == "vllm") return Runtime::vllm;
  if (name == "transformers") return Runtime::transformers;
  fail(Fault::usage, "format_probe: there is no runtime '{}'", name);
}

void encode(const NumberFormat& format, const std::string& in, const std::string& out, ScaleRule rule) {
  std::vector<StoredTensor> written;
  for (const auto& [module, tensors] : test::read_modules(in)) {
    const StoredTensor& weight = tensors.at("weight");
    if (const auto reason = format.refusal(weight.shape)) fail(Fault::input, "{}: {}", module, *reason);
    const WeightView view{weight.bytes.data(), weight.dtype, weight.shape[0], weight.shape[1]};
    EncodeContext context{.rule = rule,
                          .fused_amax = scalar_or_zero(tensors, "fused_amax"),
                          .input_amax = scalar_or_zero(tensors, "input_amax")};
    std::vector<float> column_weight;
    if (tensors.contains("column_weight")) column_weight = test::float_values(tensors.at("column_weight"));
    context.column_weight = column_weight;
    const float own_amax = finite_amax(view, module);
    if (context.fused_amax == 0) context.fused_amax = own_amax;
    const test::EncodedWeight encoded = test::encode_weight(format, view, context);
    written.push_back(decoded(module, format, encoded, weight.shape));
    for (std::size_t i = 0; i < encoded.fields.size(); ++i)
      written.push_back({module + "." + encoded.fields[i].suffix, encoded.fields[i].dtype, encoded.fields[i].shape,
                         encoded.bytes[i]});
  }
  test::write_safetensors(out, written);
}

void decode(const NumberFormat& format, const std::string& in, const std::string& out) {
  std::vector<StoredTensor> written;
  for (const auto& [module, tensors] : test::read_modules(in)) {
    Shape shape(2);
    std::memcpy(shape.data(), tensors.at("shape").bytes.data(), 16);
    test::EncodedWeight encoded;
    for (const auto& [suffix, tensor] : tensors) {
      encoded.fields.push_back({suffix, tensor.dtype, tensor.shape});
      encoded.bytes.push_back(tensor.bytes);
    }
    written.push_back(decoded(module, format, encoded, shape));
  }
  test::write_safetensors(out, written);
}

// A format that leaves inputs alone gives them back.
void quantize_inputs(const NumberFormat& format, Runtime runtime, const std::string& in, const std::string& out) {
  std::vector<StoredTensor> written;
  for (const auto& [module, tensors] : test::read_modules(in)) {
    const StoredTensor& input = tensors.at("input");
    std::vector<float> x = test::float_values(input);
    if (const QuantizeInput quantize = format.input_rule(runtime); quantize != nullptr)
      quantize(x, input.shape[0], input.shape[1], scalar_or_zero(tensors, "scale"));
    written.push_back(test::f32_tensor(module + ".quantized", input.shape, x));
  }
  test::write_safetensors(out, written);
}

void print_config(const std::string& config, const std::string& list) {
  std::vector<LinearFormat> linears;
  std::istringstream lines(read_text(list));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    LinearFormat linear;
    std::string format, with, name;
    words >> linear.module >> format >> linear.fused_name >> with;
    linear.format = &require_number_format(format);
    std::istringstream names(with);
    while (std::getline(names, name, ',')) linear.fused_with.push_back(name);
    linears.push_back(std::move(linear));
  }
  std::cout << quantized_config_json(read_text(config), linears);
}

void print_matches(const std::string& config) {
  const QuantizationConfig parsed = QuantizationConfig::parse(Config::load(config));
  for (std::string module; std::getline(std::cin, module);) {
    const NumberFormat* const format = parsed.format_of(module);
    std::cout << module << ' ' << (format == nullptr ? "-" : format->name) << '\n';
  }
}

int run(const std::vector<std::string>& words) {
  const std::string verb = words.empty() ? "" : words[0];
  if (verb == "config" && words.size() == 3)
    print_config(words[1], words[2]);
  else if (verb == "match" && words.size() == 2)
    print_matches(words[1]);
  else if ((words.size() == 4 || words.size() == 5) && verb == "encode")
    encode(require_number_format(words[1]), words[2], words[3], scale_rule(words.size() == 5 ? words[4] : "minmax"));
  else if (words.size() == 4 && verb == "decode")
    decode(require_number_format(words[1]), words[2], words[3]);
  else if ((words.size() == 4 || words.size() == 5) && verb == "input")
    quantize_inputs(require_number_format(words[1]), runtime(words.size() == 5 ? words[4] : "transformers"), words[2],
                    words[3]);
  else
    fail(Fault::usage, "format_probe encode|decode|input FORMAT IN OUT, config CONFIG LINEARS, match CONFIG");
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    fmt::print(stderr, "format_probe: {}\n", error.what());
    return 1;
  }
}
