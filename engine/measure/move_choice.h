// Which of several small changes of a choice are taken, by what was measured of each. docs/method.md has the reasons.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/measure/divergence.h"

namespace strata {

// What is known of a change: how far the KL without it is above that with it.
struct MoveRecord {
  Paired select, confirm;  // on the windows that choose, and on those that confirm
  std::int64_t bytes = 0;  // more with it
  std::vector<std::size_t> units;
};

// A change as records and people have it. Gains are KL without it less KL with it, nats a token.
struct MeasuredMove {
  std::string name;
  std::int64_t bytes = 0;  // more with it
  double predicted = 0;    // gain
  Paired select, confirm;  // gains
  double p = 1;            // of p_value()
  bool taken = false;
};

// A line for each, and one that says how many were tried and taken.
std::vector<std::string> move_lines(std::span<const MeasuredMove> moves);

// The probability of a Student t of so many degrees of freedom above `t`. Degrees of at least 1.
double upper_tail(double t, std::int64_t degrees);

// p of "it is no better" on the windows that confirm, of which there are so many; 1 where there is no error to judge
// by.
double p_value(const MoveRecord& move, std::int64_t windows);

// The one that gains most where they choose first: each is taken that gains there, whose p is at most `alpha` divided
// by the number of all, that shares no unit with one that is taken and keeps within `room` bytes together with them.
std::vector<std::size_t> confirmed_moves(std::span<const MoveRecord> moves, std::int64_t windows, std::int64_t room,
                                         double alpha = 0.05);

}  // namespace strata
