#include "engine/measure/move_choice.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace strata {
namespace {

// The probability of -t to t, by the finite series for whole degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4).
double within(double t, std::int64_t degrees) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const double cosine = std::cos(angle), sine = std::sin(angle);
  const bool odd = degrees % 2 != 0;
  double term = odd ? cosine : 1, sum = 0;
  for (std::int64_t i = odd ? 3 : 2; i <= degrees; i += 2) {
    sum += term;
    const auto n = static_cast<double>(i);
    term *= cosine * cosine * (n - 1) / n;
  }
  return odd ? 2 / std::numbers::pi * (angle + sine * sum) : sine * sum;
}

bool share_a_unit(const MoveRecord& a, const MoveRecord& b) {
  return std::ranges::find_first_of(a.units, b.units) != a.units.end();
}

}  // namespace

std::vector<std::string> move_lines(std::span<const MeasuredMove> moves) {
  std::vector<std::string> lines;
  for (const MeasuredMove& move : moves)
    lines.push_back(
        fmt::format("{}: {} bytes, gain predicted {:.3g}, measured {:.3g} +- {:.2g}, confirmed {:.3g} +- "
                    "{:.2g}, p {:.2g}: {}",
                    move.name, move.bytes, move.predicted, move.select.difference, move.select.standard_error,
                    move.confirm.difference, move.confirm.standard_error, move.p, move.taken ? "taken" : "not taken"));
  const auto taken = std::ranges::count(moves, true, &MeasuredMove::taken);
  lines.push_back(fmt::format("{} exchanges tried, {} taken", moves.size(), taken));
  return lines;
}

double upper_tail(double t, std::int64_t degrees) {
  const double half = (1 - within(std::abs(t), degrees)) / 2;
  return t >= 0 ? half : 1 - half;
}

double p_value(const MoveRecord& move, std::int64_t windows) {
  if (windows < 2 || !(move.confirm.standard_error > 0)) return 1;
  return upper_tail(move.confirm.difference / move.confirm.standard_error, windows - 1);
}

std::vector<std::size_t> confirmed_moves(std::span<const MoveRecord> moves, std::int64_t windows, std::int64_t room,
                                         double alpha) {
  std::vector<std::size_t> order(moves.size()), taken;
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater(), [&](std::size_t i) { return moves[i].select.difference; });
  for (const std::size_t i : order) {
    const MoveRecord& move = moves[i];
    const bool gains =
        move.select.difference > 0 && p_value(move, windows) <= alpha / static_cast<double>(moves.size());
    const bool apart = std::ranges::none_of(taken, [&](std::size_t other) { return share_a_unit(moves[other], move); });
    if (!gains || !apart || move.bytes > room) continue;
    taken.push_back(i);
    room -= move.bytes;
  }
  return taken;
}

}  // namespace strata
