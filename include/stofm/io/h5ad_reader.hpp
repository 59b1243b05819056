// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Reads a slice from an .h5ad file of anndata 0.7 to 0.13, through libhdf5's C API.
///
///     stofm::io::Slice slice = stofm::io::read_h5ad("slice.h5ad", {});
///     stofm::io::CountRows rows = slice.read_counts(0, slice.cells);
///
/// Everything but the counts is read at once; the counts come in blocks of rows. While the slice lives, the
/// file is locked for reading: programs that would write it (h5py, anndata) are told so. By default libhdf5
/// runs in a forked child, because libhdf5 1.10 crashes on some damaged files (bench figure:
/// tests/io/h5ad_flip_test.cpp); the child lives as long as the slice's functions do.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "stofm/io/h5ad_open.hpp"
#include "stofm/io/hdf5_process.hpp"
#include "stofm/io/input_lock.hpp"
#include "stofm/io/read_h5ad.hpp"

namespace stofm::io {

namespace detail {

inline void put(ByteSink& sink, const Notices& notices) {
  sink.put(static_cast<std::uint64_t>(notices.size()));
  for (const Notice& notice : notices) {
    sink.put(notice.code);
    sink.put(notice.text);
    sink.put(notice.count);
  }
}

inline void get(ByteSource& source, Notices& notices) {
  std::uint64_t count = 0;
  source.get(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    Notice notice;
    source.get(notice.code);
    source.get(notice.text);
    source.get(notice.count);
    notices.push_back(std::move(notice));
  }
}

inline void put(ByteSink& sink, const std::vector<SliceLabels>& columns) {
  sink.put(static_cast<std::uint64_t>(columns.size()));
  for (const SliceLabels& labels : columns) {
    sink.put(labels.name);
    sink.put(labels.codes);
    sink.put(labels.categories);
    sink.put(labels.colours);
    sink.put(labels.missing);
  }
}

inline void get(ByteSource& source, std::vector<SliceLabels>& columns) {
  std::uint64_t count = 0;
  source.get(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    SliceLabels& labels = columns.emplace_back();
    source.get(labels.name);
    source.get(labels.codes);
    source.get(labels.categories);
    source.get(labels.colours);
    source.get(labels.missing);
  }
}

inline std::string pack(const Slice& slice) {
  ByteSink sink;
  for (const auto* text : {&slice.counts_source, &slice.counts_scale, &slice.coordinates_source})
    sink.put(*text);
  sink.put(slice.cells);
  sink.put(slice.file_cells);
  sink.put(slice.identity);
  for (const auto* list : {&slice.gene_ids, &slice.gene_symbols, &slice.cell_names, &slice.library_names})
    sink.put(*list);
  sink.put(slice.file_genes);
  sink.put(slice.file_rows);
  sink.put(slice.file_columns);
  sink.put(slice.library);
  sink.put(
      std::vector<double>(slice.coordinates.data(), slice.coordinates.data() + slice.coordinates.numel()));
  put(sink, slice.notices);
  put(sink, slice.labels);
  sink.put(slice.gene_id_column);
  sink.put(slice.gene_symbol_column);
  sink.put(slice.gene_column_chosen);
  sink.put(static_cast<std::uint64_t>(slice.other_gene_names.size()));
  for (const GeneNameList& other : slice.other_gene_names) {
    sink.put(other.column);
    sink.put(other.names);
  }
  return sink.take();
}

inline Slice unpack_slice(const std::string& path, std::string bytes) {
  ByteSource source(std::move(bytes));
  Slice slice;
  slice.path = path;
  for (auto* text : {&slice.counts_source, &slice.counts_scale, &slice.coordinates_source}) source.get(*text);
  source.get(slice.cells);
  source.get(slice.file_cells);
  source.get(slice.identity);
  for (auto* list : {&slice.gene_ids, &slice.gene_symbols, &slice.cell_names, &slice.library_names})
    source.get(*list);
  source.get(slice.file_genes);
  source.get(slice.file_rows);
  source.get(slice.file_columns);
  source.get(slice.library);
  std::vector<double> xy;
  source.get(xy);
  slice.coordinates = Tensor<double>::from({slice.cells, 2}, std::span<const double>(xy));
  get(source, slice.notices);
  get(source, slice.labels);
  source.get(slice.gene_id_column);
  source.get(slice.gene_symbol_column);
  source.get(slice.gene_column_chosen);
  std::uint64_t others = 0;
  source.get(others);
  for (std::uint64_t i = 0; i < others; ++i) {
    GeneNameList other;
    source.get(other.column);
    source.get(other.names);
    slice.other_gene_names.push_back(std::move(other));
  }
  return slice;
}

/// The reader's child: opens, sends the slice, then answers requests {begin, end} with {rows, notices}.
inline void serve_h5ad(Channel& channel, const std::string& path, const H5adReadOptions& options) {
  const Hdf5Quiet quiet;
  H5adOpen open = open_h5ad(path, options, channel.ticker(options.busy_limit_s));
  if (!channel.send(Channel::Kind::data, pack(open.slice))) return;
  Channel::Kind kind{};
  std::string request;
  while (channel.receive(kind, request, -1) == 1) {
    ByteSource source(std::move(request));
    std::int64_t begin = 0;
    std::int64_t end = 0;
    source.get(begin);
    source.get(end);
    try {
      const CountRows rows = open.read(begin, end);
      ByteSink sink;
      sink.put(rows.offsets);
      sink.put(rows.columns);
      sink.put(rows.values);
      put(sink, open.stream_notices());
      if (!channel.send(Channel::Kind::data, sink.take())) return;
    } catch (const Error& error) {
      Hdf5Process::send_error(channel, error.kind(), error.parts());
    }
  }
}

/// The parent's side of serve_h5ad.
class H5adRemote {
 public:
  H5adRemote(const std::string& path, const H5adReadOptions& options)
      : lock_(InputLock::share(path)), process_(path, options.silence_limit_s, [&](Channel& channel) {
          serve_h5ad(channel, path, options);
        }) {}

