// Measures lanes of logits against the first of them.
#pragma once

#include <vector>

#include "engine/measure/divergence.h"
#include "engine/measure/logits_reader.h"
#include "engine/measure/measured_windows.h"

namespace strata {

class DivergenceMeters final : public LogitsReader {
 public:
  // `lanes`: the reference counts. `windows` outlive it.
  DivergenceMeters(std::size_t lanes, const MeasuredWindows& windows)
      : meters_(lanes - 1, {windows.next, windows.window}) {}

  void read(const LogitsPiece& piece) override {
    for (std::size_t i = 0; i < meters_.size(); ++i)
      meters_[i].add(piece.first, piece.column, piece.columns, piece.lanes[0], piece.lanes[i + 1]);
  }

  static std::uint64_t memory(std::size_t lanes, std::int64_t positions) {
    return (lanes - 1) * DivergenceMeter::memory(positions);
  }

  Divergence of_lane(std::size_t lane) const { return meters_.at(lane - 1).result(); }
  std::vector<DivergenceMeter::OfWindow> of_windows(std::size_t lane) const {
    return meters_.at(lane - 1).of_windows();
  }
  Paired above(std::size_t lane, std::size_t other) const { return meters_.at(lane - 1).above(meters_.at(other - 1)); }

 private:
  std::vector<DivergenceMeter> meters_;
};

}  // namespace strata
