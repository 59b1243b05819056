// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Numbers by which the same cells are found again in another file. The fingerprint of the counts of a cell
/// is a hash of its (gene, count) pairs over known genes, so it does not depend on how genes are named or
/// ordered. That of its place is a hash of the shape it makes with its three nearest neighbours, so it stays
/// where genes were left out or counts normalised, and under shifts, rotations, mirrors and other units.
/// Slices on a grid (Visium, arrays) have no such fingerprints: all places of a grid are alike.
/// *Source* our own choice; the sketch is that of minimum hashes by a fixed share (FracMinHash).

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "stofm/cluster/knn_2d.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/io/safetensors_writer.hpp"

namespace stofm::train {

using Fingerprints = std::vector<std::uint64_t>;  ///< ascending, each once

/// Those of the cells of a slice.
struct CellFingerprints {
  Fingerprints counts{};
  Fingerprints places{};  ///< empty on a grid
};

/// Spreads the bits of a number: every bit of it decides half of the result's. *Source* the finaliser of
/// MurmurHash3 with the constants of Stafford's mix 13.
constexpr std::uint64_t mix_bits(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

/// What one count adds to the fingerprint of its cell; the order of the counts does not matter.
constexpr std::uint64_t count_fingerprint(std::int32_t token, double count) {
  return mix_bits(mix_bits(static_cast<std::uint64_t>(token) + 1) ^ std::bit_cast<std::uint64_t>(count));
}

/// Ascending, each once.
inline Fingerprints sorted_fingerprints(Fingerprints all) {
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

/// Fingerprints of places. \param xy [n, 2]. Empty below 4 cells, or if less than nine in ten differ (a
/// grid). Equal shapes have one fingerprint if they differ by less than about 1/500 of the distance to the
/// third neighbour, but for those that fall on two sides of a border. *Cost* about 1 us a cell.
inline Fingerprints place_fingerprints(TensorView<const double> xy) {
  const std::int64_t cells = xy.dim(0);
  if (cells < 4) return {};
  const cluster::Neighbours2d near = cluster::nearest_neighbours_2d(xy, 3);
  Fingerprints all;
  for (std::int64_t i = 0; i < cells; ++i) {
    const auto row = static_cast<std::size_t>(3 * i);
    const double far = std::sqrt(near.squared_distances[row + 2]);
    if (!(near.squared_distances[row] > 0)) continue;  // two cells at one place have no direction
    double angle[3];
    for (std::size_t k = 0; k < 3; ++k) {
      const std::int64_t other = near.indices[row + k];
      angle[k] = std::atan2(xy.row(other)[1] - xy.row(i)[1], xy.row(other)[0] - xy.row(i)[0]);
    }
    const double turn = 2 * std::numbers::pi;
    double second = std::remainder(angle[1] - angle[0], turn),
           third = std::remainder(angle[2] - angle[0], turn);
    if (second < 0) second = -second, third = -third;  // mirrored
    std::uint64_t print = 0;
    for (const double value : {std::sqrt(near.squared_distances[row]) / far * 256,
                               std::sqrt(near.squared_distances[row + 1]) / far * 256, second * 128,
                               (third + std::numbers::pi) * 128})
      print = mix_bits(print ^ static_cast<std::uint64_t>(std::llround(value)));
    all.push_back(print);
  }
  all = sorted_fingerprints(std::move(all));
  if (static_cast<std::int64_t>(all.size()) * 10 < cells * 9) all.clear();
  return all;
}

/// The share of fingerprints that slices are first compared by: those below 2^60, one in 16, and at least the
/// 64 smallest.
inline Fingerprints sketch_of(const Fingerprints& prints) {
  const auto below = std::lower_bound(prints.begin(), prints.end(), std::uint64_t{1} << 60) - prints.begin();
  const auto take = (std::min)((std::max<std::ptrdiff_t>)(below, 64), std::ssize(prints));
  return {prints.begin(), prints.begin() + take};
}

/// Fingerprints that both lists have. *Cost* O(a + b)
inline std::int64_t count_common(const Fingerprints& a, const Fingerprints& b) {
  std::int64_t common = 0;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    common += a[i] == b[j];
    const bool first = a[i] <= b[j], second = b[j] <= a[i];
    i += first;
    j += second;
  }
  return common;
}

namespace detail {

inline Tensor<std::int64_t> as_tensor(const Fingerprints& prints) {
  Tensor<std::int64_t> tensor({static_cast<std::int64_t>(prints.size())});
  for (std::size_t i = 0; i < prints.size(); ++i) tensor.data()[i] = std::bit_cast<std::int64_t>(prints[i]);
  return tensor;
}
inline Fingerprints read_prints(const io::SafetensorsFile& file, const std::string& name) {
  if (!file.contains(name)) return {};
  const auto tensor = file.read<std::int64_t>(name);
  Fingerprints prints;
  for (const std::int64_t value : tensor.span()) prints.push_back(std::bit_cast<std::uint64_t>(value));
  return prints;
}

}  // namespace detail

/// Writes fingerprints and their sketches, whole or not at all. \throws ResourceError
inline void write_fingerprints(const std::filesystem::path& path, const CellFingerprints& prints) {
  std::vector<io::SafetensorsEntry> entries;
  const auto put = [&entries](const char* name, const Fingerprints& list) {
    if (!list.empty()) entries.push_back(io::safetensors_entry(name, detail::as_tensor(list)));
  };
  const Fingerprints counts = sketch_of(prints.counts), places = sketch_of(prints.places);
  put("counts", prints.counts);
  put("places", prints.places);
  put("counts_sketch", counts);
  put("places_sketch", places);
  io::write_safetensors(path, entries, {{"format", "stofm-fingerprints 1"}},
                        {.overwrite = true, .follow_link = false});
}

/// Reads them back: all of them, or the sketches. \throws FileError
inline CellFingerprints read_fingerprints(const std::filesystem::path& path, bool sketches = false) {
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  const std::string ending = sketches ? "_sketch" : "";
  return {detail::read_prints(file, "counts" + ending), detail::read_prints(file, "places" + ending)};
}

}  // namespace stofm::train
