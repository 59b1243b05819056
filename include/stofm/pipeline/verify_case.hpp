// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Does this machine compute what the reference computed? A golden case holds inputs and the reference's
/// outputs; the loaded model is run on the inputs and every output is compared. SE(2) case: token_embeddings
/// [B, N, C], distances [B, N, N], token_types [B, N]; last_hidden_state, and where present hidden_states.i,
/// gaussian_bias [B, H, N, N], pair_rep [B, N, N, H]. Cell encoder case: input_ids [B, S], lengths [B];
/// last_hidden_state [B, S, C], embedding [B, P]. Rows of padded nodes and tokens are not compared.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/model/cell_encoder.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "stofm/pipeline/model.hpp"

namespace stofm::pipeline {

/// One compared tensor.
struct VerifyEntry {
  std::string tensor;
  /// pair_rep: relative to the largest entry of the reference; gaussian_bias likewise where that exceeds 1,
  /// since the rounding of a bias grows with its size (narrow Gaussians make tall ones)
  double max_abs_diff = 0;
  double tolerance = 0;
  bool ok = false;
};

/// Limits of `verify_case`. The tolerances are those of float32 arithmetic in another order of summation: an
/// independent float32 implementation reaches 4e-6 at either size, and sums grow with the width.
struct VerifyOptions {
  double tolerance = 2e-5;       ///< hidden width below `wide`
  double wide_tolerance = 1e-4;  ///< from `wide` on
  std::int64_t wide = 256;
  /// Rows of states and embeddings are compared at length 1: for precisions below float32.
  bool unit_rows = false;
};

/// What computes a case: the encoders of the CPU or of a device.
struct CaseModels {
  struct Se2 {
    model::Se2Config config;
    DeviceEncoders::PieceFunction forward;
  };
  struct Cells {
    model::CellEncoderConfig config;
    DeviceEncoders::TokenFunction token_states, embed;
  };
  std::optional<Se2> se2 = {};
  std::optional<Cells> cells = {};

  /// Either may be null. The encoders must outlive the result.
  static CaseModels on_cpu(const model::Se2Encoder<float>* se2, const model::CellEncoder<float>* cells);
  /// Of a model: on its device where that computes them. The model must outlive the result.
  static CaseModels of(const Model& model);
};

/// Compares encoders with a golden case, which says which one it is for. \throws DataError STOFM-4350 if that
/// one is not there, 4351 if its sizes do not fit; FileError as SafetensorsFile::open and read.
STOFM_INLINE std::vector<VerifyEntry> verify_case(const CaseModels& models,
                                                  const std::filesystem::path& case_path,
                                                  const VerifyOptions& options = {});

/// The same with the encoders of the CPU. Either may be null.
STOFM_INLINE std::vector<VerifyEntry> verify_case(const model::Se2Encoder<float>* se2,
                                                  const model::CellEncoder<float>* cell_encoder,
                                                  const std::filesystem::path& case_path,
                                                  const VerifyOptions& options = {});

/// Every entry is within its tolerance, and there is at least one.
inline bool all_ok(const std::vector<VerifyEntry>& entries) {
  return !entries.empty() && std::all_of(entries.begin(), entries.end(), [](const auto& e) { return e.ok; });
}

namespace detail {

/// Collects the largest difference per tensor; a NaN on either side counts as infinite.
class CaseComparison {
 public:
  explicit CaseComparison(double tolerance, bool unit_rows = false)
      : tolerance_(tolerance), unit_rows_(unit_rows) {}
  VerifyEntry& entry(const std::string& name) {
    for (VerifyEntry& e : entries_)
      if (e.tensor == name) return e;
    entries_.push_back({name, 0, tolerance_, true});
    return entries_.back();
  }
  void compare(const std::string& name, const float* mine, const float* reference, std::int64_t count,
               double scale = 1) {
    double worst = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double difference = std::abs(static_cast<double>(mine[i]) - static_cast<double>(reference[i]));
      worst = difference <= worst ? worst : std::isnan(difference) ? HUGE_VAL : difference;
    }
    VerifyEntry& e = entry(name);
    e.max_abs_diff = (std::max)(e.max_abs_diff, worst / scale);
    e.ok = e.max_abs_diff <= e.tolerance;
  }
  void compare_rows(const std::string& name, const float* mine, const float* reference, std::int64_t rows,
                    std::int64_t width) {
    if (!unit_rows_) return compare(name, mine, reference, rows * width);
    const auto unit = [width](const float* row) {
      const double length = std::sqrt((std::max)(std::inner_product(row, row + width, row, 0.0), 1e-60));
      std::vector<float> result(row, row + width);
      for (float& value : result) value = static_cast<float>(static_cast<double>(value) / length);
      return result;
    };
    for (std::int64_t i = 0; i < rows; ++i)
      compare(name, unit(mine + i * width).data(), unit(reference + i * width).data(), width);
  }
  std::vector<VerifyEntry> take() { return std::move(entries_); }

