// SPDX-License-Identifier: MIT
#include "journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <sstream>

#include "console.hpp"
#include "signals.hpp"
#include "stofm/io/json.hpp"

namespace stofm::program {
namespace {

std::string line_of(const JournalEntry& e) {
  std::string options;
  for (const auto& [key, value] : e.options)
    options += concat(options.empty() ? "" : ",", json_text(key), ":", json_text(value));
  return concat("{\"output\":", json_text(e.output), ",\"input\":", json_text(e.input),
                ",\"input_sha256\":", json_text(e.input_sha256),
                ",\"model_sha256\":", json_text(e.model_sha256),
                ",\"result_sha256\":", json_text(e.result_sha256), ",\"result_bytes\":", e.result_bytes,
                ",\"finished\":", json_text(e.finished), ",\"options\":{", options, "}}\n");
}

JournalEntry entry_of(const std::string& line, const std::string& file) {
  const nlohmann::json document = io::parse_json(line, file);
  JournalEntry e;
  e.output = document.at("output").get<std::string>();
  e.input = document.at("input").get<std::string>();
  e.input_sha256 = document.at("input_sha256").get<std::string>();
  e.model_sha256 = document.at("model_sha256").get<std::string>();
  e.result_sha256 = document.at("result_sha256").get<std::string>();
  e.result_bytes = document.at("result_bytes").get<std::int64_t>();
  e.finished = document.at("finished").get<std::string>();
  for (const auto& [key, value] : document.at("options").items())
    e.options.emplace_back(key, value.get<std::string>());
  return e;
}

}  // namespace

std::vector<std::string> changed_keys(const JournalEntry& then, const JournalEntry& now) {
  std::vector<std::string> keys;
  if (then.input_sha256 != now.input_sha256 &&
      (then.result_sha256.empty() || then.result_sha256 != now.input_sha256))
    keys.emplace_back("input");
  if (then.model_sha256 != now.model_sha256) keys.emplace_back("model");
  const std::map<std::string, std::string> old(then.options.begin(), then.options.end());
  const std::map<std::string, std::string> given(now.options.begin(), now.options.end());
  for (const auto& [key, value] : given) {
    const auto found = old.find(key);
    if (found == old.end()) keys.push_back(key);
    if (found != old.end() && found->second != value)
      keys.push_back(concat(key, " ", found->second, " -> ", value));
  }
  for (const auto& [key, value] : old)
    if (given.find(key) == given.end()) keys.push_back(key);
  return keys;
}

Journal::Journal(const std::filesystem::path& directory, JournalRole role)
    : path_((directory / "stofm-journal.jsonl").string()), lock_path_(path_ + ".lock"), role_(role) {
  if (role == JournalRole::other) {
    read();
    return;
  }
  lock_ = ::open(lock_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0)
    throw UsageError({"STOFM-3013", lock_path_, "journal", "a directory that takes no new file",
                      "a directory that can be written",
                      "Choose another output directory or change its permissions."});
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    char holder[128] = {};
    const ssize_t n = ::read(lock_, holder, sizeof holder - 1);
    ::close(lock_);
    throw ResourceError({"STOFM-2020", path_, "journal",
                         concat("another run at work (", n > 0 ? holder : "?", ")"),
                         "one run at a time in a directory", "Wait for it, or choose another --output-dir."});
  }
  char host[64] = {};
  (void)!::gethostname(host, sizeof host - 1);
  const std::string holder = concat("pid ", ::getpid(), " on ", host);
  (void)!::ftruncate(lock_, 0);
  (void)!::pwrite(lock_, holder.data(), holder.size(), 0);
  remove_on_signal(lock_path_);
  read();
}

void Journal::read() {
  std::error_code ignored;
  if (!std::filesystem::exists(path_, ignored)) return;
  std::istringstream lines(io::File::open(path_).read_all(std::int64_t{1} << 30));
  std::string line;
  while (std::getline(lines, line)) {
    if (line.empty()) continue;
    try {
      JournalEntry entry = entry_of(line, path_);
      entries_[entry.output] = std::move(entry);
    } catch (const Error&) {
      ++torn_;
    } catch (const nlohmann::json::exception&) {
      ++torn_;
    }
  }
}

Journal::~Journal() {
  if (lock_ < 0) return;
  if (role_ == JournalRole::first) ::unlink((path_ + ".turn").c_str());
  ::unlink(lock_path_.c_str());
  ::close(lock_);
}

const JournalEntry* Journal::find(const std::string& output) const {
  const auto found = entries_.find(output);
  return found == entries_.end() ? nullptr : &found->second;
}

void Journal::record(const JournalEntry& entry) {
  if (role_ == JournalRole::alone) {
    entries_[entry.output] = entry;
    return write();
  }
  // Several processes: what the others wrote meanwhile is read again, one process at a time.
  const std::string turn_path = path_ + ".turn";
  const int turn = ::open(turn_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (turn < 0 || ::flock(turn, LOCK_EX) != 0) {
    if (turn >= 0) ::close(turn);
    throw ResourceError({"STOFM-2020", turn_path, "journal", "a file that can not be locked",
                         "a directory where files can be locked", "Choose another --output-dir."});
  }
  struct Closer {
    int file;
    ~Closer() { ::close(file); }
  } const closer{turn};
  const std::int64_t torn = torn_;
  read();
  torn_ = torn;
  entries_[entry.output] = entry;
  write();
}

void Journal::write() const {
  std::string text;
  for (const auto& [output, known] : entries_) text += line_of(known);
  const WriteSection section(path_);
  io::atomic_write(path_, [&text](io::OutputFile& file) { file.write(text); }, {.overwrite = true});
}

}  // namespace stofm::program
