// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The distance bias of a sub-slice for training: Phi of every distinct distance through `gaussian_bias`,
/// spread over the listed pairs as values = Phi(d) - Phi(far), and the gradient of the pairs summed onto the
/// distinct distances on the way back. Distances repeat (symmetry, the zeros of CLS), so the network sees
/// about half of the listed pairs and none of the others. *Source* SPEC section 5, identity 3.

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "stofm/model/distance_bias/gaussian_training.hpp"
#include "stofm/ops/pair_distances.hpp"

namespace stofm::model {

/// The different values of a list of distances, and where each stands.
struct DistinctDistances {
  std::vector<float> values;          ///< [D] ascending
  std::vector<std::int32_t> offsets;  ///< [D + 1] into `entries`
  std::vector<std::int32_t> entries;  ///< [E] entries of the list by value, ascending within a value

  std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
};

/// Sorts a list of finite distances >= 0. \throws DataError STOFM-1330 for another value, with its row and
/// column; ResourceError beyond 2^31 - 1 entries. *Cost* three passes over the entries.
DistinctDistances distinct_distances(const PairDistances& distances);

/// What attention needs, on the tape.
template <Real T>
struct TrainedDistanceBias {
  autograd::Variable<T> values;      ///< [H, entries]: Phi(d) - background
  autograd::Variable<T> background;  ///< [H]: Phi(far_distance)
};

/// The bias of the listed pairs. *Shapes* as in the results. *Saved* the distinct distances and where they
/// stand. *Cost* one network evaluation per distinct distance forward, two backward. *Deterministic* yes.
template <Real T>
TrainedDistanceBias<T> train_distance_bias(const GaussianVariables<T>& parameters,
                                           std::shared_ptr<const DistinctDistances> distinct,
                                           const GaussianBiasOptions& options = {});

/// The same from the parameters `prefix`gaussian.* of a set.
template <Real T>
TrainedDistanceBias<T> train_distance_bias(autograd::Tape<T>& tape, const autograd::ParameterSet<T>& set,
                                           const PairDistances& distances, const std::string& prefix = "",
                                           const GaussianBiasOptions& options = {}) {
  return train_distance_bias<T>(gaussian_variables(tape, set, prefix),
                                std::make_shared<const DistinctDistances>(distinct_distances(distances)),
                                options);
}

inline DistinctDistances distinct_distances(const PairDistances& distances) {
  const std::size_t count = distances.values.size();
  if (count > static_cast<std::size_t>((std::numeric_limits<std::int32_t>::max)()))
    throw ResourceError({"STOFM-1342", "", "[distinct_distances]", concat(count, " listed pairs"),
                         "at most 2^31 - 1 in one sub-slice", "Use a smaller EmbedOptions::split."});
  // Finite floats >= 0 sort as their bits do: least significant digit first, 11 bits at a time.
  struct Item {
    std::uint32_t bits;
    std::int32_t entry;
  };
  std::vector<Item> items(count), moved(count);
  std::array<std::array<std::uint32_t, 2048>, 3> counts{};
  for (std::size_t e = 0; e < count; ++e) {
    const float d = distances.values[e];
    if (!(d >= 0.0F && d <= (std::numeric_limits<float>::max)())) {
      const auto row = std::upper_bound(distances.row_offsets.begin(), distances.row_offsets.end(),
                                        static_cast<std::int64_t>(e));
      throw DataError({"STOFM-1330", "",
                       concat("distance of node ", row - distances.row_offsets.begin() - 1, " to node ",
                              distances.columns[e]),
                       concat(d), "a finite distance >= 0", "Check the coordinates."});
    }
    const auto bits = std::bit_cast<std::uint32_t>(d == 0.0F ? 0.0F : d);  // -0 is 0
    items[e] = {bits, static_cast<std::int32_t>(e)};
    for (std::size_t digit = 0; digit < 3; ++digit) ++counts[digit][(bits >> (11 * digit)) & 2047U];
  }
  for (std::size_t digit = 0; digit < 3; ++digit) {
    std::uint32_t sum = 0;
    for (std::uint32_t& bucket : counts[digit]) sum += std::exchange(bucket, sum);
    for (const Item& item : items) moved[counts[digit][(item.bits >> (11 * digit)) & 2047U]++] = item;
    items.swap(moved);
  }
  DistinctDistances result;
  result.entries.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (i == 0 || items[i].bits != items[i - 1].bits) {
      result.values.push_back(std::bit_cast<float>(items[i].bits));
      result.offsets.push_back(static_cast<std::int32_t>(i));
    }
    result.entries.push_back(items[i].entry);
  }
  result.offsets.push_back(static_cast<std::int32_t>(count));
  return result;
}

