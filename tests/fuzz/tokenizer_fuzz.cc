// The input is a tokenizer.json. What loads encodes a text of many kinds of characters, and its own beginning.
#include <cstdint>
#include <string>
#include <string_view>

#include "formats/tokenizer/tokenizer.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/outcome.h"

using namespace strata;

namespace {

constexpr std::string_view text =
    "Hello, World!  I'll pay 12,345.67 \xE2\x82\xAC for <s>na\xC3\xAFve</s> \xE4\xBD\xA0\xE5\xA5\xBD\n\n\t"
    "e\xCC\x81 \xEF\xAC\x81 \xF0\x9F\x98\x80\xE2\x80\x8D\xF0\x9F\x91\xA9 \xC4\xB0 \xE2\x96\x81x __init__ "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab \xCD\x85\xED\x95\x9C\xEA\xB8\x80\r\n  ";

void encode(const Tokenizer& tokenizer, std::string_view words) {
  for (const bool special : {false, true})
    fuzz::try_input([&] {
      for (const TokenId id : tokenizer.encode(words, special)) fuzz::expect(id >= 0, "a negative id");
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::try_input([&] {
    const Tokenizer tokenizer = Tokenizer::load(fuzz::MemoryFile(data, size).path());
    fuzz::expect(tokenizer.vocabulary_size() >= 0, "a negative vocabulary");
    encode(tokenizer, text);
    encode(tokenizer, std::string_view(reinterpret_cast<const char*>(data), size).substr(0, 200));
    (void)tokenizer.id_of("<s>");
  });
  return 0;
}
