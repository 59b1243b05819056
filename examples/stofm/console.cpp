// SPDX-License-Identifier: MIT
#include "console.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "option_flags.hpp"
#include "remedy.hpp"
#include "stofm/core/with_commas.hpp"

namespace stofm::program {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// One line: line ends and tabs become blanks, other control characters \xNN.
std::string one_line(std::string_view text) {
  std::string out = printable(text, "\n\r\t");
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return out;
}

int terminal_width() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
  return 80;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

Console& Console::get() {
  static Console console;
  return console;
}

Console::Console() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  terminal_ = ::isatty(STDERR_FILENO) == 1 && !dumb;
  colour_ = terminal_ && (no_colour == nullptr || *no_colour == '\0');
}

void Console::configure(bool quiet, int verbose, bool json) {
  quiet_ = quiet;
  verbose_ = verbose;
  json_ = json;
  if (json_) terminal_ = colour_ = false;
}

void Console::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // nobody listens: words are lost, work goes on
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void Console::line(std::string_view level, std::string_view text, const Fields& fields) {
  const std::scoped_lock lock(mutex_);
  if (json_) {
    std::string out = "{\"time\":" + json_text(utc_now()) + ",\"level\":" + json_text(level) +
                      ",\"message\":" + json_text(one_line(text));
    for (const auto& [key, value] : fields) out += concat(",", json_text(key), ":", json_text(value));
    write(out + "}\n");
    return;
  }
  clear_bar();
  std::string out;
  if (level == "error") out = colour_ ? "stofm: \033[1;31merror:\033[0m " : "stofm: error: ";
  if (level == "warning") out = colour_ ? "stofm: \033[33mnote:\033[0m " : "stofm: note: ";
  write(out + one_line(text) + "\n");
  if (bar_shown_) draw_bar();
}

void Console::say(std::string_view text, const Fields& fields) {
  if (!quiet_) line("info", text, fields);
}
void Console::detail(std::string_view text, const Fields& fields) {
  if (verbose_ > 0 && !quiet_) line("detail", with_flags(text), fields);
}
void Console::warn(std::string_view text, const Fields& fields) {
  if (!quiet_) line("warning", fitting_note(with_flags(text), options_), fields);
}
void Console::error(const Error& given) {
  ErrorParts parts = given.parts();
  for (std::string* part : {&parts.where, &parts.found, &parts.expected, &parts.remedy})
    *part = with_flags(*part);
  parts.remedy = fitting_remedy(parts.remedy, options_);
  const Error e(given.kind(), std::move(parts));
  line("error", e.what(),
       {{"code", e.code()},
        {"file", e.file()},
        {"where", e.where()},
        {"found", e.found()},
        {"expected", e.expected()},
        {"remedy", e.remedy()},
        {"exit_code", std::to_string(e.exit_code())}});
}
void Console::error(std::string_view text, int exit_code) {
  line("error", text, {{"exit_code", std::to_string(exit_code)}});
}

void Console::clear_bar() {
  if (terminal_ && bar_shown_) write("\r\033[K");
}

void Console::draw_bar() {
  const double elapsed = seconds_since(stage_start_);
  const double rate = elapsed > 0 ? static_cast<double>(done_) / elapsed : 0;
  std::string text = stage_;
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    const int width = std::clamp(terminal_width() - 66, 8, 30), full = static_cast<int>(share * width);
    text += " [";
    for (int i = 0; i < width; ++i) text += i < full ? '#' : '.';
    text += "] " + std::to_string(static_cast<int>(share * 100)) + " %";
  }
  text += "  " + format_count(done_) + (total_ > 0 ? " / " + format_count(total_) : "") + " " + unit_;
  if (elapsed > 0.5 && rate > 0) {
    text += ", " + format_number(rate) + "/s";
    if (total_ > done_) text += ", " + format_seconds(static_cast<double>(total_ - done_) / rate) + " left";
  }
  const auto limit = static_cast<std::size_t>(terminal_width() - 1);
  if (text.size() > limit) text.resize(limit);
  write("\r\033[K" + text);
}

void Console::progress(std::string_view stage, std::int64_t done, std::int64_t total, std::string_view unit) {
  if (quiet_) return;
  const std::scoped_lock lock(mutex_);
  const auto now = Clock::now();
  if (stage != stage_) {
    end_progress();
    stage_ = stage;
    unit_ = unit;
    stage_start_ = last_draw_ = now;
    if (terminal_) last_draw_ -= std::chrono::seconds(1);
  }
  done_ = done;
  total_ = total;
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
  if (now - last_draw_ < pause) return;
  last_draw_ = now;
  if (terminal_) {
    bar_shown_ = true;
    draw_bar();
    return;
  }
  const double elapsed = seconds_since(stage_start_),
               rate = static_cast<double>(done) / std::max(elapsed, 1e-9);
  std::string text = "  " + stage_ + ": " + format_count(done) +
                     (total > 0 ? " / " + format_count(total) : "") + " " + unit_ + ", " +
                     format_number(rate) + "/s";
  if (total > done && rate > 0)
    text += ", " + format_seconds(static_cast<double>(total - done) / rate) + " left";
  say(text, {{"stage", stage_}, {"done", std::to_string(done)}, {"total", std::to_string(total)}});
}

void Console::end_progress() {
  const std::scoped_lock lock(mutex_);
  clear_bar();
  bar_shown_ = false;
  stage_.clear();
}

void print(std::string_view given) {
  const std::string shown = printable(given, "\n\t");
  std::string_view text = shown;
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EPIPE || errno == EBADF)) return;
    if (n <= 0)
      throw ResourceError({"STOFM-5010", "standard output", "write", std::strerror(errno),
                           "room for the output", "Free some space, or send the output elsewhere."});
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void say_notices(const Notices& notices, const std::string& file) {
  for (const Notice& notice : notices)
    Console::get().warn(notice.text,
                        {{"code", notice.code}, {"file", file}, {"count", std::to_string(notice.count)}});
}

}  // namespace stofm::program
