// What passes tell each other. A pass declares which facts it reads and writes; engine/graph/graph.h derives the order.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace strata {

namespace facts {
inline constexpr unsigned source = 1;       // the layer's stored bytes are in memory
inline constexpr unsigned boundary = 2;     // hidden states that enter the layer
inline constexpr unsigned watch = 4;        // what the forward shall look at while it runs the layer
inline constexpr unsigned moments = 8;      // statistics of the inputs of the layer's Linears
inline constexpr unsigned renders = 16;     // encoded Linears
inline constexpr unsigned scores = 32;      // what an encoding of a Linear costs the model
inline constexpr unsigned assignment = 64;  // which Linear gets which format
inline constexpr unsigned measured = 128;   // how far a quantized model is from its source
inline constexpr unsigned output = 256;     // the layer's tensors are written
}  // namespace facts

struct Fact {
  enum class Scope : std::uint8_t { layer, model };

  unsigned bit;
  std::string_view name;
  Scope scope = Scope::layer;  // known for one layer at a time, or only after the last one
  bool at_start = false;       // there whenever a sweep reaches a layer, whoever writes it
  bool kept = false;           // a later sweep finds it
  // Whoever reads and writes it makes it the next layer's, so that all others in the sweep read it before. Without
  // this, whoever reads and writes a fact improves it, and others want what it makes of it.
  bool moves_on = false;
};

std::span<const Fact> known_facts();
const Fact* find_fact(unsigned bit);  // nullptr when no fact has this bit

// "source boundary", in the order of known_facts(); "" for none.
std::string facts_text(unsigned facts);

}  // namespace strata
