// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The filters of HDF5 chunks, run by us and bounded by the chunk's size: deflate, shuffle, Fletcher-32, LZF.
///
/// libhdf5 hands over the stored bytes; nothing it would allocate for a bomb is ever allocated. Other filters
/// are refused by their id, unless they are optional and the chunk's mask says that they were skipped.

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/io/lzf_filter.hpp"

namespace stofm::io {

/// One stage of a pipeline, in writing order.
struct Hdf5Filter {
  int id = 0;
  bool optional = false;
  std::size_t element_size = 0;  ///< shuffle
};

inline constexpr int hdf5_deflate = 1;
inline constexpr int hdf5_shuffle = 2;
inline constexpr int hdf5_fletcher32 = 3;

/// "deflate", "zstd", "filter 12345".
inline std::string hdf5_filter_name(int id) {
  switch (id) {
    case hdf5_deflate:
      return "deflate (gzip)";
    case hdf5_shuffle:
      return "shuffle";
    case hdf5_fletcher32:
      return "fletcher32";
    case 4:
      return "szip";
    case 5:
      return "nbit";
    case 6:
      return "scaleoffset";
    case 32001:
      return "blosc";
    case 32004:
      return "lz4";
    case 32008:
      return "bitshuffle";
    case 32015:
      return "zstd";
    case 32026:
      return "blosc2";
    case lzf_filter_id:
      return "lzf";
    default:
      return "an unknown filter";
  }
}

inline bool hdf5_filter_is_known(int id) {
  return id == hdf5_deflate || id == hdf5_shuffle || id == hdf5_fletcher32 || id == lzf_filter_id;
}

namespace detail {

/// HDF5's Fletcher-32 over big-endian 16-bit words.
inline std::uint32_t fletcher32(const std::byte* bytes, std::size_t size) {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  const auto at = [bytes](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  std::size_t i = 0;
  for (std::size_t words = size / 2; words > 0;) {
    std::size_t run = words > 360 ? 360 : words;
    words -= run;
    for (; run > 0; --run, i += 2) {
      first += (at(i) << 8) | at(i + 1);
      second += first;
    }
    first = (first & 0xffffU) + (first >> 16);
    second = (second & 0xffffU) + (second >> 16);
  }
  if (size % 2 != 0) {
    first += at(size - 1) << 8;
    second += first;
    first = (first & 0xffffU) + (first >> 16);
    second = (second & 0xffffU) + (second >> 16);
  }
  first = (first & 0xffffU) + (first >> 16);
  second = (second & 0xffffU) + (second >> 16);
  return (second << 16) | first;
}

inline std::vector<std::byte> unshuffle(const std::vector<std::byte>& in, std::size_t element_size) {
  const std::size_t count = element_size == 0 ? 0 : in.size() / element_size;
  if (element_size <= 1 || count <= 1) return in;
  std::vector<std::byte> out(in.size());
  for (std::size_t b = 0; b < element_size; ++b) {
    const std::byte* plane = in.data() + b * count;
    std::byte* to = out.data() + b;
    for (std::size_t i = 0; i < count; ++i) to[i * element_size] = plane[i];
  }
  const std::size_t whole = count * element_size;  // a rest is stored as it is
  for (std::size_t i = whole; i < in.size(); ++i) out[i] = in[i];
  return out;
}

/// Inflates a zlib stream into at most `limit` bytes; "" or what is wrong. The output grows with what really
/// comes out, not with what is allowed.
inline std::string inflate_bounded(const std::vector<std::byte>& in, std::size_t limit,
                                   std::vector<std::byte>& out) {
  const std::size_t most = limit + 1;  // one more shows that it does not fit
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return "zlib can not start";
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  int status = Z_OK;
  std::size_t have = 0;
  do {
    // Most chunks are small: they get all they may need at once.
    out.resize((std::min)(most, (std::max)({have + have / 2, 4 * in.size(), std::size_t{4} << 20})));
    const std::size_t room = out.size() - have;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + have);
    stream.avail_out = static_cast<uInt>(room);
    status = inflate(&stream, out.size() == most ? Z_FINISH : Z_NO_FLUSH);
    have = out.size() - stream.avail_out;
  } while (status == Z_OK && stream.avail_out == 0 && have < most);
  inflateEnd(&stream);
  if (have > limit) return "a deflate stream that expands beyond the chunk";
  if (status != Z_STREAM_END) return "a corrupt deflate stream";
  out.resize(have);
  return "";
}

}  // namespace detail

/// Undoes the filters of one chunk.
/// \param stored bytes as stored; replaced by the decoded chunk
/// \param mask bit i set: filter i was skipped for this chunk
/// \param limit the chunk's size; no stage may grow beyond it (plus a checksum)
/// \return "" or what is wrong. *Cost* O(limit) time and memory.
inline std::string decode_hdf5_chunk(const std::vector<Hdf5Filter>& filters, std::uint32_t mask,
                                     std::size_t limit, std::vector<std::byte>& stored) {
  for (std::size_t i = filters.size(); i-- > 0;) {
    if (i < 32 && (mask >> i & 1U) != 0) continue;
    const Hdf5Filter& filter = filters[i];
    const std::size_t room = limit + 4 * filters.size();
    if (filter.id == hdf5_fletcher32) {
      if (stored.size() < 4) return "a chunk too short for its checksum";
      const std::size_t size = stored.size() - 4;
      const std::uint32_t have = detail::fletcher32(stored.data(), size);
      std::uint32_t want = 0;
      for (std::size_t k = 4; k-- > 0;) want = want << 8 | std::to_integer<std::uint32_t>(stored[size + k]);
      // Old HDF5 versions on little-endian machines swapped the bytes within each half.
      const std::uint32_t swapped = (have & 0x00ff00ffU) << 8 | (have >> 8 & 0x00ff00ffU);
      if (have != want && swapped != want) return "a fletcher32 checksum that does not match";
      stored.resize(size);
    } else if (filter.id == hdf5_shuffle) {
      stored = detail::unshuffle(stored, filter.element_size);
    } else if (filter.id == hdf5_deflate) {
      std::vector<std::byte> out;
      std::string problem = detail::inflate_bounded(stored, room, out);
      if (!problem.empty()) return problem;
      stored = std::move(out);
    } else if (filter.id == lzf_filter_id) {
      std::vector<std::byte> out(room);
      const auto size = lzf_decompress(stored, out);
      if (!size) return "a corrupt lzf stream, or one that expands beyond the chunk";
      out.resize(*size);
      stored = std::move(out);
    } else {
      return concat("filter ", filter.id, " (", hdf5_filter_name(filter.id), ")");
    }
  }
  if (stored.size() != limit) return concat("a chunk of ", stored.size(), " bytes instead of ", limit);
  return "";
}

}  // namespace stofm::io
