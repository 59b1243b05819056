// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// All pieces of a slice through the SE(2) Transformer, built by the device against built on the host: the
/// same bits. Emulated and on a device.

#include <random>

#include "stofm/pipeline/cuda_encoders.hpp"
#include "stofm/pipeline/embed_pieces.hpp"
#include "tests/kernels/se2_case.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace embed_pieces_cases {

using namespace stofm;
using backend::Precision;
using emulator::device_under_test;

/// A slice cut into pieces; every 9th cell lies where the one before it does.
struct Slice {
  Slice(std::int64_t cells, std::int64_t virtual_cells, std::int64_t split, std::int64_t width)
      : xy({cells, 2}),
        virtual_xy({virtual_cells, 2}),
        virtual_features({virtual_cells, width}),
        features({cells, width}) {
    Random random(17);
    const auto fill = [&](auto& tensor, double size) {
      for (auto& value : tensor.span())
        value = static_cast<std::remove_cvref_t<decltype(value)>>(size * (2 * random.uniform() - 1));
    };
    fill(xy, 35);
    fill(virtual_xy, 30);
    fill(virtual_features, 1);
    fill(features, 1);
    for (std::int64_t i = 8; i < cells; i += 9)
      for (int axis = 0; axis < 2; ++axis) xy(i, axis) = xy(i - 1, axis);
    pieces = pipeline::split_cells(std::as_const(xy).view(), split);
  }
  pipeline::PieceFrame frame(Tensor<float>& output, const pipeline::SubSliceOptions& options) const {
    return {.xy = xy.view(),
            .virtual_xy = virtual_xy.view(),
            .virtual_features = virtual_features.view(),
            .features = features.view(),
            .output = output.view(),
            .pieces = pieces,
            .sub_slice = options,
            .file = "slice.h5ad"};
  }
  Tensor<double> xy, virtual_xy;
  Tensor<float> virtual_features, features;
  std::vector<std::vector<std::int64_t>> pieces;
};

struct Embedded {
  Tensor<float> rows;
  std::vector<pipeline::PieceSize> sizes;
};

/// What pipeline::cuda_encoders makes of `pieces`, and how often each side built.
struct Batches {
  pipeline::PieceBatches of(pipeline::detail::CudaPieces& pieces, std::int64_t most, bool by_device) {
    pipeline::PieceBatches batches;
    batches.most_pieces = most;
    batches.most_nodes = pieces.nodes_per_batch();
    batches.submit = [&](std::span<const pipeline::PieceInput> inputs) {
      ++from_host;
      pieces.submit(inputs);
    };
    batches.collect = [&] { return pieces.collect(); };
    if (!by_device) return batches;
    batches.most_neighbours = pipeline::CudaGeometry::most_listed_neighbours;
    batches.submit_cells = [&](const pipeline::PieceCells& cells) {
      ++from_device;
      return pieces.submit_cells(cells);
    };
    return batches;
  }
  int from_host = 0, from_device = 0;
};

inline Embedded embed(const pipeline::PieceBatches& batches, const Slice& slice, std::int64_t width,
                      const pipeline::SubSliceOptions& options) {
  Embedded result{Tensor<float>({slice.xy.dim(0), width}), {}};
  result.sizes = pipeline::embed_pieces(batches, slice.frame(result.rows, options));
  return result;
}

/// Both ways, and the CPU model.
inline void check_slice(const model::Se2Config& config, const Slice& slice, std::int64_t most_pieces,
                        const pipeline::SubSliceOptions& options, Precision precision, double tolerance) {
  const model::Se2Encoder<float> cpu(config, test::random_parameters(model::parameter_list(config), 3, 0.05));
  pipeline::detail::CudaPieces pieces(cpu, device_under_test, {.precision = precision});
  Batches on_host, on_device;
  const Embedded expected =
      embed(on_host.of(pieces, most_pieces, false), slice, config.embedding_dim, options);
  const Embedded found = embed(on_device.of(pieces, most_pieces, true), slice, config.embedding_dim, options);
  const int batches =
      static_cast<int>((static_cast<std::int64_t>(slice.pieces.size()) + most_pieces - 1) / most_pieces);
  CHECK(on_host.from_host >= batches);
  CHECK(on_device.from_host == 0);
  CHECK(on_device.from_device == on_host.from_host);
  CHECK(std::equal(found.rows.span().begin(), found.rows.span().end(), expected.rows.span().begin()));
  REQUIRE(found.sizes.size() == slice.pieces.size());
  for (std::size_t p = 0; p < found.sizes.size(); ++p) {
    CHECK(found.sizes[p].nodes == expected.sizes[p].nodes);
    CHECK(found.sizes[p].listed == expected.sizes[p].listed);
    CHECK(found.sizes[p].coincident_pairs == expected.sizes[p].coincident_pairs);
  }
  Tensor<float> reference({slice.xy.dim(0), config.embedding_dim});
  (void)pipeline::embed_pieces(cpu, slice.frame(reference, options));
  CHECK(test::relative_error(std::as_const(found.rows).span(), std::as_const(reference).span()) <= tolerance);
}

