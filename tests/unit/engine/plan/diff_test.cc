// What is different between two checkpoints, and nothing else.
#include "engine/plan/diff.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "tests/support/small_output.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;

namespace {

const std::string layer = "model.layers.0.", o = layer + "self_attn.o_proj.";

// sum (a - b)^2 against sum a^2, in dB.
double sqnr(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, all = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += std::pow(static_cast<double>(a[i] - b[i]), 2);
    all += std::pow(static_cast<double>(a[i]), 2);
  }
  return 10 * std::log10(all / error);
}

std::vector<float> floats(const StoredTensor& tensor) {
  std::vector<float> values(element_count(tensor.shape).value());
  widen(tensor.dtype, tensor.bytes, values);
  return values;
}

}  // namespace

TEST_CASE("a checkpoint does not differ from itself or from its copy") {
  Output output(body("W4A16"));
  output.write();
  const Output again(body("W4A16"));
  again.write();
  for (const std::string& other : {output.model, again.model}) {
    const DiffReport report = diff({.a = output.model, .b = other});
    CHECK(report.same());
    CHECK(report.equal_tensors == output.tensors.size());
    CHECK(report.linears.empty());
  }
}

TEST_CASE("an output differs from its source in its config, its Linears and their tensors") {
  Output output(body("NVFP4A16"));
  output.write();
  const DiffReport report = diff({.a = output.source, .b = output.model});
  CHECK_FALSE(report.same());
  REQUIRE(report.linears.size() == 27);
  for (const LinearDifference& linear : report.linears) {
    CHECK(linear.a == "BF16");
    CHECK(linear.b == "NVFP4A16");
    CHECK(linear.sqnr > 19);
    CHECK(linear.sqnr < 23);
  }
  CHECK(std::ranges::is_sorted(report.linears, {}, &LinearDifference::sqnr));
  for (const ConfigDifference& key : report.config) {
    CHECK(key.key.starts_with("quantization_config."));
    CHECK(key.a.empty());
  }
  std::size_t only_a = 0, only_b = 0;
  for (const TensorDifference& tensor : report.tensors) {
    only_a += tensor.kind == TensorDifference::Kind::only_a ? 1 : 0;
    only_b += tensor.kind == TensorDifference::Kind::only_b ? 1 : 0;
  }
  CHECK(only_a == 27);
  CHECK(only_b == 3 * 27);
  CHECK(report.equal_tensors == output.tensors.size() - 3 * 27);
}

TEST_CASE("one byte, one type and one key are told apart") {
  Output a(body(""));
  a.write();
  Output b(body(""));
  StoredTensor& weight = b.tensor(o + "weight");
  weight.bytes[2001] ^= std::byte{1};
  StoredTensor& norm = b.tensor("model.norm.weight");
  const std::vector<float> values = floats(norm);
  norm = f32_tensor(norm.name, norm.shape, values);
  b.config.replace(b.config.find("10000.0"), 7, "20000.0");
  b.write();
  const DiffReport report = diff({.a = a.model, .b = b.model});
  REQUIRE(report.config.size() == 1);
  CHECK(report.config[0].key == "rope_theta");
  CHECK(report.config[0].a == "10000.0");
  CHECK(report.config[0].b == "20000.0");
  REQUIRE(report.tensors.size() == 2);
  CHECK(report.tensors[0].tensor == weight.name);
  CHECK(report.tensors[0].what == "from byte 2001 on");
  CHECK(report.tensors[1].what == "BF16 [128] and F32 [128]");
  REQUIRE(report.linears.size() == 1);
  CHECK(report.linears[0].linear == "model.layers.0.self_attn.o_proj");
  CHECK(std::abs(report.linears[0].sqnr - sqnr(floats(a.tensor(weight.name)), floats(weight))) < 1e-9);
}

