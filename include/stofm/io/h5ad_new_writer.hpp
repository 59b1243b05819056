// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A whole .h5ad file from nothing: pseudo-spots, imputed panels.
///
///     stofm::io::NewH5ad spots{.cells = names, .genes = genes, .counts = &csr};
///     spots.content.obs = {...};
///     stofm::io::write_new_h5ad("spots.h5ad", spots);
///
/// Written by libhdf5 in a child process beside the target, read back, synced, named by one rename, as
/// h5ad_writer.hpp does it.

#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/h5ad_new_file.hpp"

namespace stofm::io {

namespace detail {

/// Makes a file with X, the indices, positions and empty dicts.
class H5adCreator {
 public:
  H5adCreator(const std::string& path, const std::string& output, std::function<void()> progress)
      : file_(path, output, std::move(progress)) {}

  void create(const NewH5ad& made) {
    check(made);
    file_.create();
    file_.write_frames(made);
    write_counts(made);
    file_.close();
  }

  /// Compares what create() wrote with the file. \throws ResourceError (STOFM-5038)
  void verify(const NewH5ad& made) const {
    file_.verify(made, [&made](Hdf5File& file) {
      if (made.counts != nullptr)
        return is_stored(file, "X/data", made.counts->values) &&
               is_stored(file, "X/indices", made.counts->columns) &&
               is_stored(file, "X/indptr", made.counts->offsets);
      return made.dense.rank() != 2 || made.dense.dim(1) == 0 || is_stored(file, made.dense);
    });
  }

 private:
  [[noreturn]] void fail(const std::string& where, std::string found, std::string expected) const {
    throw UsageError({"STOFM-3544", file_.output(), where, std::move(found), std::move(expected),
                      "Check the contents given."});
  }

  void check_names(const char* where, const std::vector<std::string>& names) const {
    if (names.empty()) fail(where, "no names", "at least one");
    std::set<std::string_view> seen;
    for (const std::string& name : names) {
      if (name.empty() || name.find('\0') != std::string::npos ||
          find_invalid_utf8(name) != std::string::npos)
        fail(where, stofm::quoted(name, 60), "UTF-8 text");
      if (!seen.insert(name).second) fail(where, stofm::quoted(name, 60) + " twice", "each name once");
    }
  }

  void check(const NewH5ad& made) const {
    check_names("obs", made.cells);
    check_names("var", made.genes);
    const auto cells = static_cast<std::int64_t>(made.cells.size());
    const auto genes = static_cast<std::int64_t>(made.genes.size());
    if (const H5adCsr* x = made.counts) {
      if (x->offsets.size() != made.cells.size() + 1 || x->offsets.front() != 0 ||
          x->columns.size() != x->values.size() ||
          x->offsets.back() != static_cast<std::int64_t>(x->columns.size()))
        fail("X",
             concat(x->offsets.size(), " offsets, ", x->columns.size(), " columns, ", x->values.size(),
                    " values"),
             concat(cells + 1, " offsets from 0, one column and one value for each entry"));
      for (std::size_t row = 0; row + 1 < x->offsets.size(); ++row)
        if (x->offsets[row + 1] < x->offsets[row])
          fail("X", concat("row ", row), "offsets that do not decrease");
      for (std::size_t row = 0; row + 1 < x->offsets.size(); ++row) {
        const auto first = static_cast<std::size_t>(x->offsets[row]);
        for (std::size_t i = first; i < static_cast<std::size_t>(x->offsets[row + 1]); ++i)
          if (x->columns[i] < 0 || x->columns[i] >= genes ||
              (i > first && x->columns[i] <= x->columns[i - 1]))
            fail("X", concat("row ", row, ", column ", x->columns[i]),
                 concat("ascending columns below ", genes));
      }
    } else if (made.dense.rank() != 0 &&
               (made.dense.rank() != 2 || made.dense.dim(0) != cells || made.dense.dim(1) != genes ||
                made.dense.data == nullptr || (genes > 1 && made.dense.stride(1) != 1))) {
      fail("X", "shape " + to_string(made.dense.shape), concat("[", cells, ", ", genes, "], dense rows"));
    }
    const auto& xy = made.spatial;
    if (xy.rank() != 0 && (xy.rank() != 2 || xy.dim(0) != cells || (xy.dim(1) != 2 && xy.dim(1) != 3) ||
                           xy.data == nullptr || xy.stride(1) != 1))
      fail("obsm/spatial", "shape " + to_string(xy.shape), concat("[", cells, ", 2 or 3]"));
    if (!made.content.file_rows.empty() || !made.content.file_columns.empty() || made.content.input.known())
      fail("content", "rows or columns of another file", "none");
  }

