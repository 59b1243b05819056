// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The LZF decompressor: HDF5 filter 32000, which h5py writes and libhdf5 does not know.
///
/// A stream is a sequence of items. Control byte c < 32: c + 1 literal bytes follow. Otherwise a back
/// reference: length c >> 5 (7: one more byte is added to it) plus 2, distance ((c & 31) << 8) + next byte
/// + 1. Source of the format: the comments of Marc Lehmann's liblzf and h5py's documentation of its filter.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace stofm::io {

/// Number that HDF5 registers for LZF.
inline constexpr int lzf_filter_id = 32000;

/// Decompresses `input` into `output`; never reads or writes outside of the two.
/// \return bytes written, or nothing if the stream is damaged or needs more room than `output` has.
/// *Cost* O(output). Deterministic.
inline std::optional<std::size_t> lzf_decompress(std::span<const std::byte> input,
                                                 std::span<std::byte> output) {
  std::size_t in = 0;
  std::size_t out = 0;
  const auto byte_at = [&input](std::size_t i) { return std::to_integer<std::size_t>(input[i]); };
  while (in < input.size()) {
    const std::size_t control = byte_at(in++);
    if (control < 32) {
      const std::size_t count = control + 1;
      if (count > input.size() - in || count > output.size() - out) return std::nullopt;
      std::memcpy(output.data() + out, input.data() + in, count);
      in += count;
      out += count;
      continue;
    }
    std::size_t length = control >> 5;
    if (length == 7) {
      if (in >= input.size()) return std::nullopt;
      length += byte_at(in++);
    }
    length += 2;
    if (in >= input.size()) return std::nullopt;
    const std::size_t distance = ((control & 31U) << 8) + byte_at(in++) + 1;
    if (distance > out || length > output.size() - out) return std::nullopt;
    if (distance >= length) {
      std::memcpy(output.data() + out, output.data() + out - distance, length);
      out += length;
    } else {  // the copy feeds on itself
      for (std::size_t k = 0; k < length; ++k, ++out) output[out] = output[out - distance];
    }
  }
  return out;
}

}  // namespace stofm::io
