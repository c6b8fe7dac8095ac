// Differences of two runs as people read them.
#include "engine/work/differences.h"

#include <catch2/catch_test_macros.hpp>

using namespace strata;

namespace {

using Lines = std::vector<std::string>;

Fingerprint print_of(const std::string& shards, const std::string& config, const std::string& formats,
                     const std::string& tokens) {
  Fingerprint print;
  print.add("model-1.safetensors", shards);
  print.add("model-2.safetensors", shards);
  print.add("config.json", config);
  print.add("file tokenizer.json", config);
  print.add("--formats", formats);
  print.add("calibration tokens", tokens);
  return print;
}

}  // namespace

TEST_CASE("another source is one line, and options keep theirs") {
  const Fingerprint before = print_of("1a", "2b", "NVFP4,BF16", "3c");
  CHECK(told_differences(before, before).empty());
  CHECK(told_differences(print_of("4d", "5e", "MXFP8,BF16", "3c"), before) ==
        Lines{"MODEL: another source, or 4 of its files have changed: model-1.safetensors, model-2.safetensors, "
              "config.json and 1 "
              "more",
              "--formats: NVFP4,BF16 -> MXFP8,BF16"});
}

TEST_CASE("a single file of the source keeps what tells it, and tokens name the option") {
  Fingerprint before, now;
  for (const auto& [print, hash] : {std::pair(&before, "1a"), std::pair(&now, "2b")}) {
    print->add("model.safetensors", hash);
    print->add("calibration tokens", hash);
  }
  CHECK(told_differences(now, before) ==
        Lines{"model.safetensors: 1a -> 2b", "calibration tokens: 1a -> 2b (--dataset, or what is taken of it)"});
}
