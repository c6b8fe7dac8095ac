// Where lines of the log go.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace strata {

using Sink = std::function<void(std::string_view text)>;

Sink stderr_sink();

// Appends to `folder`/events.jsonl; the folder is made when the first text comes.
Sink events_sink(std::string folder);

// A result on stdout. Error{io} when it cannot be written.
void print_result(std::string_view text);

}  // namespace strata
