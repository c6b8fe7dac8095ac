// How long a sweep still takes, from the layers that are done.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata {

// The layers to come are taken to be like the last one: their time is the median of its kind (a dense
// layer says nothing about a mixture of experts). Silent until two of that kind are done, since the first
// one pays for warming up.
class Eta {
 public:
  explicit Eta(int layers) : left_(layers) {}
  void layer_done(const std::string& kind, double seconds);
  std::optional<double> seconds_left() const;

 private:
  int left_;
  std::string last_kind_;
  std::map<std::string, std::vector<double>> seconds_;  // per kind, sorted
};

}  // namespace strata
