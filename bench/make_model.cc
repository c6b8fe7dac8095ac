// Writes a made-up checkpoint of any family at any size: real bytes everywhere, the same for a seed.
//   bench_make_model OUT (--family NAME | --config CONFIG.json) [--layers N] [--hidden N] [--intermediate N]
//     [--heads N] [--kv-heads N] [--head-dim N] [--vocab N] [--experts N] [--top-k N] [--moe-intermediate N]
//     [--dtype bf16|f16|f32] [--shard-size SIZE] [--seed N] [--threads N]
//     [--tokens IDS.safetensors --rows N --columns N]
#include <fmt/core.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/timer.h"
#include "bench/synthetic/model.h"

namespace {

using namespace strata;

struct SizeFlag {
  std::string_view flag, key;
};
constexpr SizeFlag size_flags[] = {{"--layers", "num_hidden_layers"},
                                   {"--hidden", "hidden_size"},
                                   {"--intermediate", "intermediate_size"},
                                   {"--heads", "num_attention_heads"},
                                   {"--kv-heads", "num_key_value_heads"},
                                   {"--head-dim", "head_dim"},
                                   {"--vocab", "vocab_size"},
                                   {"--experts", "num_experts"},
                                   {"--top-k", "num_experts_per_tok"},
                                   {"--moe-intermediate", "moe_intermediate_size"}};

struct Options {
  std::string output, config, family, tokens;
  synthetic::Sizes sizes;
  synthetic::ModelOptions model;
  std::int64_t rows = 8, columns = 256, threads = 0;
};

std::int64_t number(std::string_view flag, std::string_view word) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < 1)
    fail(Fault::usage, "{}: '{}' is not a number above 0", flag, word);
  return value;
}

Dtype element_type(std::string_view word) {
  if (word == "bf16") return Dtype::bf16;
  if (word == "f16") return Dtype::f16;
  if (word == "f32") return Dtype::f32;
  fail(Fault::usage, "--dtype: '{}' is not bf16, f16 or f32", word);
}

std::uint64_t bytes_of(std::string_view word) {
  if (const std::optional<std::uint64_t> bytes = parse_bytes(word); bytes && *bytes > 0) return *bytes;
  fail(Fault::usage, "--shard-size: '{}' is not a size such as 5GB", word);
}

void set(Options& options, std::string_view flag, std::string_view word) {
  const auto* const size = std::ranges::find(size_flags, flag, &SizeFlag::flag);
  if (size != std::end(size_flags))
    options.sizes.emplace_back(size->key, number(flag, word));
  else if (flag == "--config")
    options.config = word;
  else if (flag == "--family")
    options.family = word;
  else if (flag == "--dtype")
    options.model.dtype = element_type(word);
  else if (flag == "--shard-size")
    options.model.shard_bytes = bytes_of(word);
  else if (flag == "--seed")
    options.model.seed = static_cast<std::uint64_t>(number(flag, word));
  else if (flag == "--tokens")
    options.tokens = word;
  else if (flag == "--rows")
    options.rows = number(flag, word);
  else if (flag == "--columns")
    options.columns = number(flag, word);
  else if (flag == "--threads")
    options.threads = number(flag, word);
  else
    fail(Fault::usage, "bench_make_model: there is no option {}", flag);
}

Options parse(const std::vector<std::string_view>& words) {
  if (words.empty() || words[0].starts_with("-"))
    fail(Fault::usage, "bench_make_model: the folder to write comes first");
  if (words.size() % 2 == 0) fail(Fault::usage, "{}: the value is missing", words.back());
  Options options;
  options.output = words[0];
  for (std::size_t i = 1; i < words.size(); i += 2) set(options, words[i], words[i + 1]);
  if (options.config.empty() == options.family.empty())
    fail(Fault::usage, "bench_make_model: either --family NAME or --config CONFIG.json");
  return options;
}

int run(Options options) {
  std::optional<tbb::global_control> limit;
  if (options.threads > 0)
    limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(options.threads));
  const std::string json =
      options.config.empty() ? synthetic::family_config(options.family) : read_text(options.config);
  options.model.config = synthetic::resized_config(json, options.sizes);
  const Timer timer;
  const std::uint64_t bytes = synthetic::write_model(options.output, options.model);
  fmt::print("{}: {} bytes of tensors ({}) in {:.1f} s\n", options.output, bytes, human_bytes(bytes), timer.seconds());
  if (options.tokens.empty()) return 0;
  synthetic::write_tokens(options.tokens, options.model, options.rows, options.columns);
  fmt::print("{}: {} rows of {} token ids\n", options.tokens, options.rows, options.columns);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  keep_small_blocks();
  try {
    return run(parse({arguments + 1, arguments + count}));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
