// SPDX-License-Identifier: MIT
#include "stofm/model/se2_training.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "stofm/model/pretraining_heads.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "stofm/ops/cast.hpp"
#include "tests/model/random_model.hpp"
#include "tests/support/gradcheck.hpp"
#include "tests/support/kernel_levels.hpp"

using namespace stofm;
using namespace stofm::model;

namespace {

Se2Config small_config(bool pre_layernorm, const std::string& activation) {
  Se2Config config;
  config.input_dim = 6;
  config.embedding_dim = 8;
  config.ffn_embedding_dim = 10;
  config.num_attention_heads = 2;
  config.num_hidden_layers = 2;
  config.gaussian_hidden_dim = 7;
  config.pre_layernorm = pre_layernorm;
  config.activation_fn = activation;
  return config;
}

template <class T>
NamedTensors<T> parameters(const Se2Config& config) {
  auto all = test::random_parameters(config, 7, 1.0);
  // Smooth enough for a quotient of differences.
  all.at("gaussian.stds.weight").data()[0] = 0.4F;
  Random random(9);
  for (const ParameterSpec& spec : pretraining_head_list(config)) {
    Tensor<float> tensor(spec.shape);
    for (float& value : tensor.span()) value = static_cast<float>(0.4 * random.normal());
    all.emplace(spec.name, tensor);
  }
  return cast_parameters<T>(all);
}

/// A labelled sub-slice; every third cell is labelled, its pairs with the later cells too.
struct Labelled {
  test::RandomSubSlice slice;
  std::vector<std::int64_t> nodes, rows, columns;
  Tensor<float> cells;
  std::vector<float> pairs;
};

Labelled labelled(std::int64_t nodes, std::int64_t width) {
  Labelled result{test::random_sub_slice(nodes, 3, width, 4, 5), {}, {}, {}, {}, {}};
  std::vector<float> targets;
  for (std::int64_t i = 4; i < nodes; i += 3) {
    result.nodes.push_back(i);
    for (std::int64_t c = 0; c < width; ++c) targets.push_back(result.slice.embeddings(i, c));
    for (std::int64_t j = 4; j < nodes; j += 2) {
      if (i == j) continue;
      result.rows.push_back(i);
      result.columns.push_back(j);
      result.pairs.push_back(static_cast<float>(i + j) * 0.1F);
    }
  }
  result.cells = Tensor<float>::from({static_cast<std::int64_t>(result.nodes.size()), width}, targets);
  return result;
}

template <class T>
autograd::Variable<T> loss(autograd::Tape<T>& tape, const Se2Config& config, autograd::ParameterSet<T>& set,
                           const Labelled& data, const autograd::Variable<T>& features, bool dropout) {
  const Se2Trainer<T> trainer(config, set);
  const PretrainingHeads<T> heads(config, set);
  const auto output = trainer.forward(tape, features, data.slice.distances, data.slice.types,
                                      {.dropout = dropout, .key = {3, 1, 2}});
  const auto cells = heads.masked_cell_loss(tape, output.last_hidden, data.nodes, ops::cast<T>(data.cells));
  const auto pairs = heads.pair_distance_loss(tape, output, data.rows, data.columns, data.pairs);
  return combined_loss(cells, cells.count, pairs, pairs.count, {.pairs = 0.7});
}

}  // namespace

TEST_CASE("C09: both losses of a model of two layers have the gradient of their central difference") {
  for (const bool pre : {false, true})
    for (const bool dropout : {false, true}) {
      CAPTURE(pre);
      CAPTURE(dropout);
      const Se2Config config = small_config(pre, "gelu");
      autograd::ParameterSet<double> set(parameters<double>(config));
      const Labelled data = labelled(17, config.input_dim);
      const Tensor<double> features = ops::cast<double>(data.slice.embeddings);
      const auto found = test::gradcheck_parameters(
          [&](autograd::Tape<double>& tape) {
            return loss(tape, config, set, data, autograd::constant(features), dropout);
          },
          set, {.step = 1e-5, .max_elements = 24, .directions = 4});
      MESSAGE("worst of " << found.worst << " " << found.error << ", direction " << found.direction);
      CHECK(found.largest() <= 1e-6);
      const auto inputs =
          test::gradcheck([&](autograd::Tape<double>& tape,
                              const auto& x) { return loss(tape, config, set, data, x[0], dropout); },
                          {features}, {.max_elements = 32});
      CHECK(inputs.largest() <= 1e-6);
    }
}

