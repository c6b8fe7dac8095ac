// Few regular expressions for many modules: one for each (class, block kind), as the targets and ignore
// lists of a quantization_config need them. docs/output-format.md says why they look as they do.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

struct ClassedModule {
  std::string module;                // "model.layers.0.self_attn.q_proj"
  std::size_t format_class = 0;      // modules of one class get common patterns
  std::string class_name;            // for messages: "NVFP4"
  std::vector<std::string> aliases;  // further leaf names that mean it: "k_proj", "qkv_proj"
  std::string fused_name;            // "qkv_proj"; members of a fused matrix must be of one class
};

// patterns[c] are "re:^...$" texts that match exactly the modules of class c (and their aliases), under
// any of the prefixes "", "model.", "language_model.", "model.language_model.", "language_model.model.".
// Expert numbers become [0-9]+. Error{usage} when Linears that are served as one (a fused matrix, the
// experts of a layer) are of different classes. `mixed_experts`: those of a layer may be, which names each by its
// number.
std::vector<std::vector<std::string>> module_patterns(std::span<const ClassedModule> modules, std::size_t classes,
                                                      bool mixed_experts = false);

// "re:^...", which matches every module below "model.visual.", under any of these prefixes. Error{bug} for a prefix
// that is nothing more than one of them.
std::string pattern_below(std::string_view prefix);

}  // namespace strata