 private:
  double tolerance_;
  bool unit_rows_;
  std::vector<VerifyEntry> entries_;
};

/// A case file with the checks that its tensors fit.
class CaseFile {
 public:
  explicit CaseFile(const std::filesystem::path& path) : file_(io::SafetensorsFile::open(path)) {}
  bool has(const std::string& name) const { return file_.contains(name); }
  const std::string& path() const { return file_.path(); }
  std::int64_t dim(const std::string& name, int d) const {
    const Shape& shape = file_.info(name).shape;
    if (d >= shape.rank()) refuse(name, shape, concat("at least ", d + 1, " dimensions"));
    return shape[d];
  }
  template <Scalar T>
  Tensor<T> read(const std::string& name, const Shape& expected) const {
    const Shape& shape = file_.info(name).shape;
    if (!(shape == expected)) refuse(name, shape, "shape " + to_string(expected) + " for this model");
    return file_.read<T>(name);
  }
  [[noreturn]] void refuse(const std::string& name, const Shape& shape, const std::string& expected) const {
    throw DataError({"STOFM-4351", file_.path(), "tensor " + name, "shape " + to_string(shape), expected,
                     "The case was made with another configuration than this bundle's."});
  }
  [[noreturn]] void refuse_kind(const std::string& found, const std::string& expected) const {
    throw DataError({"STOFM-4350", file_.path(), "case", found, expected,
                     "Verify this case with the bundle that was made from its checkpoint."});
  }

 private:
  io::SafetensorsFile file_;
};

inline double case_tolerance(std::int64_t width, const VerifyOptions& options) {
  return width >= options.wide ? options.wide_tolerance : options.tolerance;
}

/// One sample of an SE(2) case.
inline void compare_sample(const CaseModels::Se2& model, std::int64_t sample,
                           const std::vector<std::pair<std::string, Tensor<float>>>& states,
                           const Tensor<float>& pair, const Tensor<float>& bias,
                           const Tensor<float>& embeddings, const Tensor<float>& distances,
                           const Tensor<std::int64_t>& types, double pair_scale, double bias_scale,
                           CaseComparison& comparison) {
  const std::int64_t n = embeddings.dim(1), e = model.config.embedding_dim,
                     h = model.config.num_attention_heads;
  std::vector<std::int32_t> kinds;
  for (std::int64_t i = 0; i < n; ++i) kinds.push_back(narrow<std::int32_t>(types(sample, i), "token_types"));
  const PairDistances listed = pair_distances_from_dense(std::as_const(distances).select(0, sample).view());
  const model::Se2Output<float> mine =
      model.forward(embeddings.select(0, sample).view(), listed, kinds,
                    {.hidden_states = true, .pair_rep = !pair.empty(), .gaussian_bias = !bias.empty()});
  for (std::int64_t i = 0; i < n; ++i) {
    if (kinds[static_cast<std::size_t>(i)] == static_cast<std::int32_t>(model::NodeType::padding)) continue;
    for (const auto& [name, reference] : states) {
      const bool last = name == "last_hidden_state";
      const Tensor<float>& state =
          last ? mine.last_hidden_state
               : mine.hidden_states[static_cast<std::size_t>(std::stol(name.substr(14)))];
      comparison.compare_rows(name, state.data() + i * e, reference.data() + (sample * n + i) * e, 1, e);
    }
    if (!pair.empty())
      comparison.compare("pair_rep", mine.pair_rep.data() + i * n * h, pair.data() + (sample * n + i) * n * h,
                         n * h, pair_scale);
    for (std::int64_t k = 0; !bias.empty() && k < h; ++k)
      comparison.compare("gaussian_bias", mine.gaussian_bias.data() + (k * n + i) * n,
                         bias.data() + ((sample * h + k) * n + i) * n, n, bias_scale);
  }
}

inline std::vector<VerifyEntry> verify_se2_case(const CaseModels::Se2& model, const CaseFile& file,
                                                const VerifyOptions& options) {
  const std::int64_t e = model.config.embedding_dim, h = model.config.num_attention_heads,
                     b = file.dim("token_embeddings", 0), n = file.dim("token_embeddings", 1);
  const auto embeddings = file.read<float>("token_embeddings", {b, n, model.config.input_dim});
  const auto distances = file.read<float>("distances", {b, n, n});
  const auto types = file.read<std::int64_t>("token_types", {b, n});
  std::vector<std::pair<std::string, Tensor<float>>> states;
  for (std::int64_t l = 0; l <= model.config.num_hidden_layers; ++l)
    if (const std::string name = concat("hidden_states.", l); file.has(name))
      states.emplace_back(name, file.read<float>(name, {b, n, e}));
  if (const std::string beyond = concat("hidden_states.", model.config.num_hidden_layers + 1);
      file.has(beyond))
    file.refuse(beyond, {b, n, e}, concat(model.config.num_hidden_layers, " layers, as this model has"));
  states.emplace_back("last_hidden_state", file.read<float>("last_hidden_state", {b, n, e}));
  Tensor<float> pair, bias;
  if (file.has("pair_rep")) pair = file.read<float>("pair_rep", {b, n, n, h});
  if (file.has("gaussian_bias")) bias = file.read<float>("gaussian_bias", {b, h, n, n});
  const auto largest_of = [](const Tensor<float>& tensor) {
    double largest = 0;
    if (!tensor.empty())
      for (const float value : tensor.span())
        largest = (std::max)(largest, std::abs(static_cast<double>(value)));
    return largest;
  };
  const double pair_scale = largest_of(pair), bias_scale = (std::max)(1.0, largest_of(bias));
  CaseComparison comparison(case_tolerance(e, options), options.unit_rows);
  for (std::int64_t sample = 0; sample < b; ++sample)
    compare_sample(model, sample, states, pair, bias, embeddings, distances, types,
                   pair_scale > 0 ? pair_scale : 1, bias_scale, comparison);
  return comparison.take();
}

inline std::vector<VerifyEntry> verify_cell_encoder_case(const CaseModels::Cells& model, const CaseFile& file,
                                                         const VerifyOptions& options) {
  const std::int64_t b = file.dim("input_ids", 0), s = file.dim("input_ids", 1), w = model.config.hidden_size,
                     p = model.config.projection_dim;
  const auto ids = file.read<std::int64_t>("input_ids", {b, s});
  const auto lengths = file.read<std::int64_t>("lengths", {b});
  const auto state = file.read<float>("last_hidden_state", {b, s, w});
  const auto embedding = file.read<float>("embedding", {b, p});
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
  for (std::int64_t i = 0; i < b; ++i) {
    if (lengths(i) < 1 || lengths(i) > s)
      file.refuse_kind(concat("lengths[", i, "] = ", lengths(i)), concat("1 to ", s));
    for (std::int64_t j = 0; j < lengths(i); ++j)
      tokens.push_back(narrow<std::int32_t>(ids(i, j), "input_ids"));
    offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  }
  CaseComparison comparison(case_tolerance(w, options), options.unit_rows);
  const Tensor<float> mine = model.token_states(tokens, offsets);
  for (std::int64_t i = 0; i < b; ++i)
    comparison.compare_rows("last_hidden_state", mine.data() + offsets[static_cast<std::size_t>(i)] * w,
                            state.data() + i * s * w, lengths(i), w);
  const Tensor<float> rows = model.embed(tokens, offsets);
  comparison.compare_rows("embedding", rows.data(), embedding.data(), b, p);
  return comparison.take();
}

}  // namespace detail

