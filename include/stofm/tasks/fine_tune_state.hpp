// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How an epoch of fine-tuning is judged, what a checkpoint holds, and what comes out at the end. Part of
/// tasks/fine_tune_run.hpp, which includes it.

#include "stofm/tasks/fine_tune_run.hpp"

namespace stofm::tasks::detail {

/// Validation figures of the weights as they are.
inline void FineTuneRun::judge(FineTuneEpoch& epoch) const {
  std::optional<model::Se2Encoder<float>> encoder;
  if (states_.empty()) encoder.emplace(model_.se2->config(), parameters_.values("se2/"));
  std::vector<std::int32_t> truth, predicted;
  double loss = 0, weights = 0;
  const auto present = static_cast<std::int64_t>(labels_.present.size());
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(present));
  std::iota(numbers.begin(), numbers.end(), 0);
  for (std::size_t s = 0; s < slices_.size(); ++s) {
    const train::PreparedSlice& slice = *slices_[s].slice;
    std::vector<std::uint8_t> wanted;
    for (const auto& frame : slice.frames)
      for (const auto& piece : frame.pieces)
        wanted.push_back(std::any_of(piece.begin(), piece.end(), [&](std::int64_t cell) {
          return labels_
                     .validation[s][static_cast<std::size_t>(frame.cells[static_cast<std::size_t>(cell)])] >=
                 0;
        }));
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < labels_.validation[s].size(); ++i)
      if (labels_.validation[s][i] >= 0) rows.push_back(static_cast<std::int64_t>(i));
    if (rows.empty()) continue;
    const Tensor<float> states = states_.empty() ? slice_states(*encoder, slice, wanted) : states_[s];
    const Tensor<double> p =
        head_probabilities(*head_, pipeline::detail::gather_rows(states, rows),
                           scaled_cells(slice.features, cell_mean_, cell_scale_, rows), present, numbers);
    const auto best = most_probable(std::as_const(p).view());
    predicted.insert(predicted.end(), best.begin(), best.end());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::int32_t t = labels_.validation[s][static_cast<std::size_t>(rows[i])];
      const double w = labels_.weight[static_cast<std::size_t>(t)];
      truth.push_back(t);
      loss -= w * std::log((std::max)(p.data()[static_cast<std::int64_t>(i) * present + t], 1e-300));
      weights += w;
    }
  }
  const ClassificationScores scores = classification_scores(truth, predicted, present);
  epoch.validation_loss = loss / weights;
  epoch.validation_accuracy = scores.accuracy;
  epoch.validation_macro_f1 = scores.macro_f1;
}

inline void FineTuneRun::keep_best() {
  for (auto* parameter : parameters_.list())
    if (parameter->name().starts_with("best/")) {
      const Tensor<float>& now = parameters_.at(parameter->name().substr(5)).value();
      std::copy_n(now.data(), now.numel(), parameter->changing().data());
    }
}

inline void FineTuneRun::end_epoch(std::int64_t step) {
  FineTuneEpoch epoch;
  epoch.epoch = step / epoch_steps_;
  epoch.loss = epoch_loss_ / static_cast<double>(epoch_steps_);
  epoch.learning_rate = 0;
  epoch_loss_ = 0;
  if (labels_.judged > 0) {
    judge(epoch);
    // Of epochs that do not differ by more than their standard error the last: its rate is the lowest.
    double highest = epoch.validation_macro_f1;
    for (const FineTuneEpoch& e : epochs_) highest = (std::max)(highest, e.validation_macro_f1);
    const double error = std::sqrt(highest * (1 - highest) / static_cast<double>(labels_.judged));
    if (epoch.validation_macro_f1 >= highest - error) {
      best_ = epoch.epoch;
      keep_best();
    }
    stopped_ = options_.patience > 0 && epoch.epoch - best_ >= options_.patience;
  } else {
    best_ = epoch.epoch;
  }
  epochs_.push_back(epoch);
}

