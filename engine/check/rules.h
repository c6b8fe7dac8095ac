// The rules of `strata verify`: a table of one function a rule. A rule looks at one side of an output and
// adds what it finds; it never stops the others. docs/verify.md says what each is for.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/check/verify.h"
#include "engine/plan/open_model.h"

namespace strata {

// What a rule looks at. The views live as long as the verification.
struct VerifyContext {
  const OpenModel& output;                            // opened without the claim audit, which is a rule
  const Checkpoint* source = nullptr;                 // nullptr when none was given
  const QuantizationConfig* source_stored = nullptr;  // how it stores its Linears
  NativeRules source_native = {};
  std::optional<ModelSpec> source_spec = {};  // nothing when it is no model of a family that is known
  // Strata wrote it, as all its shards say. What loaders do not mind fails there, for it is not what Strata writes, and
  // is a note on outputs of other tools.
  bool ours = false;
  std::vector<std::string> shard_formats = {};  // "format" in the metadata of each shard; empty where there is none
  bool deep = false;
  const StopFlag* stop = nullptr;
  std::vector<std::vector<const LinearSpec*>> layers = {};         // Linears of each layer; an untied head is the last
  std::unordered_map<std::string, const LinearSpec*> fields = {};  // stored tensor -> its quantized Linear
  std::unordered_map<std::string, const LinearSpec*> dense = {};   // "<module>.weight" of the other Linears
  // Linears whose codes are not those of their format, or whose shape it cannot store: one rule says so, and
  // the rules about fields pass them over.
  std::unordered_set<std::string> misfits = {};

  // Linears in another tool's own storage (ModelOpt, FP8 with weight_scale_inv): whether all is there and what it
  // decodes to is checked, but not how loaders find it.
  std::unordered_map<std::string, std::string> native = {};  // by module; what it is stored as

  std::unordered_map<const LinearSpec*, const NumberFormat*> formats = {};  // matching names takes time
  // nullptr for a dense or native one, and for a tied head: it is the embedding, which no target for Linears means.
  const NumberFormat* format(const LinearSpec& linear) const {
    const auto found = formats.find(&linear);
    return found != formats.end() ? found->second : nullptr;
  }
  std::vector<Field> fields_of(const LinearSpec& linear) const;  // empty for a dense Linear
  const TensorInfo* tensor(const LinearSpec& linear, std::string_view suffix) const;
  // "<module>.<suffix>" when it is there and has this shape, or [] where that is as good; else nullptr (another
  // rule says so).
  const TensorInfo* field(const LinearSpec& linear, const Field& field) const;
  // Every field that is there in a shape that its format gives it.
  void for_each_field(const std::function<void(const LinearSpec&, const Field&, const TensorInfo&)>& check) const;
  void for_each_linear(const std::function<void(const LinearSpec&, const NumberFormat*)>& check) const;
  // The value of a float field of one element.
  std::optional<float> scalar(const LinearSpec& linear, std::string_view suffix) const;
};

VerifyContext make_verify_context(const OpenModel& output, const VerifyOptions& options);

// BF16, F16 and F32: what scales and dense weights are stored in.
bool is_plain_float(Dtype dtype);

// Scales of whole tensors that vLLM loads as [] too.
bool may_be_scalar(const Field& field);

// Collects what one rule finds; a broken file must not print a line for each of 100,000 tensors.
class Findings {
 public:
  Findings(std::string_view rule, VerifyReport& report) : rule_(rule), report_(report) {}
  ~Findings();
  Findings(const Findings&) = delete;
  Findings& operator=(const Findings&) = delete;