template <Real T>
TrainedDistanceBias<T> train_distance_bias(const GaussianVariables<T>& parameters,
                                           std::shared_ptr<const DistinctDistances> distinct,
                                           const GaussianBiasOptions& options) {
  const std::int64_t size = distinct->size(), entries = static_cast<std::int64_t>(distinct->entries.size());
  std::vector<T> points(distinct->values.begin(), distinct->values.end());
  points.push_back(static_cast<T>(far_distance));
  const autograd::Variable<T> phi = gaussian_bias<T>(std::move(points), parameters, options);
  const std::int64_t heads = phi.value().dim(1);
  const T* far = phi.value().data() + size * heads;

  Tensor<T> background({heads});
  std::copy_n(far, heads, background.data());
  Tensor<T> values(Shape{heads, entries});
  constexpr std::int64_t grain = 4096;
  parallel_for(size, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t d = begin; d < end; ++d) {
      const T* row = phi.value().data() + d * heads;
      const auto at = static_cast<std::size_t>(d);
      for (std::int32_t i = distinct->offsets[at]; i < distinct->offsets[at + 1]; ++i)
        for (std::int64_t h = 0; h < heads; ++h)
          values.data()[h * entries + distinct->entries[static_cast<std::size_t>(i)]] = row[h] - far[h];
    }
  });

  // Each distance takes the sum over its entries; the far one, minus the sum of all of them.
  const auto values_rule = [distinct, size, entries, heads](const Tensor<T>& grad,
                                                            autograd::Gradients<T>& into) {
    Tensor<T> grad_phi({size + 1, heads});
    const std::int64_t tasks = (size + grain - 1) / grain;
    std::vector<double> far_sums(static_cast<std::size_t>(tasks * heads));
    parallel_for(size, grain, [&](std::int64_t begin, std::int64_t end) {
      double* far_sum = far_sums.data() + begin / grain * heads;
      std::vector<double> sum(static_cast<std::size_t>(heads));
      for (std::int64_t d = begin; d < end; ++d) {
        std::fill(sum.begin(), sum.end(), 0.0);
        const auto at = static_cast<std::size_t>(d);
        for (std::int32_t i = distinct->offsets[at]; i < distinct->offsets[at + 1]; ++i)
          for (std::int64_t h = 0; h < heads; ++h)
            sum[static_cast<std::size_t>(h)] += static_cast<double>(
                grad.data()[h * entries + distinct->entries[static_cast<std::size_t>(i)]]);
        for (std::int64_t h = 0; h < heads; ++h) {
          grad_phi.data()[d * heads + h] = static_cast<T>(sum[static_cast<std::size_t>(h)]);
          far_sum[h] += sum[static_cast<std::size_t>(h)];
        }
      }
    });
    for (std::int64_t h = 0; h < heads; ++h) {
      double sum = 0;
      for (std::int64_t task = 0; task < tasks; ++task)
        sum += far_sums[static_cast<std::size_t>(task * heads + h)];
      grad_phi.data()[size * heads + h] = static_cast<T>(-sum);
    }
    into.add_owned(0, std::move(grad_phi));
  };
  const auto background_rule = [size, heads](const Tensor<T>& grad, autograd::Gradients<T>& into) {
    Tensor<T>& sum = into.accumulator(0);
    for (std::int64_t h = 0; h < heads; ++h) sum.data()[size * heads + h] += grad.data()[h];
  };
  TrainedDistanceBias<T> result;
  result.values = autograd::record<T>("distance_bias", std::move(values), {phi}, values_rule);
  result.background =
      autograd::record<T>("distance_bias_background", std::move(background), {phi}, background_rule);
  return result;
}

}  // namespace stofm::model
