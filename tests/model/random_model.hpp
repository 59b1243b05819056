// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Random models and sub-slices with enough spread that every term matters.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/model/parameter_lists.hpp"
#include "stofm/ops/pair_distances.hpp"

namespace stofm::test {

/// Parameters of `config`: matrices N(0, gain^2 / inputs), norms around 1, Gaussians over [0, 3], some of
/// them narrow.
template <class Config>
model::NamedTensors<float> random_parameters(const Config& config, std::uint64_t seed, double gain = 1.5) {
  Random random(seed);
  model::NamedTensors<float> weights;
  for (const model::ParameterSpec& spec : parameter_list(config)) {
    Tensor<float> tensor(spec.shape);
    const bool norm = spec.name.find("orm.weight") != std::string::npos;
    const double spread =
        norm || spec.shape.rank() == 1 ? 0.1 : gain / std::sqrt(static_cast<double>(spec.shape[1]));
    for (float& value : tensor.span())
      value = static_cast<float>((norm ? 1.0 : 0.0) + spread * random.normal());
    if (spec.name == "gaussian.means.weight" || spec.name == "gaussian.stds.weight")
      for (float& value : tensor.span()) value = static_cast<float>(3.0 * random.uniform());
    if (spec.name == "gaussian.stds.weight") tensor.data()[0] = 0.004F;
    if (spec.name == "gaussian.linear.weight") tensor.data()[0] = 0.37F;
    weights.emplace(spec.name, tensor);
  }
  return weights;
}

/// A sub-slice with the sparsity of real ones: CLS, virtual cells, cells; neighbours and virtual cells have
/// distances.
struct RandomSubSlice {
  Tensor<double> positions;  // [N, 2]; row 0 (CLS) is not used
  PairDistances distances;
  std::vector<std::int32_t> types;
  Tensor<float> embeddings;  // [N, C], rows of length 1, CLS zero
};

/// Distances of given positions: the nearest `neighbours` of each node both ways, all of virtual cells, CLS
/// at 0.
inline PairDistances neighbour_distances(const Tensor<double>& positions,
                                         const std::vector<std::int32_t>& types, std::int64_t neighbours) {
  const std::int64_t n = positions.dim(0);
  const auto apart = [&](std::int64_t i, std::int64_t j) {
    return std::hypot(positions(i, 0) - positions(j, 0), positions(i, 1) - positions(j, 1));
  };
  auto dense = Tensor<float>::full({n, n}, far_distance);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    std::iota(order.begin(), order.end(), std::int64_t{0});
    const auto count = std::min(neighbours + 1, n);
    std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](auto a, auto b) {
      return apart(i, a) < apart(i, b) || (apart(i, a) == apart(i, b) && a < b);
    });
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t j = order[static_cast<std::size_t>(k)];
      dense(i, j) = dense(j, i) = static_cast<float>(apart(std::min(i, j), std::max(i, j)));
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      const bool listed = types[static_cast<std::size_t>(i)] == 2 || types[static_cast<std::size_t>(j)] == 2;
      if (listed) dense(i, j) = static_cast<float>(apart(std::min(i, j), std::max(i, j)));
      if (i == j || types[static_cast<std::size_t>(i)] == 1 || types[static_cast<std::size_t>(j)] == 1)
        dense(i, j) = 0;
    }
  }
  return pair_distances_from_dense(std::as_const(dense).view());
}

inline RandomSubSlice random_sub_slice(std::int64_t nodes, std::int64_t virtual_cells, std::int64_t width,
                                       std::uint64_t seed, std::int64_t neighbours = 49) {
  Random random(seed);
  RandomSubSlice slice;
  slice.positions = Tensor<double>({nodes, 2});
  for (double& x : slice.positions.span()) x = 20 * random.uniform();
  slice.types.assign(static_cast<std::size_t>(nodes), 0);
  slice.types[0] = 1;
  std::fill_n(slice.types.begin() + 1, std::min(virtual_cells, nodes - 1), 2);
  slice.distances = neighbour_distances(slice.positions, slice.types, neighbours);
  slice.embeddings = Tensor<float>::zeros({nodes, width});
  for (std::int64_t i = 1; i < nodes; ++i) {
    std::vector<double> row;
    for (std::int64_t c = 0; c < width; ++c) row.push_back(random.normal());
    const double length = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
    for (std::int64_t c = 0; c < width; ++c)
      slice.embeddings(i, c) = static_cast<float>(row[static_cast<std::size_t>(c)] / length);
  }
  return slice;
}

/// Largest absolute difference.
template <class A, class B>
double max_difference(const Tensor<A>& a, const Tensor<B>& b) {
  double worst = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
  return worst;
}

/// ||a - b||_F / ||b||_F
template <class A, class B>
double relative_difference(const Tensor<A>& a, const Tensor<B>& b) {
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    difference += (x - y) * (x - y);
    norm += y * y;
  }
  return std::sqrt(difference / norm);
}

}  // namespace stofm::test
