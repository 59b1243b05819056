// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The few largest eigenpairs of a dense symmetric matrix: Householder tridiagonalisation, bisection by Sturm
/// counts, inverse iteration. *Source* Golub and Van Loan, "Matrix Computations", 8.3 to 8.4.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/core/compiled.hpp"

namespace stofm::cluster {

/// Largest eigenvalues, descending, and their unit eigenvectors (vectors[i * n + j]: entry j of eigenvector
/// i).
struct LeadingEigenpairs {
  std::vector<double> values;
  std::vector<double> vectors;
};

namespace detail {
/// A = Q T Q^T with T tridiagonal; the reflectors stay in the rows of `a` (below the diagonal).
struct Tridiagonal {
  std::vector<double> diagonal, off;  ///< [n], [n] (off[i] couples i - 1 and i; off[0] = 0)
  std::vector<double> scale;          ///< 2 / |v|^2 of the reflector kept in row i, 0: none
};

inline Tridiagonal tridiagonalise(std::vector<double>& a, std::size_t n) {
  Tridiagonal t{std::vector<double>(n, 0), std::vector<double>(n, 0), std::vector<double>(n, 0)};
  std::vector<double> p(n);
  for (std::size_t i = n; i-- > 1;) {  // row i loses everything left of column i - 1
    double* v = a.data() + i * n;      // v[0 .. i)
    double largest = 0, norm2 = 0;
    for (std::size_t k = 0; k + 1 < i; ++k) largest = (std::max)(largest, std::abs(v[k]));
    t.off[i] = v[i - 1];
    if (largest == 0) continue;
    largest = (std::max)(largest, std::abs(v[i - 1]));
    for (std::size_t k = 0; k < i; ++k) norm2 += (v[k] / largest) * (v[k] / largest);
    const double norm = std::copysign(std::sqrt(norm2), v[i - 1]);
    t.off[i] = -norm * largest;
    for (std::size_t k = 0; k < i; ++k) v[k] /= largest;
    v[i - 1] += norm;
    const double h = 1.0 / (norm2 + norm * (v[i - 1] - norm));  // 2 / |v|^2
    t.scale[i] = h;
    // p = h A v, q = p - (h/2)(p.v) v, A -= v q^T + q v^T on the leading i x i block (lower half).
    std::fill_n(p.begin(), i, 0.0);
    for (std::size_t r = 0; r < i; ++r) {
      const double* row = a.data() + r * n;
      double sum = row[r] * v[r];
      for (std::size_t k = 0; k < r; ++k) {
        sum += row[k] * v[k];
        p[k] += row[k] * v[r];
      }
      p[r] += sum;
    }
    double dot = 0;
    for (std::size_t k = 0; k < i; ++k) dot += (p[k] *= h) * v[k];
    for (std::size_t k = 0; k < i; ++k) p[k] -= 0.5 * h * dot * v[k];
    for (std::size_t r = 0; r < i; ++r) {
      double* row = a.data() + r * n;
      for (std::size_t k = 0; k <= r; ++k) row[k] -= v[r] * p[k] + p[r] * v[k];
    }
  }
  for (std::size_t i = 0; i < n; ++i) t.diagonal[i] = a[i * n + i];
  return t;
}

/// Eigenvalues of T that are below x.
inline std::size_t sturm_count(const Tridiagonal& t, double x, double tiny) {
  std::size_t below = 0;
  double d = 1;
  for (std::size_t i = 0; i < t.diagonal.size(); ++i) {
    d = t.diagonal[i] - x - (i == 0 ? 0.0 : t.off[i] * t.off[i] / d);
    if (std::abs(d) < tiny) d = -tiny;
    below += d < 0;
  }
  return below;
}

/// Solves (T - x) y = y in place, Gaussian elimination with row exchanges.
inline void solve_shifted(const Tridiagonal& t, double x, double tiny, std::vector<double>& y) {
  const std::size_t n = t.diagonal.size();
  std::vector<double> first(n), second(n, 0), third(n, 0);  // upper triangular with two off diagonals
  double d = t.diagonal[0] - x, u = n > 1 ? t.off[1] : 0;
  for (std::size_t i = 0; i + 1 < n; ++i) {
    const double below = t.off[i + 1], next_d = t.diagonal[i + 1] - x, next_u = i + 2 < n ? t.off[i + 2] : 0;
    if (std::abs(below) > std::abs(d)) {
      const double factor = d / below;
      first[i] = below, second[i] = next_d, third[i] = next_u;
      std::swap(y[i], y[i + 1]);
      y[i + 1] -= factor * y[i];
      d = u - factor * next_d;
      u = -factor * next_u;
    } else {
      if (std::abs(d) < tiny) d = tiny;
      const double factor = below / d;
      first[i] = d, second[i] = u;
      y[i + 1] -= factor * y[i];
      d = next_d - factor * u;
      u = next_u;
    }
  }
  first[n - 1] = std::abs(d) < tiny ? tiny : d;
  for (std::size_t i = n; i-- > 0;) {
    double value = y[i];
    if (i + 1 < n) value -= second[i] * y[i + 1];
    if (i + 2 < n) value -= third[i] * y[i + 2];
    y[i] = value / first[i];
  }
}
}  // namespace detail

/// The `count` largest eigenpairs of the symmetric matrix `a` (n x n row-major, only the lower half is read,
/// destroyed). Vectors of equal eigenvalues are orthogonal; their basis is arbitrary but the same in every
/// run. Signs are arbitrary. \throws ShapeError. *Cost* 4/3 n^3 operations, O(n) memory beyond `a`.
/// *Deterministic* yes.
STOFM_INLINE LeadingEigenpairs leading_eigenpairs(std::vector<double> a, std::int64_t size,
                                                  std::int64_t count);

}  // namespace stofm::cluster

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto cluster::leading_eigenpairs(std::vector<double> a, std::int64_t size, std::int64_t count)
    -> LeadingEigenpairs {
  if (size < 0 || count < 0 || count > size ||
      static_cast<std::int64_t>(a.size()) != checked_mul(size, size, "eigenpairs"))
    throw ShapeError({"STOFM-1220", "", "[leading_eigenpairs]",
                      concat(a.size(), " entries, ", count, " pairs"),
                      concat("a matrix of ", size, " x ", size), "Check the sizes."});
  const auto n = static_cast<std::size_t>(size);
  LeadingEigenpairs result;
  if (count == 0) return result;
  double magnitude = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) magnitude = (std::max)(magnitude, std::abs(a[i * n + j]));
  if (magnitude == 0) magnitude = 1;
  for (double& v : a) v /= magnitude;
  const detail::Tridiagonal t = detail::tridiagonalise(a, n);
  double reach = 0;
  for (std::size_t i = 0; i < n; ++i)
    reach = (std::max)(
        reach, std::abs(t.diagonal[i]) + std::abs(t.off[i]) + (i + 1 < n ? std::abs(t.off[i + 1]) : 0));
  const double tiny = std::numeric_limits<double>::epsilon() * (std::max)(reach, 1e-300);
  for (std::int64_t which = 0; which < count; ++which) {
    double low = -reach - tiny,
           high = reach + tiny;  // smallest x with at least n - which eigenvalues below it
    for (int step = 0; step < 80; ++step) {
      const double middle = 0.5 * (low + high);
      (detail::sturm_count(t, middle, tiny * 1e-3) >= n - static_cast<std::size_t>(which) ? high : low) =
          middle;
    }
    const double value = 0.5 * (low + high);
    std::vector<double> y(n);
    for (std::size_t i = 0; i < n; ++i)  // a start with a part along everything
      y[i] = 1.0 +
             0.5 * static_cast<double>((i * 7919 + static_cast<std::size_t>(which) * 104729) % 1009) / 1009.0;
    auto normalise = [&] {
      for (std::int64_t other = 0; other < which; ++other) {
        const double* v = result.vectors.data() + static_cast<std::size_t>(other) * n;
        double dot = 0;
        for (std::size_t i = 0; i < n; ++i) dot += y[i] * v[i];
        for (std::size_t i = 0; i < n; ++i) y[i] -= dot * v[i];
      }
      double largest = 0, norm2 = 0;
      for (const double v : y) largest = (std::max)(largest, std::abs(v));
      if (!(largest > 0)) largest = 1;
      for (double& v : y) norm2 += (v / largest) * (v / largest);
      for (double& v : y) v /= largest * std::sqrt(norm2);
    };
    normalise();
    for (int step = 0; step < 5; ++step) {
      detail::solve_shifted(t, value, tiny, y);
      normalise();
      normalise();  // twice is enough
    }
    result.values.push_back(value * magnitude);
    result.vectors.insert(result.vectors.end(), y.begin(), y.end());
  }
  for (std::int64_t which = 0; which < count; ++which) {  // back through the reflectors
    double* y = result.vectors.data() + static_cast<std::size_t>(which) * n;
    for (std::size_t i = 1; i < n; ++i) {
      if (t.scale[i] == 0) continue;
      const double* v = a.data() + i * n;
      double dot = 0;
      for (std::size_t k = 0; k < i; ++k) dot += v[k] * y[k];
      for (std::size_t k = 0; k < i; ++k) y[k] -= t.scale[i] * dot * v[k];
    }
  }
  return result;
}

}  // namespace stofm
#endif
