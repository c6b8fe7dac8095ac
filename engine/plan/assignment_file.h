// assignment.json: the number format of every Linear, one line each, for people to read and edit.
// docs/output-format.md describes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/plan/assignment.h"
#include "engine/plan/open_model.h"

namespace strata {

// What a file says. Every complaint is Error{input} that begins with file and line.
class AssignmentFile {
 public:
  AssignmentFile() = default;  // names no Linear

  // Broken JSON, another version, an unknown or repeated key or format is an error.
  static AssignmentFile read(const std::string& path);

  // nullptr when the file does not name it.
  const NumberFormat* format_of(std::string_view module) const;

  // "assignment.json:17", the line that names a module.
  std::string where(std::string_view module) const;

  // The first that is not `known`, in the order of the file; nullptr when all are.
  const std::string* first_other(
      const std::function<bool(const std::string& module, const NumberFormat& format)>& known) const;

  const std::string& path() const { return path_; }

  // Every name must be one of `modules`, the Linears of the model. A tied head may be named to be kept.
  void require_known(const std::vector<std::string>& modules, const OpenModel& model) const;

  // Linears that are served as one matrix must have one format, and it must take their shapes, where the file's
  // word counts (`formats` are those after all rules).
  void require_fitting(const std::vector<const LinearSpec*>& unit, const Assignment& assignment) const;

 private:
  struct Entry {
    const NumberFormat* format = nullptr;
    std::size_t offset = 0;  // of its key in the text
  };
  friend class AssignmentReader;

  std::string line_of(std::size_t offset) const;
  bool decides(const LinearSpec& linear, const Assignment& assignment) const;

  std::string path_, text_;
  std::unordered_map<std::string, Entry> linears_;
};

// The file for an assignment: every Linear that the output stores, in the order of the model.
std::string assignment_json(const OpenModel& model, const Assignment& assignment);

// The same for Linears by name, in their order. `prices`: fingerprint of the prices that it was chosen by; empty: none.
struct NamedFormat {
  std::string_view module;
  const NumberFormat* format = nullptr;
  // For people: what it takes and why it has its format. Empty, 0 or nothing where it is not known.
  std::uint64_t bytes = 0;
  std::string_view unit = {}, why = {};
  std::optional<double> cost = {};  // of its unit in the format, nats a token
  double standard_error = 0;        // of that
};
std::string assignment_json(std::span<const NamedFormat> linears, std::string_view prices);

}  // namespace strata
