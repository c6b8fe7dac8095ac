// How Linears are cut where a server spreads each layer over several devices, and what still fits then. Attention is
// cut by heads: rows of q, k and v, columns of o; MLPs and each expert by their width: rows of gate and up, columns of
// down. Routers and norms are whole on each device; a head is cut by rows, which servers pad.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "formats/number_format.h"
#include "profiles/model_spec.h"

namespace strata {

inline constexpr std::array<int, 4> tensor_parallel_sizes = {1, 2, 4, 8};  // that outputs are judged for

// Thread-safe to read.
class TensorParallel {
 public:
  explicit TensorParallel(const ModelSpec& model);

  // Why a Linear cannot be spread over so many devices in a format (nullptr: dense): "200 columns of each device do not
  // divide by 16"; nullopt when it can. A device holds whole groups, blocks and packed words. 1: whatever is stored.
  std::optional<std::string> refusal(const LinearSpec& linear, const NumberFormat* format, int size) const;

 private:
  enum class Cut : std::uint8_t { whole, rows, columns, padded };
  struct How {
    Cut cut = Cut::whole;
    int heads = 0;         // that are dealt out whole; 0: single rows or columns are
    bool repeats = false;  // where there are more devices than heads, several have the same one
  };
  void set(const LinearSpec& linear, How how) { how_.at(linear.index) = how; }

  std::vector<How> how_;  // by LinearSpec::index; of a tied head: none
};

// Which of tensor_parallel_sizes a model can be served by.
struct ServingSizes {
  std::vector<int> sizes;
  std::string why_not;  // the next: "model.layers.0.mlp.down_proj: ..."; empty where all do

  std::string text() const;  // "1, 2 (not 4: ...)"
};

// All formats that a Linear has or may get; a dense one is nullptr.
using FormatsOfLinear = std::function<std::vector<const NumberFormat*>(const LinearSpec& linear)>;
ServingSizes serving_sizes(const ModelSpec& model, const FormatsOfLinear& formats_of);

}  // namespace strata
