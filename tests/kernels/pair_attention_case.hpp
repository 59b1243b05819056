// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A batch of sub-slices for the tests of pair attention: the device functions of
/// backend/cuda/pair_attention.hpp on the emulator, and the dense composition in double, forward and
/// backward. Include the emulator and the instantiations first.

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/kernels/gemm/problem.hpp"
#include "tests/kernels/support/device_array.hpp"
#include "tests/support/pair_attention_composed.hpp"

namespace pair_test {

using emulator::Matrix;
using stofm::RandomKey;
using stofm::Shape;
using stofm::Tensor;
using stofm::backend::Precision;

enum class Listed { none, some, all };

struct Slice {
  std::int64_t nodes = 0;
  Listed listed = Listed::some;
  std::int64_t pairs = 0;  ///< asked, some of them twice
  stofm::PairList pattern = {};
  std::vector<std::int64_t> pair_rows = {}, pair_columns = {};
};

inline Slice make_slice(std::int64_t nodes, Listed listed = Listed::some, std::int64_t pairs = 0) {
  Slice slice{nodes, listed, pairs};
  stofm::PairList& pattern = slice.pattern;
  pattern.nodes = nodes;
  std::mt19937 bits(static_cast<unsigned>(nodes) + 5);
  for (std::int64_t i = 0; i < nodes; ++i) {
    for (std::int64_t j = 0; j < nodes; ++j)
      if (listed == Listed::all || (listed == Listed::some && i != 2 && j / 64 != 1 &&
                                    (i == 1 || j == 1 || (i < 40 && bits() % 4 == 0))))
        pattern.columns.push_back(static_cast<std::int32_t>(j));
    pattern.row_offsets.push_back(pattern.entries());
  }
  for (std::int64_t p = 0; p < pairs && nodes > 0; ++p) {
    const bool repeat = p % 5 == 4;
    slice.pair_rows.push_back(repeat ? slice.pair_rows.back() : static_cast<std::int64_t>(bits()) % nodes);
    slice.pair_columns.push_back(repeat ? slice.pair_columns.back()
                                        : static_cast<std::int64_t>(bits()) % nodes);
  }
  return slice;
}

/// Named results, [rows, columns] each.
struct Results {
  std::vector<std::string> names;
  std::vector<Matrix<double>> values;
  void add(const std::string& name, const Matrix<float>& from) {
    Matrix<double> to(from.rows(), from.columns());
    for (std::int64_t i = 0; i < from.rows(); ++i)
      for (std::int64_t j = 0; j < from.columns(); ++j) to.at(i, j) = static_cast<double>(from.at(i, j));
    add(name, std::move(to));
  }
  void add(const std::string& name, Matrix<double> from) {
    names.push_back(name);
    values.push_back(std::move(from));
  }
};

struct Case {
  std::vector<Slice> slices;
  std::int64_t heads = 2, width = 8, layers = 2;
  double dropout = 0;
  Precision precision = Precision::float32;
  bool backward = true;

  std::int64_t nodes() const {
    std::int64_t sum = 0;
    for (const Slice& s : slices) sum += s.nodes;
    return sum;
  }
  std::int64_t entries() const {
    std::int64_t sum = 0;
    for (const Slice& s : slices) sum += s.pattern.entries();
    return sum;
  }
  std::int64_t pairs() const {
    std::int64_t sum = 0;
    for (const Slice& s : slices) sum += static_cast<std::int64_t>(s.pair_rows.size());
    return sum;
  }
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(width)); }
  RandomKey key(std::size_t slice, std::int64_t layer) const {
    return {7, static_cast<std::uint64_t>(layer), static_cast<std::uint64_t>(slice) + 3};
  }
};

/// Inputs of a case, float32, rows with gaps.
struct Inputs {
  std::vector<Matrix<float>> q, k, v, grad_y;
  Matrix<float> bias, background, grad_pairs;

  explicit Inputs(const Case& c)
      : bias(c.heads, c.entries()), background(1, c.heads), grad_pairs(c.pairs(), c.heads) {
    for (std::int64_t l = 0; l < c.layers; ++l) {
      const auto seed = static_cast<std::uint32_t>(10 * l);
      const auto make = [&](std::uint32_t add, double factor) {
        Matrix<float> m(c.nodes(), c.heads * c.width, 3);
        std::mt19937 bits(seed + add);
        std::uniform_real_distribution<double> numbers(-factor, factor);
        for (std::int64_t i = 0; i < m.rows(); ++i)
          for (std::int64_t j = 0; j < m.columns(); ++j) m.at(i, j) = static_cast<float>(numbers(bits));
        return m;
      };
      q.push_back(make(1, 1.5));
      k.push_back(make(2, 2.0));
      v.push_back(make(3, 1.0));
      grad_y.push_back(make(4, 1.0));
    }
    bias.random(91, 0.3);
    background.random(92, 0.3);
    grad_pairs.random(93, 0.1);
  }
};

