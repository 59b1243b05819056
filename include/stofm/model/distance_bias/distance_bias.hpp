// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The distance bias of the SE(2) Transformer: Phi(d) in R^heads with Phi(0) = 0, and the bias of a whole
/// sub-slice as constant plus listed entries. float uses the table of `bias_table.hpp` if it passed its check
/// against these weights, else (and in double always) the network itself, once per distinct distance.
/// *Source* SPEC section 5, identities 2 and 3.

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "stofm/model/distance_bias/bias_table.hpp"
#include "stofm/model/distance_bias/bias_table_builder.hpp"
#include "stofm/model/distance_bias/gaussian_network.hpp"
#include "stofm/ops/pair_attention.hpp"
#include "stofm/ops/pair_distances.hpp"

namespace stofm::model {

/// In which precision a = w d + b is rounded.
enum class AffineRounding {
  own,      ///< in the type of the model: float as the reference, double without further rounding
  float32,  ///< as the float model does, also in double: to compare everything else
};

/// How the distance bias is computed.
struct DistanceBiasOptions {
  bool use_table = true;  ///< false: always the network itself
  AffineRounding rounding = AffineRounding::own;
  BiasTableOptions table = {};
};

/// \throws DataError STOFM-1330 for a negative or non-finite distance, with its row and column.
inline void check_distances(const PairDistances& distances) {
  const auto bad = std::find_if(distances.values.begin(), distances.values.end(), [](float d) {
    return !(d >= 0.0F && d <= (std::numeric_limits<float>::max)());
  });
  if (bad == distances.values.end()) return;
  const auto entry = static_cast<std::int64_t>(bad - distances.values.begin());
  const auto row = std::upper_bound(distances.row_offsets.begin(), distances.row_offsets.end(), entry);
  throw DataError({"STOFM-1330", "",
                   concat("distance of node ", row - distances.row_offsets.begin() - 1, " to node ",
                          distances.columns[static_cast<std::size_t>(entry)]),
                   concat(*bad), "a finite distance >= 0", "Check the coordinates."});
}

template <Real T>
class DistanceBias {
 public:
  /// Takes gaussian.* of a checked parameter set and, for float, builds the table (some 10 ms).
  explicit DistanceBias(const NamedTensors<T>& weights, const DistanceBiasOptions& options = {})
      : network_(weights),
        w_(weights.at("gaussian.linear.weight").data()[0]),
        b_(weights.at("gaussian.linear.bias").data()[0]),
        rounding_(options.rounding) {
    if constexpr (std::is_same_v<T, float>) {
      if (options.use_table) {
        const float ends[] = {0.0F, largest_tabulated};
        float a[2];
        affine_arguments<float>(ends, w_, b_, a);
        BiasTable table =
            BiasTable::build(network_, (std::min)(a[0], a[1]), (std::max)(a[0], a[1]), options.table);
        table_error_ = table.measured_error();
        if (table.usable()) table_ = std::make_shared<const BiasTable>(std::move(table));
      }
    }
    const T far[] = {static_cast<T>(far_distance)};
    background_.resize(static_cast<std::size_t>(heads()));
    evaluate(far, background_.data());
  }

  std::int64_t heads() const { return network_.heads(); }
  const GaussianNetwork& network() const { return network_; }
  /// The table in use, or null: then every distinct distance is computed by the network.
  const BiasTable* table() const { return table_.get(); }
  /// Phi(far_distance), [heads].
  const std::vector<T>& background() const { return background_; }

  /// Phi of each distance by the way that is in use: out[i * heads + h].
  void evaluate(std::span<const T> distances, T* out) const;
  /// Phi of each distance by the network: out[i * heads + h]. Phi(0) = 0; NaN gives NaN. *Cost* 2 K^2 FLOP
  /// each.
  void evaluate_exact(std::span<const T> distances, T* out) const;
  /// Of the argument a = w d + b.
  T weight() const { return w_; }
  T offset() const { return b_; }
  /// Where the table ends, itself not in it: 1.5 times the largest possible distance.
  static constexpr float largest_tabulated = 1.5F * far_distance;
  /// What attention needs of a sub-slice: values = Phi(d) - background at the listed pairs, [heads, entries].
  /// `distances` must outlive the result, which points to its rows and columns.
  /// \throws DataError STOFM-1330 for a negative or non-finite distance, with its row and column.
  /// *Cost* one table lookup per entry; without a table one network evaluation per distinct distance.
  ops::SparsePairBias<T> pair_bias(const PairDistances& distances) const;

 private:
  void evaluate_table(std::span<const float> distances, const float* subtract, float* values,
                      std::int64_t head_stride, std::int64_t entry_stride) const;