TEST_CASE("weights that are lost or not numbers come first, as the worst") {
  Output a(body("")), b(body(""));
  const std::string lost = layer + "self_attn.q_proj", wrong = layer + "mlp.up_proj", near = o + "weight";
  std::ranges::fill(a.tensor(lost + ".weight").bytes, std::byte{0});
  std::fill_n(b.tensor(wrong + ".weight").bytes.begin() + 64, 2, std::byte{0x7f});  // 0x7f7f is large,
  b.tensor(wrong + ".weight").bytes[64] = std::byte{0xc0};                          // 0x7fc0 is NaN
  b.tensor(near).bytes[0] ^= std::byte{1};
  a.write();
  b.write();
  const DiffReport report = diff({.a = a.model, .b = b.model});
  REQUIRE(report.linears.size() == 3);
  std::vector<std::string> worst = {report.linears[0].linear, report.linears[1].linear};
  std::ranges::sort(worst);
  CHECK(worst == std::vector{wrong, lost});
  for (int i = 0; i < 2; ++i) CHECK(report.linears[static_cast<std::size_t>(i)].sqnr == -INFINITY);
  CHECK(std::isfinite(report.linears[2].sqnr));
}

TEST_CASE("keys that hold dots are not taken for keys in keys") {
  Output a(body("")), b(body(""));
  a.config.insert(1, R"("a.b": 1, "c": {"d": 2}, "": {"e": 3}, )");
  b.config.insert(1, R"("a": {"b": 1}, "c": {"d": 4}, "e": 3, )");
  a.write();
  b.write();
  std::vector<std::string> keys;
  for (const ConfigDifference& key : diff({.a = a.model, .b = b.model}).config) keys.push_back(key.key);
  CHECK(keys == std::vector<std::string>{"\"\".e", "\"a.b\"", "a.b", "c.d", "e"});
}

TEST_CASE("two quantizations are compared by what they decode to") {
  const Output a(body("FP8_DYNAMIC"));
  a.write();
  Output b(body("FP8_DYNAMIC"));
  for (std::byte& code : b.tensor(o + "weight").bytes)  // other bytes, the same numbers: -0 for 0
    if (code == std::byte{0}) code = std::byte{0x80};
  StoredTensor& weight = b.tensor(o + "weight");
  weight.bytes[0] = a.tensors.at(o + "weight").bytes[0] & std::byte{0x7f};
  b.write();
  const DiffReport signs = diff({.a = a.model, .b = b.model});
  CHECK(signs.config.empty());
  for (const LinearDifference& linear : signs.linears) CHECK(linear.linear == "model.layers.0.self_attn.o_proj");

  const Output c(body("W8A16"));
  c.write();
  const DiffReport formats = diff({.a = a.model, .b = c.model});
  REQUIRE(formats.linears.size() == 27);
  CHECK(formats.linears[0].a == "FP8_DYNAMIC");
  CHECK(formats.linears[0].b == "W8A16");
  CHECK(formats.linears[0].sqnr > 29);
  CHECK(formats.linears[0].sqnr < 34);
}

TEST_CASE("tensors and Linears of several pieces are compared to their ends") {
  std::string config = config_json;  // a head of 10 MB: two pieces of bytes, two of rows
  config.replace(config.find("\"vocab_size\": 16"), 16, "\"vocab_size\": 40064");
  Output output([](const std::string& module) { return module == "lm_head" ? "W4A16_ASYM" : ""; }, config);
  StoredTensor& embedding = output.tensor("model.embed_tokens.weight");
  embedding.bytes[embedding.bytes.size() - 3] ^= std::byte{1};
  output.write();
  const DiffReport report = diff({.a = output.source, .b = output.model});
  const auto found = std::ranges::find(report.tensors, embedding.name, &TensorDifference::tensor);
  REQUIRE(found != report.tensors.end());
  CHECK(found->what == fmt::format("from byte {} on", embedding.bytes.size() - 3));

  const NumberFormat& format = require_number_format("W4A16_ASYM");
  const StoredTensor& head = output.dense.at("lm_head.weight");
  const std::vector<Field> fields = format.fields(head.shape, Dtype::bf16, ScaleRule::minmax);
  std::vector<std::span<const std::byte>> bytes;
  for (const Field& field : fields) bytes.emplace_back(output.tensors.at("lm_head." + field.suffix).bytes);
  std::vector<float> decoded(head.bytes.size() / 2);
  format.decode(fields, bytes, head.shape, decoded);  // all at once
  REQUIRE(report.linears.size() == 1);
  CHECK(std::abs(report.linears[0].sqnr - sqnr(floats(head), decoded)) < 1e-9);
}

TEST_CASE("what does not open is an error that names it") {
  const Output output(body("W4A16"));
  output.write();
  const Error error = thrown_by([&] { diff({.a = output.model, .b = output.model + ".absent"}); });
  CHECK(error.fault == Fault::input);
  CHECK(std::string(error.what()).find(".absent") != std::string::npos);
}
