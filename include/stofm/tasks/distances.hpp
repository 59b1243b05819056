// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Distances between rows in double, with sums in a fixed order.

#include <cstdint>

namespace stofm::tasks {

/// How far two rows are from each other.
enum class Distance {
  euclidean,
  cosine,  ///< 1 - a . b / (|a| |b|); a row of zeros is at distance 1 from every other
};

namespace detail {
/// Sum over j of term(a_j, b_j) in eight running sums, so that the order does not hang on the compiler.
template <class T, class Term>
double summed(const T* a, const T* b, std::int64_t width, Term&& term) {
  double sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  const std::int64_t whole = width / 8 * 8, rest = width - whole;
  for (std::int64_t j = 0; j < whole; j += 8)
    for (std::int64_t l = 0; l < 8; ++l)
      sum[l] += term(static_cast<double>(a[j + l]), static_cast<double>(b[j + l]));
  for (std::int64_t l = 0; l < 8 && l < rest; ++l)
    sum[l] += term(static_cast<double>(a[whole + l]), static_cast<double>(b[whole + l]));
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}
template <class T>
double square_distance(const T* a, const T* b, std::int64_t width) {
  return summed(a, b, width, [](double x, double y) { return (x - y) * (x - y); });
}
template <class T>
double dot_product(const T* a, const T* b, std::int64_t width) {
  return summed(a, b, width, [](double x, double y) { return x * y; });
}
/// From the lengths of both rows.
template <class T>
double cosine_distance(const T* a, const T* b, std::int64_t width, double length_a, double length_b) {
  const double scale = length_a * length_b;
  return scale > 0 ? 1.0 - dot_product(a, b, width) / scale : 1.0;
}
}  // namespace detail

}  // namespace stofm::tasks
