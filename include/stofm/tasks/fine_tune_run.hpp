// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The body of tasks/fine_tune.hpp, which includes it.

#include <memory>
#include <optional>

#include "stofm/autograd/rules/losses.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/model/se2_training.hpp"
#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/fine_tune_labels.hpp"
#include "stofm/tasks/fine_tune_types.hpp"
#include "stofm/tasks/frozen_head.hpp"
#include "stofm/train/training_loop.hpp"

namespace stofm::tasks {

namespace detail {

/// One run; its members are what the steps share.
class FineTuneRun {
 public:
  FineTuneRun(const pipeline::Model& model, std::span<const LabelledSlice> slices,
              const std::vector<std::string>& classes, const FineTuneOptions& options,
              const pipeline::Progress& progress)
      : model_(model), slices_(slices), classes_(classes), options_(options), progress_(progress) {
    check();
    labels_ = fine_tune_labels(slices, classes, options);
    make_parameters();
    if (options.tune == TuneMode::none) states_ = frozen_states();
    trainer_.emplace(model_.se2->config(), parameters_, "se2/");
    head_.emplace(parameters_, "head/", options.head);
    visits_ = pass(0);
    std::int64_t nominal = 0;
    if (options.tune == TuneMode::none) {
      nominal = static_cast<std::int64_t>(visits_.size());
    } else {
      for (const LabelledSlice& slice : slices_)
        nominal += (slice.slice->cells() + options.split - 1) / options.split;
      nominal = (std::min)(nominal, static_cast<std::int64_t>(visits_.size()));
    }
    epoch_steps_ = (std::max)(options.least_steps, (nominal + options.batch - 1) / options.batch);
  }

  FineTuneResult run();

 private:
  void check() const;
  void make_parameters();
  void add_scaling();
  std::vector<Tensor<float>> frozen_states() const;
  void start_from_probe();
  bool tuned(const std::string& name) const;
  std::vector<Visit> pass(std::int64_t number) const;
  std::vector<Visit> state_batches(std::int64_t number) const;
  train::StepReport step(std::int64_t number);
  double visit(const Visit& visit, const RandomKey& key, double factor);
  void end_epoch(std::int64_t step);
  void judge(FineTuneEpoch& epoch) const;
  void keep_best();
  nlohmann::json config() const;
  std::string data_hash() const;
  nlohmann::json state() const;
  void load_state(const nlohmann::json& state);
  FineTuneResult result(std::int64_t steps);
  std::int64_t steps() const { return options_.epochs * epoch_steps_; }
  RandomKey key(std::uint64_t stream, std::int64_t number) const {
    return {.seed = options_.seed, .stream = stream, .step = static_cast<std::uint64_t>(number)};
  }

