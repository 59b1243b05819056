// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The runner of the SE(2) Transformer with all its kernels, run on the host, against the CPU model: every
/// switch of the configuration, ragged batches, two batches under way, what verification asks for, running
/// out of memory. Included by the emulated test and by the one on a device.

#include <doctest/doctest.h>

#include <deque>
#include <map>

#include "stofm/pipeline/cuda_encoders.hpp"
#include "stofm/pipeline/verify_case.hpp"
#include "tests/kernels/se2_case.hpp"
#include "tests/model/golden_model.hpp"

using namespace stofm;
using backend::Precision;

namespace {

constexpr Cuda device{0};

double worst_error(const model::Se2Encoder<float>& cpu, pipeline::detail::CudaPieces& pieces,
                   std::span<const pipeline::PieceInput> inputs) {
  pieces.submit(inputs);
  const auto found = pieces.collect();
  REQUIRE(found.size() == inputs.size());
  double worst = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto expected =
        cpu.forward(inputs[i].features.view(), inputs[i].distances, inputs[i].types).last_hidden_state;
    REQUIRE(found[i].shape() == expected.shape());
    worst = std::max(worst, test::relative_error(std::as_const(found[i]).span(), expected.span()));
  }
  return worst;
}

std::vector<pipeline::PieceInput> some_pieces(std::int64_t width) {
  std::vector<pipeline::PieceInput> pieces;
  std::uint64_t seed = 5;
  for (const std::int64_t nodes : {17, 1, 70, 2}) pieces.push_back(test::random_piece(nodes, width, seed++));
  return pieces;
}

/// Runs it twice; in the emulator under several orders of blocks and threads.
template <class Run>
void several_times(const Run& run) {
#if defined(STOFM_KERNEL_EMULATOR)
  emulator::for_each_schedule(run);
#else
  run();
  run();
#endif
}

}  // namespace

TEST_CASE("hidden states of a ragged batch are those of the CPU model in every configuration") {
  for (const bool pre : {false, true})
    for (const char* activation : {"relu", "gelu"}) {
      const bool even = pre != (activation[0] == 'g');  // each with both norms and both activations
      const auto config = test::se2_config_of_widths(even, pre, activation);
      const model::Se2Encoder<float> cpu(config, test::random_parameters(model::parameter_list(config), 3));
      const auto inputs = some_pieces(config.input_dim);
      for (const auto& [grade, limit] :
           {std::pair{Precision::float32, 3e-6}, {Precision::split_bf16, 1e-4}, {Precision::bf16, 3e-2}}) {
        const Precision precision = grade;  // bindings can not be captured
        const double bar = limit;
        CAPTURE(pre);
        CAPTURE(activation);
        CAPTURE(even);
        CAPTURE(static_cast<int>(precision));
        pipeline::detail::CudaPieces pieces(cpu, device, {.precision = precision});
        CHECK(worst_error(cpu, pieces, inputs) <= bar);
      }
    }
#if defined(STOFM_KERNEL_EMULATOR)
  CHECK(emulator::device().blocks.empty());
#endif
}

TEST_CASE("a piece gives the same bits alone, in a batch, twice, and in any order of blocks") {
  const auto config = test::se2_config_of_widths(true, false, "gelu");
  const model::Se2Encoder<float> cpu(config, test::random_parameters(model::parameter_list(config), 4));
  const auto inputs = some_pieces(config.input_dim);
  std::vector<float> first;
  several_times([&] {
    pipeline::detail::CudaPieces pieces(cpu, device, {.precision = Precision::split_bf16});
    pieces.submit(inputs);
    pieces.submit(std::span(inputs).subspan(2, 1));
    const auto batch = pieces.collect();
    const auto alone = pieces.collect();
    REQUIRE(alone.size() == 1);
#if defined(STOFM_KERNEL_EMULATOR)
    CHECK(std::equal(alone[0].span().begin(), alone[0].span().end(), batch[2].span().begin()));
#else  // cuBLASLt may take another algorithm for another number of rows
    CHECK(test::relative_error(std::as_const(alone[0]).span(), std::as_const(batch[2]).span()) <= 1e-5);
#endif
    std::vector<float> bits(batch[2].span().begin(), batch[2].span().end());
    if (first.empty()) first = bits;
    CHECK(bits == first);
  });
}

/// A piece as the encoder takes it, with what it refers to.
struct OwnSlice {
  OwnSlice(std::int64_t nodes, std::int64_t width, std::uint64_t seed)
      : piece(test::random_piece(nodes, width, seed)), numbers(pipeline::number_distances(piece.distances)) {}
  backend::Se2Slice slice() const {
    return pipeline::device_slice(piece.features.view(), piece.distances, numbers, piece.types);
  }
  pipeline::PieceInput piece;
  pipeline::NumberedDistances numbers;
};

