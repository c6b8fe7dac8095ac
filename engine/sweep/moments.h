// What calibration saw at the inputs of Linears and in the attention cache: the largest |x| of each distinct
// input, and the mean x^2 of every column where an encoder asks for it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/graph/collect.h"
#include "engine/model/linear_site.h"

namespace strata {

// Collects over the samples of one chunk; merge() joins chunks. The router sees what the experts see but has an
// input name of its own, so nothing is mixed. Not thread-safe.
class Moments final : public SiteObserver {
 public:
  // `wanted`: of each Linear, by LinearSpec::index, what is learnt of its input; outlives it where it sees something.
  // Sums of squares are in double, so the order of merge() decides the last bits.
  explicit Moments(std::span<const Collect> wanted = {});
  ~Moments() override;
  Moments(Moments&&) noexcept;

  void see(const LinearSpec& linear, const at::Tensor& x) override;
  void see_cache(const AttentionSpec& attention, const at::Tensor& keys, const at::Tensor& values) override;

  bool reached(const LinearSpec& linear) const { return largest_.contains(linear.input); }
  // Error{input} when no token reached the Linear, or what reached it was not finite.
  float input_amax(const LinearSpec& linear) const;
  // E[x^2] over the tokens that reached this Linear, [in]. Empty when none did, or columns are not collected.
  std::vector<float> column_weight(const LinearSpec& linear) const;

  // The largest |key| and |value| that would lie in the cache. Error{input} as above.
  struct Cache {
    float keys = 0, values = 0;
  };
  Cache cache(const AttentionSpec& attention) const;

  void merge(const Moments& other);
  void forget_columns();  // of the parts so far

  // Bytes that parse() makes the same of; nullopt when they are others.
  std::string print() const;
  static std::optional<Moments> parse(std::string_view bytes);

  // Bytes of the sums of some Linears.
  static std::uint64_t memory(const std::vector<const LinearSpec*>& linears);

 private:
  struct Squares {
    std::vector<double> sum;
    std::int64_t rows = 0;
  };
  Collect wanted(const LinearSpec& linear) const;
  float finite(const std::string& key, std::string_view subject, std::string_view what) const;

  std::span<const Collect> wanted_;
  std::unordered_map<std::string, float> largest_;    // by LinearSpec::input, and of keys and values
  std::unordered_map<std::string, Squares> squares_;  // by what members of one served matrix have in common
  struct LastInput;
  std::unique_ptr<LastInput> last_;  // siblings pass the same tensor: looked at once
};

}  // namespace strata
