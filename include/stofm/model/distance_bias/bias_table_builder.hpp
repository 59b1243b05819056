// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Makes a `BiasTable`: knots on a grid, on the flanks of narrow Gaussians and on every zero crossing of a
/// ReLU input (sign change between two knots, then safeguarded Newton on that unit), halved where the cubic
/// misses the network at its middle, checked at two other places of each interval at the end. Slopes are
/// one-sided: the units that are on between two knots are those that are on at the middle.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "stofm/model/distance_bias/bias_table.hpp"
#include "stofm/model/distance_bias/gaussian_network.hpp"

namespace stofm::model {

/// One use: construct, build.
class BiasTableBuilder {
 public:
  BiasTableBuilder(const GaussianNetwork& network, const BiasTableOptions& options)
      : network_(network), options_(options), hidden_(network.gaussians()), heads_(network.heads()) {}

  BiasTable build(double low, double high);

 private:
  /// A knot or a candidate: the network's value there.
  struct Point {
    double a = 0;
    std::vector<double> z, z_slope, phi;
  };
  /// Between two knots without a known kink; `middle` decides which units are on.
  struct Piece {
    std::int64_t left, right;
    std::int64_t middle = -1;
    bool done = false;
  };

  const Point& point(std::int64_t i) const { return points_[static_cast<std::size_t>(i)]; }
  std::int64_t add_points(std::span<const double> a);
  std::vector<double> first_knots(double low, double high) const;
  /// Zero crossings between two points, ascending; the unit that crosses at each.
  void find_kinks(const Point& p, const Point& q, std::vector<std::pair<double, std::int64_t>>& kinks) const;
  /// c[4 * heads] of a piece, with the units that are on at its middle.
  void cubic(const Piece& piece, double* c) const;
  double middle_error(const Piece& piece) const;
  std::vector<Piece> cut_at_kinks(const std::vector<Piece>& pieces);
  void halve_or_keep(const std::vector<Piece>& pieces, std::vector<Piece>& halves, std::vector<Piece>& kept);
  void finish(BiasTable& table, const std::vector<Piece>& pieces, double low, double high);
  /// The rows behind the pieces: Phi where every Gaussian has died out, and zero.
  void append_constants(BiasTable& table) const;
  double check(BiasTable& table) const;

  const GaussianNetwork& network_;
  BiasTableOptions options_;
  std::int64_t hidden_, heads_;
  std::vector<Point> points_;
  std::vector<double> range_, constant_;  // [heads]
  double smallest_kink_ = 0;              // |z_j| W2 below this can not be seen
  std::int64_t kinks_ = 0;
};

inline BiasTable BiasTable::build(const GaussianNetwork& network, double low, double high,
                                  const BiasTableOptions& options) {
  return BiasTableBuilder(network, options).build(low, high);
}

inline std::int64_t BiasTableBuilder::add_points(std::span<const double> a) {
  const auto first = static_cast<std::int64_t>(points_.size());
  NetworkPoints values = network_.evaluate(a, true);
  const auto part = [](const std::vector<double>& all, std::size_t i, std::int64_t width) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i) * width;
    return std::vector<double>(begin, begin + width);
  };
  for (std::size_t i = 0; i < a.size(); ++i)
    points_.push_back(
        {a[i], part(values.z, i, hidden_), part(values.z_slope, i, hidden_), part(values.phi, i, heads_)});
  return first;
}

/// A uniform grid, and points over the flanks of every Gaussian that the grid would miss.
inline std::vector<double> BiasTableBuilder::first_knots(double low, double high) const {
  constexpr int uniform = 256;
  std::vector<double> knots;
  const double step = (high - low) / uniform;
  for (int i = 0; i <= uniform; ++i) knots.push_back(i == uniform ? high : low + i * step);
  for (std::int64_t k = 0; k < hidden_; ++k) {
    if (network_.width(k) > 4 * step) continue;
    for (int i = -12; i <= 12; ++i) {
      const double a = network_.mean(k) + 0.5 * i * network_.width(k);
      if (a > low && a < high) knots.push_back(a);
    }
  }
  std::sort(knots.begin(), knots.end());
  knots.erase(std::unique(knots.begin(), knots.end()), knots.end());
  return knots;
}

