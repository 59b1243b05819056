// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// SHA-256 (FIPS 180-4), with the SHA instructions of x86-64 where the processor has them (chosen at run
/// time).
///
/// Identifies weights and inputs in reports and journals; both paths give the same digest by definition of
/// the hash.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "stofm/io/file.hpp"
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace stofm::io {

namespace detail {

/// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
alignas(16) inline constexpr std::array<std::uint32_t, 64> sha256_constants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using Sha256State = std::array<std::uint32_t, 8>;

/// Mixes `blocks` blocks of 64 bytes into the state, by the formulas of the standard.
inline void sha256_blocks_portable(Sha256State& state, const unsigned char* data, std::size_t blocks) {
  for (; blocks > 0; --blocks, data += 64) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t i = 0; i < 16; ++i)
      w[i] = static_cast<std::uint32_t>(data[4 * i]) << 24 |
             static_cast<std::uint32_t>(data[4 * i + 1]) << 16 |
             static_cast<std::uint32_t>(data[4 * i + 2]) << 8 | static_cast<std::uint32_t>(data[4 * i + 3]);
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
      const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + sha256_constants[i] + w[i];
      const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const Sha256State mixed = {a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state[i] += mixed[i];
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
/// Whether the processor has SHA, SSSE3 and SSE4.1.
inline bool has_sha_instructions() {
  static const bool found = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
    const bool sse = (c & (1U << 9)) != 0 && (c & (1U << 19)) != 0;
    return sse && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & (1U << 29)) != 0;
  }();
  return found;
}

/// As sha256_blocks_portable. The instructions keep the state as two registers ABEF and CDGH and do two
/// rounds each; the message schedule rotates through four registers.
__attribute__((target("sha,sse4.1,ssse3"))) inline void sha256_blocks_x86(Sha256State& state,
                                                                          const unsigned char* data,
                                                                          std::size_t blocks) {
  const __m128i swap_bytes = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abcd = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data()));
  __m128i efgh = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data() + 4));
  const __m128i cdab = _mm_shuffle_epi32(abcd, 0xb1), hgfe = _mm_shuffle_epi32(efgh, 0x1b);
  __m128i abef = _mm_alignr_epi8(cdab, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, cdab, 0xf0);
  for (; blocks > 0; --blocks, data += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; ++i)
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data + 16 * i)), swap_bytes);
    for (int group = 0; group < 16; ++group) {  // four rounds each
      __m128i& now = w[group & 3];
      if (group >= 4) {
        const __m128i last = w[(group + 3) & 3], before_last = w[(group + 2) & 3];
        now = _mm_add_epi32(_mm_sha256msg1_epu32(now, w[(group + 1) & 3]),
                            _mm_alignr_epi8(last, before_last, 4));
        now = _mm_sha256msg2_epu32(now, last);
      }
      const __m128i constants =
          _mm_load_si128(reinterpret_cast<const __m128i*>(sha256_constants.data() + 4 * group));
      const __m128i sum = _mm_add_epi32(now, constants);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  abcd = _mm_blend_epi16(feba, dchg, 0xf0);
  efgh = _mm_alignr_epi8(dchg, feba, 8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data()), abcd);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data() + 4), efgh);
}
#endif

inline void sha256_blocks(Sha256State& state, const unsigned char* data, std::size_t blocks) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (has_sha_instructions()) return sha256_blocks_x86(state, data, blocks);
#endif
  sha256_blocks_portable(state, data, blocks);
}

}  // namespace detail

/// A hash that takes its input in pieces.
class Sha256 {
 public:
  void update(const void* data, std::size_t count) {
    if (count == 0) return;
    const auto* bytes = static_cast<const unsigned char*>(data);
    length_ += count;
    if (filled_ > 0) {
      const std::size_t part = count < 64 - filled_ ? count : 64 - filled_;
      std::memcpy(block_.data() + filled_, bytes, part);
      filled_ += part;
      bytes += part;
      count -= part;
      if (filled_ < 64) return;
      detail::sha256_blocks(state_, block_.data(), 1);
      filled_ = 0;
    }
    detail::sha256_blocks(state_, bytes, count / 64);
    filled_ = count % 64;
    if (filled_ > 0) std::memcpy(block_.data(), bytes + count - filled_, filled_);
  }
  void update(std::string_view text) { update(text.data(), text.size()); }

  /// The digest of everything so far, as 64 lower-case hex digits. More input may follow.
  std::string hex() const {
    Sha256 last = *this;
    const std::uint64_t bits = length_ * 8;
    std::array<unsigned char, 72> padding{0x80};
    const std::size_t zeros = (119 - filled_) % 64 + 1;  // 0x80 and zeros up to 56 modulo 64
    for (std::size_t i = 0; i < 8; ++i) padding[zeros + i] = static_cast<unsigned char>(bits >> (56 - 8 * i));
    last.update(padding.data(), zeros + 8);
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint32_t word : last.state_)
      for (int shift = 28; shift >= 0; shift -= 4) text += digits[(word >> shift) & 15U];
    return text;
  }

 private:
  detail::Sha256State state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> block_{};
  std::size_t filled_ = 0;
  std::uint64_t length_ = 0;
};

/// Digest of bytes in memory, as hex.
inline std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}
inline std::string sha256_hex(std::span<const std::byte> bytes) {
  return sha256_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

/// Digest of a file, read in pieces of 1 MiB. \throws as File::open and File::read.
inline std::string sha256_file(const std::filesystem::path& path) {
  const File file = File::open(path);
  Sha256 hash;
  std::string piece;
  for (std::int64_t done = 0; done < file.size();) {
    const std::int64_t part = (std::min<std::int64_t>)(file.size() - done, std::int64_t{1} << 20);
    piece.resize(static_cast<std::size_t>(part));
    file.read(piece.data(), done, part);
    hash.update(piece);
    done += part;
  }
  return hash.hex();
}

}  // namespace stofm::io
