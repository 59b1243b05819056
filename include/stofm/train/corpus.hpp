// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Slices to pretrain on, however many: prepared once, cached on disk, and as many of them in memory as are
/// allowed.
///
///     stofm::train::Corpus corpus(files, features, read, {.cache = "cache"});
///     std::shared_ptr<const stofm::train::PreparedSlice> slice = corpus.slice(0);
///
/// Opening reads every file once (its SHA-256 is part of the cache key; one that a manifest knows is not
/// read) and prepares what the cache lacks, several slices at a time. Processes that share a cache prepare a
/// share each. What a slice holds does not depend on threads, processes, the cache, or the memory.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stofm/train/corpus_sampler.hpp"
#include "stofm/train/data_split.hpp"
#include "stofm/train/known_files.hpp"
#include "stofm/train/slice_cache.hpp"

namespace stofm::train {

/// Opens a slice: io::read_h5ad with options (train/corpus_h5ad.hpp), or anything else. Called from several
/// threads.
struct SliceReader {
  std::function<io::Slice(const std::filesystem::path&)> open{};
  std::string identity{};  ///< options of the reader that change what is read, as text: part of cache keys
};

struct CorpusOptions {
  PrepareOptions prepare{};
  std::filesystem::path cache{};                ///< folder of prepared slices; empty: none, memory only
  std::int64_t memory = std::int64_t{2} << 30;  ///< bytes of prepared slices kept; at least what is in use
  bool skip_bad =
      false;        ///< leave a slice out, with a notice, that can not be read or embedded; else an error
  int threads = 0;  ///< slices prepared at a time when the corpus is opened; 0: thread_count()
  std::shared_ptr<const KnownFiles> known{};  ///< hashes of files that need not be read; null: none
  /// Processes that open the same files with one cache: each prepares every `ranks`-th, then all wait for
  /// each other in `wait_for_ranks` and find the rest in the cache.
  int rank = 0, ranks = 1;
  std::function<void()> wait_for_ranks{};
};

/// One slice of a corpus.
struct CorpusEntry {
  std::string name{};
  std::filesystem::path path{};
  std::string key{};  ///< of the cache; names content, whatever the path
  SliceSummary summary{};
  bool from_cache = false;  ///< found in the cache when the corpus was opened
};

/// What opening a corpus met.
struct CorpusReport {
  std::int64_t files = 0, from_cache = 0, prepared = 0;
  std::int64_t skipped_bad = 0;     ///< under skip_bad
  std::int64_t skipped_single = 0;  ///< slices with one cell
  double seconds = 0;
  Notices notices{};  ///< of corpus and cache, then of every slice, with its name in front
};

/// May be used from several threads at once.
class Corpus {
 public:
  /// \throws UsageError (options, no file); what reading or preparing throws, with the name of the file, for
  /// the
  ///   first bad one in the order of the list, unless skip_bad; DataError if no slice is left; Interrupted.
  Corpus(const std::vector<std::filesystem::path>& files, CellFeatures features, SliceReader reader,
         const CorpusOptions& options = {}, const pipeline::Progress& progress = {});

  std::int64_t size() const { return static_cast<std::int64_t>(entries_.size()); }
  /// In the order of the list that was given, without what was left out.
  const std::vector<CorpusEntry>& entries() const { return entries_; }
  const CorpusReport& report() const { return report_; }
  const CorpusOptions& options() const { return options_; }
  std::int64_t width() const { return features_.width; }
  std::int64_t pieces() const;
  /// SHA-256 over the keys of all slices: what a run was trained on.
  std::string identity() const;

  /// Training and validation slices. \throws as split_slices.
  DataSplit split(const SplitOptions& options) const;
  /// What the sampler needs of some slices.
  std::vector<SlicePieces> pieces_of(const std::vector<std::int64_t>& slices) const;

  /// A slice: from memory, from the cache, or prepared again. The pointer keeps it alive. Waits if another
  /// thread is at it. \throws ShapeError outside [0, size()); DataError (STOFM-4546) if the file has changed
  /// since.
  std::shared_ptr<const PreparedSlice> slice(std::int64_t index);
  /// Bytes of slices that the corpus keeps.
  std::int64_t held_bytes() const;
  /// Slices read or prepared since opening, and what went wrong on the way.
  std::int64_t loads() const { return loads_.load(); }
  Notices take_notices();

 private:
  struct Place {
    std::shared_ptr<const PreparedSlice> kept{};
    std::weak_ptr<const PreparedSlice> alive{};
    bool loading = false;
    std::uint64_t used = 0;
  };
  struct Opened;

  PreparedSlice prepare(const io::Slice& slice, const CorpusEntry& entry,
                        const pipeline::Progress& progress) const;
  Opened open_one(const std::filesystem::path& path, const pipeline::Progress& progress) const;
  std::vector<Opened> open_all(const std::vector<std::filesystem::path>& files,
                               const pipeline::Progress& progress) const;
  bool passable(const Opened& one) const;
  void adopt(std::vector<Opened> opened, const std::vector<std::filesystem::path>& files);
  PreparedSlice load(const CorpusEntry& entry, Notices& notices) const;
  void keep(std::size_t index, std::shared_ptr<const PreparedSlice> slice);

  CellFeatures features_;
  SliceReader reader_;
  CorpusOptions options_;
  std::optional<SliceCache> cache_;
  std::vector<CorpusEntry> entries_;
  CorpusReport report_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable loaded_;
  std::vector<Place> places_;
  std::int64_t held_ = 0;
  std::uint64_t clock_ = 0;
  Notices notices_;
  std::atomic<std::int64_t> loads_{0};
};

/// What came of one file.
struct Corpus::Opened {
  std::optional<CorpusEntry> entry{};
  std::shared_ptr<const PreparedSlice> slice{};  ///< if it was prepared
  std::exception_ptr error{};
  ErrorKind kind = ErrorKind::resource;  ///< of `error`
  std::string text{};
  Notices notices{};
};

}  // namespace stofm::train

#include "stofm/train/corpus_open.hpp"
