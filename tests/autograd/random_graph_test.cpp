// SPDX-License-Identifier: MIT
// Random graphs of at most eight ops: the derivative in a random direction against a central difference. A
// graph is a function of its seed alone; STOFM_RANDOM_GRAPHS sets how many are made (default 20,000).
#include <functional>

#include "stofm/autograd/recompute.hpp"
#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/gather.hpp"
#include "stofm/autograd/rules/l2_normalize.hpp"
#include "stofm/autograd/rules/layer_norm.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/rules/losses.hpp"
#include "stofm/autograd/rules/matmul.hpp"
#include "stofm/autograd/rules/reduce.hpp"
#include "stofm/autograd/rules/softmax.hpp"
#include "stofm/autograd/rules/varlen_attention.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "tests/autograd/rule_test.hpp"

using namespace stofm;
using namespace stofm::autograd;
using namespace stofm::test;

namespace {
constexpr int most_ops = 8;

/// One graph: `inputs` matrices, then ops that each take earlier matrices and append one. All choices come
/// from the seed; f can be run again with other values.
class RandomGraph {
 public:
  explicit RandomGraph(std::uint64_t seed) : seed_(seed) {
    Numbers source(seed);
    const std::int64_t count = 1 + source.below(3);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t m = size(source), n = size(source);
      Tensor<double> x = numbers({m, n}, seed * 8 + static_cast<std::uint64_t>(i), 1.5);
      if (source.below(4) == 0) x = as_transposed(x);
      if (source.below(4) == 0) x = with_gaps(x);
      inputs_.push_back(x);
    }
  }
  const std::vector<Tensor<double>>& inputs() const { return inputs_; }
  /// The names of the ops of the last run.
  const std::string& description() const { return description_; }

  Variable<double> operator()(Tape<double>& tape, const Variables& inputs) {
    Numbers source(seed_ + 1'000'003);
    description_.clear();
    Variables made = inputs;
    const std::int64_t ops = 1 + source.below(most_ops);
    for (std::int64_t i = 0; i < ops; ++i) made.push_back(next(tape, source, made));
    Variable<double> total = sum(made.back());
    for (std::size_t i = inputs.size(); i + 1 < made.size(); ++i)  // half of the others count as well
      if (source.below(2) == 0) total = add(total, scale(sum(mul(made[i], made[i])), 0.1));
    return total;
  }

 private:
  static std::int64_t size(Numbers& source) {
    constexpr std::int64_t sizes[] = {1, 2, 3, 5, 8, 1, 7, 4};
    return source.below(40) == 0 ? 0 : sizes[source.below(8)];
  }
  /// A constant matrix for operands that need a certain shape.
  static Tensor<double> operand(Numbers& source, const Shape& shape) {
    return numbers(shape, static_cast<std::uint64_t>(source.below(1 << 20)), 1.5);
  }

