// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Definitions of train/corpus.hpp: opening (hashes, cache, preparing several slices at a time) and keeping
/// slices within the memory that is allowed (the least recently used goes first).

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <system_error>

#include "stofm/core/compiled.hpp"
#include "stofm/train/corpus.hpp"

namespace stofm::train {

namespace detail {

/// The same error with the file's name, if it had none.
[[noreturn]] inline void rethrow_named(const Error& error, const std::string& file) {
  ErrorParts parts = error.parts();
  if (parts.file.empty()) parts.file = file;
  switch (error.kind()) {
    case ErrorKind::usage:
      throw UsageError(std::move(parts));
    case ErrorKind::file:
      throw FileError(std::move(parts));
    case ErrorKind::data:
      throw DataError(std::move(parts));
    case ErrorKind::resource:
      throw ResourceError(std::move(parts));
    case ErrorKind::device:
      break;
  }
  throw DeviceError(std::move(parts));
}

/// body(i) for every i on `threads` threads, the caller's among them; the caller's share reports progress.
template <class Body>
void on_threads(std::int64_t count, int threads, Body&& body) {
  std::atomic<std::int64_t> next{0};
  const auto run = [&](bool caller) {
    for (std::int64_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) body(i, caller);
  };
  std::vector<std::thread> others;
  for (std::int64_t t = 1; t < (std::min<std::int64_t>)(threads, count); ++t) {
    try {
      others.emplace_back(run, false);
    } catch (const std::system_error&) {
      break;  // fewer threads do the same
    }
  }
  run(true);
  for (auto& thread : others) thread.join();
}

}  // namespace detail

#if STOFM_BODIES
STOFM_INLINE PreparedSlice Corpus::prepare(const io::Slice& slice, const CorpusEntry& entry,
                                           const pipeline::Progress& progress) const {
  PreparedSlice prepared = prepare_slice(slice, features_, options_.prepare, progress);
  prepared.name = entry.name;
  prepared.hash = entry.key;
  return prepared;
}

STOFM_INLINE Corpus::Opened Corpus::open_one(const std::filesystem::path& path,
                                             const pipeline::Progress& progress) const {
  Opened opened;
  const auto fail = [&opened](ErrorKind kind, const char* text) {
    opened.error = std::current_exception();
    opened.kind = kind;
    opened.text = text;
  };
  try {
    try {
      CorpusEntry entry{
          .name = slice_name(path), .path = path, .key = {}, .summary = {}, .from_cache = false};
      entry.key =
          slice_key(file_hash(path, options_.known.get()), features_, options_.prepare, reader_.identity);
      if (cache_) {
        if (auto summary = cache_->summary(entry.key, opened.notices)) {
          entry.summary = std::move(*summary);
          entry.from_cache = true;
        }
      }
      if (!entry.from_cache) {
        const io::Slice slice = reader_.open(path);
        if (slice.cells == 1) {
          entry.summary.cells = 1;
        } else {
          auto prepared = std::make_shared<const PreparedSlice>(prepare(slice, entry, progress));
          entry.summary = summarise(*prepared);
          if (cache_) cache_->store(*prepared, opened.notices);
          opened.slice = std::move(prepared);
        }
      }
      opened.entry = std::move(entry);
    } catch (const Error& e) {
      detail::rethrow_named(e, path.string());
    }
  } catch (const Error& e) {
    fail(e.kind(), e.what());
  } catch (const std::exception& e) {
    fail(ErrorKind::resource, e.what());
  }
  return opened;
}

/// Memory, disk and interruptions say nothing about the slice.
STOFM_INLINE bool Corpus::passable(const Opened& one) const {
  return options_.skip_bad && one.kind != ErrorKind::resource && one.kind != ErrorKind::device;
}

/// Opens every file, this process's share first; without a cache there is nothing to share.
STOFM_INLINE std::vector<Corpus::Opened> Corpus::open_all(const std::vector<std::filesystem::path>& files,
                                                          const pipeline::Progress& progress) const {
  const auto count = static_cast<std::int64_t>(files.size());
  std::vector<std::int64_t> mine, others;
  for (std::int64_t i = 0; i < count; ++i)
    (!cache_ || i % options_.ranks == options_.rank ? mine : others).push_back(i);
  std::vector<Opened> opened(files.size());
  std::atomic<std::int64_t> done{0}, kept{0};
  std::atomic<std::int64_t> first_bad{count};  // that can not be passed over: later ones are not begun
  const pipeline::Progress stop_only([&progress](const pipeline::ProgressEvent&) { progress.check(); });
  const auto open = [&](std::int64_t i, bool caller) {
    if (i > first_bad.load()) return;
    Opened& one = opened[static_cast<std::size_t>(i)];
    one = open_one(files[static_cast<std::size_t>(i)], stop_only);
    ++done;
    try {
      if (caller) progress.report("slices", done.load(), count, "slices");
    } catch (...) {
      one.error = std::current_exception();
      one.kind = ErrorKind::resource;
    }
    if (one.slice && kept.fetch_add(one.slice->bytes()) + one.slice->bytes() > options_.memory)
      kept.fetch_sub(std::exchange(one.slice, nullptr)->bytes());
    std::int64_t seen = first_bad.load();
    while (one.error && !passable(one) && i < seen && !first_bad.compare_exchange_weak(seen, i)) {
    }
  };
  progress.report("slices", 0, count, "slices");
  const int threads = options_.threads > 0 ? options_.threads : thread_count();
  for (const auto* share : {&mine, &others}) {
    detail::on_threads(std::ssize(*share), threads, [&](std::int64_t k, bool caller) {
      open((*share)[static_cast<std::size_t>(k)], caller);
    });
    if (first_bad.load() < count) break;  // the others need not wait for one that ends
    if (share == &mine && options_.ranks > 1 && options_.wait_for_ranks) options_.wait_for_ranks();
  }
  return opened;
}

STOFM_INLINE void Corpus::adopt(std::vector<Opened> opened, const std::vector<std::filesystem::path>& files) {
  std::vector<std::shared_ptr<const PreparedSlice>> ready;
  std::map<std::string, std::filesystem::path> paths;  // of each content
  for (std::size_t i = 0; i < opened.size(); ++i) {
    Opened& one = opened[i];
    pipeline::detail::append_notices(report_.notices, one.notices);
    if (one.error) {
      if (!passable(one)) std::rethrow_exception(one.error);
      ++report_.skipped_bad;
      report_.notices.push_back({"STOFM-W4540", "a slice is left out: " + one.text, 1});
      continue;
    }
    if (one.entry->summary.cells < 2) {
      ++report_.skipped_single;
      report_.notices.push_back(
          {"STOFM-W4541", files[i].string() + ": a slice with one cell is left out", 1});
      continue;
    }
    if (const auto [first, is_new] = paths.try_emplace(one.entry->key, files[i]); !is_new)
      report_.notices.push_back({"STOFM-W4542",
                                 concat(files[i].string(), " has the content of ", first->second.string(),
                                        ": it counts twice, and may be trained on and validated with"),
                                 1});
    ++(one.entry->from_cache ? report_.from_cache : report_.prepared);
    entries_.push_back(std::move(*one.entry));
    ready.push_back(std::move(one.slice));
  }
  for (const CorpusEntry& entry : entries_)
    for (const Notice& n : entry.summary.notices)
      report_.notices.push_back({n.code, entry.name + ": " + n.text, n.count});
  if (entries_.empty())
    throw DataError({"STOFM-4545", "", "slices",
                     concat("none of ", files.size(), " files can be trained on",
                            report_.notices.empty() ? "" : "; " + report_.notices.front().text),
                     "at least one slice with two cells", "Check the list of slices."});
  places_.resize(entries_.size());
  for (std::size_t i = ready.size(); i-- > 0;)
    if (ready[i]) keep(i, std::move(ready[i]));
}

STOFM_INLINE Corpus::Corpus(const std::vector<std::filesystem::path>& files, CellFeatures features,
                            SliceReader reader, const CorpusOptions& options,
                            const pipeline::Progress& progress)
    : features_(std::move(features)), reader_(std::move(reader)), options_(options) {
  const auto begin = std::chrono::steady_clock::now();
  options_.prepare.embed.validate();
  if (!features_.compute || !reader_.open || options_.memory < 0 || options_.threads < 0 ||
      options_.rank < 0 || options_.rank >= options_.ranks)
    throw UsageError(
        {"STOFM-4544", "", "corpus",
         concat("memory ", options_.memory, ", threads ", options_.threads, ", rank ", options_.rank, " of ",
                options_.ranks, features_.compute ? "" : ", no cell features",
                reader_.open ? "" : ", no reader"),
         "memory and threads of 0 or more, a rank below ranks, features and a reader", "Check the options."});
  if (!options_.cache.empty()) cache_.emplace(options_.cache);
  report_.files = static_cast<std::int64_t>(files.size());
  adopt(open_all(files, progress), files);
  report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

STOFM_INLINE std::int64_t Corpus::pieces() const {
  std::int64_t count = 0;
  for (const auto& entry : entries_) count += static_cast<std::int64_t>(entry.summary.piece_sizes.size());
  return count;
}

STOFM_INLINE std::string Corpus::identity() const {
  std::string keys;
  for (const auto& entry : entries_) keys += entry.key + "\n";
  return io::sha256_hex(keys);
}

STOFM_INLINE DataSplit Corpus::split(const SplitOptions& options) const {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : entries_) paths.push_back(entry.path);
  return split_slices(paths, options);
}

STOFM_INLINE std::vector<SlicePieces> Corpus::pieces_of(const std::vector<std::int64_t>& slices) const {
  std::vector<SlicePieces> list;
  for (const std::int64_t i : slices) {
    const SliceSummary& summary = entries_.at(static_cast<std::size_t>(i)).summary;
    list.push_back({i, static_cast<std::int64_t>(summary.piece_sizes.size()), summary.bytes});
  }
  return list;
}

STOFM_INLINE PreparedSlice Corpus::load(const CorpusEntry& entry, Notices& notices) const {
  if (cache_)
    if (auto slice = cache_->load(entry.key, notices)) return std::move(*slice);
  const std::string key =
      slice_key(file_hash(entry.path, options_.known.get()), features_, options_.prepare, reader_.identity);
  if (key != entry.key)
    throw DataError({"STOFM-4546", entry.path.string(), "content",
                     "another file than when the corpus was opened", "the same",
                     "Do not change slices while they are trained on."});
  PreparedSlice slice = prepare(reader_.open(entry.path), entry, {});
  if (cache_) cache_->store(slice, notices);
  return slice;
}

STOFM_INLINE void Corpus::keep(std::size_t index, std::shared_ptr<const PreparedSlice> slice) {
  Place& place = places_[index];
  place.alive = slice;
  place.used = ++clock_;
  const std::int64_t bytes = slice->bytes();
  if (bytes > options_.memory) return;  // whoever asked for it holds it, nobody else
  while (held_ + bytes > options_.memory) {
    Place* oldest = nullptr;
    for (Place& other : places_)
      if (other.kept && (oldest == nullptr || other.used < oldest->used)) oldest = &other;
    held_ -= oldest->kept->bytes();
    oldest->kept.reset();
  }
  place.kept = std::move(slice);
  held_ += bytes;
}

STOFM_INLINE std::shared_ptr<const PreparedSlice> Corpus::slice(std::int64_t index) {
  if (index < 0 || index >= size())
    throw ShapeError({"STOFM-4547", "", "[Corpus::slice]", concat(index), concat("0 to ", size() - 1),
                      "Check the index."});
  const auto i = static_cast<std::size_t>(index);
  std::unique_lock lock(mutex_);
  Place& place = places_[i];
  loaded_.wait(lock, [&place] { return !place.loading; });
  place.used = ++clock_;
  if (place.kept) return place.kept;
  if (auto alive = place.alive.lock()) {
    keep(i, alive);
    return alive;
  }
  place.loading = true;
  lock.unlock();
  std::shared_ptr<const PreparedSlice> slice;
  Notices notices;
  std::exception_ptr error;
  try {
    slice = std::make_shared<const PreparedSlice>(load(entries_[i], notices));
    ++loads_;
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  place.loading = false;
  pipeline::detail::append_notices(notices_, notices);
  if (slice) keep(i, slice);
  loaded_.notify_all();
  if (error) std::rethrow_exception(error);
  return slice;
}

STOFM_INLINE std::int64_t Corpus::held_bytes() const {
  const std::scoped_lock lock(mutex_);
  return held_;
}

STOFM_INLINE Notices Corpus::take_notices() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(notices_, {});
}
#endif

}  // namespace stofm::train
