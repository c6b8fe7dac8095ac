// What something was computed from, part by part, so that a difference can be explained.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata {

class Fingerprint {
 public:
  void add(std::string_view name, std::string_view value);  // order counts
  std::string hash() const;                                 // 32 hex digits over all names and values
  std::string json() const;                                 // {"name": "value", ...} in order

  std::optional<std::string_view> value(std::string_view name) const;  // of the part; nullopt when there is none

  // What json() wrote; nullopt when it is something else.
  static std::optional<Fingerprint> parse(std::string_view json);

  // Lines such as "dataset: 1a2b -> 3c4d" for every part that differs from `older`.
  std::vector<std::string> differences(const Fingerprint& older) const;

 private:
  std::vector<std::pair<std::string, std::string>> parts_;
};

}  // namespace strata