  GaussianNetwork network_;
  T w_, b_;
  AffineRounding rounding_;
  std::shared_ptr<const BiasTable> table_;
  double table_error_ = 0;
  std::vector<T> background_;
};

template <Real T>
void DistanceBias<T>::evaluate_exact(std::span<const T> distances, T* out) const {
  std::vector<double> a(distances.size());
  if (std::is_same_v<T, float> || rounding_ == AffineRounding::float32) {
    std::vector<float> d(distances.size()), rounded(distances.size());
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = static_cast<float>(distances[i]);
    affine_arguments<float>(d, static_cast<float>(w_), static_cast<float>(b_), rounded);
    std::copy(rounded.begin(), rounded.end(), a.begin());
  } else {
    std::vector<double> d(distances.begin(), distances.end());
    affine_arguments<double>(d, static_cast<double>(w_), static_cast<double>(b_), a);
  }
  // Pieces of bounded memory.
  constexpr std::size_t piece = 4096;
  const auto width = static_cast<std::size_t>(heads());
  for (std::size_t begin = 0; begin < a.size(); begin += piece) {
    const std::size_t count = (std::min)(piece, a.size() - begin);
    const NetworkPoints points = network_.evaluate(std::span<const double>(a).subspan(begin, count), false);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t h = 0; h < width; ++h)
        out[(begin + i) * width + h] =
            distances[begin + i] == T{0} ? T{0} : static_cast<T>(points.phi[i * width + h]);
  }
}

template <Real T>
void DistanceBias<T>::evaluate_table(std::span<const float> distances, const float* subtract, float* values,
                                     std::int64_t head_stride, std::int64_t entry_stride) const {
  constexpr std::size_t block = 256;
  float a[block];
  BiasTable::Place places[block];
  for (std::size_t begin = 0; begin < distances.size(); begin += block) {
    const std::size_t count = (std::min)(block, distances.size() - begin);
    const std::span<const float> part = distances.subspan(begin, count);
    affine_arguments<float>(part, static_cast<float>(w_), static_cast<float>(b_), {a, count});
    table_->locate({a, count}, places);
    bool all_inside = true;
    for (std::size_t i = 0; i < count; ++i) {
      if (part[i] == 0.0F) places[i] = table_->zero_place();
      all_inside = all_inside && part[i] >= 0.0F && part[i] < largest_tabulated;
    }
    float* out = values + static_cast<std::int64_t>(begin) * entry_stride;
    table_->evaluate({places, count}, subtract, out, head_stride, entry_stride);
    if constexpr (std::is_same_v<T, float>) {
      std::vector<float> exact(static_cast<std::size_t>(all_inside ? 0 : heads()));
      for (std::size_t i = 0; !all_inside && i < count; ++i) {
        if (part[i] >= 0.0F && part[i] < largest_tabulated) continue;
        evaluate_exact(part.subspan(i, 1), exact.data());
        for (std::int64_t h = 0; h < heads(); ++h)
          out[h * head_stride + static_cast<std::int64_t>(i) * entry_stride] =
              exact[static_cast<std::size_t>(h)] - (subtract != nullptr ? subtract[h] : 0.0F);
      }
    }
  }
}

template <Real T>
void DistanceBias<T>::evaluate(std::span<const T> distances, T* out) const {
  if constexpr (std::is_same_v<T, float>) {
    if (table_) return evaluate_table(distances, nullptr, out, 1, heads());
  }
  evaluate_exact(distances, out);
}

template <Real T>
ops::SparsePairBias<T> DistanceBias<T>::pair_bias(const PairDistances& distances) const {
  check_distances(distances);
  const std::int64_t entries = distances.entries();
  Tensor<T> values({heads(), entries});
  if (table_ != nullptr) {
    if constexpr (std::is_same_v<T, float>) {
      parallel_for(entries, 4096, [&](std::int64_t begin, std::int64_t end) {
        evaluate_table({distances.values.data() + begin, static_cast<std::size_t>(end - begin)},
                       background_.data(), values.data() + begin, entries, 1);
      });
    }
  } else {
    std::vector<float> distinct(distances.values);
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    const std::vector<T> at(distinct.begin(), distinct.end());
    const auto width = static_cast<std::size_t>(heads());
    std::vector<T> phi(at.size() * width);
    evaluate_exact(at, phi.data());
    parallel_for(entries, 4096, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t e = begin; e < end; ++e) {
        const auto found =
            static_cast<std::size_t>(std::lower_bound(distinct.begin(), distinct.end(),
                                                      distances.values[static_cast<std::size_t>(e)]) -
                                     distinct.begin());
        for (std::size_t h = 0; h < width; ++h)
          values.data()[static_cast<std::int64_t>(h) * entries + e] = phi[found * width + h] - background_[h];
      }
    });
  }
  return ops::SparsePairBias<T>{distances, std::move(values), background_};
}

}  // namespace stofm::model