  Slice slice(const std::string& path) {
    return reading_uncut(lock_, [&] { return unpack_slice(path, process_.receive()); });
  }

  CountRows read(std::int64_t begin, std::int64_t end) {
    const std::lock_guard lock(mutex_);
    return reading_uncut(lock_, [&] { return receive_rows(begin, end); });
  }
  Notices notices() {
    const std::lock_guard lock(mutex_);
    return notices_;
  }

 private:
  CountRows receive_rows(std::int64_t begin, std::int64_t end) {
    ByteSink request;
    request.put(begin);
    request.put(end);
    process_.send(request.take());
    ByteSource answer(process_.receive());
    CountRows rows;
    rows.first_row = begin;
    answer.get(rows.offsets);
    answer.get(rows.columns);
    answer.get(rows.values);
    notices_.clear();
    get(answer, notices_);
    return rows;
  }

  std::mutex mutex_;
  std::shared_ptr<InputLock> lock_;
  Hdf5Process process_;
  Notices notices_;
};

}  // namespace detail

}  // namespace stofm::io

#if STOFM_H5AD_BODIES
namespace stofm {

STOFM_H5AD_INLINE io::Slice io::read_h5ad(const std::string& path, const H5adReadOptions& options) {
  if (options.isolation == H5adIsolation::child_process) {
    std::shared_ptr<detail::H5adRemote> remote;
    {
      const std::lock_guard lock(hdf5_mutex());
      remote = std::make_shared<detail::H5adRemote>(path, options);
    }
    Slice slice = remote->slice(path);
    slice.read_counts = [remote](std::int64_t begin, std::int64_t end) { return remote->read(begin, end); };
    slice.stream_notices = [remote] { return remote->notices(); };
    return slice;
  }
  const std::lock_guard lock(hdf5_mutex());
  const Hdf5Quiet quiet;
  const std::shared_ptr<InputLock> input_lock = InputLock::share(path);
  const std::shared_ptr<H5adOpen> open(
      reading_uncut(input_lock, [&] { return new H5adOpen(open_h5ad(path, options)); }),
      [input_lock](H5adOpen* closing) {
        const std::lock_guard closing_lock(hdf5_mutex());
        const Hdf5Quiet closing_quiet;
        delete closing;
      });
  Slice slice = open->slice;
  slice.read_counts = [open, input_lock](std::int64_t begin, std::int64_t end) {
    const std::lock_guard reading_lock(hdf5_mutex());
    const Hdf5Quiet reading_quiet;
    return reading_uncut(input_lock, [&] { return open->read(begin, end); });
  };
  slice.stream_notices = [open] {
    const std::lock_guard asking_lock(hdf5_mutex());
    return open->stream_notices();
  };
  return slice;
}

}  // namespace stofm
#endif