  const pipeline::Model& model_;
  std::span<const LabelledSlice> slices_;
  const std::vector<std::string>& classes_;
  const FineTuneOptions& options_;
  const pipeline::Progress& progress_;
  FineTuneLabels labels_;
  autograd::ParameterSet<float> parameters_;
  Tensor<float> cell_mean_, cell_scale_;
  std::optional<model::Se2Trainer<float>> trainer_;
  std::optional<ClassifierHead<float>> head_;
  std::vector<Tensor<float>> states_;  ///< by slice, where nothing of the Transformer is trained
  std::int64_t epoch_steps_ = 1;
  std::vector<Visit> visits_;
  // What a checkpoint has besides parameters.
  std::int64_t pass_ = 0, at_ = 0;
  double epoch_loss_ = 0;
  std::vector<FineTuneEpoch> epochs_;
  std::int64_t best_ = 0;
  bool stopped_ = false;
};

inline void FineTuneRun::check() const {
  options_.validate();
  if (!model_.se2)
    throw UsageError({"STOFM-4742", model_.file, "weights", "no SE(2) Transformer", "one to be tuned",
                      "Convert both halves, or use a logistic head on features."});
  for (const LabelledSlice& slice : slices_)
    if (slice.slice->width() != model_.se2->config().input_dim)
      throw ShapeError({"STOFM-4749", slice.slice->name, "cell features",
                        concat(slice.slice->width(), " columns"),
                        concat(model_.se2->config().input_dim, ", the input of the SE(2) Transformer"),
                        "Prepare the slice with the features of this model."});
}

inline bool FineTuneRun::tuned(const std::string& name) const {
  if (options_.tune != TuneMode::last) return options_.tune == TuneMode::all;
  const std::int64_t layers = model_.se2->config().num_hidden_layers;
  for (std::int64_t l = (std::max<std::int64_t>)(0, layers - options_.layers); l < layers; ++l)
    if (name.starts_with(concat("encoder.layers.", l, "."))) return true;
  return false;
}

/// Mean and deviation of the cell features over all cells.
inline void FineTuneRun::add_scaling() {
  const std::int64_t width = model_.se2->config().input_dim;
  const auto columns = static_cast<std::size_t>(width);
  double cells = 0;
  for (const LabelledSlice& slice : slices_) cells += static_cast<double>(slice.slice->cells());
  const auto mean_of = [&](auto&& term) {
    std::vector<double> means(columns, 0.0);
    for (const LabelledSlice& slice : slices_) {
      const auto sums = sums_over_rows(slice.slice->cells(), columns, [&](std::int64_t i, double* into) {
        const float* row = slice.slice->features.data() + i * width;
        for (std::size_t c = 0; c < columns; ++c) into[c] += term(static_cast<double>(row[c]), c);
      });
      for (std::size_t c = 0; c < columns; ++c) means[c] += sums[c] / cells;
    }
    return means;
  };
  const auto mean = mean_of([](double value, std::size_t) { return value; });
  const auto square =
      mean_of([&](double value, std::size_t c) { return (value - mean[c]) * (value - mean[c]); });
  cell_mean_ = Tensor<float>({width});
  cell_scale_ = Tensor<float>({width});
  for (std::size_t c = 0; c < columns; ++c) {
    const double deviation = std::sqrt(square[c]);
    cell_mean_.data()[c] = static_cast<float>(mean[c]);
    cell_scale_.data()[c] = deviation > 1e-7 ? static_cast<float>(deviation) : 1.0F;
  }
}

inline void FineTuneRun::make_parameters() {
  const model::Se2Config& config = model_.se2->config();
  for (const auto& [name, tensor] : model_.se2->parameters())
    parameters_.add("se2/" + name, tensor).trainable = tuned(name);
  create_head(parameters_, "head/",  // its direct way is filled by start_from_probe
              {.state = config.embedding_dim,
               .cell = config.input_dim,
               .classes = static_cast<std::int64_t>(labels_.present.size())},
              options_.head, key(0x68656164, 0));
  add_scaling();
  if (labels_.judged == 0) return;
  for (const auto* parameter : parameters_.list())  // in the checkpoint like the others
    if (parameter->trainable)
      parameters_.add("best/" + parameter->name(), parameter->value()).trainable = false;
}

/// By slice, of the model as it was given.
inline std::vector<Tensor<float>> FineTuneRun::frozen_states() const {
  std::vector<Tensor<float>> states;
  for (const LabelledSlice& slice : slices_)
    states.push_back(slice_states(*model_.se2, *slice.slice, {}, progress_));
  return states;
}

/// The direct way of the head becomes the logistic regression of the training cells on what they are given
/// before anything is tuned, standardisation folded in; the hidden layer starts without a say.
inline void FineTuneRun::start_from_probe() {
  const std::int64_t states = model_.se2->config().embedding_dim, width = states + cell_mean_.dim(0);
  const std::vector<Tensor<float>> made = states_.empty() ? frozen_states() : std::vector<Tensor<float>>();
  const std::vector<Tensor<float>>& frozen = states_.empty() ? made : states_;
  std::vector<std::int32_t> targets;
  std::vector<Tensor<float>> rows;
  for (std::size_t s = 0; s < slices_.size(); ++s) {
    std::vector<std::int64_t> cells;
    for (std::size_t i = 0; i < labels_.target[s].size(); ++i)
      if (labels_.target[s][i] >= 0) {
        cells.push_back(static_cast<std::int64_t>(i));
        targets.push_back(labels_.target[s][i]);
      }
    rows.push_back(columns_beside("[fine_tune_classifier]", pipeline::detail::gather_rows(frozen[s], cells),
                                  scaled_cells(slices_[s].slice->features, cell_mean_, cell_scale_, cells),
                                  width));
  }
  const auto classes = static_cast<std::int64_t>(labels_.present.size());
  const Tensor<float> shown = stacked_rows(rows);
  if (std::adjacent_find(targets.begin(), targets.end(), std::not_equal_to<>()) == targets.end()) return;
  FrozenHeadOptions probe;
  probe.regression.class_weights = options_.class_weights;
  const LogisticRegression fit =
      fit_frozen_head(shown.view(), targets, classes, key(0x70726f62, 0), probe).model;
  Tensor<float>& direct = parameters_.at("head/direct.weight").changing();
  Tensor<float>& bias = parameters_.at("head/output.bias").changing();
  double lowest = 0;
  for (const double b : fit.intercepts) lowest = (std::min)(lowest, b);
  std::fill_n(bias.data(), classes, static_cast<float>(lowest));  // of a class without training cells
  for (std::size_t k = 0; k < fit.present.size(); ++k) {
    const std::int64_t c = fit.present[k];
    const bool first_of_two = fit.present.size() == 2 && k == 0;
    double offset = 0;
    for (std::int64_t j = 0; j < width && !first_of_two; ++j) {
      const double weight = fit.coefficients(fit.present.size() == 2 ? 0 : static_cast<std::int64_t>(k), j) /
                            fit.standardisation.scale[static_cast<std::size_t>(j)];
      direct.data()[c * width + j] = static_cast<float>(weight);
      offset -= weight * fit.standardisation.mean[static_cast<std::size_t>(j)];
    }
    bias.data()[c] =
        static_cast<float>(first_of_two ? 0.0 : offset + fit.intercepts[fit.present.size() == 2 ? 0 : k]);
  }
  for (float& weight : parameters_.at("head/output.weight").changing().span()) weight = 0;
}

/// Cells with a label in batches, where states do not change.
inline std::vector<Visit> FineTuneRun::state_batches(std::int64_t number) const {
  constexpr std::size_t batch = 256;
  std::vector<Visit> visits;
  for (std::size_t s = 0; s < slices_.size(); ++s) {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < labels_.target[s].size(); ++i)
      if (labels_.target[s][i] >= 0) rows.push_back(static_cast<std::int64_t>(i));
    Random random = key(0x72656168, number).child(s).generator();
    for (std::size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[random.below(i)]);
    for (std::size_t begin = 0; begin < rows.size(); begin += batch)
      visits.push_back(
          {s,
           0,
           {rows.begin() + static_cast<std::ptrdiff_t>(begin),
            rows.begin() + static_cast<std::ptrdiff_t>((std::min)(rows.size(), begin + batch))}});
  }
  return visits;
}

/// The pieces of a pass that have labelled cells, in an order of their own.
inline std::vector<Visit> FineTuneRun::pass(std::int64_t number) const {
  std::vector<Visit> visits;
  if (options_.tune == TuneMode::none) {
    visits = state_batches(number);
  } else {
    std::uint64_t turn = 0;
    for (std::size_t s = 0; s < slices_.size(); ++s)
      for (std::size_t f = 0; f < slices_[s].slice->frames.size(); ++f) {
        const train::PreparedFrame& frame = slices_[s].slice->frames[f];
        Random random = key(0x7475726e, number).child(turn++).generator();
        auto pieces = options_.cut_anew
                          ? turned_pieces(frame, options_.split, random.uniform() * std::numbers::pi)
                          : frame.pieces;
        for (auto& piece : pieces)
          if (std::any_of(piece.begin(), piece.end(), [&](std::int64_t cell) {
                const auto row = static_cast<std::size_t>(frame.cells[static_cast<std::size_t>(cell)]);
                return labels_.target[s][row] >= 0;
              }))
            visits.push_back({s, f, std::move(piece)});
      }
  }
  Random random = key(0x6f726465, number).generator();
  for (std::size_t i = visits.size(); i > 1; --i) std::swap(visits[i - 1], visits[random.below(i)]);
  return visits;
}

/// Adds the gradients of one piece, times `factor`. \return the weighted sum of its losses
inline double FineTuneRun::visit(const Visit& visit, const RandomKey& key, double factor) {
  const train::PreparedSlice& slice = *slices_[visit.slice].slice;
  std::vector<std::int64_t> rows, nodes;
  std::vector<std::int32_t> targets;
  std::vector<float> weights;
  const bool fixed = options_.tune == TuneMode::none;
  const train::PreparedFrame& frame = slice.frames[visit.frame];
  const std::int64_t first = 1 + frame.virtual_xy.dim(0);
  for (std::size_t i = 0; i < visit.cells.size(); ++i) {
    const std::int64_t row = fixed ? visit.cells[i] : frame.cells[static_cast<std::size_t>(visit.cells[i])];
    const std::int32_t target = labels_.target[visit.slice][static_cast<std::size_t>(row)];
    if (target < 0) continue;
    rows.push_back(row);
    nodes.push_back(first + static_cast<std::int64_t>(i));
    targets.push_back(target);
    weights.push_back(static_cast<float>(labels_.weight[static_cast<std::size_t>(target)]));
  }
  autograd::Tape<float> tape;
  autograd::Variable<float> states;
  if (fixed) {
    states = autograd::constant(pipeline::detail::gather_rows(states_[visit.slice], rows));
  } else {
    const pipeline::SubSlice sub = pipeline::build_sub_slice(
        visit.cells, frame.xy.view(), frame.virtual_xy.view(), slice.sub_slice_options);
    const std::int64_t width = slice.width();
    Tensor<float> features = Tensor<float>::zeros({sub.nodes(), width});
    std::copy_n(frame.virtual_features.data(), sub.virtual_cells * width, features.data() + width);
    for (std::size_t i = 0; i < visit.cells.size(); ++i)
      std::copy_n(slice.features.data() + frame.cells[static_cast<std::size_t>(visit.cells[i])] * width,
                  width, features.data() + (first + static_cast<std::int64_t>(i)) * width);
    const auto output = trainer_->forward(tape, autograd::constant(std::move(features)), sub.distances,
                                          sub.token_types, {.dropout = true, .key = key.child(1)});
    states = autograd::take_rows(output.last_hidden, nodes);
  }
  const RandomKey dropped = key.child(2);
  const auto logits = head_->logits(
      tape, states, autograd::constant(scaled_cells(slice.features, cell_mean_, cell_scale_, rows)),
      &dropped);
  const auto sum =
      autograd::cross_entropy<float, std::int32_t>(logits, targets, weights, autograd::Reduction::sum);
  tape.backward(autograd::scale(sum, static_cast<float>(factor)));
  return static_cast<double>(sum.value().data()[0]);
}

inline train::StepReport FineTuneRun::step(std::int64_t number) {
  progress_.report("fine-tuning", number - 1, steps(), "steps");
  train::StepReport report;
  for (std::int64_t b = 0; b < options_.batch; ++b) {
    if (at_ == static_cast<std::int64_t>(visits_.size())) {
      visits_ = pass(++pass_);
      at_ = 0;
    }
    const Visit& piece = visits_[static_cast<std::size_t>(at_)];
    // Each piece as a sample of the whole: those with few labels weigh little.
    const double factor =
        static_cast<double>(visits_.size()) / (labels_.total * static_cast<double>(options_.batch));
    report.loss +=
        factor * visit(piece, key(0x64726f70, pass_).child(static_cast<std::uint64_t>(at_)), factor);
    report.cells += static_cast<std::int64_t>(piece.cells.size());
    report.where += concat(report.where.empty() ? "" : ", ", slices_[piece.slice].slice->name);
    ++at_;
  }
  report.epoch = static_cast<double>(number) / static_cast<double>(epoch_steps_);
  report.losses = {{"labels", report.loss}};
  epoch_loss_ += report.loss;
  return report;
}

inline FineTuneResult FineTuneRun::run() {
  nn::AdamW<float> optimizer(
      parameters_, {.learning_rate = options_.learning_rate, .weight_decay = options_.weight_decay});
  train::LoopOptions loop;
  loop.steps = steps();
  loop.schedule = {
      .learning_rate = options_.learning_rate, .warmup_steps = loop.steps / 10, .total_steps = loop.steps};
  loop.clip_norm = options_.clip_norm;
  loop.checkpoint_every = epoch_steps_;
  loop.validate_every = epoch_steps_;
  Notices notices;
  train::LoopHooks<float> hooks;
  hooks.step = [this](std::int64_t k) { return step(k); };
  hooks.validate = [](std::int64_t) { return nlohmann::json{{"epoch", true}}; };
  hooks.validated = [&](std::int64_t k, const nlohmann::json&) {
    // Not before the first step, nor again where a run is resumed after its last.
    if (k / epoch_steps_ <= static_cast<std::int64_t>(epochs_.size())) return;
    end_epoch(k);
    epochs_.back().learning_rate = nn::learning_rate_at(loop.schedule, k - 1);
    if (options_.after_epoch) options_.after_epoch(epochs_.back());
  };
  hooks.stop_signal = [this] { return stopped_ ? 1 : 0; };
  hooks.save_state = [this] { return state(); };
  hooks.load_state = [this](const nlohmann::json& s) { load_state(s); };
  hooks.notice = [&notices](const Notice& notice) { notices.push_back(notice); };

  std::optional<train::CheckpointDirectory> directory;
  std::optional<train::ResumePoint> resume;
  train::LoopOutputs outputs;
  if (!options_.checkpoints.empty()) {
    directory.emplace(options_.checkpoints);
    outputs.checkpoints = &*directory;
    outputs.config = config();
    outputs.data_sha256 = data_hash();
    resume = directory->load_newest();
    if (resume && !options_.resume)
      throw UsageError({"STOFM-4743", options_.checkpoints.string(), "checkpoints",
                        concat("a run of ", resume->checkpoint.step, " steps"), "an empty directory",
                        "Go on with FineTuneOptions::resume, or give another directory."});
    if (resume) {
      (void)train::check_same_run(*resume, outputs.config, outputs.data_sha256);
      notices.insert(notices.end(), resume->notices.begin(), resume->notices.end());
    }
  }
  if (!resume) start_from_probe();  // a checkpoint has what it made
  std::int64_t done = 0;
  if (resume && resume->checkpoint.state.value("/run/stopped"_json_pointer, false)) {
    train::load_checkpoint_tensors(resume->checkpoint, parameters_, optimizer);
    load_state(resume->checkpoint.state.at("run"));
    done = resume->checkpoint.step;
  } else {
    done = train::run_training<float>(parameters_, optimizer, loop, hooks, outputs,
                                      resume ? &resume->checkpoint : nullptr)
               .steps;
  }
  progress_.report("fine-tuning", steps(), steps(), "steps");
  FineTuneResult found = result(done);
  found.notices.insert(found.notices.end(), notices.begin(), notices.end());
  return found;
}

}  // namespace detail

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::fine_tune_classifier(const pipeline::Model& model,
                                              std::span<const LabelledSlice> slices,
                                              const std::vector<std::string>& classes,
                                              const FineTuneOptions& options,
                                              const pipeline::Progress& progress) -> FineTuneResult {
  return detail::FineTuneRun(model, slices, classes, options, progress).run();
}

}  // namespace stofm
#endif

#include "stofm/tasks/fine_tune_state.hpp"
