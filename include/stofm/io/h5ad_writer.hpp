// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Embeddings back into .h5ad: a copy of the input with entries of obsm, layers, obs, var and uns added; all
/// else stays byte for byte.
///
///     stofm::io::H5adResult result{.obsm = {{"X_stofm", embedding}}, .uns = {{"version", "0.1.0"}}};
///     stofm::io::write_h5ad_result("slice.h5ad", "slice.stofm.h5ad", result, {});
///
/// The input is cloned beside the target (reflink where the file system can, else a copy inside the kernel,
/// else read and write), changed by libhdf5 in a child process, read back, synced, and takes its name by one
/// rename, if the input is still the file that was read. In place works the same way with the input as
/// target: the old file stays whole until the rename; hard links to it keep the old content.

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "stofm/io/h5ad_append.hpp"
#include "stofm/io/hdf5_process.hpp"
#include "stofm/io/in_place.hpp"
#include "stofm/io/output_file.hpp"
#include "stofm/io/write_h5ad.hpp"

namespace stofm::io {

namespace detail {

/// Copies the open file `source` (called `from`) to the new file `to`, which we may write whatever `mode`
/// says. \throws ResourceError
inline void clone_file(const RawDescriptor& source, const std::string& from, const std::string& to,
                       mode_t mode, const std::string& name) {
  Descriptor target(TemporaryFiles::of_process().create(to));
  if (!target.valid()) throw_errno(errno, name, "create");
  if (mode != 0) (void)!::fchmod(target.get(), mode | S_IRUSR | S_IWUSR);
  struct stat status {};
  if (stat_descriptor(source.fd, status) != 0) throw_errno(errno, from, "read");
  std::int64_t left = platform::copy_inside_kernel(source.fd, target.get(), status.st_size);
  std::vector<char> buffer(left > 0 ? std::size_t{1} << 20 : 0);
  while (left > 0) {
    const std::int64_t got =
        read_at(source.fd, buffer.data(), (std::min<std::int64_t>)(left, 1 << 20), status.st_size - left);
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
inline std::int64_t result_bytes(const H5adResult& result) {
  std::int64_t bytes = 1 << 16;
  const auto add = [&bytes](std::int64_t count, std::int64_t each) {
    bytes = checked_add(bytes, checked_mul(count, each));
  };
  for (const H5adTable& table : result.obsm) add(table.values.numel(), 4);
  for (const H5adLayer& layer : result.layers) add(layer.values.numel(), 4);
  for (const std::vector<H5adColumn>* columns : {&result.obs, &result.var})
    for (const H5adColumn& column : *columns)
      add(static_cast<std::int64_t>(column.integers.size() + column.reals.size() + column.codes.size() +
                                    2 * column.texts.size()),
          8);
  return bytes;
}

}  // namespace detail

}  // namespace stofm::io

#if STOFM_H5AD_BODIES
namespace stofm {

STOFM_H5AD_INLINE void io::write_h5ad_result(const std::string& input, const std::string& output,
                                             const H5adResult& result, const H5adWriteOptions& options) {
  const std::string target = options.in_place ? input : output;
  const detail::RawDescriptor source(::open(input.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const Hdf5Superblock whole = check_superblock(input, source);
  const FileIdentity read_from = result.input.known() ? result.input : detail::identity_of(source.fd);
  if (!options.in_place && same_file(output, input))
    throw UsageError({"STOFM-3011", output, "output", "the same file as the input " + input,
                      "an output of its own",
                      "Choose another output path, or ask for H5adWriteOptions::in_place."});
  if (options.in_place) check_in_place(input);
  const std::shared_ptr<void> held = detail::hold_input(input, options.in_place, options.group);
  require_unchanged(input, read_from, detail::identity_of(source.fd));
  PendingOutput pending(target, {.overwrite = options.overwrite || options.in_place,
                                 .expected_bytes = checked_add(whole.file_size, detail::result_bytes(result)),
                                 .follow_link = options.follow_link,
                                 .group = options.group});
  if (pending.is_stream())
    throw UsageError({"STOFM-3014", target, "output", "a pipe or device", "a regular file",
                      "Name a file: .h5ad is not a stream."});
  detail::clone_file(source, input, pending.temporary_path(), pending.mode(), target);
  const std::string temporary = pending.temporary_path();
  if (options.isolation == H5adIsolation::child_process) {
    std::unique_lock lock(hdf5_mutex());
    Hdf5Process process(input, options.silence_limit_s, [&](Channel& channel) {
      const Hdf5Quiet quiet;
      H5adAppender(temporary, input, target, channel.ticker(options.busy_limit_s)).append(result);
      channel.send(Channel::Kind::data, "done");
    });
    lock.unlock();
    process.receive();
  } else {
    const std::lock_guard lock(hdf5_mutex());
    const Hdf5Quiet quiet;
    H5adAppender(temporary, input, target, {}).append(result);
  }
  constexpr mode_t ours = S_IRUSR | S_IWUSR;
  if (pending.mode() != 0 && (pending.mode() & ours) != ours)
    (void)!::chmod(temporary.c_str(), pending.mode());
  require_unchanged(input, read_from);  // also its name: in place, whoever took it would lose
  pending.commit();
}

}  // namespace stofm
#endif
