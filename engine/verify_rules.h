// The rules of `strata verify`: a table of one function a rule. A rule looks at one side of an output and
// adds what it finds; it never stops the others.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/open_model.h"
#include "engine/verify.h"

namespace strata {

// What a rule looks at. The views live as long as the verification.
struct VerifyContext {
  const OpenModel& output;             // opened without the claim audit, which is a rule
  const Checkpoint* source = nullptr;  // nullptr when none was given
  const StopFlag* stop = nullptr;
  std::vector<std::vector<const LinearSpec*>> layers = {};         // Linears of each layer; an untied head is the last
  std::unordered_map<std::string, const LinearSpec*> fields = {};  // stored tensor -> its quantized Linear
  std::unordered_map<std::string, const LinearSpec*> dense = {};   // "<module>.weight" of the other Linears

  const NumberFormat* format(const LinearSpec& linear) const { return output.stored_format(linear.module); }
  // "<module>.<suffix>" when it is there and has this shape, else nullptr (the rule "claims" says so).
  const TensorInfo* field(const LinearSpec& linear, const Field& field) const;
  // The value of a float32 field of one element.
  std::optional<float> scalar(const LinearSpec& linear, std::string_view suffix) const;
};

VerifyContext make_verify_context(const OpenModel& output, const Checkpoint* source, const StopFlag* stop);

// Collects the failures of one rule; a broken file must not print a line for each of 100,000 tensors.
class Findings {
 public:
  Findings(std::string_view rule, VerifyReport& report) : rule_(rule), report_(report) {}
  ~Findings();
  Findings(const Findings&) = delete;
  Findings& operator=(const Findings&) = delete;

  template <typename... Part>
  void add(const std::string& subject, fmt::format_string<Part...> format, Part&&... part) {
    if (++count_ <= most)
      report_.failures.push_back({rule_, subject, fmt::format(format, std::forward<Part>(part)...)});
  }
  void fact(std::string key, std::string value) { report_.facts.emplace_back(std::move(key), std::move(value)); }

 private:
  static constexpr std::size_t most = 20;
  std::string rule_;
  VerifyReport& report_;
  std::size_t count_ = 0;
};

struct VerifyRule {
  std::string_view name;  // stable: scripts may look for it
  bool needs_source;
  void (*check)(const VerifyContext& context, Findings& findings);
};

std::span<const VerifyRule> verify_rules();  // in the order in which they run

// Which loaders take the output, and why not: ("vLLM", "yes"), ("transformers", "no: ...").
std::vector<std::pair<std::string, std::string>> loader_facts(const VerifyContext& context, const VerifyReport& report);

// Calls `part` with consecutive pieces of a tensor and the byte at which each starts, until it returns false.
void read_pieces(const Checkpoint& checkpoint, const TensorInfo& tensor, const StopFlag* stop,
                 const std::function<bool(std::span<const std::byte>, std::uint64_t)>& part);

namespace rule {  // one a file or a few that belong together
void leftovers(const VerifyContext& context, Findings& findings);
void index_total(const VerifyContext& context, Findings& findings);
void claims(const VerifyContext& context, Findings& findings);
void tied_head(const VerifyContext& context, Findings& findings);
void field_dtype(const VerifyContext& context, Findings& findings);
void weight_shape(const VerifyContext& context, Findings& findings);
void global_scales(const VerifyContext& context, Findings& findings);
void scale_range(const VerifyContext& context, Findings& findings);
void codes(const VerifyContext& context, Findings& findings);
void fused_format(const VerifyContext& context, Findings& findings);
void fused_scale(const VerifyContext& context, Findings& findings);
void input_scale(const VerifyContext& context, Findings& findings);
void expert_format(const VerifyContext& context, Findings& findings);
void coverage(const VerifyContext& context, Findings& findings);
void kept_bytes(const VerifyContext& context, Findings& findings);
void config_kept(const VerifyContext& context, Findings& findings);
void sidecars(const VerifyContext& context, Findings& findings);
void weight_error(const VerifyContext& context, Findings& findings);
}  // namespace rule

}  // namespace strata
