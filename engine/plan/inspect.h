// strata inspect: what a checkpoint is, from its headers alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace strata {

struct InspectKind {
  std::string kind;  // "attention", "mlp", "experts", "router", "norm", "embedding", "head", "scales", "other"
  std::uint64_t tensors = 0, parameters = 0, bytes = 0;
};

struct InspectReport {
  std::string family;        // empty when it is not known
  std::string architecture;  // as config.json says
  int layers = 0, experts = 0, top_k = 0;
  std::int64_t hidden = 0, vocabulary = 0;
  bool tied = false;
  std::string quantized_as;  // quant_method of the source, empty when dense
  std::string leftover;      // what config.json says of a quantization although nothing is quantized; else empty
  std::uint64_t tensors = 0, parameters = 0, bytes = 0;
  int files = 0;
  std::vector<InspectKind> kinds;
  std::vector<std::pair<std::string, std::uint64_t>> dtype_bytes;
  std::vector<std::string> unknown;  // tensors that the family's profile does not claim, or problems with it
};

InspectReport inspect(const std::string& model);  // works for families that are not known

}  // namespace strata