  template <typename... Part>
  void add(const std::string& subject, fmt::format_string<Part...> format, Part&&... part) {
    if (++failures_ <= most)
      report_.failures.push_back({rule_, subject, fmt::format(format, std::forward<Part>(part)...)});
  }
  // Nothing that a loader refuses: the output may be another tool's.
  template <typename... Part>
  void note(const std::string& subject, fmt::format_string<Part...> format, Part&&... part) {
    if (++notes_ <= most) report_.notes.push_back({rule_, subject, fmt::format(format, std::forward<Part>(part)...)});
  }
  // A failure or a note.
  template <typename... Part>
  void judge(bool fails, const std::string& subject, fmt::format_string<Part...> format, Part&&... part) {
    if (fails)
      add(subject, format, std::forward<Part>(part)...);
    else
      note(subject, format, std::forward<Part>(part)...);
  }
  void fact(std::string key, std::string value) { report_.facts.emplace_back(std::move(key), std::move(value)); }
  void quality(LinearQuality measured) { report_.quality.push_back(std::move(measured)); }

 private:
  static constexpr std::size_t most = 20;
  std::string rule_;
  VerifyReport& report_;
  std::size_t failures_ = 0, notes_ = 0;
};

struct VerifyRule {
  std::string_view name;  // stable: scripts may look for it
  bool needs_source;
  void (*check)(const VerifyContext& context, Findings& findings);
  bool stops_loaders = true;  // a failure is a reason for loaders not to take the output
};

std::span<const VerifyRule> verify_rules();  // in the order in which they run

// Which loaders take the output, and why not: ("vLLM", "yes"), ("transformers", "no: ...").
std::vector<std::pair<std::string, std::string>> loader_facts(const VerifyContext& context, const VerifyReport& report);

// The schema of quantization_config, from the text of config.json: a file that breaks it may not open.
void check_quantization_schema(std::string_view config_text, Findings& findings);

// Calls `part` with consecutive pieces of a tensor and the byte at which each starts, until it returns false.
void read_pieces(const Checkpoint& checkpoint, const TensorInfo& tensor, const StopFlag* stop,
                 const std::function<bool(std::span<const std::byte>, std::uint64_t)>& part);

namespace rule {  // one a file or a few that belong together
void metadata(const VerifyContext& context, Findings& findings);
void leftovers(const VerifyContext& context, Findings& findings);
void orphan_files(const VerifyContext& context, Findings& findings);
void consolidated(const VerifyContext& context, Findings& findings);
void index_total(const VerifyContext& context, Findings& findings);
void stale_config(const VerifyContext& context, Findings& findings);
void group_order(const VerifyContext& context, Findings& findings);
void stored_format(const VerifyContext& context, Findings& findings);
void claims(const VerifyContext& context, Findings& findings);
void tied_head(const VerifyContext& context, Findings& findings);
void matchers(const VerifyContext& context, Findings& findings);
void unmatched(const VerifyContext& context, Findings& findings);
void overlap(const VerifyContext& context, Findings& findings);
void divisibility(const VerifyContext& context, Findings& findings);
void field_shape(const VerifyContext& context, Findings& findings);
void field_dtype(const VerifyContext& context, Findings& findings);
void weight_shape(const VerifyContext& context, Findings& findings);
void padding(const VerifyContext& context, Findings& findings);
void global_scales(const VerifyContext& context, Findings& findings);
void scale_direction(const VerifyContext& context, Findings& findings);
void scale_range(const VerifyContext& context, Findings& findings);
void codes(const VerifyContext& context, Findings& findings);
void fused_format(const VerifyContext& context, Findings& findings);
void fused_scale(const VerifyContext& context, Findings& findings);
void input_scale(const VerifyContext& context, Findings& findings);
void expert_format(const VerifyContext& context, Findings& findings);
void cache_scales(const VerifyContext& context, Findings& findings);
void coverage(const VerifyContext& context, Findings& findings);
void kept_bytes(const VerifyContext& context, Findings& findings);
void copied_codes(const VerifyContext& context, Findings& findings);
void config_kept(const VerifyContext& context, Findings& findings);
void sidecars(const VerifyContext& context, Findings& findings);
void weight_error(const VerifyContext& context, Findings& findings);
}  // namespace rule

}  // namespace strata
