// The corpus of broken outputs: how one is made from a good one by one change, and who must catch it.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/unit/engine/check/verify_output.h"

namespace strata::test {

inline const std::string layer0 = "model.layers.0.", expert = "model.layers.1.mlp.experts.1.";

struct Broken {
  const char* what;
  std::string good;                          // the number format of the output it is made from
  std::set<std::string> rules;               // exactly these fail
  std::string message;                       // some failure holds it
  std::function<void(Output&)> change;       // of tensors and config, before it is written
  std::function<void(Output&)> damage = {};  // of the written folder
  bool with_source = false;
};

inline std::string base_config(const std::string& format) {
  return format == "FP8_BLOCK" ? wide_config() : std::string(config_json);
}

inline void run(const Broken& broken) {
  CAPTURE(broken.what);
  Output output(body(broken.good), base_config(broken.good));
  if (broken.change) broken.change(output);
  output.write();
  if (broken.damage) broken.damage(output);
  const VerifyReport report = report_of(output, broken.with_source);
  std::set<std::string> failed;
  std::string text;
  for (const auto& [rule, subject, message] : report.failures) {
    failed.insert(rule);
    text += fmt::format("{}: {}: {}\n", rule, subject, message);
  }
  CAPTURE(text);
  CHECK(failed == broken.rules);
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring(broken.message));
}

inline void run_all(const std::vector<Broken>& corpus) {
  for (const Broken& broken : corpus) run(broken);
}

inline std::function<void(Output&)> replaced(std::string from, std::string to) {
  return [from = std::move(from), to = std::move(to)](Output& output) {
    const std::size_t at = output.config.find(from);
    REQUIRE(at != std::string::npos);
    output.config.replace(at, from.size(), to);
  };
}

inline std::function<void(Output&)> set_byte(std::string name, std::size_t index, int value) {
  return [=](Output& output) { output.tensor(name).bytes[index] = static_cast<std::byte>(value); };
}

inline std::function<void(Output&)> set_bf16(std::string name, std::size_t index, float value) {
  return [=](Output& output) {
    StoredTensor& tensor = output.tensor(name);
    REQUIRE(tensor.dtype == Dtype::bf16);
    to_bf16({&value, 1}, std::span(tensor.bytes).subspan(2 * index, 2));
  };
}

// A scale of one value, in the type in which it is stored.
inline float read_scalar(Output& output, const std::string& name) {
  const StoredTensor& tensor = output.tensor(name);
  float value = 0;
  widen(tensor.dtype, tensor.bytes, {&value, 1});
  return value;
}

inline void write_scalar(Output& output, const std::string& name, float value) {
  StoredTensor& tensor = output.tensor(name);
  if (tensor.dtype == Dtype::bf16)
    to_bf16({&value, 1}, tensor.bytes);
  else
    std::memcpy(tensor.bytes.data(), &value, sizeof value);
}

inline std::function<void(Output&)> scaled(std::string name, float factor) {
  return [=](Output& output) { write_scalar(output, name, read_scalar(output, name) * factor); };
}

inline std::function<void(Output&)> inverted(std::vector<std::string> names) {
  return [=](Output& output) {
    for (const std::string& name : names) write_scalar(output, name, 1 / read_scalar(output, name));
  };
}

inline std::function<void(Output&)> reshaped(std::string name, Shape shape) {
  return [=](Output& output) { output.tensor(name).shape = shape; };
}

inline std::function<void(Output&)> retyped(std::string name, Dtype dtype) {
  return [=](Output& output) { output.tensor(name).dtype = dtype; };
}

inline std::function<void(Output&)> erased(std::string name) {
  return [=](Output& output) {
    output.tensor(name);
    output.tensors.erase(name);
  };
}

inline std::function<void(Output&)> added(std::string name, Dtype dtype, Shape shape, std::vector<float> values) {
  return [=](Output& output) {
    StoredTensor& tensor = output.tensors[name] = {.name = name, .dtype = dtype, .shape = shape};
    tensor.bytes.resize(tensor_bytes(dtype, shape).value());
    if (dtype == Dtype::bf16)
      to_bf16(values, tensor.bytes);
    else
      std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  };
}

inline std::string shard(const Output& output) { return join_path(output.model, "model.safetensors"); }

// Edits the written header; both texts are of one length.
inline std::function<void(Output&)> header(std::string from, std::string to) {
  REQUIRE(from.size() == to.size());
  return [=](Output& output) {
    std::string text = read_text(shard(output));
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    write_text(shard(output), text.replace(at, from.size(), to));
  };
}

inline std::function<void(Output&)> file(std::string name, std::string text) {
  return [=](Output& output) { write_text(join_path(output.model, name), text); };
}

inline std::string weight_map(const Output& output, const std::string& but = "") {
  std::string text;
  for (const auto& [name, tensor] : output.tensors)
    if (name != but) text += fmt::format("{}\"{}\": \"model.safetensors\"", text.empty() ? "" : ", ", name);
  return text;
}

inline std::function<void(Output&)> indexed(std::string total, std::string but = "", std::string more = "") {
  return [=](Output& output) {
    write_text(join_path(output.model, "model.safetensors.index.json"),
               fmt::format(R"({{"metadata": {{"total_size": {}}}, "weight_map": {{{}{}}}}})",
                           total == "right" ? std::to_string(Checkpoint::open(output.model).total_bytes()) : total,
                           weight_map(output, but), more));
  };
}

inline const std::string any_linear = "re:.*_proj$", routers = "re:.*mlp.gate$", head = "lm_head";

// Replaces the config by one with these groups.
inline std::function<void(Output&)> groups(std::vector<Group> list, std::vector<std::string> ignore) {
  return [=](Output& output) { output.config = config_of(list, ignore); };
}

inline const std::string null_cache = R"("kv_cache_scheme": null)";
inline const std::string cache_scheme =
    R"("kv_cache_scheme": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "tensor", "dynamic": false})";

}  // namespace strata::test
