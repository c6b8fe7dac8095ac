// Models side by side that differ in the options of their units: what each of them runs through in a part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/layer_weights.h"
#include "engine/passes/menu_renders.h"
#include "engine/plan/menu_index.h"

namespace strata {

class MenuLanes {
 public:
  explicit MenuLanes(const PassQuestion& question);

  const Menu& menu() const { return menu_; }
  const MenuUnit* unit_of(const LinearSpec& linear) const { return index_.unit_of(linear); }

  // Encodes and decodes every option of the desk's part, and what is fixed by a pattern.
  void make(Desk& desk) { renders_.make(desk); }
  // Puts one option of a Linear of the part into `served`.
  void take(const LinearSpec& linear, std::size_t option, LayerWeights& served) const;
  // The part as a model has it whose units are in these options, by unit of the menu.
  LayerWeights with(const Desk& desk, const LayerWeights& source, std::span<const std::uint32_t> options) const;

  // Every unit in `format` where that is one of its options, else in its largest.
  std::vector<std::uint32_t> all_in(const NumberFormat& format) const;
  std::uint64_t bytes(std::span<const std::uint32_t> options) const;  // of the units

 private:
  const Menu menu_;
  const Menu all_;  // and behind its units those of one option alone: encoded whatever is chosen
  const MenuIndex index_;
  MenuRenders renders_;
};

}  // namespace strata
