// The perplexity of a source against the definition of one, position by position in double.
#include "engine/passes/source_perplexity.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/softmax.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cmath>
#include <limits>

#include "engine/plan/request.h"
#include "tests/support/thrown.h"

using namespace strata;
using namespace strata::test;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::int64_t vocabulary = 7;

TokenRows two_windows() { return {.rows = 2, .columns = 4, .ids = {1, 6, 0, 3, 2, 2, 5, 4}, .lengths = {4, 4}}; }

at::Tensor some_logits(std::int64_t rows) {
  at::Tensor logits = at::empty({rows, vocabulary}, at::kFloat);
  for (std::int64_t i = 0; i < logits.numel(); ++i)
    logits.mutable_data_ptr<float>()[i] = static_cast<float>((i * 37) % 23) / 4 - 2;
  return logits;
}

// -log p of the token that follows position `row`.
double nats_of(const at::Tensor& logits, std::int64_t row, TokenId next) {
  const float* const values = logits.const_data_ptr<float>() + row * vocabulary;
  double sum = 0;
  for (std::int64_t i = 0; i < vocabulary; ++i) sum += std::exp(static_cast<double>(values[i]));
  return std::log(sum) - static_cast<double>(values[next]);
}

}  // namespace

TEST_CASE("the perplexity is that of the next tokens within their windows, whatever the rows that come at once") {
  const TokenRows tokens = two_windows();
  const at::Tensor logits = some_logits(8), p = logits.softmax(-1);
  double expected = 0;
  for (const std::int64_t row : {0, 1, 2, 4, 5, 6})
    expected += nats_of(logits, row, tokens.ids[static_cast<std::size_t>(row) + 1]);
  const Surprise all = surprise_of(tokens, 0, logits, p);
  CHECK(all.tokens == 6);
  CHECK(all.nats == Approx(expected).epsilon(1e-6));
  CHECK(all.perplexity() == Approx(std::exp(expected / 6)).epsilon(1e-6));

  Surprise parts;
  for (const std::int64_t first : {0, 3, 6}) {
    const std::int64_t rows = std::min<std::int64_t>(3, 8 - first);
    parts += surprise_of(tokens, first, logits.narrow(0, first, rows), p.narrow(0, first, rows));
  }
  CHECK(parts.tokens == 6);
  CHECK(parts.nats == Approx(all.nats).epsilon(1e-14));
}

TEST_CASE("a next token that is next to impossible counts as it is") {
  const TokenRows tokens = {.rows = 1, .columns = 2, .ids = {0, 3}, .lengths = {2}};
  at::Tensor logits = some_logits(2);
  logits.mutable_data_ptr<float>()[3] = -500;  // its share of p is 0 in float32
  const Surprise all = surprise_of(tokens, 0, logits, logits.softmax(-1));
  CHECK(all.tokens == 1);
  CHECK(all.nats == Approx(nats_of(logits, 0, 3)).epsilon(1e-6));
}

TEST_CASE("logits that are not finite are no perplexity, at the last position of a window too") {
  const TokenRows tokens = two_windows();
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    at::Tensor logits = some_logits(8);
    logits.mutable_data_ptr<float>()[3 * vocabulary + 2] = value;
    const Surprise all = surprise_of(tokens, 0, logits, logits.softmax(-1));
    CHECK(std::isnan(all.perplexity()));
    CHECK(thrown_by([&] { require_perplexity(all, 1e9, {}); }).fault == Fault::input);
  }
}

TEST_CASE("a source above the limit is refused with both figures and a limit that works") {
  QuantizeRequest request;
  request.places.model = "some-model";
  request.calibration.dataset = "some-text";
  CHECK(perplexity_limit(request, 1024) == Approx(256));
  const Surprise surprise = {.nats = 100 * std::log(300.25), .tokens = 100};
  const Error error = thrown_by([&] { require_perplexity(surprise, perplexity_limit(request, 1024), request); });
  CHECK(error.fault == Fault::input);
  CHECK_THAT(error.what(), ContainsSubstring("some-model: its own perplexity on some-text is 300.25, above the limit "
                                             "of 256: "));
  CHECK_THAT(error.what(), ContainsSubstring("say --max-source-ppl 301"));
  request.mixed.max_source_perplexity = 301;
  CHECK(require_perplexity(surprise, perplexity_limit(request, 1024), request) ==
        "perplexity 300.25 on the calibration text (limit 301)");
  CHECK(thrown_by([&] { require_perplexity({}, 1e9, request); }).fault == Fault::input);  // nothing is known
}
