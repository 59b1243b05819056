// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gradients against central differences, in double. With y = f(x) and fixed random weights c: L = <c, y>,
/// the numeric gradient of element e is (L(x + h e) - L(x - h e)) / 2h, and the error that is reported the
/// relative Frobenius norm
/// ||numeric - g|| / max(||g||, floor), the worst over all inputs.
///     const auto found = gradcheck([](Tape<double>&, const auto& x) { return mul(x[0], x[1]); }, {a, b});
///     CHECK(found.error <= 1e-8);

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "stofm/autograd/tape.hpp"
#include "stofm/core/random.hpp"

namespace stofm::autograd {

struct GradcheckOptions {
  double step = 1e-5;    ///< h
  double floor = 1e-12;  ///< for gradients that are zero: what the error is relative to at least
  std::int64_t max_elements =
      512;                      ///< checked one by one in each input; of larger ones that many, spread evenly
  std::int64_t directions = 2;  ///< random directions through all inputs at once
  std::uint64_t seed = 1;
};

struct GradcheckResult {
  double error = 0;      ///< worst relative error of an input, element by element
  double direction = 0;  ///< worst relative error of a random direction
  double reuse = 0;      ///< gradients when f stands twice on the tape, against twice the gradients
  bool alone = true;     ///< each input's gradient has the same bits when the others are constants
  bool silent = true;    ///< without recording the value has the same bits and the tape stays empty
  std::string worst;     ///< where `error` is

  double largest() const { return (std::max)({error, direction, alone && silent ? 0.0 : 1e9}); }
};

namespace gradcheck_detail {
using Doubles = Tensor<double>;

/// The place of element k, in row-major order, of a tensor of any strides.
inline double& element(Doubles& x, std::int64_t k) {
  std::int64_t offset = 0;
  for (int i = x.rank() - 1; i >= 0; --i) {
    offset += k % x.dim(i) * x.stride(i);
    k /= x.dim(i);
  }
  return x.data()[offset];
}
inline double inner(Doubles a, Doubles b) {
  double sum = 0;
  for (std::int64_t k = 0; k < a.numel(); ++k) sum += element(a, k) * element(b, k);
  return sum;
}
inline Doubles random_like(const Shape& shape, Random& random) {
  Doubles x(shape);
  for (double& v : x.span()) v = random.normal();
  return x;
}
inline bool same_bits(const Doubles& a, const Doubles& b) {
  const Doubles p = a.contiguous(), q = b.contiguous();
  return p.shape() == q.shape() &&
         (p.numel() == 0 || std::memcmp(p.data(), q.data(), p.span().size_bytes()) == 0);
}

/// The comparison itself: `places` are changed and put back, `value()` is L with what stands in them.
inline void compare(std::vector<Doubles>& places, const std::vector<Doubles>& gradients,
                    const std::vector<std::string>& names, const std::function<double()>& value,
                    const GradcheckOptions& options, GradcheckResult& result) {
  Random random(options.seed, 2);
  for (std::size_t i = 0; i < places.size(); ++i) {
    Doubles x = places[i], g = gradients[i];
    const std::int64_t every =
        (x.numel() + options.max_elements - 1) / (std::max<std::int64_t>)(options.max_elements, 1);
    double difference = 0, norm = 0;
    for (std::int64_t k = 0; k < x.numel(); k += every) {
      double& place = element(x, k);
      const double before = place;
      place = before + options.step;
      const double above = value(), up = place;
      place = before - options.step;
      const double below = value(), down = place;
      place = before;
      const double numeric = (above - below) / (up - down);
      difference += (numeric - element(g, k)) * (numeric - element(g, k));
      norm += element(g, k) * element(g, k);
    }
    const double error = std::sqrt(difference) / (std::max)(std::sqrt(norm), options.floor);
    if (!(error <= result.error)) {  // also for NaN
      result.error = error;
      result.worst = names[i];
    }
  }
  for (std::int64_t round = 0; round < options.directions; ++round) {
    std::vector<Doubles> before, direction;
    double expected = 0, size = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
      before.push_back(places[i].clone());
      direction.push_back(random_like(places[i].shape(), random));
      expected += inner(direction[i], gradients[i]);
      size += inner(direction[i], direction[i]) * inner(gradients[i], gradients[i]);
    }
    auto move = [&](double by) {
      for (std::size_t i = 0; i < places.size(); ++i)
        for (std::int64_t k = 0; k < places[i].numel(); ++k)
          element(places[i], k) = element(before[i], k) + by * element(direction[i], k);
      return by == 0.0 ? 0.0 : value();
    };
    const double numeric = (move(options.step) - move(-options.step)) / (2 * options.step);
    move(0.0);
    const double scale = (std::max)(std::sqrt(size), options.floor);
    const double error = std::abs(numeric - expected) / scale;
    if (!(error <= result.direction)) result.direction = error;
  }
}
}  // namespace gradcheck_detail

