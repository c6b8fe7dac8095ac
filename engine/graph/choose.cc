#include "engine/graph/choose.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace strata {
namespace {

bool written_by_any(const std::vector<char>& chosen, std::span<const PassType* const> all, const FactInfo& fact) {
  for (std::size_t i = 0; i < all.size(); ++i)
    if (chosen[i] != 0 && all[i]->writes.contains(fact)) return true;
  return false;
}

// Whether a chosen pass reads something that of all passes only `provider` and its like write.
bool is_needed(const std::vector<char>& chosen, std::span<const PassType* const> all, const PassType& provider) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (chosen[i] == 0) continue;
    for (const FactInfo* fact : all[i]->reads)
      if (provider.writes.contains(*fact) && !written_by_any(chosen, all, *fact)) return true;
  }
  return false;
}

}  // namespace

std::vector<const PassType*> choose_passes(std::span<const PassType* const> all, const PassQuestion& question) {
  std::vector<char> chosen(all.size(), 0);
  for (std::size_t i = 0; i < all.size(); ++i)
    chosen[i] = all[i]->wanted != nullptr && all[i]->wanted(question) ? 1 : 0;
  for (bool grown = true; grown;) {
    grown = false;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (chosen[i] == 0 && all[i]->wanted == nullptr && is_needed(chosen, all, *all[i])) chosen[i] = grown = true;
  }
  std::vector<const PassType*> passes;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (chosen[i] != 0) passes.push_back(all[i]);
  return passes;
}

std::vector<Collect> what_to_collect(std::span<const PassType* const> passes, const PassQuestion& question) {
  std::vector<Collect> collects(question.model.linears.size(), Collect::nothing);
  std::unordered_map<std::string_view, Collect> of_input;
  for (const LinearPlan& linear : question.model.linears) {
    Collect& mine = of_input[linear.spec->input];
    for (const PassType* pass : passes)
      if (pass->collects != nullptr) mine |= pass->collects(question, linear);
  }
  for (const LinearPlan& linear : question.model.linears) collects[linear.spec->index] = of_input[linear.spec->input];
  return collects;
}

}  // namespace strata
