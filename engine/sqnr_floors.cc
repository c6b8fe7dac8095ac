#include "engine/sqnr_floors.h"

#include <array>

namespace strata {

// Figures are of min-max scales on independent values: Gauss, Laplace, Student t with 5 degrees of freedom, whose
// tails are heavier than those of trained weights. A floor lies a little below the worst of the three. FP8_SOURCE and
// FP8_SOURCE_STATIC are read back as FP8_BLOCK and FP8, whose floor they get; the rule `copied-codes` looks at theirs.
const SqnrFloor& sqnr_floor(std::string_view format) {
  static constexpr auto table = std::to_array<SqnrFloor>({
      {"", 10, "no figures for this format: less than 10 dB is no weight at all"},
      {"NVFP4", 20, "20.4 to 20.7: a scale for 16 keeps tails away from the others"},
      {"MXFP4", 18, "18.2 to 19.0: powers of two cost 2 dB"},
      {"MXFP6", 29, "30.4 to 31.0 with E2M3"},
      {"MXFP6_E3M2", 25, "25.5 to 25.6: two bits of mantissa"},
      {"MXFP8", 30, "31.5 whatever the weights: three bits of mantissa"},
      {"FP8", 30, "31.5 whatever the weights: three bits of mantissa; less means that they underflow"},
      {"FP8_SOURCE_STATIC_CHANNEL", 100, "codes are the source's: what decodes to other numbers was not copied"},
      {"W4A16", 15, "15.7 to 19.1: a scale for 128 gives way to the largest"},
      {"W4A16_G64", 16.5, "17.1 to 19.7"},
      {"W4A16_G32", 17.5, "18.4 to 20.5"},
      {"W8A16", 38, "40.3 to 43.7: 24 dB more than 4 bits"},
      {"W8A16_CHANNEL", 31, "33.8 to 41.3 with 4096 columns in a row; wider ones have larger maxima"},
      {"INT8", 31, "33.8 to 41.3 with 4096 columns in a row; wider ones have larger maxima"},
  });
  const SqnrFloor* best = &table.front();
  for (const SqnrFloor& entry : table)
    if (format.starts_with(entry.format) && entry.format.size() > best->format.size()) best = &entry;
  return *best;
}

}  // namespace strata
