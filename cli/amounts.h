// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace strata {

std::string grouped(std::uint64_t value);     // "1,234,567"
std::string clock_text(double seconds);       // "0:07", "6:41", "11:02:30"
std::string seconds_text(double seconds);     // "0.08 s", "12.3 s", "184 s"
std::string about_text(double seconds);       // "about 12 s", "about 12 min", "about 3.5 h", "about 12 days"
std::string bytes_text(std::uint64_t bytes);  // "1,234,567 bytes (1.18 MiB)"

}  // namespace strata