  Variable<double> next(Tape<double>& tape, Numbers& source, const Variables& made) {
    auto any = [&] {
      return made[static_cast<std::size_t>(source.below(static_cast<std::int64_t>(made.size())))];
    };
    const Variable<double> x = any();
    const std::int64_t m = x.shape()[0], n = x.shape()[1];
    /// An earlier matrix of this shape if the draw finds one, else a constant.
    auto fitting = [&](const Shape& shape) {
      for (int attempt = 0; attempt < 4; ++attempt) {
        const Variable<double> candidate = any();
        if (candidate.shape() == shape) return candidate;
      }
      return constant(operand(source, shape));
    };
    auto say = [&](const char* name) { description_ += concat(name, " ", to_string(x.shape()), "; "); };
    switch (source.below(22)) {
      case 0:
        say("add");
        return add(x, fitting(x.shape()));
      case 1:
        say("sub");
        return sub(fitting(x.shape()), x);
      case 2:
        say("mul");
        return mul(x, fitting(x.shape()));
      case 3:
        say("square");
        return scale(mul(x, x), 0.5);
      case 4:
        say("scale");
        return scale(x, source.uniform() * 2);
      case 5:
        say("add_row");
        return add_row(x, reshape(fitting({1, n}), Shape{n}));
      case 6:
        say("gelu");
        return gelu(x);
      case 7:
        say("softmax");
        return softmax(x);
      case 8:
        say("log_softmax");
        return log_softmax(x);
      case 9:
        say("layer_norm");
        return layer_norm(x, reshape(fitting({1, n}), {n}), reshape(fitting({1, n}), {n}), 0.1);
      case 10:
        say("add_layer_norm");
        return add_layer_norm(x, fitting(x.shape()), reshape(fitting({1, n}), {n}),
                              reshape(fitting({1, n}), {n}), 0.1);
      case 11:
        say("l2_normalize_rows");
        return l2_normalize_rows(concat_columns<double>({x, constant(Tensor<double>::full({m, 1}, 0.5))}));
      case 12:
        say("linear");
        {
          const std::int64_t k = 1 + source.below(5);
          return linear(x, fitting({k, n}), reshape(fitting({1, k}), Shape{k}));
        }
      case 13:
        say("matmul");
        return scale(matmul(x, fitting({n, 1 + source.below(5)})), 0.5);
      case 14:
        say("x x^T");
        return scale(matmul(x, transpose(x, 0, 1)), 0.25);
      case 15:
        say("transpose");
        return transpose(x, 0, 1);
      case 16:
        say("reshape");
        return reshape(x, Shape{n, m});
      case 17:
        say("slice");
        return slice(x, static_cast<int>(source.below(2)), 0, (std::min)(m, n) / 2 + (std::min)(m, n) % 2);
      case 18:
        say("concat");
        return source.below(2) == 0 ? concat_rows<double>({x, fitting({2, n}), x})
                                    : concat_columns<double>({x, fitting(x.shape())});
      case 19:
        say("gather_rows");
        {
          std::vector<std::int32_t> indices;
          for (std::int64_t i = m == 0 ? 0 : source.below(7); i > 0; --i)
            indices.push_back(static_cast<std::int32_t>(source.below(m)));
          return gather_rows(x, indices);
        }
      case 20:
        say("varlen_attention");
        {
          const std::int64_t cut = source.below(m + 1);
          const std::vector<std::int64_t> offsets{0, cut, m};
          return varlen_attention(x, fitting(x.shape()), fitting(x.shape()), offsets, n % 2 == 0 ? 2 : 1,
                                  0.5);
        }
      default:
        say("recompute");
        return recompute<double>(tape, {x},
                                 [](Tape<double>&, const Variables& in) { return gelu(mul(in[0], in[0])); });
    }
  }

  std::uint64_t seed_;
  std::vector<Tensor<double>> inputs_;
  std::string description_;
};
}  // namespace

TEST_CASE("random graphs have the derivative of their difference quotient in a random direction") {
  const char* text = std::getenv("STOFM_RANDOM_GRAPHS");
  const std::uint64_t graphs = text == nullptr ? 20000 : std::strtoull(text, nullptr, 10);
  double worst = 0;
  std::uint64_t checked = 0;
  for (std::uint64_t seed = 1; seed <= graphs; ++seed) {
    RandomGraph graph(seed);
    std::vector<Tensor<double>> x, direction;
    for (const auto& input : graph.inputs()) {
      x.push_back(input);
      direction.push_back(numbers(input.shape(), seed + 77, 1.0));
    }
    Tape<double> tape;
    Variables leaves;
    for (const auto& value : x) leaves.push_back(tape.input(value));
    const auto y = graph(tape, leaves);
    const std::string description = graph.description();
    if (!y.needs_grad()) continue;  // the draw left all inputs out
    tape.backward(y);
    double expected = 0, size = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto grad = tape.grad(leaves[i]);
      expected += test::detail::inner(grad, direction[i]);
      size += test::detail::inner(grad, grad) * test::detail::inner(direction[i], direction[i]);
    }
    auto value = [&](double step) {
      Tape<double> silent;
      const NoGrad<double> scope(silent);
      Variables moved;
      for (std::size_t i = 0; i < x.size(); ++i) {
        Tensor<double> z = x[i].clone();
        for (std::int64_t k = 0; k < z.numel(); ++k) z.data()[k] += step * direction[i].data()[k];
        moved.push_back(constant(z));
      }
      return *graph(silent, moved).value().data();
    };
    // Richardson: the error of the plain quotient, h^2 times a third derivative, is what a product of many
    // factors has
    const double h = 1e-4;
    const double coarse = (value(h) - value(-h)) / (2 * h), fine = (value(h / 2) - value(-h / 2)) / h;
    const double numeric = (4 * fine - coarse) / 3;
    const double size_of_value = std::abs(*y.value().data());
    const double scale_of_error = (std::max)({std::sqrt(size), 1e-3 * size_of_value, 1e-3});
    const double error = std::abs(numeric - expected) / scale_of_error;
    ++checked;
    if (!(error <= worst)) worst = error;
    CAPTURE(seed);
    CAPTURE(description);
    CHECK(error <= 1e-6);
  }
  CHECK(checked * 10 >= graphs * 9);
  MESSAGE(checked << " graphs, worst relative error " << worst);
}
