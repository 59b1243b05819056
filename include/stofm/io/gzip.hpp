// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Unpacks gzip (RFC 1952, RFC 1951): tables as instruments write them. Bounded output, every byte checked by
/// its CRC. Canonical Huffman codes are decoded bit by bit: about 30 MB/s, enough for a table of a million
/// cells, and short enough to be read.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::io {

inline bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

namespace detail {

class GzipReader {
 public:
  GzipReader(std::string_view bytes, const std::string& file, std::int64_t max_bytes)
      : bytes_(bytes), file_(file), max_bytes_(max_bytes) {}

  /// All members, one after the other; zeros behind the last are padding.
  std::string read() {
    do {
      read_member();
      while (at_ < bytes_.size() && bytes_[at_] == '\0') ++at_;
    } while (at_ < bytes_.size());
    return std::move(text_);
  }

 private:
  /// Symbols in the order of their codes, and how many codes have each length.
  struct Huffman {
    std::array<std::uint16_t, 16> count{};
    std::vector<std::uint16_t> symbols;

    explicit Huffman(std::span<const std::uint8_t> lengths) : symbols(lengths.size()) {
      for (const std::uint8_t length : lengths) ++count[length];
      std::array<std::uint16_t, 16> next{};
      for (std::size_t i = 1; i < 15; ++i) next[i + 1] = static_cast<std::uint16_t>(next[i] + count[i]);
      for (std::size_t i = 0; i < lengths.size(); ++i)
        if (lengths[i] != 0) symbols[next[lengths[i]]++] = static_cast<std::uint16_t>(i);
      count[0] = 0;
    }
    /// More codes than fit are no code at all.
    bool fits() const {
      int left = 1;
      for (std::size_t i = 1; i < 16; ++i) {
        left = 2 * left - count[i];
        if (left < 0) return false;
      }
      return true;
    }
  };

  [[noreturn]] void refuse(const std::string& found) const {
    throw FileError({"STOFM-3412", file_, concat("byte ", at_), found, "a whole gzip file",
                     "The file is damaged or cut short: get it again, or unpack it with gunzip."});
  }
  std::uint32_t byte() {
    if (at_ >= bytes_.size()) refuse("the end of the file");
    return static_cast<unsigned char>(bytes_[at_++]);
  }
  std::uint32_t number(int bytes) {
    std::uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= byte() << (8 * i);
    return value;
  }
  std::uint32_t bits(int count) {
    while (held_ < count) {
      buffer_ |= byte() << held_;
      held_ += 8;
    }
    const std::uint32_t value = buffer_ & ((1U << count) - 1);
    buffer_ >>= count;
    held_ -= count;
    return value;
  }
  std::uint32_t symbol(const Huffman& code) {
    int value = 0, first = 0, index = 0;
    for (std::size_t length = 1; length < 16; ++length) {
      value |= static_cast<int>(bits(1));
      const int count = code.count[length];
      if (value - count < first) return code.symbols[static_cast<std::size_t>(index + value - first)];
      index += count;
      first = 2 * (first + count);
      value *= 2;
    }
    refuse("a code that does not exist");
  }
  void put(char c) {
    if (static_cast<std::int64_t>(text_.size()) >= max_bytes_)
      throw FileError({"STOFM-3406", file_, "", concat("more than ", max_bytes_, " bytes when unpacked"),
                       "a smaller table", "Keep the columns that are needed."});
    text_.push_back(c);
  }