TEST_CASE("the bias is the table's where it holds, else the network's, as on the CPU") {
  const auto config = test::small_se2_config(false, "gelu");
  const model::Se2Encoder<float> cpu(config, test::random_parameters(model::parameter_list(config), 8));
  const model::DistanceBias<float>& bias = cpu.distance_bias();
  REQUIRE(bias.table() != nullptr);
  auto piece = test::random_piece(70, config.input_dim, 9);
  const auto weights = pipeline::detail::HostTensors(cpu.parameters());
  const auto table = pipeline::device_bias_table(bias);
  for (const float stretch : {1.0F, 20.0F}) {  // the second leaves the table
    CAPTURE(stretch);
    for (float& d : piece.distances.values) d *= stretch;
    const float largest = *std::max_element(piece.distances.values.begin(), piece.distances.values.end());
    REQUIRE((largest > table.largest_distance) == (stretch > 1.0F));
    backend::CudaSe2Encoder encoder(device, pipeline::device_sizes(config), weights.list,
                                    {.bias_table = &table, .precision = Precision::float32});
    const auto slice = pipeline::device_slice(piece.features.view(), piece.distances, piece.types);
    const auto found = encoder.forward_details(slice, false);
    const auto expected = bias.pair_bias(piece.distances);
    // Of one cubic two roundings differ, of the network the sums: both far below the range of the bias.
    double worst = 0;
    const auto compare = [&](std::span<const float> a, std::span<const float> b) {
      REQUIRE(a.size() == b.size());
      for (std::size_t i = 0; i < a.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    };
    compare(found.bias_values, std::as_const(expected.values).span());
    compare(found.background, bias.background());
    CHECK(worst <= 2e-6 * bias.table()->range());
    std::vector<float> rows(found.last_hidden.size());
    encoder.forward({&slice, 1}, rows);  // without values beside the places
    CHECK(rows == found.last_hidden);
  }
}

TEST_CASE("graphs of batches that come again give the bits of single launches") {
  const auto config = test::small_se2_config(false, "gelu");
  const auto weights = test::random_parameters(model::parameter_list(config), 5);
  const pipeline::detail::HostTensors tensors(weights);
  const auto sizes = pipeline::device_sizes(config);
  backend::CudaSe2Encoder single(device, sizes, tensors.list, {.graphs = false});
  // Two with one shape and other numbers, one a node smaller, and one whose buffers must grow.
  OwnSlice a(9, config.input_dim, 41), b(9, config.input_dim, 42), c(8, config.input_dim, 43),
      large(40, config.input_dim, 44);
  for (float& distance : b.numbers.distances) distance *= 1.25F;
  REQUIRE(a.numbers.distances.size() == b.numbers.distances.size());
  {
    backend::CudaSe2Encoder encoder(device, sizes, tensors.list);
    const auto forward = [&](backend::CudaSe2Encoder& with, const OwnSlice& own) {
      const auto slice = own.slice();
      std::vector<float> rows(static_cast<std::size_t>(slice.nodes() * config.embedding_dim));
      with.forward({&slice, 1}, rows);
      return rows;
    };
    const std::map<const OwnSlice*, std::vector<float>> expected{{&a, forward(single, a)},
                                                                 {&b, forward(single, b)},
                                                                 {&c, forward(single, c)},
                                                                 {&large, forward(single, large)}};
    CHECK(expected.at(&a) != expected.at(&b));
    const auto replayed_by = [&](const OwnSlice& own) {
      const std::int64_t before = encoder.graph_use().replayed;
      CHECK(forward(encoder, own) == expected.at(&own));
      return encoder.graph_use().replayed - before;
    };
    // `forward` takes the first of the two sets of buffers.
    CHECK(replayed_by(a) == 0);
    CHECK(replayed_by(b) == 1);  // captured here
    CHECK(replayed_by(a) == 1);
    CHECK(replayed_by(c) == 0);
    CHECK(replayed_by(a) == 1);
    CHECK(replayed_by(c) == 1);
    CHECK(encoder.graph_use().captured == 2);
    CHECK(replayed_by(large) == 0);  // everything is allocated anew, to other places
    (void)replayed_by(a);
    CHECK(replayed_by(a) == 1);
    CHECK(replayed_by(b) == 1);
    CHECK(encoder.graph_use().notices.empty());
    CHECK(single.graph_use().captured == 0);

    // Kernels of one batch at a time, as in benchmarks.
    const auto slice = b.slice();
    encoder.load({&slice, 1});
    encoder.compute();
    encoder.compute();
    CHECK(replayed_by(b) == 1);
  }
#if defined(STOFM_KERNEL_EMULATOR)
  CHECK(emulator::device().graphs == 0);
#endif
}

TEST_CASE("two batches under way have graphs of their own") {
  const auto config = test::small_se2_config(true, "relu");
  const auto weights = test::random_parameters(model::parameter_list(config), 5);
  const pipeline::detail::HostTensors tensors(weights);
  backend::CudaSe2Encoder encoder(device, pipeline::device_sizes(config), tensors.list),
      single(device, pipeline::device_sizes(config), tensors.list, {.graphs = false});
  std::vector<OwnSlice> pieces;
  for (std::uint64_t seed = 61; seed < 66; ++seed) pieces.emplace_back(9, config.input_dim, seed);
  std::vector<float> found(static_cast<std::size_t>(9 * config.embedding_dim)), expected(found.size());
  const auto collect = [&](const OwnSlice& own) {
    const auto slice = own.slice();
    encoder.collect(found);
    single.forward({&slice, 1}, expected);
    CHECK(found == expected);
  };
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto slice = pieces[i].slice();
    encoder.submit({&slice, 1});
    if (i > 0) collect(pieces[i - 1]);
  }
  collect(pieces.back());
  CHECK(encoder.graph_use().captured == 2);
  CHECK(encoder.graph_use().replayed == 3);
}