inline void BiasTableBuilder::find_kinks(const Point& p, const Point& q,
                                         std::vector<std::pair<double, std::int64_t>>& kinks) const {
  kinks.clear();
  for (std::int64_t j = 0; j < hidden_; ++j) {
    const double zp = p.z[static_cast<std::size_t>(j)], zq = q.z[static_cast<std::size_t>(j)];
    if (!(zp * zq < 0)) continue;
    double weight = 0;
    for (std::int64_t h = 0; h < heads_; ++h)
      weight = (std::max)(weight, std::abs(network_.output_weight(h, j)));
    if (weight * (std::max)(std::abs(zp), std::abs(zq)) <= smallest_kink_) continue;
    const double a = network_.unit_zero(j, p.a, q.a, zp < 0);
    if (a > p.a && a < q.a) kinks.emplace_back(a, j);
  }
  std::sort(kinks.begin(), kinks.end());
}

inline void BiasTableBuilder::cubic(const Piece& piece, double* c) const {
  const Point &p = point(piece.left), &q = point(piece.right), &m = point(piece.middle);
  const double width = q.a - p.a;
  for (std::int64_t h = 0; h < heads_; ++h) {
    double left = 0, right = 0;
    for (std::int64_t j = 0; j < hidden_; ++j) {
      const auto at = static_cast<std::size_t>(j);
      if (!(m.z[at] > 0)) continue;
      const double weight = network_.output_weight(h, j);
      left += weight * p.z_slope[at];
      right += weight * q.z_slope[at];
    }
    left *= width;
    right *= width;
    const double start = p.phi[static_cast<std::size_t>(h)],
                 rise = q.phi[static_cast<std::size_t>(h)] - start;
    c[h] = start;
    c[heads_ + h] = left;
    c[2 * heads_ + h] = 3 * rise - 2 * left - right;
    c[3 * heads_ + h] = left + right - 2 * rise;
  }
}

/// Error at the middle as a multiple of the tolerance, the worst head.
inline double BiasTableBuilder::middle_error(const Piece& piece) const {
  std::vector<double> c(static_cast<std::size_t>(4 * heads_));
  cubic(piece, c.data());
  double worst = 0;
  for (std::int64_t h = 0; h < heads_; ++h) {
    const auto at = static_cast<std::size_t>(h), n = static_cast<std::size_t>(heads_);
    const double value = c[at] + 0.5 * (c[n + at] + 0.5 * (c[2 * n + at] + 0.5 * c[3 * n + at]));
    const double error = std::abs(value - point(piece.middle).phi[at]);
    worst = (std::max)(worst, error / (options_.tolerance * range_[at]));
  }
  return worst;
}

/// The same pieces, cut at every zero crossing inside them.
inline std::vector<BiasTableBuilder::Piece> BiasTableBuilder::cut_at_kinks(const std::vector<Piece>& pieces) {
  std::vector<Piece> cut;
  std::vector<double> added;
  std::vector<std::int64_t> units;
  std::vector<std::pair<double, std::int64_t>> kinks;
  const auto base = static_cast<std::int64_t>(points_.size());
  for (const Piece& piece : pieces) {
    find_kinks(point(piece.left), point(piece.right), kinks);
    std::int64_t left = piece.left;
    for (const auto& [a, unit] : kinks) {
      if (!added.empty() && added.back() == a) continue;
      const std::int64_t at = base + static_cast<std::int64_t>(added.size());
      added.push_back(a);
      units.push_back(unit);
      cut.push_back({left, at});
      left = at;
    }
    cut.push_back({left, piece.right});
  }
  add_points(added);
  // Exactly on the kink: neither side sees a crossing of this unit.
  for (std::size_t i = 0; i < units.size(); ++i)
    points_[static_cast<std::size_t>(base) + i].z[static_cast<std::size_t>(units[i])] = 0.0;
  kinks_ += static_cast<std::int64_t>(units.size());
  return cut;
}