inline CaseModels CaseModels::on_cpu(const model::Se2Encoder<float>* se2,
                                     const model::CellEncoder<float>* cells) {
  CaseModels models;
  if (se2 != nullptr)
    models.se2 = {se2->config(),
                  [se2](TensorView<const float> features, const PairDistances& distances,
                        std::span<const std::int32_t> types, const model::Se2ForwardOptions& options) {
                    return se2->forward(features, distances, types, options);
                  }};
  if (cells != nullptr)
    models.cells = {cells->config(),
                    [cells](std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets) {
                      return cells->last_hidden_state(tokens, offsets);
                    },
                    [cells](std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets) {
                      return cells->embed(tokens, offsets);
                    }};
  return models;
}

inline CaseModels CaseModels::of(const Model& model) {
  CaseModels models = on_cpu(model.se2.get(), model.cell_encoder.get());
  if (!model.device) return models;
  if (models.se2 && model.device->piece_forward) models.se2->forward = model.device->piece_forward;
  if (models.cells && model.device->token_states) models.cells->token_states = model.device->token_states;
  if (models.cells && model.device->embed_cells) models.cells->embed = model.device->embed_cells;
  return models;
}

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto pipeline::verify_case(const model::Se2Encoder<float>* se2,
                                        const model::CellEncoder<float>* cell_encoder,
                                        const std::filesystem::path& case_path, const VerifyOptions& options)
    -> std::vector<VerifyEntry> {
  return verify_case(CaseModels::on_cpu(se2, cell_encoder), case_path, options);
}

STOFM_INLINE auto pipeline::verify_case(const CaseModels& models, const std::filesystem::path& case_path,
                                        const VerifyOptions& options) -> std::vector<VerifyEntry> {
  const detail::CaseFile file(case_path);
  if (file.has("token_embeddings") && file.has("distances") && file.has("last_hidden_state")) {
    if (!models.se2) file.refuse_kind("an SE(2) Transformer case", "a case for the cell encoder alone");
    return detail::verify_se2_case(*models.se2, file, options);
  }
  if (file.has("input_ids") && file.has("embedding")) {
    if (!models.cells) file.refuse_kind("a cell encoder case", "a case for the SE(2) Transformer alone");
    return detail::verify_cell_encoder_case(*models.cells, file, options);
  }
  file.refuse_kind("neither token_embeddings, distances, last_hidden_state nor input_ids, embedding",
                   "a case of the SE(2) Transformer or of the cell encoder");
}

}  // namespace stofm
#endif
