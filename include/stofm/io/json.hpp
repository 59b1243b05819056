// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// JSON documents (configuration, manifests) as `nlohmann::json`, read by the strict scanner of
/// io/json_scanner.hpp.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/file.hpp"
#include "stofm/io/json_scanner.hpp"

namespace stofm::io {

namespace detail {
/// Builds the document from the events of one text that has been checked.
class JsonBuilder {
 public:
  explicit JsonBuilder(nlohmann::json& root) : next_(&root) {}

  void begin_object(std::int64_t) { open(nlohmann::json::object()); }
  void key(std::string_view name, std::int64_t) { next_ = &(*open_.back())[std::string(name)]; }
  void end_object() { open_.pop_back(); }
  void begin_array(std::int64_t) { open(nlohmann::json::array()); }
  void end_array() { open_.pop_back(); }
  void string(std::string_view value, std::int64_t) { place() = std::string(value); }
  void integer(std::int64_t value, std::int64_t) {
    // As nlohmann's own parser: integers from 0 on are unsigned.
    if (value < 0)
      place() = value;
    else
      place() = static_cast<std::uint64_t>(value);
  }
  void large_integer(std::uint64_t value, std::int64_t) { place() = value; }
  void real(double value, std::int64_t) { place() = value; }
  void boolean(bool value, std::int64_t) { place() = value; }
  void null(std::int64_t) { place() = nullptr; }

 private:
  nlohmann::json& place() {
    if (next_ != nullptr) return *std::exchange(next_, nullptr);
    return open_.back()->emplace_back();
  }
  void open(nlohmann::json&& empty) {
    nlohmann::json& value = place();
    value = std::move(empty);
    open_.push_back(&value);
  }

  nlohmann::json* next_;
  std::vector<nlohmann::json*> open_;
};
}  // namespace detail

/// Parses one JSON text strictly. `file` and `where` appear in messages only.
/// *Cost* one pass to check and one to build; memory in proportion to the text, bounded by `limits`.
/// \throws FileError (STOFM-32xx, see scan_json) with byte, line and column.
STOFM_INLINE nlohmann::json parse_json(std::string_view text, const std::string& file,
                                       const JsonLimits& limits = {}, const std::string& where = "");

/// Reads and parses a file. \throws as File::open and parse_json; a file above the size cap is not read.
inline nlohmann::json read_json(const std::filesystem::path& path, const JsonLimits& limits = {}) {
  const File file = File::open(path);
  if (file.size() > limits.max_bytes)
    throw FileError({"STOFM-3205", file.path(), "size", concat(file.size(), " bytes"),
                     concat("at most ", limits.max_bytes, " bytes of JSON"),
                     "Check that it is the right file."});
  return parse_json(file.read_all(limits.max_bytes), file.path(), limits);
}

}  // namespace stofm::io

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto io::parse_json(std::string_view text, const std::string& file, const JsonLimits& limits,
                                 const std::string& where) -> nlohmann::json {
  return detail::with_memory_errors(file, [&] {
    const JsonSource source{.file = file, .where = where};
    JsonNoHandler check;
    scan_json(text, check, source, limits);
    nlohmann::json document;
    detail::JsonBuilder builder(document);
    scan_json(text, builder, source, limits);
    return document;
  });
}

}  // namespace stofm
#endif