/// Evaluates the middle of each piece: good ones are kept, the others come back as halves.
inline void BiasTableBuilder::halve_or_keep(const std::vector<Piece>& pieces, std::vector<Piece>& halves,
                                            std::vector<Piece>& kept) {
  std::vector<double> middles;
  for (const Piece& piece : pieces) middles.push_back(0.5 * (point(piece.left).a + point(piece.right).a));
  const std::int64_t first = add_points(middles);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    Piece piece = pieces[i];
    piece.middle = first + static_cast<std::int64_t>(i);
    const double a = middles[i], p = point(piece.left).a, q = point(piece.right).a;
    // Pieces narrower than the spacing of floats hold at most one argument.
    const bool narrow = q - p < 0x1p-25 * (std::max)(std::abs(p), std::abs(q)) || !(a > p && a < q);
    if (narrow || middle_error(piece) <= 1.0) {
      kept.push_back(piece);
    } else {
      halves.push_back({piece.left, piece.middle});
      halves.push_back({piece.middle, piece.right});
    }
  }
}

inline BiasTable BiasTableBuilder::build(double low, double high) {
  BiasTable table;
  table.heads_ = heads_;
  table.padded_ = (heads_ + 7) / 8 * 8;
  table.low_ = low;
  table.high_ = high;
  if (!(low < high) || !std::isfinite(low) || !std::isfinite(high)) return table;

  // Where every Gaussian has died out, Phi = W2 relu(b1) + b2.
  double begin = high, end = low;
  for (std::int64_t k = 0; k < hidden_; ++k) {
    begin = (std::min)(begin, network_.mean(k) - 16.0 * network_.width(k));
    end = (std::max)(end, network_.mean(k) + 16.0 * network_.width(k));
  }
  begin = (std::max)(begin, low);
  end = (std::min)(end, high);
  const double dead[] = {(std::numeric_limits<double>::max)() / 4};
  const NetworkPoints constant = network_.evaluate(dead, false);
  constant_ = constant.phi;
  if (!(begin < end)) {  // nothing alive in reach: constant everywhere
    table.knots_ = {low, low};
    table.coefficients_.assign(static_cast<std::size_t>(4 * table.padded_),
                               0.0F);  // a piece that no argument meets
    append_constants(table);
    table.usable_ = true;
    return table;
  }
  if (!std::isfinite(begin) || !std::isfinite(end)) return table;

  const std::vector<double> knots = first_knots(begin, end);
  add_points(knots);
  range_.assign(static_cast<std::size_t>(heads_), 0.0);
  for (std::int64_t h = 0; h < heads_; ++h) {
    const auto at = static_cast<std::size_t>(h);
    double least = constant.phi[at], most = constant.phi[at];
    for (const Point& p : points_) {
      least = (std::min)(least, p.phi[at]);
      most = (std::max)(most, p.phi[at]);
    }
    range_[at] = most - least;
    table.range_ = (std::max)(table.range_, range_[at]);
  }
  if (!std::isfinite(table.range_)) return table;  // weights with NaN or inf
  for (double& range : range_) range = (std::max)({range, 0.01 * table.range_, 1e-30});
  smallest_kink_ = 0.01 * options_.tolerance * *std::min_element(range_.begin(), range_.end());

  std::vector<Piece> pieces, fresh;
  for (std::size_t i = 0; i + 1 < knots.size(); ++i)
    fresh.push_back({static_cast<std::int64_t>(i), static_cast<std::int64_t>(i) + 1});
  const auto most_points =
      static_cast<std::size_t>(options_.scratch_bytes / (16 * hidden_ + 8 * heads_ + 128));
  while (!fresh.empty() && points_.size() <= most_points &&
         static_cast<std::int64_t>(pieces.size() + fresh.size()) <= options_.max_intervals) {
    const std::vector<Piece> cut = cut_at_kinks(fresh);
    fresh.clear();
    halve_or_keep(cut, fresh, pieces);
  }
  if (!fresh.empty()) return table;
  finish(table, pieces, begin, end);
  table.measured_error_ = check(table);
  table.usable_ = table.measured_error_ <= options_.accepted * table.range_;
  return table;
}

