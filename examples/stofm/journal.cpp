// SPDX-License-Identifier: MIT
#include "journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "console.hpp"
#include "signals.hpp"
#include "stofm/io/json.hpp"

namespace stofm::program {
namespace {

std::string line_of(const JournalEntry& e) {
  std::string options, marks;
  for (const FileMark& mark : e.taking_names)
    marks += concat(marks.empty() ? ",\"taking_names\":[" : ",", "{\"path\":", json_text(mark.path),
                    ",\"bytes\":", mark.bytes, ",\"mtime_ns\":", mark.mtime_ns, "}");
  if (!marks.empty()) marks += "]";
  for (const auto& [key, value] : e.options)
    options += concat(options.empty() ? "" : ",", json_text(key), ":", json_text(value));
  return concat("{\"output\":", json_text(e.output), ",\"input\":", json_text(e.input),
                ",\"input_sha256\":", json_text(e.input_sha256),
                ",\"model_sha256\":", json_text(e.model_sha256),
                ",\"result_sha256\":", json_text(e.result_sha256), ",\"result_bytes\":", e.result_bytes,
                ",\"finished\":", json_text(e.finished), marks, ",\"options\":{", options, "}}\n");
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
  if (const auto marks = document.find("taking_names"); marks != document.end())
    for (const nlohmann::json& mark : *marks)
      e.taking_names.push_back({mark.at("path").get<std::string>(), mark.at("bytes").get<std::int64_t>(),
                                mark.at("mtime_ns").get<std::int64_t>()});
  return e;
}

[[noreturn]] void refuse_file(const std::string& path, const std::string& found) {
  throw UsageError({"STOFM-2022", path, "journal", found, "a file that stofm wrote, or none",
                    "Move it away, or choose another --output-dir."});
}

/// Opens a file of ours to lock it, without writing to it: one with content that is not ours stays as it is.
/// \return its descriptor and what it says
std::pair<int, std::string> open_lock(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (file < 0 && errno == ELOOP) refuse_file(path, "a link");
  if (file < 0)
    throw UsageError({"STOFM-3013", path, "journal", "a directory that takes no new file",
                      "a directory that can be written",
                      "Choose another output directory or change its permissions."});
  struct stat status {};
  char text[128] = {};
  const bool known = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  const ssize_t n = known ? ::pread(file, text, sizeof text - 1, 0) : 0;
  const std::string words(text, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (!known || status.st_nlink > 1 || (!words.empty() && !words.starts_with("pid "))) {
    ::close(file);
    refuse_file(path, !known                ? "something that is no regular file"
                      : status.st_nlink > 1 ? "a file that has other names"
                                            : "a file that is no lock");
  }
  return {file, words};
}

}  // namespace

FileMark FileMark::of(const std::string& at, const std::string& path) {
  struct stat status {};
  if (io::detail::stat_path(at, status) != 0) io::detail::throw_errno(errno, path, "stat");
#if defined(__APPLE__)
  const timespec& changed = status.st_mtimespec;
#else
  const timespec& changed = status.st_mtim;
#endif
  return {path, status.st_size, std::int64_t{changed.tv_sec} * 1'000'000'000 + std::int64_t{changed.tv_nsec}};
}

bool FileMark::is(const std::string& file) const {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) return false;
  const FileMark now = of(file, path);
  return now.bytes == bytes && now.mtime_ns == mtime_ns;
}

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
  const auto [lock, holder_words] = open_lock(lock_path_);
  lock_ = lock;
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw ResourceError({"STOFM-2020", path_, "journal",
                         concat("another run at work (", holder_words.empty() ? "?" : holder_words, ")"),
                         "one run at a time in a directory", "Wait for it, or choose another --output-dir."});
  }
  char host[64] = {};
  (void)!::gethostname(host, sizeof host - 1);
  const std::string holder = concat("pid ", ::getpid(), " on ", host);
  (void)!::ftruncate(lock_, 0);
  (void)!::pwrite(lock_, holder.data(), holder.size(), 0);
  remove_on_signal(lock_path_);
  try {
    read();
  } catch (...) {
    release();
    throw;
  }
}

void Journal::read() {
  std::error_code ignored;
  if (std::filesystem::is_symlink(path_, ignored)) refuse_file(path_, "a link");
  if (!std::filesystem::exists(path_, ignored)) return;
  std::istringstream lines(io::File::open(path_).read_all(std::int64_t{1} << 30));
  std::string line;
  for (bool first = true; std::getline(lines, line); first = false) {
    // A torn line is no fault; a file that does not even begin as a journal is somebody's.
    if (first && !std::string_view(line).starts_with("{\"output\":"))
      refuse_file(path_, "a file that is no journal");
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

Journal::~Journal() { release(); }

void Journal::release() {
  if (lock_ < 0) return;
  if (role_ == JournalRole::first) ::unlink((path_ + ".turn").c_str());
  keep_on_signal(lock_path_);
  ::unlink(lock_path_.c_str());
  ::close(std::exchange(lock_, -1));
}

const JournalEntry* Journal::find(const std::string& output) const {
  const auto found = entries_.find(output);
  return found == entries_.end() ? nullptr : &found->second;
}

void Journal::record(const JournalEntry& entry) { change(entry.output, &entry); }
void Journal::forget(const std::string& output) { change(output, nullptr); }

void Journal::change(const std::string& output, const JournalEntry* entry) {
  const auto change_now = [&] {
    if (entry != nullptr)
      entries_[output] = *entry;
    else
      entries_.erase(output);
    write();
  };
  if (role_ == JournalRole::alone) return change_now();
  // Several processes: what the others wrote meanwhile is read again, one process at a time.
  const std::string turn_path = path_ + ".turn";
  const int turn = open_lock(turn_path).first;
  struct Closer {
    int file;
    ~Closer() { ::close(file); }
  } const closer{turn};
  if (::flock(turn, LOCK_EX) != 0)
    throw ResourceError({"STOFM-2020", turn_path, "journal", "a file that can not be locked",
                         "a directory where files can be locked", "Choose another --output-dir."});
  const std::int64_t torn = torn_;
  read();
  torn_ = torn;
  change_now();
}

void Journal::write() const {
  std::string text;
  for (const auto& [output, known] : entries_) text += line_of(known);
  io::atomic_write(path_, [&text](io::OutputFile& file) { file.write(text); },
                   {.overwrite = true, .follow_link = false});
}

}  // namespace stofm::program
