// The facts that passes of different files share. What only one file and its readers know may stand there.
#pragma once

#include <vector>

#include "engine/graph/fact.h"

namespace strata {

struct LoadedPart;
class LayerWeights;
class Lanes;
class Moments;
struct RenderSet;
struct OutputTensor;
struct Assignment;
class ShardSink;

extern const Keeping moments_keeping;     // engine/sweep/moments_file.cc
extern const Keeping assignment_keeping;  // engine/graph/assignment_fact.cc

namespace facts {

// The part's stored bytes are in memory.
inline constexpr Fact<LoadedPart> source{{.name = "source", .life = Life::part, .at_start = true}};
// The part's weights as float32, and the vectors of all parts so far.
inline constexpr Fact<LayerWeights> weights{{.name = "weights", .life = Life::layer}};
// Hidden states that enter the layer.
inline constexpr Fact<Lanes> boundary{{.name = "boundary", .life = Life::run, .at_start = true, .moves_on = true}};
// Statistics of the inputs of the layer's Linears.
inline constexpr Fact<Moments> moments{{.name = "moments", .life = Life::run, .keeping = &moments_keeping}};
// Encoded Linears of the part.
inline constexpr Fact<RenderSet> renders{{.name = "renders", .life = Life::part}};
// Tensors that are known when the layer ends: input scales.
inline constexpr Fact<std::vector<OutputTensor>> layer_tensors{{.name = "layer_tensors", .life = Life::layer}};
// Which Linear gets which format.
inline constexpr Fact<Assignment> assignment{
    {.name = "assignment", .life = Life::run, .whole_model = true, .keeping = &assignment_keeping}};
// The layer's tensors are at their place in the output.
inline constexpr Fact<ShardSink> output{{.name = "output", .life = Life::layer}};

}  // namespace facts
}  // namespace strata