/// The dense composition of autograd in double, sub-slice by sub-slice.
inline Results dense_double(const Case& c, const Inputs& in) {
  using namespace stofm::autograd;
  const std::int64_t columns = c.heads * c.width;
  std::vector<Matrix<double>> y, grad_q, grad_k, grad_v;
  for (std::int64_t l = 0; l < c.layers; ++l)
    for (auto* list : {&y, &grad_q, &grad_k, &grad_v}) list->emplace_back(c.nodes(), columns);
  Matrix<double> pair_values(c.pairs(), c.heads), grad_bias(c.heads, c.entries());
  std::int64_t node = 0, entry = 0, pair = 0;
  for (std::size_t s = 0; s < c.slices.size(); ++s) {
    const Slice& slice = c.slices[s];
    const std::int64_t n = slice.nodes, entries = slice.pattern.entries(),
                       pairs = static_cast<std::int64_t>(slice.pair_rows.size());
    const auto part = [](const Matrix<float>& from, std::int64_t row, std::int64_t rows, std::int64_t column,
                         std::int64_t width) {
      Tensor<double> t(Shape{rows, width});
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < width; ++j) t(i, j) = static_cast<double>(from.at(row + i, column + j));
      return t;
    };
    const auto put = [](Matrix<double>& to, const Tensor<double>& from, std::int64_t row,
                        std::int64_t column) {
      for (std::int64_t i = 0; i < from.dim(0); ++i)
        for (std::int64_t j = 0; j < from.dim(1); ++j) to.at(row + i, column + j) = from(i, j);
    };
    if (n == 0) continue;
    Tape<double> tape;
    const auto bias = tape.input(part(in.bias, 0, c.heads, entry, entries));
    Tensor<double> back(Shape{c.heads});
    for (std::int64_t h = 0; h < c.heads; ++h) back(h) = static_cast<double>(in.background.at(0, h));
    const auto background = tape.input(back);
    PairAttentionComposed<double> graph(c.heads, c.width, slice.pattern, bias, background);
    std::vector<Variable<double>> leaves, outputs;
    std::vector<Tensor<double>> weights;
    for (std::int64_t l = 0; l < c.layers; ++l) {
      const auto at = static_cast<std::size_t>(l);
      for (const auto* m : {&in.q[at], &in.k[at], &in.v[at]})
        leaves.push_back(tape.input(part(*m, node, n, 0, columns)));
      outputs.push_back(graph.attend(leaves[3 * at], leaves[3 * at + 1], leaves[3 * at + 2],
                                     {c.scale(), c.dropout, c.key(s, l)}));
      weights.push_back(part(in.grad_y[at], node, n, 0, columns));
      put(y[at], outputs.back().value(), node, 0);
    }
    if (pairs > 0) {
      outputs.push_back(graph.pair_values(slice.pair_rows, slice.pair_columns));
      weights.push_back(part(in.grad_pairs, pair, pairs, 0, c.heads));
      put(pair_values, outputs.back().value(), pair, 0);
    }
    const auto loss = record<double>("weighted_sum", Tensor<double>::from({1}, {0.0}), outputs,
                                     [weights](const Tensor<double>&, Gradients<double>& into) {
                                       for (std::size_t i = 0; i < weights.size(); ++i)
                                         into.add_owned(i, weights[i].clone());
                                     });
    tape.backward(loss);
    for (std::size_t l = 0; l < y.size(); ++l) {
      put(grad_q[l], tape.grad(leaves[3 * l]), node, 0);
      put(grad_k[l], tape.grad(leaves[3 * l + 1]), node, 0);
      put(grad_v[l], tape.grad(leaves[3 * l + 2]), node, 0);
    }
    put(grad_bias, tape.grad(bias), 0, entry);
    node += n, entry += entries, pair += pairs;
  }
  Results results;
  for (std::size_t l = 0; l < y.size(); ++l) {
    results.add("y " + std::to_string(l), std::move(y[l]));
    if (!c.backward) continue;
    results.add("grad_q " + std::to_string(l), std::move(grad_q[l]));
    results.add("grad_k " + std::to_string(l), std::move(grad_k[l]));
    results.add("grad_v " + std::to_string(l), std::move(grad_v[l]));
  }
  results.add("pair_values", std::move(pair_values));
  if (!c.backward) return results;
  results.add("grad_bias", std::move(grad_bias));
  return results;
}

