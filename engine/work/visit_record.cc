#include "engine/work/visit_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>

namespace strata {

using Json = nlohmann::ordered_json;

Json print_json(const Fingerprint& print) { return Json::parse(print.json()); }

std::optional<Fingerprint> read_print(const Json& record, const char* key) {
  return record.contains(key) ? Fingerprint::parse(record[key].dump()) : std::nullopt;
}

std::string record_text(const VisitRecord& record) {
  Json json = {{"sweep", record.sweep},
               {"visit", record.visit},
               {"name", record.name},
               {"kind", record.kind},
               {"seconds", record.seconds},
               {"source", fmt::format("{:016x}", record.source_hash)},
               {"output", fmt::format("{:016x}", record.output_hash)},
               {"key", print_json(record.key)},
               {"decisions", Json::array()}};
  // A record is bounded; who needs more than this of them has events.jsonl.
  constexpr std::size_t most = 500, longest = 400;
  for (const auto& [subject, text] : std::span(record.decisions).first(std::min(most, record.decisions.size())))
    json["decisions"].push_back({subject.substr(0, longest), text.substr(0, longest)});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<VisitRecord> parse_record(const Json& json) {
  try {
    std::optional<Fingerprint> key = read_print(json, "key");
    if (!key) return std::nullopt;
    VisitRecord record{.sweep = json.at("sweep").get<std::size_t>(),
                       .visit = json.at("visit").get<std::size_t>(),
                       .name = json.at("name").get<std::string>(),
                       .kind = json.at("kind").get<std::string>(),
                       .seconds = json.at("seconds").get<double>(),
                       .key = std::move(*key),
                       .source_hash = std::stoull(json.at("source").get<std::string>(), nullptr, 16),
                       .output_hash = std::stoull(json.at("output").get<std::string>(), nullptr, 16)};
    for (const Json& decision : json.at("decisions"))
      record.decisions.emplace_back(decision.at(0).get<std::string>(), decision.at(1).get<std::string>());
    return record;
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const std::logic_error&) {  // a hash that is no number
    return std::nullopt;
  }
}

}  // namespace strata
