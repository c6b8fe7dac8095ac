// Takes lanes of hidden states forward through a layer, part by part, as a sweep brings its parts: what `propagate`,
// `evaluate` and any other pass of that direction has in common. Not thread-safe; what it calls works on several blocks
// at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/model/linear_site.h"
#include "engine/sweep/boundary.h"
#include "formats/text/dataset.h"

namespace strata {

class Desk;
class Lanes;

class ForwardThrough {
 public:
  ForwardThrough();
  ~ForwardThrough();

  using Watch = std::function<std::shared_ptr<SiteObserver>(Finish& then)>;
  // What a lane runs through in the desk's part.
  struct Through {
    const LayerWeights* weights = nullptr;  // nullptr where a part has none to compute with
    ActivationMode inputs = ActivationMode::none;
    // Who looks at the Linears of one block, and what is then to be done, in the order of the blocks. Empty: nobody.
    Watch watch = {};
  };
  using OfLane = std::function<Through(std::size_t lane)>;
  // What comes of a block x [n, tokens, hidden]; undefined: it stays as it is.
  using Step = std::function<at::Tensor(SiteObserver* observer, std::int64_t block, const at::Tensor& x)>;

  // `lanes`, whose rows are `tokens`: those of the desk's model. Parts that are no embedding, mixer, MLP or experts
  // pass by.
  void part(Desk& desk, Lanes& lanes, const TokenRows& tokens, const OfLane& of_lane);
  void end(Desk& desk, Lanes& lanes, const TokenRows& tokens);  // of a visit

  // What enters the layer in one lane enters it in another too, which starts here.
  static void fork(const Desk& desk, Lanes& lanes, std::size_t from, std::size_t to);

  // All blocks of a lane. `leaves`: what comes of them is what leaves the layer.
  static void advance_lane(const Desk& desk, Lanes& lanes, std::size_t lane, bool leaves, const Through& through,
                           const Step& step);

 private:
  // Where the tokens of a block go: [rows, k] each.
  struct Route;
  struct Travel {
    std::vector<Route> routes;       // of the blocks, while a layer with experts is visited
    std::unique_ptr<Boundary> sums;  // of the experts so far
  };

  void run_part(const Desk& desk, Lanes& lanes, std::size_t lane, const Through& through);
  static at::Tensor run_experts(const Desk& desk, Travel& travel, const Through& through, LinearSite& site,
                                std::int64_t block, const at::Tensor& middle);

  std::vector<Travel> travels_;
};

}  // namespace strata
