// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Embeddings back into .h5ad: a copy of the input with obsm, obs and uns entries added; all else stays byte
/// for byte.
///
///     stofm::io::H5adResult result{.obsm = {{"X_stofm", embedding}}, .uns = {{"version", "0.1.0"}}};
///     stofm::io::write_h5ad_result("slice.h5ad", "slice.stofm.h5ad", result, {});
///
/// The input is cloned beside the target (reflink where the file system can, else a copy inside the kernel,
/// else read and write), changed by libhdf5 in a child process, synced, and takes its name by one rename. In
/// place works the same way with the input as target: the old file stays whole until the rename; hard links
/// to it keep the old content.

#include <fcntl.h>
#include <unistd.h>

#include <mutex>
#include <string>
#include <vector>

#include "stofm/io/h5ad_append.hpp"
#include "stofm/io/hdf5_process.hpp"
#include "stofm/io/output_file.hpp"

namespace stofm::io {

namespace detail {

/// Copies `from` to the new file `to`. \throws ResourceError
inline void clone_file(const std::string& from, const std::string& to, mode_t mode, const std::string& name) {
  const Descriptor source(open_file(from, O_RDONLY));
  if (!source.valid()) throw_errno(errno, from, "open");
  Descriptor target(open_file(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW));
  if (!target.valid()) throw_errno(errno, name, "create");
  if (mode != 0) (void)!::fchmod(target.get(), mode);
  struct stat status {};
  if (stat_descriptor(source.get(), status) != 0) throw_errno(errno, from, "read");
  std::int64_t left = platform::copy_inside_kernel(source.get(), target.get(), status.st_size);
  std::vector<char> buffer(left > 0 ? std::size_t{1} << 20 : 0);
  while (left > 0) {
    const std::int64_t got =
        read_at(source.get(), buffer.data(), (std::min<std::int64_t>)(left, 1 << 20), status.st_size - left);
    if (got < 0) throw_errno(errno, from, "read");
    if (got == 0)
      throw FileError(
          {"STOFM-3502", from, "", "a file that shrank while it was copied", "a file at rest", "Run again."});
    for (std::int64_t put = 0; put < got;) {
      const std::int64_t wrote = write_some(target.get(), buffer.data() + put, got - put);
      if (wrote <= 0) throw_errno(wrote < 0 ? errno : ENOSPC, name, "write");
      put += wrote;
    }
    left -= got;
  }
  if (target.close() != 0) throw_errno(errno, name, "close");
}

/// Bytes that the results add, about.
inline std::int64_t result_bytes(const H5adResult& result, std::int64_t cells) {
  std::int64_t bytes = 1 << 16;
  for (const H5adTable& table : result.obsm)
    if (table.values.rank() == 2)
      bytes = checked_add(bytes, checked_mul(checked_mul(cells, table.values.dim(1)), 4));
  return checked_add(bytes,
                     checked_mul(checked_mul(cells, 8), static_cast<std::int64_t>(result.obs.size()) + 1));
}

}  // namespace detail

/// Writes `output`: `input` and the results. Keys that are there already are replaced.
/// \param input an .h5ad file that read_h5ad accepts
/// \param output path; ignored with options.in_place
/// \throws UsageError the output exists (STOFM-3010), is the input (3011), results do not fit the file
/// (3542);
///   FileError damage; ResourceError disk, processes. Then the output is as before and no temporary file is
///   left.
/// Cost: one clone of the input and one write of the results; no copy of the results in memory.
inline void write_h5ad_result(const std::string& input, const std::string& output, const H5adResult& result,
                              const H5adWriteOptions& options = {}) {
  const std::string target = options.in_place ? input : output;
  const Hdf5Superblock whole = check_superblock(input);
  if (!options.in_place && same_file(output, input))
    throw UsageError({"STOFM-3011", output, "output", "the same file as the input " + input,
                      "an output of its own", "Choose another output path, or ask for --in-place."});
  const std::int64_t cells =
      result.obsm.empty() || result.obsm.front().values.rank() != 2 ? 0 : result.obsm.front().values.dim(0);
  PendingOutput pending(
      target, {.overwrite = options.overwrite || options.in_place,
               .expected_bytes = checked_add(whole.file_size, detail::result_bytes(result, cells))});
  if (pending.is_stream())
    throw UsageError({"STOFM-3014", target, "output", "a pipe or device", "a regular file",
                      "Name a file: .h5ad is not a stream."});
  detail::clone_file(input, pending.temporary_path(), pending.mode(), target);
  const std::string temporary = pending.temporary_path();
  if (options.isolation == H5adIsolation::child_process) {
    std::unique_lock lock(hdf5_mutex());
    Hdf5Process process(input, options.silence_limit_s, [&](Channel& channel) {
      const Hdf5Quiet quiet;
      H5adAppender(temporary, input, channel.ticker(options.busy_limit_s)).append(result);
      channel.send(Channel::Kind::data, "done");
    });
    lock.unlock();
    process.receive();
  } else {
    const std::lock_guard lock(hdf5_mutex());
    const Hdf5Quiet quiet;
    H5adAppender(temporary, input, {}).append(result);
  }
  pending.commit();
}

}  // namespace stofm::io