  void read_member() {
    if (number(2) != 0x8b1f || byte() != 8) refuse("no gzip data");
    const std::uint32_t flags = byte();
    for (int i = 0; i < 6; ++i) (void)byte();  // time, system
    if ((flags & 4) != 0)
      for (std::uint32_t left = number(2); left > 0; --left) (void)byte();
    for (const std::uint32_t text : {8U, 16U})  // name, comment
      if ((flags & text) != 0)
        while (byte() != 0) continue;
    if ((flags & 2) != 0) (void)number(2);
    const std::size_t begin = text_.size();
    buffer_ = 0;
    held_ = 0;
    for (bool last = false; !last;) {
      last = bits(1) == 1;
      const std::uint32_t kind = bits(2);
      if (kind == 0)
        read_stored();
      else if (kind == 3)
        refuse("a block of no kind");
      else
        read_codes(kind == 2);
    }
    const std::uint32_t sum = number(4), size = number(4);
    const std::string_view text = std::string_view(text_).substr(begin);
    if (sum != crc32(text) || size != static_cast<std::uint32_t>(text.size()))
      refuse("a check sum that does not fit");
  }
  void read_stored() {
    buffer_ = 0;
    held_ = 0;
    const std::uint32_t size = number(2);
    if ((number(2) ^ size) != 0xffff) refuse("a block whose length is damaged");
    for (std::uint32_t i = 0; i < size; ++i) put(static_cast<char>(byte()));
  }
  /// The two codes of a block: fixed, or written before its data.
  std::pair<Huffman, Huffman> read_lengths(bool written) {
    std::array<std::uint8_t, 320> lengths{};
    std::size_t literals = 288, distances = 30;
    if (!written) {
      for (std::size_t i = 0; i < 288; ++i)
        lengths[i] = static_cast<std::uint8_t>(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
      for (std::size_t i = 0; i < 30; ++i) lengths[288 + i] = 5;
    } else {
      literals = bits(5) + 257;
      distances = bits(5) + 1;
      const std::size_t orders = bits(4) + 4;
      static constexpr std::array<std::uint8_t, 19> order{16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                          11, 4,  12, 3, 13, 2, 14, 1, 15};
      std::array<std::uint8_t, 19> of_lengths{};
      for (std::size_t i = 0; i < orders; ++i) of_lengths[order[i]] = static_cast<std::uint8_t>(bits(3));
      const Huffman code(of_lengths);
      if (literals > 286 || distances > 30 || !code.fits()) refuse("a code that does not exist");
      for (std::size_t i = 0; i < literals + distances;) {
        const std::uint32_t next = symbol(code);
        if (next < 16) {
          lengths[i++] = static_cast<std::uint8_t>(next);
          continue;
        }
        if (next == 16 && i == 0) refuse("a repeat of nothing");
        const std::uint8_t value = next == 16 ? lengths[i - 1] : std::uint8_t{0};
        const std::size_t times = next == 16 ? 3 + bits(2) : next == 17 ? 3 + bits(3) : 11 + bits(7);
        if (i + times > literals + distances) refuse("a code that does not exist");
        for (std::size_t k = 0; k < times; ++k) lengths[i++] = value;
      }
    }
    const std::span<const std::uint8_t> all(lengths);
    std::pair<Huffman, Huffman> codes{Huffman(all.subspan(0, literals)),
                                      Huffman(all.subspan(literals, distances))};
    if (!codes.first.fits() || !codes.second.fits()) refuse("a code that does not exist");
    return codes;
  }
  void read_codes(bool written) {
    static constexpr std::array<std::uint16_t, 29> length_base{3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                                               15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                                               67, 83, 99, 115, 131, 163, 195, 227, 258};
    static constexpr std::array<std::uint8_t, 29> length_bits{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                              2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static constexpr std::array<std::uint16_t, 30> distance_base{
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    const auto [literals, distances] = read_lengths(written);
    for (;;) {
      const std::uint32_t next = symbol(literals);
      if (next < 256) {
        put(static_cast<char>(next));
        continue;
      }
      if (next == 256) return;
      if (next > 285) refuse("a code that does not exist");
      const std::uint32_t length = length_base[next - 257] + bits(length_bits[next - 257]);
      const std::uint32_t place = symbol(distances);
      if (place > 29) refuse("a code that does not exist");
      const std::uint32_t back = distance_base[place] + bits(place < 4 ? 0 : static_cast<int>(place / 2 - 1));
      if (back > text_.size()) refuse("a reference before the beginning");
      for (std::uint32_t i = 0; i < length; ++i) put(text_[text_.size() - back]);
    }
  }

  static std::uint32_t crc32(std::string_view text) {
    static const std::array<std::uint32_t, 256> table = [] {
      std::array<std::uint32_t, 256> entries{};
      for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t value = i;
        for (int k = 0; k < 8; ++k) value = (value & 1) != 0 ? 0xedb88320U ^ (value >> 1) : value >> 1;
        entries[i] = value;
      }
      return entries;
    }();
    std::uint32_t sum = 0xffffffffU;
    for (const char c : text) sum = table[(sum ^ static_cast<unsigned char>(c)) & 0xff] ^ (sum >> 8);
    return ~sum;
  }

  std::string_view bytes_;
  const std::string& file_;
  std::int64_t max_bytes_;
  std::size_t at_ = 0;
  std::uint32_t buffer_ = 0;
  int held_ = 0;
  std::string text_;
};

}  // namespace detail

/// \throws FileError STOFM-3412 damaged or cut short, 3406 more than `max_bytes` when unpacked
inline std::string gunzip(std::string_view bytes, const std::string& file, std::int64_t max_bytes) {
  return detail::GzipReader(bytes, file, max_bytes).read();
}

}  // namespace stofm::io
