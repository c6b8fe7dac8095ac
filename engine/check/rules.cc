#include "engine/check/rules.h"

#include <algorithm>
#include <array>

namespace strata {

std::span<const VerifyRule> verify_rules() {
  static constexpr auto table = std::to_array<VerifyRule>({
      {"metadata", false, rule::metadata},          {"leftovers", false, rule::leftovers},
      {"orphan-files", false, rule::orphan_files},  {"consolidated", false, rule::consolidated},
      {"index-total", false, rule::index_total},    {"stale-config", false, rule::stale_config},
      {"group-order", false, rule::group_order},    {"stored-format", false, rule::stored_format},
      {"divisibility", false, rule::divisibility},  {"claims", false, rule::claims},
      {"tied-head", false, rule::tied_head},        {"matchers", false, rule::matchers},
      {"unmatched", false, rule::unmatched},        {"overlap", false, rule::overlap},
      {"field-shape", false, rule::field_shape},    {"field-dtype", false, rule::field_dtype},
      {"weight-shape", false, rule::weight_shape},  {"padding", false, rule::padding},
      {"global-scale", false, rule::global_scales}, {"scale-direction", false, rule::scale_direction},
      {"scale-range", false, rule::scale_range},    {"codes", false, rule::codes},
      {"fused-format", false, rule::fused_format},  {"fused-scale", false, rule::fused_scale},
      {"input-scale", false, rule::input_scale},    {"expert-format", false, rule::expert_format},
      {"kv-cache", false, rule::cache_scales},      {"coverage", true, rule::coverage},
      {"kept-bytes", true, rule::kept_bytes},       {"copied-codes", true, rule::copied_codes},
      {"config-kept", true, rule::config_kept},     {"sidecars", true, rule::sidecars, false},
      {"weight-error", true, rule::weight_error},
  });
  return table;
}

Findings::~Findings() {
  if (failures_ > most)
    report_.failures.push_back({rule_, "and more", fmt::format("{} further findings of this rule", failures_ - most)});
  if (notes_ > most)
    report_.notes.push_back({rule_, "and more", fmt::format("{} further notes of this rule", notes_ - most)});
}

}  // namespace strata