TEST_CASE("a slice has the same bits wherever its pieces are built") {
  const auto config = test::small_se2_config(false, "gelu");
  const Slice slice(150, 3, 30, config.input_dim);
  REQUIRE(slice.pieces.size() > 4);
  for (const auto geometry : {pipeline::Geometry::reference, pipeline::Geometry::stable})
    check_slice(config, slice, 2, {.neighbours = 9, .geometry = geometry}, Precision::float32, 1e-5);
  check_slice(config, slice, 64, {}, Precision::split_bf16, 1e-4);
  const Slice bare(40, 0, 1000, config.input_dim);  // one piece, no virtual cells
  check_slice(config, bare, 64, {}, Precision::float32, 1e-5);
}

TEST_CASE("more neighbours than the kernels take are found on the host") {
  const auto config = test::small_se2_config(true, "relu");
  const model::Se2Encoder<float> cpu(config, test::random_parameters(model::parameter_list(config), 3));
  pipeline::detail::CudaPieces pieces(cpu, device_under_test, {.precision = Precision::float32});
  const Slice slice(30, 2, 1000, config.input_dim);
  Batches batches;
  (void)embed(batches.of(pieces, 4, true), slice, config.embedding_dim, {.neighbours = 1026});
  CHECK(batches.from_host == 1);
  CHECK(batches.from_device == 0);
  (void)embed(batches.of(pieces, 4, true), slice, config.embedding_dim, {.neighbours = 1025});
  CHECK(batches.from_host == 1);
  CHECK(batches.from_device == 1);
}

TEST_CASE("what can not be embedded is refused, and the next slice is right") {
  const auto config = test::small_se2_config(false, "relu");
  const model::Se2Encoder<float> cpu(config, test::random_parameters(model::parameter_list(config), 3));
  pipeline::detail::CudaPieces pieces(cpu, device_under_test, {.precision = Precision::float32});
  Batches batches;
  const auto device = batches.of(pieces, 1, true);
  const auto code = [&](const Slice& slice) {
    try {
      (void)embed(device, slice, config.embedding_dim, {});
    } catch (const Error& e) {
      return e.code();
    }
    return std::string("none");
  };
  const Slice good(60, 2, 20, config.input_dim);
  const Embedded expected = embed(device, good, config.embedding_dim, {});
  Slice far(60, 2, 20, config.input_dim), outside(60, 2, 20, config.input_dim),
      no_number(60, 2, 20, config.input_dim);
  far.xy(far.pieces[1][0], 0) = 3e38;
  CHECK(code(far) == "STOFM-1330");
  outside.pieces[1][0] = 60;
  CHECK(code(outside) == "STOFM-4208");
  no_number.features(no_number.pieces[1][2], 3) = std::numeric_limits<float>::quiet_NaN();
  CHECK(code(no_number) != "none");
  const Embedded found = embed(device, good, config.embedding_dim, {});
  CHECK(std::equal(found.rows.span().begin(), found.rows.span().end(), expected.rows.span().begin()));
}

TEST_CASE("two batches of built sub-slices may be under way") {
  const auto config = test::small_se2_config(false, "relu");
  const auto weights = test::random_parameters(model::parameter_list(config), 6);
  const pipeline::detail::HostTensors tensors(weights);
  backend::CudaSe2Encoder encoder(device_under_test, pipeline::device_sizes(config), tensors.list);
  const Slice slice(12, 1, 1000, config.input_dim);
  const std::vector<std::int64_t> offsets{0, 12}, cells{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const auto code = [&] {
    const auto subs = backend::build_sub_slices_on_device(device_under_test, offsets, cells, slice.xy.view(),
                                                          slice.virtual_xy.view());
    try {
      encoder.submit({.sub_slices = &subs, .write_features = [&](std::size_t, float* rows) {
                        std::fill_n(rows, 14 * config.input_dim, 0.5F);
                      }});
    } catch (const Error& e) {
      return e.code();
    }
    return std::string("none");
  };
  CHECK(code() == "none");
  CHECK(code() == "none");
  CHECK(code() == "STOFM-6064");
  std::vector<float> first(static_cast<std::size_t>(14 * config.embedding_dim)), second(first);
  encoder.collect(first);
  encoder.collect(second);
  CHECK(first == second);
}

}  // namespace embed_pieces_cases
