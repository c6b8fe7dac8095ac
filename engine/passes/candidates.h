// The models that are measured beside the source while an output is written: lanes of `evaluate`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/graph/pass_question.h"
#include "engine/model/served.h"
#include "engine/plan/menu.h"

namespace strata {

struct Candidate {
  enum class Weights : std::uint8_t {
    source,   // as they are
    chosen,   // as the output has them
    uniform,  // units of the menu in `format` where that is one of their options, else as chosen
    point,    // as another budget has them
  };
  std::string name;
  Weights weights = Weights::source;
  bool inputs = false;                   // of Linears are quantized as they will be served
  const NumberFormat* format = nullptr;  // of Weights::uniform
};

// The source, the output as it is served, its weights alone, its inputs alone (what no weight format can undo), and
// each format of the menu that quantizes and is legal somewhere, everywhere.
std::vector<Candidate> candidates_of(const PassQuestion& question);

// Those of the menu that quantize.
std::vector<const NumberFormat*> uniform_formats(const PassQuestion& question);

// Which option of a unit the candidate takes; nothing where it is what was chosen.
std::optional<std::size_t> option_of(const Candidate& candidate, const MenuUnit& unit);

// Bytes of all units in it.
std::uint64_t candidate_bytes(const Candidate& candidate, const Menu& menu, const Assignment& assignment);

}  // namespace strata
