// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parts of an .h5ad file without its counts and genes: labels and numbers of obs, matrices of obsm,
/// positions, what uns["stofm"] says of where results came from.
///
///     stofm::io::H5adTables tables = stofm::io::read_h5ad_tables("result.h5ad", {.obsm = {"X_stofm"}});
///     tables.obsm[0].values;                       // [cells, C] float32
///     tables.provenance["model_sha256"];           // "" if the file does not say

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/h5ad_reader.hpp"
#include "stofm/io/h5ad_tables_reader.hpp"

namespace stofm::io {

namespace detail {

inline std::string pack(const H5adTables& tables, const std::vector<std::int64_t>& widths) {
  ByteSink sink;
  sink.put(tables.identity);
  sink.put(tables.file_cells);
  sink.put(tables.cells);
  sink.put(tables.file_rows);
  put(sink, tables.labels);
  sink.put(static_cast<std::uint64_t>(tables.numbers.size()));
  for (const H5adNumbers& column : tables.numbers) {
    sink.put(column.name);
    sink.put(column.values);
  }
  sink.put(static_cast<std::uint64_t>(tables.obsm.size()));
  for (std::size_t i = 0; i < tables.obsm.size(); ++i) {
    sink.put(tables.obsm[i].key);
    sink.put(tables.obsm[i].columns);
    sink.put(widths[i]);
  }
  sink.put(
      std::vector<double>(tables.coordinates.data(), tables.coordinates.data() + tables.coordinates.numel()));
  sink.put(tables.coordinates_source);
  sink.put(tables.obs_columns);
  sink.put(tables.obsm_keys);
  for (const auto* texts : {&tables.provenance, &tables.uns}) {
    sink.put(static_cast<std::uint64_t>(texts->size()));
    for (const auto& [key, value] : *texts) {
      sink.put(key);
      sink.put(value);
    }
  }
  put(sink, tables.notices);
  return sink.take();
}

inline H5adTables unpack_tables(const std::string& path, std::string bytes,
                                std::vector<std::int64_t>& widths) {
  ByteSource source(std::move(bytes));
  H5adTables tables;
  tables.path = path;
  std::uint64_t count = 0;
  source.get(tables.identity);
  source.get(tables.file_cells);
  source.get(tables.cells);
  source.get(tables.file_rows);
  get(source, tables.labels);
  source.get(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    H5adNumbers& column = tables.numbers.emplace_back();
    source.get(column.name);
    source.get(column.values);
  }
  source.get(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    H5adObsm& entry = tables.obsm.emplace_back();
    source.get(entry.key);
    source.get(entry.columns);
    source.get(widths.emplace_back());
  }
  std::vector<double> xy;
  source.get(xy);
  if (!xy.empty()) tables.coordinates = Tensor<double>::from({tables.cells, 2}, std::span<const double>(xy));
  source.get(tables.coordinates_source);
  source.get(tables.obs_columns);
  source.get(tables.obsm_keys);
  for (auto* texts : {&tables.provenance, &tables.uns}) {
    source.get(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      std::string key;
      source.get(key);
      source.get((*texts)[key]);
    }
  }
  get(source, tables.notices);
  return tables;
}

}  // namespace detail

/// Reads the parts of `path` that are asked for; no counts are needed. With H5adIsolation::child_process
/// libhdf5 runs in a forked child that ends with the call. \throws UsageError a column or key that is not
/// there (STOFM-3552), no labels (3553); FileError no numbers (3554), damage; DataError positions;
/// ResourceError memory. *Cost* one read of what is asked for, held once, blocks of 8 MiB beside it.
STOFM_H5AD_INLINE H5adTables read_h5ad_tables(const std::string& path, const H5adTablesRequest& request,
                                              const H5adReadOptions& options = {});

}  // namespace stofm::io

#if STOFM_H5AD_BODIES
namespace stofm {

STOFM_H5AD_INLINE auto io::read_h5ad_tables(const std::string& path, const H5adTablesRequest& request,
                                            const H5adReadOptions& options) -> H5adTables {
  const std::shared_ptr<InputLock> input_lock = InputLock::share(path);
  if (options.isolation == H5adIsolation::none) {
    const std::lock_guard lock(hdf5_mutex());
    const Hdf5Quiet quiet;
    return reading_uncut(input_lock, [&] {
      detail::H5adTablesReader reader(path, request, options, {});
      H5adTables& tables = reader.tables();
      for (std::size_t i = 0; i < tables.obsm.size(); ++i) {
        tables.obsm[i].values = Tensor<float>::zeros({tables.cells, reader.widths()[i]});
        float* to = tables.obsm[i].values.data();
        reader.for_each_block(
            i, [&to](std::span<const float> rows) { to = std::copy(rows.begin(), rows.end(), to); });
      }
      return std::move(tables);
    });
  }
  std::unique_lock lock(hdf5_mutex());
  Hdf5Process process(path, options.silence_limit_s, [&](Channel& channel) {
    const Hdf5Quiet quiet;
    detail::H5adTablesReader reader(path, request, options, channel.ticker(options.busy_limit_s));
    if (!channel.send(Channel::Kind::data, detail::pack(reader.tables(), reader.widths()))) return;
    std::string bytes;
    for (std::size_t i = 0; i < reader.widths().size(); ++i)
      reader.for_each_block(i, [&](std::span<const float> rows) {
        bytes.assign(reinterpret_cast<const char*>(rows.data()), rows.size_bytes());
        (void)channel.send(Channel::Kind::data, bytes);
      });
  });
  lock.unlock();
  return reading_uncut(input_lock, [&] {
    std::vector<std::int64_t> widths;
    H5adTables tables = detail::unpack_tables(path, process.receive(), widths);
    for (std::size_t i = 0; i < widths.size(); ++i) {
      tables.obsm[i].values = Tensor<float>::zeros({tables.cells, widths[i]});
      auto* to = reinterpret_cast<char*>(tables.obsm[i].values.data());
      for (std::int64_t left = 4 * tables.cells * widths[i]; left > 0;) {
        const std::string bytes = process.receive();
        if (static_cast<std::int64_t>(bytes.size()) > left || bytes.empty())
          throw FileError({"STOFM-3533", path, "reader process", "a garbled answer", "whole frames",
                           "The file is damaged."});
        std::memcpy(to, bytes.data(), bytes.size());
        to += bytes.size();
        left -= static_cast<std::int64_t>(bytes.size());
      }
    }
    return tables;
  });
}

}  // namespace stofm
#endif
