#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"

namespace strata {

// The mode of what is there; 0 when nothing is. A disk or a server that fails does not mean that nothing is there.
static mode_t mode_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return status.st_mode;
  if (errno == EIO || errno == ESTALE || errno == ENOMEM) fail(Fault::io, "{}: {}", path, std::strerror(errno));
  return 0;
}

bool exists(const std::string& path) { return mode_of(path) != 0; }
bool is_directory(const std::string& path) { return S_ISDIR(mode_of(path)); }
bool is_regular_file(const std::string& path) { return S_ISREG(mode_of(path)); }

bool is_link(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

std::uint64_t file_size(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail(Fault::input, "{}: {}", path, std::strerror(errno));
  return static_cast<std::uint64_t>(status.st_size);
}

std::string real_path(const std::string& path) {
  char* const resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return {};
  std::string result = resolved;
  std::free(resolved);
  return result;
}

std::string clean_path(const std::string& path) {
  std::string text = path;
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  for (const std::filesystem::path& part : std::filesystem::path(text))
    if (part == "." || part == "..") return resolved_path(text);
  return text;
}

void require_new_file(const std::string& path, bool force, std::span<const std::string> inputs) {
  for (const std::string& input : inputs)
    if (!input.empty() && lies_in(path, input))
      fail(Fault::usage, "{}: is or lies in {}, which is read; choose another", path, input);
  if (is_link(path)) fail(Fault::usage, "{}: is a link; name the file itself", path);
  if (!exists(path)) return;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    fail(Fault::usage, "{}: is not a plain file; choose another name", path);
  if (!force) fail(Fault::usage, "{}: exists already; choose another name, or --force to replace it", path);
}

bool is_mount_point(const std::string& path) {
  struct stat here {
  }, above{};
  return ::stat(path.c_str(), &here) == 0 && ::stat(join_path(path, "..").c_str(), &above) == 0 &&
         here.st_dev != above.st_dev;
}

std::string resolved_path(const std::string& path) {
  std::error_code error;
  std::filesystem::path resolved = std::filesystem::weakly_canonical(path, error);
  if (error) fail(Fault::io, "{}: cannot be resolved: {}", path, error.message());
  if (resolved.is_relative()) resolved = std::filesystem::absolute(resolved).lexically_normal();
  std::string text = resolved.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

bool lies_in(const std::string& inner, const std::string& outer) {
  return (resolved_path(inner) + "/").starts_with(resolved_path(outer) + "/");
}

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string parent_directory(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, std::max<std::size_t>(slash, 1)));
}

}  // namespace strata