/// NaN as null, and back.
inline nlohmann::json number_json(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}
inline double number_from(const nlohmann::json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

inline nlohmann::json FineTuneRun::config() const {
  return {{"model", model_identity(model_)},
          {"classes", classes_},
          {"tune", static_cast<int>(options_.tune)},
          {"layers", options_.layers},
          {"hidden", options_.head.hidden},
          {"activation", static_cast<int>(options_.head.activation)},
          {"dropout", options_.head.dropout},
          {"class-weights", static_cast<int>(options_.class_weights)},
          {"epochs", options_.epochs},
          {"epoch-steps", epoch_steps_},
          {"batch", options_.batch},
          {"split", options_.split},
          {"cut-anew", options_.cut_anew},
          {"learning-rate", options_.learning_rate},
          {"weight-decay", options_.weight_decay},
          {"clip", options_.clip_norm},
          {"validation", options_.validation},
          {"patience", options_.patience},
          {"seed", options_.seed}};
}

/// Of features, places, pieces and labels.
inline std::string FineTuneRun::data_hash() const {
  io::Sha256 hash;
  const auto add = [&hash](const auto* data, auto count) {
    hash.update(data, static_cast<std::size_t>(count) * sizeof(*data));
  };
  for (const LabelledSlice& labelled : slices_) {
    const train::PreparedSlice& slice = *labelled.slice;
    hash.update(concat(slice.cells(), " ", static_cast<int>(slice.sub_slice_options.geometry), "\n"));
    add(slice.features.data(), slice.features.numel());
    add(labelled.labels.data(), labelled.labels.size());
    for (const train::PreparedFrame& frame : slice.frames) {
      add(frame.cells.data(), frame.cells.size());
      add(frame.xy.data(), frame.xy.numel());
      add(frame.virtual_xy.data(), frame.virtual_xy.numel());
      add(frame.virtual_features.data(), frame.virtual_features.numel());
      for (const auto& piece : frame.pieces) add(piece.data(), piece.size());
    }
  }
  return hash.hex();
}

inline nlohmann::json FineTuneRun::state() const {
  nlohmann::json epochs = nlohmann::json::array();
  for (const FineTuneEpoch& e : epochs_)
    epochs.push_back({e.epoch, e.loss, e.learning_rate, number_json(e.validation_loss),
                      number_json(e.validation_accuracy), number_json(e.validation_macro_f1)});
  return {{"pass", pass_}, {"at", at_},           {"epoch_loss", epoch_loss_},
          {"best", best_}, {"stopped", stopped_}, {"epochs", epochs}};
}

inline void FineTuneRun::load_state(const nlohmann::json& state) {
  pass_ = state.at("pass").get<std::int64_t>();
  at_ = state.at("at").get<std::int64_t>();
  visits_ = pass(pass_);
  epoch_loss_ = state.at("epoch_loss").get<double>();
  best_ = state.at("best").get<std::int64_t>();
  stopped_ = state.at("stopped").get<bool>();
  epochs_.clear();
  for (const nlohmann::json& e : state.at("epochs"))
    epochs_.push_back({e.at(0).get<std::int64_t>(), e.at(1).get<double>(), e.at(2).get<double>(),
                       number_from(e.at(3)), number_from(e.at(4)), number_from(e.at(5))});
}

inline FineTuneResult FineTuneRun::result(std::int64_t steps) {
  FineTuneResult result;
  const std::string best = labels_.judged > 0 ? "best/" : "";
  const auto value = [&](const std::string& name) {
    const std::string kept = best + name;
    return parameters_.at(parameters_.contains(kept) ? kept : name).value().clone();
  };
  Classifier& c = result.classifier;
  c.kind = ClassifierKind::fine_tuned;
  c.classes = classes_;
  c.present = labels_.present;
  c.input = options_.input;
  c.model_identity = model_identity(model_);
  c.model_name = model_.file;
  c.se2_config = model_.se2->config();
  for (const auto& [name, tensor] : model_.se2->parameters()) c.se2.emplace(name, value("se2/" + name));
  for (const char* name : {"hidden.weight", "hidden.bias", "output.weight", "output.bias", "direct.weight"})
    c.head.emplace(name, value(std::string("head/") + name));
  c.head.emplace("cell_mean", cell_mean_);
  c.head.emplace("cell_scale", cell_scale_);
  c.head_options = options_.head;
  result.epochs = epochs_;
  result.best_epoch = best_;
  result.labelled = labels_.labelled;
  result.validation_cells = labels_.judged;
  result.steps = steps;
  result.stopped_early = stopped_;
  result.class_weight.assign(classes_.size(), 0.0);
  for (std::size_t i = 0; i < labels_.present.size(); ++i)
    result.class_weight[static_cast<std::size_t>(labels_.present[i])] = labels_.weight[i];
  result.notices.insert(result.notices.begin(), labels_.notices.begin(), labels_.notices.end());
  return result;
}

}  // namespace stofm::tasks::detail
