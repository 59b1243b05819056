// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Words go to stderr, data to files or stdout. On a terminal there is colour and a progress line; off one,
/// plain lines. With --log-json every line is one JSON object. Whatever a text was made of, what is written
/// is printable (core/printable.hpp).

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/core/notice.hpp"

namespace stofm::program {

using Fields = std::vector<std::pair<std::string, std::string>>;  ///< extra members of a JSON line, as text

class Console {
 public:
  static Console& get();

  void configure(bool quiet, int verbose, bool json);
  /// The options ("--layer") of the verb that runs: a remedy names no other (remedy.hpp). None: all are
  /// named.
  void set_options(std::vector<std::string> options) { options_ = std::move(options); }
  bool quiet() const { return quiet_; }
  bool terminal() const { return terminal_; }

  void say(std::string_view text, const Fields& fields = {});     ///< unless -q
  void detail(std::string_view text, const Fields& fields = {});  ///< with -v
  void warn(std::string_view text, const Fields& fields = {});    ///< unless -q
  void error(const Error& error);                                 ///< always: `stofm: error: ...`, one line
  void error(std::string_view text, int exit_code);

  /// Progress of a stage, called as often as one likes: drawn ten times a second at most on a terminal, as a
  /// plain line at the end of the stage (and each 10 s) off one. `total` 0: unknown.
  void progress(std::string_view stage, std::int64_t done, std::int64_t total, std::string_view unit);
  void end_progress();

 private:
  Console();
  void line(std::string_view level, std::string_view text, const Fields& fields);
  void clear_bar();
  void draw_bar();
  void write(std::string_view text);

  std::recursive_mutex mutex_;
  bool quiet_ = false, json_ = false, terminal_ = false, colour_ = false;
  int verbose_ = 0;
  std::vector<std::string> options_;
  bool bar_shown_ = false;
  std::string stage_, unit_;
  std::int64_t done_ = 0, total_ = 0;
  std::chrono::steady_clock::time_point stage_start_, last_draw_;
};

/// Warns of each notice, which came up with `file`.
void say_notices(const Notices& notices, const std::string& file);

/// Writes lines of printable text to stdout. A reader that went away is no error (the exit code stays); a
/// full disk is. \throws ResourceError if the bytes can not be written
void print(std::string_view text);

std::string format_count(std::int64_t n);                 ///< 1,234,567
std::string format_bytes(double bytes);                   ///< 1.2 GB
std::string format_seconds(double seconds);               ///< 0.42 s, 3 min 12 s
std::string format_number(double value, int digits = 3);  ///< %.*g, decimal point always
/// What is said of sub-slices with few cells; a remark on the published method, no notice.
std::string sliver_text(std::int64_t pieces, std::int64_t cells, std::int64_t limit);
/// "..." in valid UTF-8: control characters as \uNNNN, '<', '>' and '&' too, bytes that are no UTF-8 as
/// \\xNN.
std::string json_text(std::string_view text);

}  // namespace stofm::program
