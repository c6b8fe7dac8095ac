// Encoded options of a visit's units in a file of the work folder, so that each is made once: while statistics are
// fresh. It is a cache: what is not there, or not whole, is made again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/entry_file.h"
#include "engine/graph/pass_question.h"
#include "engine/passes/encode_option.h"

namespace strata {

class Desk;

// Whether a format is stored. Others are made again in less time than they would be read: copies, and with
// Store::automatic whatever takes 8 bits and more.
bool is_stored(const PassQuestion& question, const NumberFormat& format);

// Bytes of the files of all visits together.
std::uint64_t stored_bytes(const PassQuestion& question);

// "0003.renders" in the work folder.
std::string render_file(const std::string& work_directory, std::size_t visit);
// What the renders of the desk's visit were made from. Its pass reads facts::moments.
std::string render_fingerprint(const Desk& desk);

// Names of entries.
std::string render_entry(const LinearSpec& linear, const NumberFormat& format, const Field& field);
std::string input_entry(const LinearSpec& linear);   // the largest |x| that enters it, float32
std::string column_entry(const LinearSpec& linear);  // the mean x^2 of every column of that, float32

// Of a run that takes encoded options of another one (MixedRequest::from): which Linears these are enough for.
// Error{input} when something else that it needs of a Linear is not there.
std::vector<char> stored_linears(const PassQuestion& question);

// What the files of that run hold of a visit: a hash; "none" where there is no file.
std::string stored_identity(const PassQuestion& question, std::size_t visit);

class StoredRenders {
 public:
  // Those of the desk's visit, where there are some. Nothing to do when it was here before.
  void open(const Desk& desk);
  // Of a run that takes encoded options of another one, and finds what is there damaged.
  [[noreturn]] void fail_damaged(const LinearSpec& linear) const;
  float input_amax(const LinearSpec& linear) const;                  // Error{input} when it is not there
  std::vector<float> column_weight(const LinearSpec& linear) const;  // empty when it is not there
  void tell(Desk& desk);                                             // decides about what was there and not whole

  // Fills all fields of the members but input scales. False where some are not there or not whole. Thread-safe.
  bool fetch(std::span<const LinearSpec* const> group, const NumberFormat& format, const OptionFields& where) const;

 private:
  std::optional<std::size_t> visit_;
  std::string from_;  // the work folder of the other run, or empty
  std::unique_ptr<const EntryReader> file_;
  mutable std::atomic<int> broken_ = 0;  // groups
};

}  // namespace strata
