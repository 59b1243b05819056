// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Names of random numbers: `RandomKey{seed, stream, step}` says which run, which use of randomness, which
/// training step. With the index of an element it determines a draw, so a mask is the same on any number of
/// threads, in a recomputation, and after a resume.
///
/// Keep masks (dropout): block b of a key holds the keep bits of elements 8 b to 8 b + 7, from one Philox
/// block:
///     (w0, w1, w2, w3) = philox4x32({b, b >> 32, k2, k3}, {k0, k1}),  k = philox4x32(stream, step; seed)
///     element 8 b + i is kept if the 16-bit half (w[i / 2] >> 16 (i % 2)) mod 2^16 >= threshold
/// Source of Philox: core/random.hpp.

#include <algorithm>
#include <cmath>

#include "stofm/core/error.hpp"
#include "stofm/core/random.hpp"

namespace stofm {

/// Which random numbers: of this run, for this use, in this step.
struct RandomKey {
  std::uint64_t seed = 0;    ///< the run
  std::uint64_t stream = 0;  ///< the use: layer, site; make them with `child`
  std::uint64_t step = 0;    ///< the training step, or step and sample through `child`

  /// A key for part `number` of what this key is for: layer 3, sample 17. Parts of parts are independent too.
  constexpr RandomKey child(std::uint64_t number) const {
    const auto mixed =
        philox4x32({static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32),
                    static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32)},
                   {0x73746f66U, 0x6368696cU});
    return {seed, mixed[0] | (static_cast<std::uint64_t>(mixed[1]) << 32), step};
  }
  /// A plain generator for this key (masking, shuffles).
  Random generator() const { return Random(seed, mixed_stream()); }

  friend constexpr bool operator==(const RandomKey&, const RandomKey&) = default;

 private:
  constexpr std::uint64_t mixed_stream() const {
    const auto mixed =
        philox4x32({static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32),
                    static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32)},
                   {0x73746f66U, 0x67656e72U});
    return mixed[0] | (static_cast<std::uint64_t>(mixed[1]) << 32);
  }
};

/// A drop probability in units of 2^-16, which is how masks are drawn, and the factor that keeps the mean.
struct DropoutRate {
  std::uint32_t threshold = 0;  ///< dropped if a 16-bit draw is below; 0: nothing is dropped
  double factor = 1.0;          ///< 1 / (1 - threshold / 65536)

  bool drops() const { return threshold > 0; }
  /// Rounds to the next multiple of 2^-16. \throws UsageError STOFM-1501 unless 0 <= probability < 1.
  static DropoutRate of(double probability) {
    if (!(probability >= 0.0 && probability < 1.0))
      throw UsageError({"STOFM-1501", "", "[dropout]", concat("probability ", probability),
                        "0 <= probability < 1", "Give the share of elements to drop."});
    const double scaled = std::round(probability * 65536.0);
    const auto threshold = static_cast<std::uint32_t>((std::min)(scaled, 65535.0));
    return {threshold, 65536.0 / (65536.0 - threshold)};
  }
};

/// What the blocks of one key share: derive it once, then ask for blocks in any order from any thread.
struct DropoutMask {
  std::array<std::uint32_t, 4> key{};  ///< k0 to k3 of the file brief
  std::uint32_t threshold = 0;

  DropoutMask() = default;
  constexpr DropoutMask(const RandomKey& of, std::uint32_t drop_threshold)
      : key(philox4x32({static_cast<std::uint32_t>(of.stream), static_cast<std::uint32_t>(of.stream >> 32),
                        static_cast<std::uint32_t>(of.step), static_cast<std::uint32_t>(of.step >> 32)},
                       {static_cast<std::uint32_t>(of.seed), static_cast<std::uint32_t>(of.seed >> 32)})),
        threshold(drop_threshold) {}

  /// Keep bits of elements 8 * block to 8 * block + 7, the first in bit 0.
  constexpr std::uint8_t block(std::uint64_t block) const {
    const auto words = philox4x32(
        {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), key[2], key[3]},
        {key[0], key[1]});
    std::uint32_t bits = 0;
    for (std::uint32_t i = 0; i < 8; ++i)
      bits |= static_cast<std::uint32_t>(((words[i / 2] >> (16 * (i % 2))) & 0xffffU) >= threshold) << i;
    return static_cast<std::uint8_t>(bits);
  }
  /// Whether one element is kept; eight times the cost per element of `block`.
  constexpr bool keeps(std::uint64_t element) const {
    return ((block(element / 8) >> (element % 8)) & 1U) != 0;
  }
};

}  // namespace stofm