/// `f(tape, inputs) -> Variable<double>` of any shape. The inputs are changed and put back; they keep their
/// layout.
template <class Function>
GradcheckResult gradcheck(Function&& f, std::vector<Tensor<double>> inputs,
                          const GradcheckOptions& options = {}) {
  using Variables = std::vector<Variable<double>>;
  GradcheckResult result;
  Random random(options.seed, 1);
  Tensor<double> weights;
  auto gradients_of = [&](std::size_t only, bool twice) {
    Tape<double> tape;
    Variables x;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      x.push_back(only == inputs.size() || only == i ? tape.input(inputs[i]) : constant(inputs[i]));
    auto y = f(tape, std::as_const(x));
    if (weights.shape() == Shape{0}) weights = gradcheck_detail::random_like(y.shape(), random);
    std::vector<Tensor<double>> gradients;
    if (!y.needs_grad()) {
      for (const auto& input : inputs) gradients.push_back(Tensor<double>::zeros(input.shape()));
      return gradients;
    }
    if (twice) {
      const auto again = f(tape, std::as_const(x));
      const Tensor<double> sum = ops::add(y.value().contiguous(), again.value().contiguous());
      y = record<double>("twice", sum, {y, again}, [](const Tensor<double>& grad_y, Gradients<double>& into) {
        into.add(0, grad_y);
        into.add(1, grad_y);
      });
    }
    tape.backward(y, weights);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      gradients.push_back(x[i].needs_grad() ? tape.grad(x[i]).clone()
                                            : Tensor<double>::zeros(inputs[i].shape()));
    return gradients;
  };
  const auto gradients = gradients_of(inputs.size(), false), doubled = gradients_of(inputs.size(), true);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!gradcheck_detail::same_bits(gradients_of(i, false)[i], gradients[i])) result.alone = false;
    const auto half = ops::scale(doubled[i], 0.5);
    const auto difference = ops::sub(half, gradients[i]);
    const double error =
        std::sqrt(gradcheck_detail::inner(difference, difference)) /
        (std::max)(std::sqrt(gradcheck_detail::inner(gradients[i], gradients[i])), options.floor);
    if (!(error <= result.reuse)) result.reuse = error;
  }
  Tensor<double> recorded;
  {
    Tape<double> tape;
    Variables x;
    for (const auto& input : inputs) x.push_back(tape.input(input));
    recorded = f(tape, std::as_const(x)).value();
  }
  auto silent_value = [&] {
    Tape<double> tape;
    NoGrad<double> scope(tape);
    Variables x;
    for (const auto& input : inputs) x.push_back(tape.input(input));
    const Tensor<double> y = f(tape, std::as_const(x)).value();
    if (tape.size() != 0) result.silent = false;
    return y;
  };
  if (!gradcheck_detail::same_bits(silent_value(), recorded)) result.silent = false;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < inputs.size(); ++i) names.push_back("input " + std::to_string(i));
  gradcheck_detail::compare(
      inputs, gradients, names, [&] { return gradcheck_detail::inner(weights, silent_value()); }, options,
      result);
  return result;
}

/// The same over the parameters of a model: `f(tape) -> Variable<double>`. Gradients that stand in the set
/// are lost.
template <class Function>
GradcheckResult gradcheck_parameters(Function&& f, ParameterSet<double>& parameters,
                                     const GradcheckOptions& options = {}) {
  GradcheckResult result;
  Random random(options.seed, 1);
  parameters.zero_grad();
  Tape<double> tape;
  const auto y = f(tape);
  const Tensor<double> weights = gradcheck_detail::random_like(y.shape(), random);
  tape.backward(y, weights);
  std::vector<Tensor<double>> places, gradients;
  std::vector<std::string> names;
  for (Parameter<double>* parameter : parameters.list()) {
    if (!parameter->trainable) continue;
    places.push_back(parameter->changing());
    gradients.push_back(parameter->grad().clone());
    names.push_back(parameter->name());
  }
  auto value = [&] {
    Tape<double> fresh;
    NoGrad<double> scope(fresh);
    return gradcheck_detail::inner(weights, f(fresh).value());
  };
  gradcheck_detail::compare(places, gradients, names, value, options, result);
  return result;
}

}  // namespace stofm::autograd
