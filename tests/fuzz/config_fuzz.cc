// libFuzzer target: the input is a config.json. Getters on whatever was parsed end in a value or Error{input}.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "formats/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  try {
    const Config config = text_config(Config::parse({reinterpret_cast<const char*>(data), size}, "x"));
    for (const std::string& key : config.keys()) {
      (void)config.dump(key);
      (void)config.integer_or(key, 0);
    }
  } catch (const Error& error) {
    if (error.fault != Fault::input) std::abort();
  }
  return 0;
}
