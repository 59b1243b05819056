// SPDX-License-Identifier: MIT
/// \file
/// The seam to a device, with the CPU encoders behind it: the same bits, batches within their limits, nothing
/// left under way after an error.

#include "stofm/pipeline/device_encoders.hpp"

#include <doctest/doctest.h>

#include <deque>

#include "stofm/pipeline/embed.hpp"
#include "stofm/pipeline/verify_case.hpp"
#include "tests/pipeline/embed_fixture.hpp"

namespace {

using namespace stofm;

/// What a device was asked for.
struct Calls {
  std::vector<std::size_t> batches;  ///< pieces of each
  std::vector<std::int64_t> nodes;   ///< of each
  std::size_t most_under_way = 0, cells = 0;
  std::deque<std::vector<Tensor<float>>> queue;
  bool spoil = false;  ///< NaN in the first result
};

std::shared_ptr<const pipeline::DeviceEncoders> device_of(const pipeline::Model& model, Calls& calls,
                                                          std::int64_t pieces, std::int64_t nodes) {
  auto device = std::make_shared<pipeline::DeviceEncoders>();
  device->device = "double:0";
  device->embed_cells = [cells = model.cell_encoder, &calls](std::span<const std::int32_t> tokens,
                                                             std::span<const std::int64_t> offsets) {
    ++calls.cells;
    return cells->embed(tokens, offsets);
  };
  device->pieces.most_pieces = pieces;
  device->pieces.most_nodes = nodes;
  device->pieces.submit = [se2 = model.se2, &calls](std::span<const pipeline::PieceInput> inputs) {
    std::vector<Tensor<float>> states;
    std::int64_t sum = 0;
    for (const auto& input : inputs) {
      states.push_back(se2->forward(input.features.view(), input.distances, input.types).last_hidden_state);
      sum += input.distances.nodes;
    }
    if (calls.spoil) states.front().data()[states.front().numel() - 1] = NAN;
    calls.batches.push_back(inputs.size());
    calls.nodes.push_back(sum);
    calls.queue.push_back(std::move(states));
    calls.most_under_way = (std::max)(calls.most_under_way, calls.queue.size());
  };
  device->pieces.collect = [&calls] {
    auto states = std::move(calls.queue.front());
    calls.queue.pop_front();
    return states;
  };
  return device;
}

TEST_CASE("a device gives the slice that the CPU gives, in batches with the next one under way") {
  const pipeline::Model cpu = test::tiny_model();
  const io::Slice slice = test::slice_at(test::scattered(300));
  pipeline::EmbedOptions options;
  options.split = 20;
  const pipeline::EmbedResult expected = embed_slice(slice, cpu, options);
  REQUIRE(expected.pieces.size() > 8);

  Calls calls;
  pipeline::Model model = cpu;
  model.device = device_of(cpu, calls, 4, 1 << 20);
  const pipeline::EmbedResult found = embed_slice(slice, model, options);
  CHECK(test::same_bits(found.embeddings, expected.embeddings));
  CHECK(found.macro_labels == expected.macro_labels);
  CHECK(found.plan.device == "double:0");
  CHECK(expected.plan.device == "cpu");
  REQUIRE(found.pieces.size() == expected.pieces.size());
  for (std::size_t p = 0; p < found.pieces.size(); ++p)
    CHECK(found.pieces[p].listed == expected.pieces[p].listed);
  CHECK(calls.cells > 0);
  CHECK(calls.most_under_way == 2);
  CHECK(calls.queue.empty());
  CHECK(calls.batches.size() == (expected.pieces.size() + 3) / 4);
  for (const std::size_t pieces : calls.batches) CHECK(pieces <= 4);

  SUBCASE("the limit of nodes cuts too, and a piece above it goes alone") {
    Calls narrow;
    model.device = device_of(cpu, narrow, 100, 70);
    CHECK(test::same_bits(embed_slice(slice, model, options).embeddings, expected.embeddings));
    CHECK(narrow.batches.size() > 2);
    for (std::size_t b = 0; b < narrow.batches.size(); ++b)
      CHECK((narrow.batches[b] == 1 || narrow.nodes[b] <= 70));
  }
}

TEST_CASE("a hidden state that is not finite is refused and the device is left empty") {
  const pipeline::Model cpu = test::tiny_model();
  Calls calls;
  calls.spoil = true;
  pipeline::Model model = cpu;
  model.device = device_of(cpu, calls, 2, 1 << 20);
  pipeline::EmbedOptions options;
  options.split = 20;
  CHECK_THROWS_AS(embed_slice(test::slice_at(test::scattered(200)), model, options), DataError);
  CHECK(calls.queue.empty());
}

TEST_CASE("a case is computed where the model computes") {
  const pipeline::Model cpu = test::tiny_model();
  const auto on_cpu = pipeline::CaseModels::of(cpu);
  REQUIRE(on_cpu.se2.has_value());
  REQUIRE(on_cpu.cells.has_value());
  const std::vector<std::int32_t> tokens{2, 5, 7};
  const std::vector<std::int64_t> offsets{0, 3};
  CHECK(test::same_bits(on_cpu.cells->embed(tokens, offsets), cpu.cell_encoder->embed(tokens, offsets)));
  CHECK(test::same_bits(on_cpu.cells->token_states(tokens, offsets),
                        cpu.cell_encoder->last_hidden_state(tokens, offsets)));

  auto device = std::make_shared<pipeline::DeviceEncoders>();
  int asked = 0;
  device->embed_cells =
      device->token_states = [&asked](std::span<const std::int32_t>, std::span<const std::int64_t>) {
        ++asked;
        return Tensor<float>({1, 1});
      };
  pipeline::Model model = cpu;
  model.device = device;
  const auto mixed = pipeline::CaseModels::of(model);
  (void)mixed.cells->embed(tokens, offsets);
  (void)mixed.cells->token_states(tokens, offsets);
  CHECK(asked == 2);
  const auto only_se2 = pipeline::CaseModels::on_cpu(cpu.se2.get(), nullptr);
  CHECK(only_se2.se2.has_value());
  CHECK_FALSE(only_se2.cells.has_value());
}

}  // namespace