#if defined(STOFM_KERNEL_EMULATOR)
TEST_CASE("launches of a forward pass: so many a layer, whatever the batch") {
  for (const std::int64_t layers : {1, 4})
    for (const std::size_t count : {1U, 3U}) {
      const Precision precision = count == 1 ? Precision::bf16 : Precision::split_bf16;
      auto config = test::se2_config_of_widths(true, false, "relu");
      config.num_hidden_layers = layers;
      const auto weights = test::random_parameters(model::parameter_list(config), 7);
      const pipeline::detail::HostTensors tensors(weights);
      const model::Se2Encoder<float> cpu(config, weights);
      const auto table = pipeline::device_bias_table(cpu.distance_bias());
      REQUIRE(table.heads > 0);
      std::deque<OwnSlice> own;
      std::vector<backend::Se2Slice> slices;
      for (std::size_t i = 0; i < count; ++i)
        slices.push_back(
            own.emplace_back(5 + 30 * static_cast<std::int64_t>(i), config.input_dim, 71).slice());
      std::int64_t nodes = 0;
      for (const backend::Se2Slice& slice : slices) nodes += slice.nodes();
      std::vector<float> rows(static_cast<std::size_t>(nodes * config.embedding_dim));
      backend::CudaSe2Encoder encoder(device, pipeline::device_sizes(config), tensors.list,
                                      {.bias_table = &table, .precision = precision, .graphs = false});
      const std::int64_t kernels = emulator::launches(), products = emulator::products();
      encoder.forward(slices, rows);
      CHECK(emulator::products() - products == 2 * layers + 1);
      CHECK(emulator::launches() - kernels == 5 * layers + 3);
    }
}

TEST_CASE("whichever call fails, captured or not, the next batches are right") {
  auto config = test::small_se2_config(false, "relu");
  config.num_hidden_layers = 1;
  const auto weights = test::random_parameters(model::parameter_list(config), 7);
  const pipeline::detail::HostTensors tensors(weights);
  const OwnSlice own(5, config.input_dim, 71);
  const auto slice = own.slice();
  const auto forward = [&](backend::CudaSe2Encoder& encoder) {
    std::vector<float> rows(static_cast<std::size_t>(5 * config.embedding_dim));
    encoder.forward({&slice, 1}, rows);
    return rows;
  };
  kernels::CallFaults& faults = kernels::call_faults();
  std::vector<float> expected;
  std::int64_t capturing = 0, replaying = 0, single = 0;  // calls of a batch
  {
    backend::CudaSe2Encoder encoder(device, pipeline::device_sizes(config), tensors.list);
    for (std::int64_t* count : {&single, &capturing, &replaying}) {
      const std::int64_t before = faults.calls;
      expected = forward(encoder);
      *count = faults.calls - before;
    }
  }
  CHECK(replaying <= 12);
  CHECK(replaying + 11 <= single);  // a layer has 7 launches, the bias and the input 5
  std::int64_t thrown = 0, gone_on = 0;
  for (std::int64_t k = 1; k <= capturing + replaying; ++k) {
    CAPTURE(k);
    backend::CudaSe2Encoder encoder(device, pipeline::device_sizes(config), tensors.list);
    CHECK(forward(encoder) == expected);
    faults.error = cudaErrorUnknown;
    faults.countdown = k;
    for (int i = 0; i < 2; ++i) try {
        const std::vector<float> found = forward(encoder);
        CHECK(found == expected);
      } catch (const DeviceError& error) {
        CHECK(error.code() == "STOFM-6006");
        ++thrown;
      }
    CHECK(faults.countdown <= 0);
    faults.countdown = -1;
    gone_on += static_cast<std::int64_t>(encoder.graph_use().notices.size());
    CHECK_FALSE(emulator::device().capture.has_value());
    CHECK(forward(encoder) == expected);
  }
  // The queue, begin, end, make and two launches have a way out; copies, events and waits have none.
  CHECK(gone_on == capturing - replaying + 2);
  CHECK(thrown + gone_on == capturing + replaying);
  CHECK(emulator::device().blocks.empty());
  CHECK(emulator::device().graphs == 0);
}
#endif