/// A matrix and its staged form. `fetch` brings it back and checks that gaps and guards are untouched.
template <class T>
class OnDevice {
 public:
  OnDevice(std::int64_t rows, std::int64_t columns, std::int64_t gap = 0)
      : host_(std::make_unique<Matrix<T>>(rows, columns, gap)), staged_(*host_) {}
  explicit OnDevice(const Matrix<T>& from) : host_(std::make_unique<Matrix<T>>(from)), staged_(*host_) {}
  T* data() { return staged_.data(); }
  std::int64_t stride() const { return host_->stride(); }
  const Matrix<T>& fetch() {
    staged_.fetch();
    CHECK(host_->intact());
    return *host_;
  }

 private:
  std::unique_ptr<Matrix<T>> host_;
  emulator::Staged<T> staged_;
};

/// The boundary functions; tests of other block sizes give their own.
struct BoundaryFunctions {
  static void forward(stofm::backend::CudaStream stream, const stofm::backend::PairAttentionSizes& sizes,
                      const stofm::backend::PairAttentionForward& args) {
    stofm::backend::pair_attention_forward(stream, sizes, args);
  }
  static void backward(stofm::backend::CudaStream stream, const stofm::backend::PairAttentionSizes& sizes,
                       const stofm::backend::PairAttentionBackward& args) {
    stofm::backend::pair_attention_backward(stream, sizes, args);
  }
};

/// That an operand of products is y in its form, to the bit; NaN for NaN.
inline void check_operand(const Matrix<float>& y, const Matrix<unsigned char>& bytes,
                          stofm::kernels::OperandForm form) {
  using stofm::kernels::OperandForm;
  const std::int64_t parts = form == OperandForm::split_left ? 3 : 1;
  const auto* const halves = reinterpret_cast<const stofm::bfloat16*>(bytes.data());
  if (form == OperandForm::float32) return;  // y itself
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < y.rows(); ++i)
    for (std::int64_t j = 0; j < y.columns(); ++j) {
      const float x = y.at(i, j);
      if (x != x) continue;
      const stofm::bfloat16* const at = halves + i * parts * y.columns() + j;
      const stofm::bfloat16 high(x);
      wrong += at[0].bits != high.bits;
      if (parts == 1) continue;
      wrong += at[y.columns()].bits != stofm::bfloat16(x - static_cast<float>(high)).bits;
      wrong += at[2 * y.columns()].bits != high.bits;
    }
  CHECK(wrong == 0);
}

