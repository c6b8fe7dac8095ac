// The record of a visit in the journal of a run.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/fingerprint.h"

namespace strata {

// A visit of a sweep, whose results are durable.
struct VisitRecord {
  std::size_t sweep = 0, visit = 0;
  std::string name;
  std::string kind = {};          // "moe": visits of a kind take about as long
  double seconds = 0;             // to compute it
  Fingerprint key;                // what they were computed from
  std::uint64_t source_hash = 0;  // of the bytes that were read for it
  std::uint64_t output_hash = 0;  // of the bytes that were written for it; 0 in a sweep that writes none
  std::vector<std::pair<std::string, std::string>> decisions;
};

std::string record_text(const VisitRecord& record);  // one line

// nullopt when it is not the record of a visit.
std::optional<VisitRecord> parse_record(const nlohmann::ordered_json& json);

nlohmann::ordered_json print_json(const Fingerprint& print);
std::optional<Fingerprint> read_print(const nlohmann::ordered_json& record, const char* key);

}  // namespace strata