inline void BiasTableBuilder::finish(BiasTable& table, const std::vector<Piece>& unsorted, double low,
                                     double high) {
  std::vector<Piece> pieces = unsorted;
  std::sort(pieces.begin(), pieces.end(),
            [&](const Piece& x, const Piece& y) { return point(x.left).a < point(y.left).a; });
  const auto count = static_cast<std::int64_t>(pieces.size());
  table.kinks_ = kinks_;
  table.coefficients_.assign(static_cast<std::size_t>(checked_mul(count, 4 * table.padded_)), 0.0F);
  std::vector<double> c(static_cast<std::size_t>(4 * heads_));
  for (std::int64_t i = 0; i < count; ++i) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    const double p = point(piece.left).a, q = point(piece.right).a;
    table.knots_.push_back(p);
    table.inverse_width_.push_back(1.0 / (q - p));
    cubic(piece, c.data());
    for (std::int64_t order = 0; order < 4; ++order)
      for (std::int64_t h = 0; h < heads_; ++h)
        table.coefficients_[static_cast<std::size_t>((i * 4 + order) * table.padded_ + h)] =
            static_cast<float>(c[static_cast<std::size_t>(order * heads_ + h)]);
  }
  table.knots_.push_back(high);
  append_constants(table);
  // So many buckets that nearly all lie within one interval: a search that branches costs more than the
  // cubic.
  const std::int64_t buckets = std::clamp<std::int64_t>(32 * count, 1024, 65536);
  table.inverse_bucket_ = static_cast<double>(buckets) / (high - low);
  // The bucket of a knot must be found as the lookup finds it, or rounding at a border loses an interval.
  table.bucket_first_.assign(static_cast<std::size_t>(buckets) + 1, static_cast<std::int32_t>(count - 1));
  std::int64_t bucket = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double at = (table.knots_[static_cast<std::size_t>(i)] - low) * table.inverse_bucket_;
    const std::int64_t of = (std::min)(static_cast<std::int64_t>(at), buckets - 1);
    for (; bucket <= of; ++bucket)
      table.bucket_first_[static_cast<std::size_t>(bucket)] = static_cast<std::int32_t>(i == 0 ? 0 : i - 1);
  }
  points_.clear();
}

inline void BiasTableBuilder::append_constants(BiasTable& table) const {
  const std::size_t at = table.coefficients_.size();
  table.coefficients_.resize(at + static_cast<std::size_t>(8 * table.padded_), 0.0F);
  for (std::size_t h = 0; h < constant_.size(); ++h)
    table.coefficients_[at + h] = static_cast<float>(constant_[h]);
}

/// The table as it will be used, in float, against the network: two places in each interval.
inline double BiasTableBuilder::check(BiasTable& table) const {
  std::vector<double> exact_at;
  std::vector<float> at;
  for (std::int64_t i = 0; i < table.intervals(); ++i) {
    const double p = table.knots_[static_cast<std::size_t>(i)],
                 q = table.knots_[static_cast<std::size_t>(i) + 1];
    for (const double t : {0.23, 0.74}) {
      const auto a = static_cast<float>(p + t * (q - p));
      if (!table.covers(a)) continue;
      at.push_back(a);
      exact_at.push_back(static_cast<double>(a));
    }
  }
  const NetworkPoints exact = network_.evaluate(exact_at, false);
  std::vector<BiasTable::Place> places(at.size());
  std::vector<float> values(exact.phi.size());
  table.locate(at, places.data());
  table.evaluate(places, nullptr, values.data(), 1, heads_);
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    worst = (std::max)(worst, std::abs(static_cast<double>(values[i]) - exact.phi[i]));
  return worst;
}

}  // namespace stofm::model
