// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The log of a run: one JSON object a line (JSONL), appended and handed to the system line by line, so that
/// it can be followed while the run goes on. Each line has "event" and "step". A run that is resumed from a
/// checkpoint cuts the lines that came after it: the log then tells one history, as if the run had not
/// stopped.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/json.hpp"
#include "stofm/io/output_file.hpp"

namespace stofm::train {

/// The lines of a log, in order. A torn last line (the machine went down) and lines that are no objects with
/// an "event" and a "step" are left out. \throws FileError as File::open, 3004 above `max_bytes`.
inline std::vector<nlohmann::json> read_run_log(const std::filesystem::path& path,
                                                std::int64_t max_bytes = std::int64_t{1} << 30);

/// Appends to a log.
class RunLog {
 public:
  /// Starts a new log, or goes on with the one that is there after cutting every line of a later step than
  /// `resume_step` (-1: start anew; an old log is replaced).
  /// \throws ResourceError, UsageError as OutputFile.
  explicit RunLog(const std::filesystem::path& path, std::int64_t resume_step = -1);

  /// Adds {"event": event, "step": step, ...fields}. \throws ResourceError STOFM-5011 when the disk is full;
  /// the line is then cut from the file.
  void write(std::string_view event, std::int64_t step,
             const nlohmann::json& fields = nlohmann::json::object());
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  io::detail::Descriptor descriptor_;
  std::int64_t bytes_ = 0;
};

namespace detail {
inline std::string log_line(std::string_view event, std::int64_t step, const nlohmann::json& fields) {
  nlohmann::ordered_json line = {{"event", event}, {"step", step}};
  for (const auto& [key, value] : fields.items()) line[key] = value;
  return line.dump(-1, ' ', true) + "\n";
}
}  // namespace detail

inline std::vector<nlohmann::json> read_run_log(const std::filesystem::path& path, std::int64_t max_bytes) {
  const std::string text = io::File::open(path).read_all(max_bytes);
  std::vector<nlohmann::json> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    try {
      nlohmann::json line = io::parse_json(std::string_view(text).substr(at, end - at), path.string());
      if (line.is_object() && line.contains("step") && line["step"].is_number_integer() &&
          line.contains("event") && line["event"].is_string())
        lines.push_back(std::move(line));
    } catch (const FileError&) {  // a damaged line costs itself, not the run
    }
    at = end + 1;
  }
  return lines;
}

inline RunLog::RunLog(const std::filesystem::path& path, std::int64_t resume_step) : path_(path.string()) {
  std::string kept;
  std::error_code ignored;
  if (resume_step >= 0 && std::filesystem::exists(path, ignored))
    for (const nlohmann::json& line : read_run_log(path))
      if (line["step"].get<std::int64_t>() <= resume_step) {
        nlohmann::json fields = line;
        fields.erase("event");
        fields.erase("step");
        kept += detail::log_line(line["event"].get<std::string>(), line["step"].get<std::int64_t>(), fields);
      }
  io::atomic_write(path, [&](io::OutputFile& file) { file.write(kept); },
                   {.overwrite = true, .follow_link = false});
  descriptor_ = io::detail::Descriptor(io::detail::open_file(path_, O_WRONLY | O_APPEND | O_NOFOLLOW));
  if (!descriptor_.valid()) io::detail::throw_errno(errno, path_, "append");
  bytes_ = static_cast<std::int64_t>(kept.size());
}

inline void RunLog::write(std::string_view event, std::int64_t step, const nlohmann::json& fields) {
  const std::string line = detail::log_line(event, step, fields);
  for (std::size_t done = 0; done < line.size();) {
    const std::int64_t put = io::detail::write_some(descriptor_.get(), line.data() + done,
                                                    static_cast<std::int64_t>(line.size() - done));
    if (put <= 0) {
      const int error = put < 0 ? errno : ENOSPC;
      (void)!::ftruncate(descriptor_.get(), static_cast<off_t>(bytes_));
      io::detail::throw_errno(error, path_, "write");
    }
    done += static_cast<std::size_t>(put);
  }
  bytes_ += static_cast<std::int64_t>(line.size());
}

}  // namespace stofm::train