TEST_CASE("losses and gradients have the same bits on any number of threads, with dropout") {
  const int before = thread_count();
  Se2Config config = small_config(false, "gelu");
  config.embedding_dim = config.input_dim = 32;
  const Labelled data = labelled(130, config.input_dim);
  test::for_each_level([&](CpuKernels level) {
    CAPTURE(to_string(level));
    std::vector<Tensor<float>> first;
    for (const int threads : {1, 2, 4}) {
      set_thread_count(threads);
      autograd::ParameterSet<float> set(parameters<float>(config));
      autograd::Tape<float> tape;
      const auto y = loss(tape, config, set, data, autograd::constant(data.slice.embeddings), true);
      tape.backward(y);
      std::vector<Tensor<float>> all{y.value()};
      for (const auto& [name, parameter] : set.map()) all.push_back(parameter->grad());
      if (first.empty()) first = all;
      for (std::size_t i = 0; i < all.size(); ++i)
        CHECK(std::memcmp(all[i].data(), first[i].data(), all[i].span().size_bytes()) == 0);
    }
  });
  set_thread_count(before);
}

TEST_CASE("dropout changes with the key and is off unless asked for") {
  const Se2Config config = small_config(false, "relu");
  autograd::ParameterSet<double> set(parameters<double>(config));
  const Labelled data = labelled(20, config.input_dim);
  const Se2Trainer<double> trainer(config, set);
  const auto run = [&](bool dropout, std::uint64_t step) {
    autograd::Tape<double> tape;
    return trainer
        .forward(tape, autograd::constant(ops::cast<double>(data.slice.embeddings)), data.slice.distances,
                 data.slice.types, {.dropout = dropout, .key = {1, 2, step}})
        .last_hidden.value()
        .clone();
  };
  CHECK(test::max_difference(run(true, 1), run(true, 1)) == 0.0);
  CHECK(test::max_difference(run(true, 1), run(true, 2)) > 1e-3);
  CHECK(test::max_difference(run(false, 1), run(false, 2)) == 0.0);
  const Se2Encoder<double> encoder(config, set.values());
  const auto expected = encoder.forward(ops::cast<double>(data.slice.embeddings).view(), data.slice.distances,
                                        data.slice.types);
  CHECK(test::max_difference(run(false, 1), expected.last_hidden_state) < 1e-12);
}

TEST_CASE("padding takes no part: same rows and gradients wherever it stands") {
  const Se2Config config = small_config(false, "gelu");
  const Labelled data = labelled(19, config.input_dim);
  const std::int64_t n = 19, padded = n + 2;
  // Padding before node 5 and at the end.
  const auto place = [](std::int64_t i) { return i < 5 ? i : i + 1; };
  auto dense = Tensor<float>::full({padded, padded}, 3.0F);
  const auto inner = to_dense(data.slice.distances);
  auto features = Tensor<double>::full({padded, config.input_dim}, 1e3);
  std::vector<std::int32_t> types(static_cast<std::size_t>(padded), 3);
  for (std::int64_t i = 0; i < n; ++i) {
    types[static_cast<std::size_t>(place(i))] = data.slice.types[static_cast<std::size_t>(i)];
    for (std::int64_t c = 0; c < config.input_dim; ++c)
      features(place(i), c) = static_cast<double>(data.slice.embeddings(i, c));
    for (std::int64_t j = 0; j < n; ++j) dense(place(i), place(j)) = inner(i, j);
  }
  autograd::ParameterSet<double> set(parameters<double>(config)), other(parameters<double>(config));
  autograd::Tape<double> tape, other_tape;
  tape.backward(
      loss(tape, config, set, data, autograd::constant(ops::cast<double>(data.slice.embeddings)), false));

  const Se2Trainer<double> trainer(config, other);
  const PretrainingHeads<double> heads(config, other);
  const auto x = other_tape.input(features);
  const auto output =
      trainer.forward(other_tape, x, pair_distances_from_dense(std::as_const(dense).view()), types, {});
  std::vector<std::int64_t> nodes, rows, columns;
  for (const auto i : data.nodes) nodes.push_back(place(i));
  for (const auto i : data.rows) rows.push_back(place(i));
  for (const auto i : data.columns) columns.push_back(place(i));
  const auto cells =
      heads.masked_cell_loss(other_tape, output.last_hidden, nodes, ops::cast<double>(data.cells));
  const auto pairs = heads.pair_distance_loss(other_tape, output, rows, columns, data.pairs);
  other_tape.backward(combined_loss(cells, cells.count, pairs, pairs.count, {.pairs = 0.7}));
  for (const auto& [name, parameter] : set.map())
    CHECK(test::max_difference(parameter->grad(), other.at(name).grad()) < 1e-12);
  for (std::int64_t c = 0; c < config.input_dim; ++c) {
    CHECK(output.last_hidden.value()(5, c) == 0.0);
    CHECK(other_tape.grad(x)(5, c) == 0.0);
  }
  const std::vector<std::int64_t> bad{5};
  CHECK_THROWS_AS(heads.pair_distance_loss(other_tape, output, bad, bad, std::vector<float>{1.0F}),
                  ShapeError);
}