TEST_CASE("golden cases pass through verify in true float32") {
#if defined(STOFM_KERNEL_EMULATOR)
  const std::vector<std::string> names{"se2_small", "se2_prenorm"};
#else
  const std::vector<std::string> names{"se2_small", "se2_prenorm", "se2_ragged", "se2_published"};
#endif
  for (const std::string& name : names) {
    CAPTURE(name);
    const auto golden = test::GoldenModel::load(name);
    if (!golden) {
      MESSAGE(name, " is not there: skipped");
      continue;
    }
    const auto cpu = golden->se2<float>();
    pipeline::detail::CudaPieces pieces(cpu, device, {.precision = Precision::float32});
    pipeline::CaseModels models;
    models.se2 = {cpu.config(),
                  [&](TensorView<const float> features, const PairDistances& distances,
                      std::span<const std::int32_t> types, const model::Se2ForwardOptions& options) {
                    return pieces.forward(features, distances, types, options);
                  }};
    const auto entries = pipeline::verify_case(models, golden->case_path());
    CHECK(entries.size() >= 3);
    for (const auto& entry : entries) {
      INFO(entry.tensor, ": ", entry.max_abs_diff, " of ", entry.tolerance);
      CHECK(entry.ok);
    }
  }
}

TEST_CASE("sizes without a kernel, bad lists and too many batches are refused") {
  auto config = test::small_se2_config(false, "relu");
  const auto weights = test::random_parameters(model::parameter_list(config), 6);
  const model::Se2Encoder<float> cpu(config, weights);
  auto sizes = pipeline::device_sizes(config);
  const auto code = [](const auto& run) {
    try {
      run();
    } catch (const Error& e) {
      return e.code();
    }
    return std::string("none");
  };
  const pipeline::detail::HostTensors tensors(weights);
  sizes.input_dim = 10;
  CHECK(code([&] { backend::CudaSe2Encoder(device, sizes, tensors.list); }) == "STOFM-6060");
  sizes.input_dim = config.input_dim;
  CHECK(code([&] { backend::CudaSe2Encoder(device, sizes, std::span(tensors.list).subspan(1)); }) ==
        "STOFM-6061");
  backend::CudaSe2Encoder encoder(device, sizes, tensors.list);
  const auto piece = test::random_piece(9, config.input_dim, 8);
  const auto numbers = pipeline::number_distances(piece.distances);
  auto slice = pipeline::device_slice(piece.features.view(), piece.distances, numbers, piece.types);
  std::vector<float> rows(static_cast<std::size_t>(9 * config.embedding_dim));
  encoder.submit({&slice, 1});
  encoder.submit({&slice, 1});
  CHECK(encoder.under_way() == 2);
  CHECK(code([&] { encoder.submit({&slice, 1}); }) == "STOFM-6064");
  encoder.collect(rows);
  encoder.collect(rows);
  CHECK(code([&] { encoder.collect(rows); }) == "STOFM-6064");
  auto bad = slice;
  bad.distance_of = bad.distance_of.subspan(1);
  CHECK(code([&] { encoder.submit({&bad, 1}); }) == "STOFM-6062");
  CHECK(encoder.under_way() == 0);

#if defined(STOFM_KERNEL_EMULATOR)
  SUBCASE("a batch that does not fit says what would") {
    const std::size_t before = emulator::device().memory_bytes;
    emulator::device().memory_bytes = emulator::device().used_bytes + (std::size_t{1} << 20);
    const auto large = test::random_piece(300, config.input_dim, 9);
    const auto of_large = pipeline::number_distances(large.distances);
    const std::vector<backend::Se2Slice> slices(
        8, pipeline::device_slice(large.features.view(), large.distances, of_large, large.types));
    try {
      encoder.submit(slices);
      FAIL("no error");
    } catch (const ResourceError& e) {
      CHECK(e.code() == "STOFM-6063");
      CHECK(e.found().find("8 sub-slices of 2400 nodes") != std::string::npos);
      CHECK(e.remedy().find("--batch") != std::string::npos);
    }
    emulator::device().memory_bytes = before;
    encoder.forward({&slice, 1}, rows);  // and goes on
  }
#endif
}
