// What passes tell each other: typed places with a lifetime. A pass declares which facts it reads and writes;
// engine/graph/graph.h derives the order, engine/sweep/desk.h hands them out.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace strata {

// How long what a pass wrote stays.
enum class Life : std::uint8_t {
  part,   // until the next part of the visit
  layer,  // until the visit ends
  run,    // where a later sweep reads it, it is kept in the work directory, from which it survives an interruption
};

// Whose hidden states a fact that moves on holds.
enum class Windows : std::uint8_t {
  calibration,  // what is learnt from
  flips,        // the first of those
  held_out,     // what the result is measured on
  selection,    // what budgets are compared on
};

// How a fact becomes bytes and what it was again.
struct Keeping {
  std::string (*save)(const void* fact) = nullptr;
  std::shared_ptr<void> (*load)(std::string_view bytes) = nullptr;  // nullptr when they are none of save()
};

struct FactInfo {
  std::string_view name;
  Life life = Life::layer;
  bool whole_model = false;  // known only after the last layer
  bool at_start = false;     // there whenever a sweep reaches a layer, whoever writes it
  // Hidden states that travel through the layers: whoever writes it makes it the next layer's, so that all others in
  // the sweep read it before. Its type is Lanes. Without this, whoever reads and writes a fact improves it, and others
  // want what it makes of it.
  bool moves_on = false;
  Windows windows = Windows::calibration;
  bool end_stays = false;            // what enters the last visit of the first lane is kept until the run ends
  const Keeping* keeping = nullptr;  // for Life::run

  // Whether a later sweep finds it.
  constexpr bool kept() const { return life == Life::run && (moves_on || keeping != nullptr); }
};

// Each is one object of the program: its address is what it is known by.
template <class T>
struct Fact : FactInfo {};

// The Keeping of a T by two functions: std::string save(const T&), std::optional<T> load(std::string_view).
template <class T, auto Save, auto Load>
inline constexpr Keeping keeping_by{
    .save = [](const void* fact) -> std::string { return Save(*static_cast<const T*>(fact)); },
    .load = [](std::string_view bytes) -> std::shared_ptr<void> {
      std::optional<T> fact = Load(bytes);
      return fact ? std::make_shared<T>(std::move(*fact)) : nullptr;
    }};

// A few facts: {&facts::source, &facts::boundary}.
class FactList {
 public:
  constexpr FactList() = default;
  constexpr FactList(std::initializer_list<const FactInfo*> facts) : count_(facts.size()) {
    std::ranges::copy(facts, facts_.begin());  // does not compile for more than fit
  }

  constexpr const FactInfo* const* begin() const { return facts_.data(); }
  constexpr const FactInfo* const* end() const { return facts_.data() + count_; }
  constexpr bool empty() const { return count_ == 0; }
  constexpr bool contains(const FactInfo& fact) const { return std::find(begin(), end(), &fact) != end(); }

 private:
  std::array<const FactInfo*, 8> facts_ = {};
  std::size_t count_ = 0;
};

// "source boundary", in order; "" for none.
std::string facts_text(const FactList& facts);

}  // namespace strata
