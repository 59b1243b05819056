// SPDX-License-Identifier: MIT
// What is promised to the bit must hold in a consumer's build, with its flags: AdamW, nearest centres, the
// Gram matrix of PCA and distances in the plane round every product before they add it, at every kernel
// level. Compared with arithmetic through volatile, which no compiler fuses.
#include <stofm/backend/cpu/adamw.hpp>
#include <stofm/cluster/knn_2d.hpp>
#include <stofm/cluster/nearest_centre.hpp>
#include <stofm/cluster/pca.hpp>
#include <stofm/core/cpu_features.hpp>
#include <stofm/core/random.hpp>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

bool rounding_is_exact();

namespace {

template <class T>
T times(T a, T b) {
  volatile T product = a * b;
  return product;
}

/// Numbers with all their digits in use, between -1 and 1.
template <class T>
std::vector<T> numbers(std::size_t n, std::uint64_t seed) {
  stofm::Random random(seed);
  std::vector<T> values(n);
  for (T& value : values) value = static_cast<T>(2 * random.uniform() - 1);
  return values;
}

/// Whether every bit is the same; says it if not.
template <class T>
bool same(const char* what, const std::vector<T>& found, const std::vector<T>& expected) {
  if (found.size() == expected.size() &&
      std::memcmp(found.data(), expected.data(), expected.size() * sizeof(T)) == 0)
    return true;
  std::printf("rounding: %s differ at level %s\n", what,
              std::string(to_string(stofm::cpu_kernels())).c_str());
  return false;
}

template <class T>
bool adamw() {
  constexpr std::size_t n = 1000;
  const auto start = numbers<T>(n, 1);
  auto x = start, m = std::vector<T>(n, 0), v = m, rx = start, rm = m, rv = m;
  for (std::uint64_t t = 0; t < 20; ++t) {
    const auto grad = numbers<T>(n, 2 + t);
    const stofm::backend::AdamWStep<T> step{T(0.9997), T(0.7),   T(0.1), T(0.999),
                                            T(0.001),  T(0.003), T(0.3), T(1e-8)};
    stofm::backend::adamw_step(x.data(), m.data(), v.data(), grad.data(), static_cast<std::int64_t>(n), step);
    for (std::size_t i = 0; i < n; ++i) {
      const T g = times(grad[i], step.gradient_factor);
      rm[i] = rm[i] + times<T>(step.one_minus_beta1, g - rm[i]);
      rv[i] = times(rv[i], step.beta2) + times(times(step.one_minus_beta2, g), g);
      const T denominator = std::sqrt(rv[i]) / step.root_correction + step.epsilon;
      rx[i] = times(rx[i], step.keep) - times(step.step_size, rm[i]) / denominator;
    }
  }
  const bool values = same("AdamW: values", x, rx), moments = same("AdamW: first moments", m, rm);
  return same("AdamW: second moments", v, rv) && values && moments;
}

bool centres() {
  constexpr std::int64_t n = 500, k = 37, d = 24;
  const auto rows = numbers<float>(n * d, 31), places = numbers<float>(k * d, 32);
  const stofm::cluster::PackedPoints packed(stofm::matrix_view(places.data(), k, d));
  std::vector<std::int32_t> labels(n), right_labels(n);
  std::vector<float> distances(n), right(n);
  stofm::cluster::nearest_centres(stofm::matrix_view(rows.data(), n, d), packed, labels, distances);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t c = 0; c < k; ++c) {
      float sum = 0;
      for (std::int64_t j = 0; j < d; ++j) {
        const float difference =
            rows[static_cast<std::size_t>(i * d + j)] - places[static_cast<std::size_t>(c * d + j)];
        sum += times(difference, difference);
      }
      if (c > 0 && !(sum < right[static_cast<std::size_t>(i)])) continue;
      right[static_cast<std::size_t>(i)] = sum;
      right_labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(c);
    }
  const bool nearest = same("nearest centres", labels, right_labels);
  return same("distances to centres", distances, right) && nearest;
}

bool gram() {
  constexpr std::int64_t count = 50, c = 64;
  const auto rows = numbers<double>(count * c, 41);
  std::vector<double> found(c * c, 0), expected(c * c, 0);
  stofm::cluster::detail::add_gram_dispatched(rows.data(), count, c, found.data());
  for (std::int64_t i = 0; i < c; ++i)
    for (std::int64_t j = i / stofm::cluster::detail::gram_columns * stofm::cluster::detail::gram_columns;
         j < c; ++j) {
      double sum = 0;
      for (std::int64_t r = 0; r < count; ++r)
        sum += times(rows[static_cast<std::size_t>(r * c + i)], rows[static_cast<std::size_t>(r * c + j)]);
      expected[static_cast<std::size_t>(i * c + j)] = sum;
    }
  return same("Gram matrix of PCA", found, expected);
}

bool plane() {
  constexpr std::int64_t n = 2000, k = 5;
  const auto xy = numbers<double>(2 * n, 51);
  const auto found = stofm::cluster::nearest_neighbours_2d(stofm::matrix_view(xy.data(), n, 2), k);
  std::vector<double> expected(found.squared_distances.size());
  for (std::size_t e = 0; e < expected.size(); ++e) {
    const std::size_t i = e / k, j = static_cast<std::size_t>(found.indices[e]);
    const double dx = xy[2 * i] - xy[2 * j], dy = xy[2 * i + 1] - xy[2 * j + 1];
    expected[e] = times(dx, dx) + times(dy, dy);
  }
  return same("distances in the plane", found.squared_distances, expected);
}

}  // namespace

bool rounding_is_exact() {
  bool right = true;
  for (const auto level : stofm::cpu_kernel_levels()) {
    stofm::set_cpu_kernels(level);
    for (bool (*check)() : {adamw<float>, adamw<double>, centres, gram, plane}) right = check() && right;
  }
  stofm::set_cpu_kernels(stofm::best_cpu_kernels());
  return right;
}

#if defined(STOFM_ROUNDING_ALONE)
int main() {
  const bool right = rounding_is_exact();
  std::puts(right ? "rounding: right" : "rounding: wrong");
  return right ? 0 : 1;
}
#endif
