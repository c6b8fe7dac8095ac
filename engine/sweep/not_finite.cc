#include "engine/sweep/not_finite.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "formats/kernels/convert.h"

namespace strata {

std::optional<std::size_t> first_not_finite(std::span<const float> values) {
  constexpr std::uint32_t infinity = 0x7f800000;  // NaN is above
  if (kernels::magnitude_bits_f32(values.data(), std::ssize(values)) < infinity) return std::nullopt;
  const auto found = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  return static_cast<std::size_t>(found - values.begin());
}

void fail_not_finite(std::string_view model, const ValuesOf& values, std::string_view place) {
  const std::string broken = values.broken ? values.broken() : "";
  const std::string where = place.empty() ? "" : fmt::format(", first at {}", place);
  if (!broken.empty())
    fail(Fault::input, "{}: {}, pass {}: {} are not finite{}: {} holds NaN or infinity; download the checkpoint again",
         model, values.visit, values.pass, values.what, where, broken);
  fail(Fault::input,
       "{}: {}, pass {}: {} are not finite{}: a weight holds NaN, or values grow too large for float32; download the "
       "checkpoint again, or give other data",
       model, values.visit, values.pass, values.what, where);
}

}  // namespace strata
