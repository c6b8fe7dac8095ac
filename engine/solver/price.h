// What an option costs, from the scores that cotangents of the model's own output gave it. docs/method.md derives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace strata {

// In nats per token: the expected KL of the model's output from that of the source, where everything else is the
// source's.
struct Price {
  double cost = 0;
  double standard_error = 0;  // of the cost, over sequences; infinite for a single one
};

// `scores` [sequences, probes]: s[n, k], the sum of <g, E> over the members of the unit and the tokens of sequence n,
// where g is cotangent k at their output and E what the option changes there. `tokens`: of all sequences.
//   cost = 1/(2 tokens) mean_k sum_n s[n, k]^2
// Sequences are squared one by one: they are independent, tokens of one are not. Error{bug} when the scores are no
// whole number of sequences, or none.
Price price_of(std::span<const float> scores, std::size_t probes, std::int64_t tokens);

}  // namespace strata
