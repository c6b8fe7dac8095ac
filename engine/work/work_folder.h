// What a run keeps in its work directory, by name, and whether a folder is one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace strata {

namespace work_names {
inline constexpr std::string_view lock = "lock";
inline constexpr std::string_view places = "run.json";
inline constexpr std::string_view assignment = "assignment.json";
inline constexpr std::string_view costs = "costs.csv";
inline constexpr std::string_view measured = "measured.json";
inline constexpr std::string_view prices = "prices.json";
inline constexpr std::string_view pareto = "pareto.csv";
inline constexpr std::string_view events = "events.jsonl";
inline constexpr std::string_view journal = "journal";
inline constexpr std::string_view boundaries = "act";   // a folder of "*.sba" and "*.fact"
inline constexpr std::string_view renders = "renders";  // a folder of "0003.renders"
inline constexpr std::string_view scratch = "scratch";  // a folder of "states.0" and so on
}  // namespace work_names

// Whether the scratch folder, or that of what is kept, holds files of this name, finished or not.
bool is_scratch_name(std::string_view name);
bool is_kept_name(std::string_view name);
bool is_render_name(std::string_view name);  // that of encoded options, "0003.renders"

// Whether a run may work there: nothing is there, or nothing but what runs leave, or run.json says whose it is.
bool may_hold_work(const std::string& folder);

// run.json: where the run in the folder reads and writes, absolute paths. Empty ones where there is no such record.
struct RunPlaces {
  std::string output, model, work_directory;
};
RunPlaces recorded_places(const std::string& folder);

// Whether JSON text is nested less deeply than our own records are: what is not ours may be made to exhaust the stack.
bool is_shallow(std::string_view json);

// The id of the run whose journal is in the folder; empty when there is none.
std::string recorded_run_id(const std::string& folder);

// Bytes of the hidden states that an earlier run left; the next one keeps them or removes them.
std::uint64_t stale_work_bytes(const std::string& folder);

// Remove only what is ours; a folder goes when nothing is left in it. Error{usage} when the journal is another's file.
void remove_journal(const std::string& folder);
void remove_scratch(const std::string& folder);
void remove_boundaries(const std::string& folder);

}  // namespace strata