/// The device functions.
template <class Functions = BoundaryFunctions>
Results device(const Case& c, const Inputs& in) {
  using namespace stofm::backend;
  using stofm::kernels::left_form, stofm::kernels::operand_bytes;
  const CudaStream stream = current_stream(emulator::device_under_test);
  const std::int64_t nodes = c.nodes(), columns = c.heads * c.width;
  const PairAttentionSizes sizes{c.heads, c.width, c.precision, c.scale()};
  PairBatchPlan plan;
  for (const Slice& s : c.slices)
    plan.add(s.pattern.row_offsets, s.pattern.columns, s.pair_rows, s.pair_columns);
  Matrix<std::uint64_t> batch_words(1, plan.bytes() / 8);
  plan.write(reinterpret_cast<std::byte*>(batch_words.data()));
  OnDevice<std::uint64_t> batch(batch_words);
  const stofm::DropoutRate rate = stofm::DropoutRate::of(c.dropout);
  const std::int64_t operand = pair_operand_bytes(sizes, nodes);

  struct Layer {
    OnDevice<float> in_q, in_k, in_v, grad_y;
    OnDevice<unsigned char> q, k, v;
    OnDevice<std::uint32_t> keys;
    OnDevice<float> y, log_sums, grad_q, grad_k, grad_v;
    OnDevice<unsigned char> y_operand;
    PairAttentionLayer args;
  };
  OnDevice<float> bias(in.bias), background(in.background), grad_pairs(in.grad_pairs),
      pair_values(c.pairs(), c.heads), grad_bias(c.heads, c.entries());
  std::vector<Layer> layers;
  PairAttentionLayer args;
  args.batch = plan.view(reinterpret_cast<const std::byte*>(batch.data()));
  args.bias = c.entries() > 0 ? bias.data() : nullptr;
  for (std::int64_t l = 0; l < c.layers; ++l) {
    const auto at = static_cast<std::size_t>(l);
    Matrix<std::uint32_t> keys(static_cast<std::int64_t>(c.slices.size()), 4);
    for (std::size_t s = 0; s < c.slices.size(); ++s)
      for (std::size_t i = 0; i < 4; ++i)
        keys.at(static_cast<std::int64_t>(s), static_cast<std::int64_t>(i)) =
            stofm::DropoutMask(c.key(s, l), rate.threshold).key[i];
    using Floats = OnDevice<float>;
    using Bytes = OnDevice<unsigned char>;
    layers.push_back({Floats(in.q[at]),
                      Floats(in.k[at]),
                      Floats(in.v[at]),
                      Floats(in.grad_y[at]),
                      Bytes(1, operand),
                      Bytes(1, operand),
                      Bytes(1, operand),
                      OnDevice<std::uint32_t>(keys),
                      Floats(nodes, columns, 2),
                      Floats(c.heads, nodes),
                      Floats(nodes, columns, 5),
                      Floats(nodes, columns, 5),
                      Floats(nodes, columns, 5),
                      Bytes(1, operand_bytes(left_form(c.precision), nodes, columns)),
                      {}});
    Layer& layer = layers.back();
    const PairPack packs[] = {{PairOperand::query, layer.in_q.data(), layer.in_q.stride(), layer.q.data()},
                              {PairOperand::key, layer.in_k.data(), layer.in_k.stride(), layer.k.data()},
                              {PairOperand::value, layer.in_v.data(), layer.in_v.stride(), layer.v.data()}};
    pair_attention_pack(stream, sizes, nodes, packs);
    args.layers = l + 1;
    args.q[at] = layer.q.data();
    args.k[at] = layer.k.data();
    args.v = layer.v.data();
    if (rate.drops()) args.dropout = {layer.keys.data(), rate.threshold, static_cast<float>(rate.factor)};
    layer.args = args;
    const bool asks = l + 1 == c.layers && c.pairs() > 0;
    pair_attention_forward(stream, sizes,
                           {args, layer.y.data(), layer.y.stride(), layer.y_operand.data(),
                            l % 2 == 0 || c.backward ? layer.log_sums.data() : nullptr,
                            asks ? pair_values.data() : nullptr, background.data()});
    layer.q.fetch();
    layer.k.fetch();
    layer.v.fetch();
    layer.log_sums.fetch();
    check_operand(layer.y.fetch(), layer.y_operand.fetch(), left_form(c.precision));
  }
  Results results;
  for (std::size_t l = layers.size(); c.backward && l-- > 0;) {
    OnDevice<unsigned char> workspace(1, pair_attention_backward_bytes(sizes, nodes));
    Layer& layer = layers[l];
    PairAttentionBackward back;
    back.layer = layer.args;
    back.y = layer.y.data(), back.y_stride = layer.y.stride();
    back.log_sums = layer.log_sums.data();
    back.grad_y = layer.grad_y.data(), back.grad_y_stride = layer.grad_y.stride();
    back.grad_pairs = l + 1 == layers.size() && c.pairs() > 0 ? grad_pairs.data() : nullptr;
    for (std::size_t j = 0; j <= l; ++j)
      back.grad_q[j] = layers[j].grad_q.data(), back.grad_k[j] = layers[j].grad_k.data();
    back.grad_v = layer.grad_v.data();
    back.grad_stride = layer.grad_v.stride();
    back.grad_bias = c.entries() > 0 ? grad_bias.data() : nullptr;
    back.accumulate = l + 1 < layers.size();
    back.workspace = workspace.data();
    Functions::backward(stream, sizes, back);
    workspace.fetch();
  }
  for (std::size_t l = 0; l < layers.size(); ++l) {
    results.add("y " + std::to_string(l), layers[l].y.fetch());
    if (!c.backward) continue;
    results.add("grad_q " + std::to_string(l), layers[l].grad_q.fetch());
    results.add("grad_k " + std::to_string(l), layers[l].grad_k.fetch());
    results.add("grad_v " + std::to_string(l), layers[l].grad_v.fetch());
  }
  results.add("pair_values", pair_values.fetch());
  if (!c.backward) return results;
  results.add("grad_bias", grad_bias.fetch());
  return results;
}

/// Largest difference of a matrix over its largest element, worst of all; NaN anywhere gives infinity.
inline double distance(const Results& a, const Results& b, std::string& where) {
  double worst = 0;
  REQUIRE(a.names == b.names);
  for (std::size_t r = 0; r < a.names.size(); ++r) {
    double size = 1e-2, difference = 0;
    for (std::int64_t i = 0; i < a.values[r].rows(); ++i)
      for (std::int64_t j = 0; j < a.values[r].columns(); ++j) {
        const double x = a.values[r].at(i, j), y = b.values[r].at(i, j);
        size = std::max(size, std::abs(y));
        difference = x == x ? std::max(difference, std::abs(x - y)) : HUGE_VAL;
      }
    if (difference / size >= worst) worst = difference / size, where = a.names[r];
  }
  return worst;
}

template <class Functions = BoundaryFunctions>
double error_of(const Case& c, std::string& where) {
  const Inputs inputs(c);
  return distance(device<Functions>(c, inputs), dense_double(c, inputs), where);
}

}  // namespace pair_test