TEST_CASE("D37, D38: a loss over nothing is zero and moves nothing") {
  const Se2Config config = small_config(false, "gelu");
  autograd::ParameterSet<double> set(parameters<double>(config));
  Labelled data = labelled(12, config.input_dim);
  data.nodes.clear();
  data.rows.clear();
  data.columns.clear();
  data.pairs.clear();
  data.cells = Tensor<float>({0, config.input_dim});
  autograd::Tape<double> tape;
  const auto y =
      loss(tape, config, set, data, autograd::constant(ops::cast<double>(data.slice.embeddings)), false);
  CHECK(y.value().data()[0] == 0.0);
  CHECK(!y.needs_grad());
}

TEST_CASE("the pair head in one pass is the pair head from small rules") {
  for (const std::int64_t heads : {std::int64_t{1}, std::int64_t{3}, std::int64_t{8}}) {
    Random random(2);
    const auto normal = [&](const Shape& shape) {
      Tensor<double> tensor(shape);
      for (double& value : tensor.span()) value = random.normal();
      return tensor;
    };
    const std::int64_t pairs = 4133;
    std::vector<float> targets;
    for (std::int64_t i = 0; i < pairs; ++i) targets.push_back(static_cast<float>(random.normal()));
    const NamedTensors<double> weights{{"w0", normal({heads, heads})},
                                       {"b0", normal({heads})},
                                       {"w2", normal({1, heads})},
                                       {"b2", normal({1})},
                                       {"values", normal({pairs, heads})}};
    autograd::ParameterSet<double> fused(weights), composed(weights);
    autograd::Tape<double> tape;
    const auto y =
        pair_head_squared_error<double>(tape.parameter(fused.at("values")),
                                        {tape.parameter(fused.at("w0")), tape.parameter(fused.at("b0")),
                                         tape.parameter(fused.at("w2")), tape.parameter(fused.at("b2"))},
                                        targets);
    tape.backward(autograd::scale(y, 0.25));
    Tensor<double> wanted({pairs, 1});
    std::copy(targets.begin(), targets.end(), wanted.data());
    autograd::Tape<double> again;
    const auto hidden = autograd::relu(autograd::linear(again.parameter(composed.at("values")),
                                                        again.parameter(composed.at("w0")),
                                                        again.parameter(composed.at("b0"))));
    const auto predicted =
        autograd::linear(hidden, again.parameter(composed.at("w2")), again.parameter(composed.at("b2")));
    const auto expected = autograd::mse(predicted, wanted, autograd::Reduction::sum);
    CHECK(y.value().data()[0] == doctest::Approx(expected.value().data()[0]).epsilon(1e-12));
    again.backward(autograd::scale(expected, 0.25));
    for (const auto& [name, parameter] : fused.map())
      CHECK(test::relative_difference(parameter->grad(), composed.at(name).grad()) < 1e-11);

    // float, with the kernels of every level
    autograd::ParameterSet<float> single(cast_parameters<float>(weights));
    test::for_each_level([&](CpuKernels) {
      single.zero_grad();
      autograd::Tape<float> on;
      on.backward(autograd::scale(
          pair_head_squared_error<float>(on.parameter(single.at("values")),
                                         {on.parameter(single.at("w0")), on.parameter(single.at("b0")),
                                          on.parameter(single.at("w2")), on.parameter(single.at("b2"))},
                                         targets),
          0.25F));
      for (const auto& [name, parameter] : fused.map())
        CHECK(test::relative_difference(single.at(name).grad(), parameter->grad()) < 2e-6);
    });
  }
}
