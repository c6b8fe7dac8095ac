// Tokenizer speed: bench_tokenize TOKENIZER_JSON TEXT... prints MB/s of each text, on one core.
#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/timer.h"
#include "formats/tokenizer/tokenizer.h"

namespace {

void measure(const strata::Tokenizer& tokenizer, const std::string& name, const std::string& text) {
  double first = 0, best = 1e9;
  std::size_t tokens = 0;
  for (int i = 0; i < 5; ++i) {
    const strata::Timer timer;
    tokens = tokenizer.encode(text, false).size();
    const double seconds = timer.seconds();
    if (i == 0) first = seconds;
    best = std::min(best, seconds);
  }
  const double megabytes = static_cast<double>(text.size()) * 1e-6;
  fmt::print("{:32} {:8.2f} MB {:9} tokens {:8.1f} MB/s cold {:8.1f} MB/s warm\n", name, megabytes, tokens,
             megabytes / first, megabytes / best);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  if (arguments.size() < 2) {
    fmt::print(stderr, "usage: bench_tokenize TOKENIZER_JSON TEXT...\n");
    return 2;
  }
  const strata::Timer timer;
  const strata::Tokenizer tokenizer = strata::Tokenizer::load(arguments[1]);
  fmt::print("{} loaded in {:.3f} s\n", arguments[1], timer.seconds());
  for (const char* path : arguments.subspan(2)) measure(tokenizer, strata::base_name(path), strata::read_text(path));
  constexpr std::size_t million = 1'000'000;
  measure(tokenizer, "1 MB word", std::string(million, 'a'));
  measure(tokenizer, "1 MB of blanks", std::string(million, ' '));
  return 0;
} catch (const strata::Error& error) {
  fmt::print(stderr, "bench_tokenize: {}\n", error.what());
  return 1;
}
