// What samples cost on their way through a part of a layer: what the passes that run it declare as their work.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "engine/graph/work.h"

namespace strata {

// How often the steps of a forward are done. What autograd does on the way back counts in forwards too.
struct Times {
  double multiply = 1, attend = 1, touch = 1, call = 1;
};

// Of all samples.
struct LayerWork {
  WorkSize block;                                     // of hidden states
  std::vector<std::pair<WorkSize, double>> products;  // tokens that go through each
  std::optional<WorkSize> heads;
  double tokens = 0, touched = 0, calls = 0;  // touched: values for each token; calls: for each block

  void add(const Times& times, const WorkQuestion& question, WorkSheet& sheet) const;
};

LayerWork layer_work(const WorkQuestion& question, const Part& part);   // nothing for what is no part of a layer
LayerWork router_work(const WorkQuestion& question, const Part& part);  // of experts: their norm, where tokens go

// A Linear of the part, as one block goes through it.
WorkSize product_of(const WorkQuestion& question, const Part& part, const LinearSpec& linear);

// Of the tokens: 1, but of experts those that come to one, on average.
double share_of(const Part& part);

void propagate_work(const WorkQuestion& question, WorkSheet& sheet);

}  // namespace strata
