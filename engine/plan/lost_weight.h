// When an encoding is no longer the Linear that it was made from: what `quantize` names or refuses, and what
// `verify` finds, are the same.
#pragma once

namespace strata {

// An encoding that is further away than this share of the Linear's own size has lost it. A number format of at least
// 3 bits comes nearer, unless an outlier takes its codes.
inline constexpr double lost_share = 0.5;

// How many times the squared error of plain rounding a lost encoding may have: then it is the format that holds no
// more. Searched scales come nearer, and roundings that look at a whole Linear move some codes to the second nearest.
inline constexpr double rounding_slack = 2;

// Weights whose root mean square is below this are zero to any runtime: times an input they vanish beside every other
// term, in all types that products are summed in. Their scales underflow.
inline constexpr double negligible_weight = 1e-30;

// What is said of a tensor that is copied with a NaN or an infinity in it: a model with one answers nothing else.
inline constexpr const char* kept_broken = "kept as it is, with NaN or infinity in it: the source is broken";

}  // namespace strata
