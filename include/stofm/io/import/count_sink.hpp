// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Takes counts in the order of a file and gives them on as rows of a CSR matrix: columns ascend, entries
/// with the same place are summed, control features are set aside as one sum a cell.
///
/// Counts that come cell by cell pass straight through (one row is held). Others are sorted: runs of at most
/// `most_entries` in memory, then on the disk in a file without a name, merged at the end. Memory: 12 bytes
/// times most_entries, 8 bytes a cell, 1 MiB a run while they are merged.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/io/system_calls.hpp"
#include "stofm/io/temporary_files.hpp"

namespace stofm::io {

/// Thrown by CountSink::add where counts go straight through and a cell comes again: read once more, sorting.
struct CountsOutOfOrder {};

struct CountSinkOptions {
  bool sorting = false;
  std::int64_t most_entries = std::int64_t{24} << 20;  ///< held while sorting
  std::string spill = {};                              ///< path that the file of runs has for a moment
  std::function<void()> progress = {};
};

/// One count while it is sorted.
struct CountEntry {
  std::uint32_t cell = 0, column = 0;
  float value = 0;
  bool operator<(const CountEntry& other) const {
    return cell != other.cell ? cell < other.cell : column < other.column;
  }
};

namespace detail {

/// Sorted runs in a file that has no name.
class CountRuns {
 public:
  CountRuns(std::string path, std::function<void()> progress)
      : path_(std::move(path)), progress_(std::move(progress)) {}

  void write(const std::vector<CountEntry>& run) {
    if (!file_.valid()) {
      file_ = Descriptor(open_file(path_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW));
      if (!file_.valid()) throw_errno(errno, path_, "create");
      (void)::unlink(path_.c_str());  // gone with this process, whatever ends it
    }
    const auto* bytes = reinterpret_cast<const char*>(run.data());
    auto left = static_cast<std::int64_t>(run.size() * sizeof(CountEntry));
    while (left > 0) {
      const std::int64_t got = write_some(file_.get(), bytes, (std::min<std::int64_t>)(left, 8 << 20));
      if (got < 0) throw_errno(errno, path_, "write");
      if (got == 0) throw_errno(ENOSPC, path_, "write");
      bytes += got;
      left -= got;
      if (progress_) progress_();
    }
    ends_.push_back((ends_.empty() ? 0 : ends_.back()) + static_cast<std::int64_t>(run.size()));
  }
  bool empty() const { return ends_.empty(); }

  /// All runs as one: visit(entry) in order.
  template <class Visit>
  void merge(Visit&& visit) {
    std::vector<Reader> readers;
    for (std::size_t i = 0; i < ends_.size(); ++i)
      readers.push_back({this, i == 0 ? 0 : ends_[i - 1], ends_[i], {}, 0});
    const auto later = [&](std::size_t a, std::size_t b) {
      const CountEntry &x = readers[a].now(), &y = readers[b].now();
      return y < x || (!(x < y) && b < a);  // equal places in the order of the runs
    };
    std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> heap(later);
    for (std::size_t i = 0; i < readers.size(); ++i)
      if (readers[i].fill()) heap.push(i);
    while (!heap.empty()) {
      const std::size_t first = heap.top();
      heap.pop();
      visit(readers[first].now());
      if (readers[first].step()) heap.push(first);
    }
  }

 private:
  struct Reader {
    CountRuns* runs;
    std::int64_t begin, end;  ///< entries of the file that are left
    std::vector<CountEntry> held;
    std::size_t at;

    const CountEntry& now() const { return held[at]; }
    bool step() { return ++at < held.size() || fill(); }
    bool fill() {
      const std::int64_t count = (std::min<std::int64_t>)(end - begin, 87381);  // 1 MiB
      held.resize(static_cast<std::size_t>(count));
      at = 0;
      auto* out = reinterpret_cast<char*>(held.data());
      auto offset = begin * static_cast<std::int64_t>(sizeof(CountEntry));
      for (auto left = count * static_cast<std::int64_t>(sizeof(CountEntry)); left > 0;) {
        const std::int64_t got = read_at(runs->file_.get(), out, left, offset);
        if (got <= 0) throw_errno(got < 0 ? errno : EIO, runs->path_, "read");
        out += got, offset += got, left -= got;
      }
      begin += count;
      if (runs->progress_) runs->progress_();
      return count > 0;
    }
  };

  std::string path_;
  std::function<void()> progress_;
  Descriptor file_;
  std::vector<std::int64_t> ends_;
};

}  // namespace detail

class CountSink {
 public:
  /// One finished row that has entries; rows ascend.
  using Row = std::function<void(std::int64_t cell, std::span<const std::int32_t> columns,
                                 std::span<const float> values)>;

