#include "engine/passes/render_store.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "cache/fingerprint.h"
#include "engine/passes/probe_menu.h"
#include "engine/plan/output_plan.h"
#include "engine/sweep/pass.h"
#include "engine/work/format_keys.h"
#include "engine/work/work_folder.h"

namespace strata {

bool is_stored(const PassQuestion& question, const NumberFormat& format) {
  constexpr double cheap = 8;  // bits of a weight
  const Store store = question.request.mixed.store;
  if (store == Store::none || !format.quantizes() || format.verbatim || format.source_only) return false;
  return store == Store::all || format.bits_per_weight < cheap;
}

std::uint64_t stored_bytes(const PassQuestion& question) {
  std::uint64_t total = 0;
  const Menu menu = probe_menu(question);
  for (const MenuUnit& unit : menu.units)
    for (const MenuOption& option : unit.options) {
      if (!is_stored(question, *option.format)) continue;
      constexpr std::uint64_t most_fields = 5;
      for (const LinearSpec* linear : unit.members)
        total += static_cast<std::uint64_t>(linear->in) * sizeof(float) +  // what its columns weigh
                 entry_file_overhead(most_fields, most_fields * (linear->module.size() + 48)) -
                 entry_file_overhead(0, 0);
      total += option.bytes;
    }
  return total + question.model.visits.size() * entry_file_overhead(0, 0);
}

std::string render_file(const std::string& work_directory, std::size_t visit) {
  return join_path(join_path(work_directory, work_names::renders), fmt::format("{:04}.renders", visit));
}

std::string render_fingerprint(const Desk& desk) {
  const PassQuestion& question = desk.tools().question;
  Fingerprint print;
  print.add("moments", desk.tools().key_of(facts::moments, desk.visit_index()));
  print.add("method", method_key(probe_method(question), probe_rule(question)));
  return print.hash();
}

std::string render_entry(const LinearSpec& linear, const NumberFormat& format, const Field& field) {
  return fmt::format("{} {} {} {}", linear.module, format.name, format.version, field.suffix);
}

std::string input_entry(const LinearSpec& linear) { return linear.module + " input_amax"; }

std::string column_entry(const LinearSpec& linear) { return linear.module + " column_weight"; }

namespace {

// Of the run that is taken from.
std::optional<EntryReader> open_earlier(const PassQuestion& question, std::size_t visit, std::string& why) {
  return EntryReader::open(render_file(question.request.mixed.from, visit), "", why);
}

bool is_input_scale(const NumberFormat& format, const Field& field) {
  return !format.input_scale_suffix.empty() && field.suffix == format.input_scale_suffix;
}

bool holds(const EntryReader& file, const PassQuestion& question, const LinearSpec& linear) {
  const NumberFormat& format = question.assignment->of(linear);
  for (const Field& field : written_fields(question.model.linear(linear), *question.assignment))
    if (!is_input_scale(format, field) && file.size_of(render_entry(linear, format, field)) != field_bytes(field))
      return false;
  return true;
}

}  // namespace

std::vector<char> stored_linears(const PassQuestion& question) {
  std::vector<char> stored(question.model.linears.size(), 0);
  const bool columns = has(probe_method(question).wants, Collect::squares);
  for (std::size_t v = 0; v < question.model.visits.size(); ++v) {
    std::string why;
    const std::optional<EntryReader> file = open_earlier(question, v, why);
    for (const std::vector<const LinearSpec*>& group : fused_groups(question.model.visits[v].linears)) {
      const LinearSpec& first = *group.front();
      const NumberFormat& format = question.assignment->of(first);
      if (question.assignment->copies(first) || !format.quantizes()) continue;
      const bool all =
          file && std::ranges::all_of(group, [&](const LinearSpec* linear) { return holds(*file, question, *linear); });
      for (const LinearSpec* linear : group) stored[linear->index] = all ? 1 : 0;
      const bool input = !format.calibrated_input || (file && file->size_of(input_entry(first)));
      if (!file || !input || (!all && columns && !file->size_of(column_entry(first))))
        fail(Fault::input, "{}: has not kept what {} in {} needs ({}); run it again with -b and --store auto or all",
             question.request.mixed.from, first.module, format.name,
             file ? "no token reached it, or it is of another version" : why);
    }
  }
  return stored;
}

std::string stored_identity(const PassQuestion& question, std::size_t visit) {
  std::string why;
  const std::optional<EntryReader> file = open_earlier(question, visit, why);
  return file ? file->identity() : "none";
}

void StoredRenders::fail_damaged(const LinearSpec& linear) const {
  fail(Fault::input, "{}: what {} holds of it is not what was written there; run again with -b, without --from",
       linear.module, from_);
}

float StoredRenders::input_amax(const LinearSpec& linear) const {
  float amax = 0;
  if (!file_ || !file_->read(input_entry(linear), std::as_writable_bytes(std::span(&amax, 1)))) fail_damaged(linear);
  return amax;
}

std::vector<float> StoredRenders::column_weight(const LinearSpec& linear) const {
  std::vector<float> weights;
  if (!file_ || file_->size_of(column_entry(linear)).value_or(0) == 0) return weights;  // no token reached it
  weights.resize(static_cast<std::size_t>(linear.in));
  if (!file_->read(column_entry(linear), std::as_writable_bytes(std::span(weights)))) fail_damaged(linear);
  return weights;
}

void StoredRenders::open(const Desk& desk) {
  if (visit_ == desk.visit_index()) return;
  visit_ = desk.visit_index();
  file_.reset();
  const PassQuestion& question = desk.tools().question;
  std::string why;
  from_ = question.request.mixed.from;
  if (!from_.empty()) {
    if (auto file = open_earlier(question, desk.visit_index(), why))
      file_ = std::make_unique<const EntryReader>(std::move(*file));
    return;
  }
  if (!question.request.mixed.wanted() || question.request.mixed.store == Store::none) return;
  if (auto file = EntryReader::open(render_file(question.request.places.work_directory, desk.visit_index()),
                                    render_fingerprint(desk), why))
    file_ = std::make_unique<const EntryReader>(std::move(*file));
}

bool StoredRenders::fetch(std::span<const LinearSpec* const> group, const NumberFormat& format,
                          const OptionFields& where) const {
  if (!file_) return false;
  for (std::size_t i = 0; i < group.size(); ++i)
    for (std::size_t f = 0; f < where.fields[i].size(); ++f) {
      const Field& field = where.fields[i][f];
      if (is_input_scale(format, field)) continue;
      const std::string entry = render_entry(*group[i], format, field);
      if (!file_->size_of(entry)) return false;
      if (file_->read(entry, where.out[i][f])) continue;
      ++broken_;
      return false;
    }
  return true;
}

void StoredRenders::tell(Desk& desk) {
  if (const int broken = broken_.exchange(0); broken > 0)
    desk.decide(desk.visit().name, fmt::format("{} of its encoded options in the work folder are not what was written "
                                               "there: made again",
                                               broken));
}

}  // namespace strata