  static bool is_stored(const Hdf5File& file, const TensorView<const float>& dense) {
    const std::vector<std::int64_t> all;
    Hdf5Dataset data = open_hdf5_dataset(file, "X");
    std::vector<float> block;
    std::vector<std::byte> stored;
    for (H5adBlocks blocks(dense, {&all, dense.dim(0)}, {&all, dense.dim(1)}); blocks.next(block);) {
      stored.resize(block.size() * sizeof(float));
      data.read_rows(blocks.begin(), blocks.end(), stored);
      if (std::memcmp(stored.data(), block.data(), stored.size()) != 0) return false;
    }
    return true;
  }
  template <class T>
  static bool is_stored(const Hdf5File& file, const std::string& where, const std::vector<T>& given) {
    Hdf5Dataset data = open_hdf5_dataset(file, where);
    if (data.elements() != static_cast<std::int64_t>(given.size()) ||
        data.element_size() != static_cast<std::int64_t>(sizeof(T)))
      return false;
    constexpr std::size_t step = std::size_t{1} << 20;
    std::vector<std::byte> stored;
    for (std::size_t at = 0; at < given.size(); at += step) {
      const std::size_t end = (std::min)(given.size(), at + step);
      stored.resize((end - at) * sizeof(T));
      data.read_rows(static_cast<std::int64_t>(at), static_cast<std::int64_t>(end), stored);
      if (std::memcmp(stored.data(), given.data() + at, stored.size()) != 0) return false;
    }
    return true;
  }

  void write_counts(const NewH5ad& made) const {
    const hid_t root = file_.root();
    if (made.counts != nullptr) {
      const Hdf5Handle x = file_.writer().create_group(root, "X");
      file_.writer().set_encoding(x.get(), "csr_matrix", "0.1.0");
      file_.write_shape(x.get(), made);
      file_.numbers(x.get(), "X/data", "data", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {made.counts->values.size()},
                    made.counts->values.data());
      file_.numbers(x.get(), "X/indices", "indices", H5T_STD_I32LE, H5T_NATIVE_INT32,
                    {made.counts->columns.size()}, made.counts->columns.data());
      file_.numbers(x.get(), "X/indptr", "indptr", H5T_STD_I64LE, H5T_NATIVE_INT64,
                    {made.counts->offsets.size()}, made.counts->offsets.data());
    } else if (made.dense.rank() == 2) {
      const std::vector<std::int64_t> all;
      file_.parts().matrix(root, "X", "X", made.dense, {&all, made.dense.dim(0)}, {&all, made.dense.dim(1)});
    }
  }

  NewH5adFile file_;
};

inline std::int64_t new_h5ad_bytes(const NewH5ad& made) {
  std::int64_t bytes = result_bytes(made.content);
  if (made.counts != nullptr)
    bytes = checked_add(
        bytes, static_cast<std::int64_t>(8 * made.counts->values.size() + 8 * made.counts->offsets.size()));
  else if (made.dense.rank() == 2)
    bytes = checked_add(bytes, checked_mul(made.dense.numel(), 4));
  for (const auto* names : {&made.cells, &made.genes})
    for (const std::string& name : *names) bytes += static_cast<std::int64_t>(name.size()) + 32;
  return bytes;
}

}  // namespace detail

/// Writes the file `output`. options.in_place has no meaning here.
/// \throws UsageError the output exists (STOFM-3010), has no directory (3012), contents that do not fit each
/// other (3544, 3542); ResourceError disk, processes, other bytes on the disk than were written (5038). Then
/// nothing has changed. *Cost* one write and one read; no copy of X or layers in memory
STOFM_H5AD_INLINE void write_new_h5ad(const std::string& output, const NewH5ad& made,
                                      const H5adWriteOptions& options = {});

}  // namespace stofm::io

#if STOFM_H5AD_BODIES
namespace stofm {

STOFM_H5AD_INLINE auto io::write_new_h5ad(const std::string& output, const NewH5ad& made,
                                          const H5adWriteOptions& options) -> void {
  const OutputOptions reserve{.overwrite = options.overwrite,
                              .expected_bytes = detail::new_h5ad_bytes(made),
                              .follow_link = options.follow_link,
                              .group = options.group};
  detail::with_new_h5ad(output, reserve, [&](const std::string& temporary) {
    const auto write = [&](std::function<void()> progress) {
      const Hdf5Quiet quiet;
      detail::H5adCreator creator(temporary, output, progress);
      creator.create(made);
      H5adAppender(temporary, output, output, progress).append(made.content);
      creator.verify(made);
    };
    if (options.isolation == H5adIsolation::child_process) {
      std::unique_lock lock(hdf5_mutex());
      Hdf5Process process(output, options.silence_limit_s, [&](Channel& channel) {
        write(channel.ticker(options.busy_limit_s));
        channel.send(Channel::Kind::data, "done");
      });
      lock.unlock();
      process.receive();
    } else {
      const std::lock_guard lock(hdf5_mutex());
      write({});
    }
  });
}

}  // namespace stofm
#endif
