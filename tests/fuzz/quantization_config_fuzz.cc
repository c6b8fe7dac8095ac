// The input is a config.json with a quantization_config: what it says of modules, as names and expressions.
#include <cstdint>
#include <string_view>

#include "formats/config/quantization_config.h"
#include "tests/fuzz/outcome.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  fuzz::try_input([&] {
    const Config config = Config::parse({reinterpret_cast<const char*>(data), size}, "x");
    const QuantizationConfig parsed = QuantizationConfig::parse(config);
    for (const std::string_view module :
         {"lm_head", "model.layers.0.self_attn.q_proj", "model.layers.17.mlp.experts.3.down_proj",
          "model.layers.0.mlp.gate", "", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"})
      fuzz::try_input([&] { (void)parsed.format_of(module); });
  });
  return 0;
}