  /// \param column_of_feature the column of each feature, -1: set aside
  CountSink(std::vector<std::int32_t> column_of_feature, std::int64_t cells, CountSinkOptions options,
            Row row)
      : column_of_(std::move(column_of_feature)),
        options_(std::move(options)),
        row_(std::move(row)),
        runs_(options_.spill, options_.progress),
        set_aside_(static_cast<std::size_t>(cells), 0),
        present_(static_cast<std::size_t>(cells), 0) {}

  /// A count, checked by the caller: finite, not negative; cell and feature in range.
  void add(std::int64_t cell, std::int64_t feature, double value) {
    if (value == 0) return;
    const std::int32_t column = column_of_[static_cast<std::size_t>(feature)];
    if (column < 0) {
      set_aside_[static_cast<std::size_t>(cell)] += value;
      return;
    }
    const auto stored = static_cast<float>(value);
    if (static_cast<double>(stored) != value) ++rounded_;
    if (value != std::floor(value)) ++fractional_;
    const CountEntry entry{static_cast<std::uint32_t>(cell), static_cast<std::uint32_t>(column), stored};
    if (options_.sorting) {
      entries_.push_back(entry);
      if (static_cast<std::int64_t>(entries_.size()) >= options_.most_entries) spill();
      return;
    }
    if (entry.cell != current_) {
      if (entry.cell < current_) throw CountsOutOfOrder{};
      finish_row();
      current_ = entry.cell;
    }
    entries_.push_back(entry);
  }
  /// The cell is among those of the counts, whether it has some or not. \return false: for the second time
  bool mark_present(std::int64_t cell) {
    return std::exchange(present_[static_cast<std::size_t>(cell)], char{1}) == 0;
  }
  void skip_unplaced() { ++unplaced_; }      ///< a cell of the counts that has no position
  void skip_background() { ++background_; }  ///< a record that belongs to no cell

  /// The rest of the rows. Call once, behind the last count.
  void finish() {
    if (!options_.sorting) return finish_row();
    if (runs_.empty()) {
      std::sort(entries_.begin(), entries_.end());
      for (const CountEntry& entry : entries_) put(entry);
    } else {
      if (!entries_.empty()) spill();
      entries_ = {};
      runs_.merge([this](const CountEntry& entry) { put(entry); });
    }
    put_row();
  }

  const std::vector<double>& set_aside() const { return set_aside_; }  ///< [cells]
  const std::vector<char>& present() const { return present_; }        ///< [cells]
  std::int64_t summed() const { return summed_; }  ///< entries added to another with the same place
  std::int64_t fractional() const { return fractional_; }
  std::int64_t rounded() const { return rounded_; }  ///< no float32 has their value
  std::int64_t unplaced() const { return unplaced_; }
  std::int64_t background() const { return background_; }

 private:
  void spill() {
    if (options_.progress) options_.progress();
    std::sort(entries_.begin(), entries_.end());
    runs_.write(entries_);
    entries_.clear();
  }

  /// Entries in order: a row is given on when the next begins.
  void put(const CountEntry& entry) {
    if (entry.cell != row_cell_ || columns_.empty()) {
      put_row();
      row_cell_ = entry.cell;
    } else if (columns_.back() == static_cast<std::int32_t>(entry.column)) {
      sum_ += static_cast<double>(entry.value);
      values_.back() = static_cast<float>(sum_);
      ++summed_;
      return;
    }
    columns_.push_back(static_cast<std::int32_t>(entry.column));
    values_.push_back(entry.value);
    sum_ = static_cast<double>(entry.value);
  }
  void put_row() {
    if (!columns_.empty()) row_(row_cell_, columns_, values_);
    columns_.clear();
    values_.clear();
  }
  void finish_row() {
    if (!std::is_sorted(entries_.begin(), entries_.end())) std::stable_sort(entries_.begin(), entries_.end());
    for (const CountEntry& entry : entries_) put(entry);
    put_row();
    entries_.clear();
  }

  std::vector<std::int32_t> column_of_;
  CountSinkOptions options_;
  Row row_;
  detail::CountRuns runs_;
  std::vector<CountEntry> entries_;
  std::vector<double> set_aside_;
  std::vector<char> present_;
  std::uint32_t current_ = 0;
  std::int64_t row_cell_ = -1;
  std::vector<std::int32_t> columns_;
  std::vector<float> values_;
  double sum_ = 0;
  std::int64_t summed_ = 0, fractional_ = 0, rounded_ = 0, unplaced_ = 0, background_ = 0;
};

}  // namespace stofm::io
