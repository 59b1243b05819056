// SPDX-License-Identifier: MIT
#include "corpus_lines.hpp"

#include <algorithm>

#include "stofm/io/file_identity.hpp"
#include "stofm/io/sha256.hpp"

namespace stofm::program {

namespace fs = std::filesystem;

std::vector<fs::path> unfinished_lines(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("indexed-") && name.ends_with(".jsonl")) files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

KnownLines::KnownLines(const fs::path& folder) {
  std::error_code ignored;
  if (fs::exists(folder / "manifest.jsonl", ignored)) read(folder / "manifest.jsonl");
  for (const fs::path& file : unfinished_lines(folder)) read(file);
}

void KnownLines::read(const fs::path& path) {
  const std::string text = io::File::open(path).read_all(std::int64_t{4} << 30);
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    if (end == at) continue;
    try {
      auto line = train::parse_manifest_line(std::string_view(text).substr(at, end - at), path.string(), 0);
      lines_.insert_or_assign(line.file, std::move(line));
    } catch (const FileError&) {  // torn: its slice is read again
    }
  }
}

const train::ManifestSlice* KnownLines::find(const std::string& file) const {
  const auto found = lines_.find(file);
  return found == lines_.end() ? nullptr : &found->second;
}

LineFile::LineFile(const fs::path& path) : path_(path.string()) {
  file_ =
      io::detail::Descriptor(io::detail::open_file(path_, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0644));
  if (!file_.valid() && errno == ELOOP)
    throw UsageError({"STOFM-3015", path_, "output", "a link", "a file of the corpus's own",
                      "Remove the link or give another --output directory."});
  if (!file_.valid()) io::detail::throw_errno(errno, path_, "append");
  append("\n");  // behind a line that a kill tore
}

void LineFile::append(const std::string& line) {
  for (std::size_t done = 0; done < line.size();) {
    const std::int64_t put = io::detail::write_some(file_.get(), line.data() + done,
                                                    static_cast<std::int64_t>(line.size() - done));
    if (put <= 0) io::detail::throw_errno(put < 0 ? errno : ENOSPC, path_, "write");
    done += static_cast<std::size_t>(put);
  }
  if (io::detail::sync_descriptor(file_.get()) != 0) io::detail::throw_errno(errno, path_, "sync");
}

std::string folder_state(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const io::FileIdentity is = io::file_identity(entry->path().string());
    std::error_code ignored;
    if (entry->is_regular_file(ignored))
      files.push_back(
          concat(entry->path().lexically_relative(folder).string(), " ", is.bytes, " ", is.modified_ns));
  }
  if (error)
    throw FileError({"STOFM-4541", folder.string(), "folder", error.message(), "a folder that can be read",
                     "Check its permissions."});
  std::sort(files.begin(), files.end());
  std::string all;
  for (const std::string& file : files) all += file + "\n";
  return io::sha256_hex(all).substr(0, 16);
}

}  // namespace stofm::program
