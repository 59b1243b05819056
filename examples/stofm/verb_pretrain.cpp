// SPDX-License-Identifier: MIT
/// \file
/// `stofm pretrain`: slices are prepared once, then pieces of them are masked, moved and learnt from.

#include <algorithm>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "console.hpp"
#include "device.hpp"
#include "model_bundle.hpp"
#include "processes.hpp"
#include "resources.hpp"
#include "signals.hpp"
#include "stofm/distributed/gradient_reducer.hpp"
#include "stofm/io/sha256.hpp"
#include "stofm/pipeline/model_config.hpp"
#include "stofm/tasks/pretraining_components.hpp"
#include "stofm/train/masked_input.hpp"
#include "stofm/train/pretrain.hpp"
#include "stofm/train/pretrain_joint.hpp"
#include "stofm/train/pretrain_validation.hpp"
#include "training_config.hpp"
#include "training_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

/// Pieces are shuffled within groups of slices of about this size, whatever the memory: it is part of the
/// run.
constexpr std::int64_t window_bytes = std::int64_t{1} << 30;

struct PretrainStart {
  io::Bundle bundle;  ///< genes and cell encoder as they are; the SE(2) half is replaced at the end
  train::CellFeatures features;
  nlohmann::json se2_json;
  model::Se2Config se2;
  std::string sha256;
  bool centred = false;  ///< features of the encoder are about the mean of their slice
};

PretrainStart load_start(const PretrainArguments& a) {
  PretrainStart start;
  const std::string path = find_weights(a.run.weights);
  start.sha256 = io::sha256_file(path);
  start.bundle = io::read_bundle(path);
  const bool linear = a.features == "linear", components = a.features == "pca";
  if (linear) {  // the cell encoder has no part in it
    start.bundle.cell_encoder.clear();
    start.bundle.cell_encoder_config = nullptr;
  }
  if (!a.run.from_scratch && !start.bundle.has_se2())
    throw UsageError({"STOFM-2063", path, "--weights", "a bundle without an SE(2) Transformer",
                      "one to start from", "Give --from-scratch, or another bundle."});
  // Components from scratch are as wide as the cell encoder, so that both halves of the bundle fit.
  const auto encoder_output = start.bundle.cell_encoder.find("proj.weight");
  const std::int64_t given =
      start.bundle.has_se2() && !a.run.from_scratch
          ? pipeline::parse_se2_config(start.bundle.se2_config, path + ": se2_config").input_dim
      : encoder_output != start.bundle.cell_encoder.end() && encoder_output->second.rank() == 2
          ? encoder_output->second.dim(0)
          : 256;
  if (linear || components) {
    auto genes = std::make_shared<pipeline::GeneTable>(
        pipeline::GeneTable::parse(start.bundle.gene_table, path + ": genes/table"));
    auto mouse = std::make_shared<pipeline::MouseMap>();
    if (!start.bundle.mouse_to_human.empty())
      *mouse =
          pipeline::MouseMap::parse(start.bundle.mouse_to_human, *genes, path + ": genes/mouse_to_human");
    start.features =
        components
            ? tasks::component_features(genes, mouse, given, a.run.geometry.seed)
            : train::linear_gene_features(
                  genes, mouse, io::sha256_hex(start.bundle.gene_table + "\n" + start.bundle.mouse_to_human),
                  {.width = given, .seed = a.run.geometry.seed});
  } else {
    io::Bundle encoder = start.bundle;
    encoder.se2.clear();
    encoder.se2_config = nullptr;
    const pipeline::Model model = pipeline::load_model(encoder, {.file = path});
    start.centred = model.cell_encoder->config().center_per_slice;
    start.features = train::encoder_features(model, start.sha256);
  }
  start.se2_json =
      a.run.from_scratch ? named_se2_config(a.run.config, start.features.width) : start.bundle.se2_config;
  start.se2 =
      pipeline::parse_se2_config(start.se2_json, a.run.from_scratch ? "--config" : path + ": se2_config");
  if (a.run.dropout >= 0) {
    start.se2.dropout = start.se2.attention_dropout = start.se2.activation_dropout = a.run.dropout;
    for (const char* key : {"dropout", "attention_dropout", "activation_dropout"})
      start.se2_json[key] = a.run.dropout;
  }
  if (start.se2.input_dim != start.features.width)
    throw UsageError({"STOFM-2064", path, "/input_dim", concat(start.se2.input_dim),
                      concat(start.features.width, ", the width of the cell features"),
                      "Set input_dim of the configuration to it."});
  return start;
}

/// Whether columns of the features change sign: only what is centred has a sign that says nothing.
bool flips_signs(const PretrainArguments& a, const PretrainStart& start) {
  if (a.flip_signs != "auto") return a.flip_signs == "on";
  return a.features == "pca" || (a.features == "encoder" && start.centred);
}

nlohmann::json own_config(const PretrainArguments& a, const PretrainStart& start) {
  return {{"features", a.features},     {"weights-sha256", start.sha256}, {"model", start.se2_json},
          {"mask", a.mcm_masked},       {"mask-kept", a.mcm_kept},        {"move", a.pdr_moved},
          {"move-kept", a.pdr_kept},    {"move-sigma", a.pdr_sigma},      {"mcm-weight", a.mcm_weight},
          {"pdr-weight", a.pdr_weight}, {"joint-after", a.joint_after}};
}

int pretrain(const Arguments& arguments, distributed::Communicator& ranks) {
  const PretrainArguments& a = arguments.pretrain;
  Console& console = Console::get();
  ComputeDevice where = choose_device(a.run.device, ranks.rank());
  const TrainingSlices slices = training_slices(a.run);
  TrainingRun run("pretrain", arguments, a.run, ranks);
  PretrainStart start = load_start(a);
  console.say(concat("cell features: ", start.features.name, " (", find_weights(a.run.weights), ")"));

  const bool joint = a.joint_after >= 0;
  if (joint && start.centred)
    throw UsageError({"STOFM-2069", find_weights(a.run.weights), "--joint-after",
                      "it together with a cell encoder whose embeddings are about the mean of their slice",
                      "a bundle without center_per_slice", "Leave it out: the cell encoder stays frozen."});
  train::CorpusOptions corpus_options = run.corpus_options();
  corpus_options.prepare.keep_tokens = joint;
  corpus_options.known = slices.known;
  train::Corpus corpus(slices.files, start.features, training_reader(a.run), corpus_options,
                       pipeline::Progress([&console](const pipeline::ProgressEvent& event) {
                         console.progress(event.stage, event.done, event.total, event.unit);
                       }));
  std::vector<std::filesystem::path> opened;
  for (const train::CorpusEntry& entry : corpus.entries()) opened.push_back(entry.path);
  const train::DataSplit split = training_split(slices, opened, a.run);
  say_corpus(corpus, split);

  const train::MaskingOptions masking{a.mcm_masked, a.mcm_kept, a.pdr_moved, a.pdr_kept, a.pdr_sigma};
  const std::uint64_t seed = a.run.geometry.seed;
  if (a.run.batch % ranks.size() != 0)
    throw UsageError({"STOFM-2065", "", "--batch", concat(a.run.batch),
                      concat("a multiple of the ", ranks.size(), " processes"),
                      "The batch is that of all processes together."});
  train::CorpusSampler sampler(corpus.pieces_of(split.training), {.seed = seed,
                                                                  .batch = a.run.batch / ranks.size(),
                                                                  .rank = ranks.rank(),
                                                                  .ranks = ranks.size(),
                                                                  .window_bytes = window_bytes,
                                                                  .pieces_per_slice = a.pieces_per_slice});
  const double pieces = static_cast<double>(sampler.pieces_per_epoch());
  const train::LoaderOptions loading{.masking = masking,
                                     .masking_seed = seed,
                                     .ahead = std::max<std::int64_t>(4, 2 * a.run.batch),
                                     .flip_signs = flips_signs(a, start),
                                     .keep_slices = joint};
  train::CorpusLoader loader(corpus, sampler, loading);
  const train::LoopOptions loop = run.loop_options(pieces / static_cast<double>(a.run.batch));

  autograd::ParameterSet<float> parameters = train::pretraining_parameters(
      start.se2, a.run.from_scratch ? model::NamedTensors<float>{} : start.bundle.se2, seed);
  if (a.run.from_scratch || !start.bundle.se2.contains("pair_head.2.bias")) {
    std::vector<train::LoadedPiece> first;
    const auto order = sampler.epoch_order(0);
    for (std::size_t i = 0; i < std::min<std::size_t>(order.size(), 4); ++i)
      first.push_back(train::load_piece(corpus, order[i], loading));
    train::start_pair_head(parameters, first);
  }
  model::CellEncoderConfig encoder_config;
  std::optional<model::CellEncoderTrainer<float>> encoder;
  if (joint) {
    encoder_config =
        pipeline::parse_cell_encoder_config(start.bundle.cell_encoder_config, "cell_encoder_config");
    encoder_config.projection_dim = start.features.width;
    train::add_joint_parameters(parameters, encoder_config, start.bundle.cell_encoder);
    encoder.emplace(encoder_config, parameters, "cell_encoder/");
  }
  nn::AdamW<float> optimizer(parameters,
                             {.learning_rate = a.run.learning_rate, .weight_decay = a.run.weight_decay});
  train::PretrainStep step(
      start.se2, parameters,
      {.masking = masking, .mcm_weight = a.mcm_weight, .pdr_weight = a.pdr_weight, .seed = seed});
  distributed::GradientReducer<float> reducer(ranks, parameters);
  train::PretrainValidation validation(corpus, split.validation, masking);

  train::LoopHooks<float> hooks;
  if (ranks.size() > 1) {
    step.sum_over_processes = [&ranks](std::vector<double>& numbers) {
      ranks.all_reduce_sum(std::span<double>(numbers));
    };
    step.before_last_backward = [&reducer](autograd::Tape<float>& tape) { reducer.attach(tape); };
    step.after_last_backward = [&reducer] { reducer.finish(); };
  }
  std::optional<DevicePretrain> on_device;  // once the parameters are what they start from
  if (joint)
    hooks.begin_step = [&](std::int64_t k) {
      const bool thawed = k > a.joint_after;
      train::thaw_joint_parameters(parameters, thawed);
      if (on_device) on_device->joint_stage(thawed);
      if (thawed && !step.node_features)
        step.node_features = [&](autograd::Tape<float>& tape, const train::LoadedPiece& piece) {
          return train::joint_features(tape, piece, *encoder, {.seed = seed});
        };
    };
  // A device is given the batch of the next step while it computes this one. What is saved is the position
  // behind the steps that were done; what drawing ahead throws belongs to the step that would have drawn.
  std::unique_ptr<const train::TrainingBatch> ahead;
  std::exception_ptr failed_ahead;
  train::SamplerPosition done = loader.position();
  const auto draw = [&loader] { return std::make_unique<const train::TrainingBatch>(loader.next()); };
  const std::function<const train::TrainingBatch*()> draw_ahead = [&] {
    try {
      ahead = draw();
    } catch (...) {
      failed_ahead = std::current_exception();
    }
    return ahead.get();
  };
  hooks.step = [&](std::int64_t k) {
    if (failed_ahead) std::rethrow_exception(std::exchange(failed_ahead, nullptr));
    const std::unique_ptr<const train::TrainingBatch> drawn = ahead ? std::move(ahead) : draw();
    const train::TrainingBatch& batch = *drawn;
    done = batch.end;
    train::StepReport report =
        on_device ? on_device->run(batch, k < loop.steps ? draw_ahead : nullptr) : step.run(batch);
    report.epoch = static_cast<double>(batch.end.epoch) + static_cast<double>(batch.end.index) / pieces;
    for (std::size_t i = 0; i < batch.pieces.size() && i < 4; ++i)
      report.where += concat(i == 0 ? "" : ", ",
                             corpus.entries()[static_cast<std::size_t>(batch.pieces[i].ref.slice)].name,
                             " piece ", batch.pieces[i].ref.piece);
    return report;
  };
  hooks.save_state = [&done] { return nlohmann::json{{"epoch", done.epoch}, {"index", done.index}}; };
  hooks.load_state = [&](const nlohmann::json& state) {
    done = {state.at("epoch").get<std::int64_t>(), state.at("index").get<std::int64_t>()};
    loader.restore(done);
  };
  if (validation.pieces() > 0)
    hooks.validate = [&](std::int64_t) {
      train::ValidationSums sums = validation.evaluate(
          on_device ? on_device->judge : train::judged_model(step), ranks.rank(), ranks.size());
      if (ranks.size() > 1) {
        std::vector<double> numbers = sums.numbers();
        ranks.all_reduce_sum(std::span<double>(numbers));
        sums = train::ValidationSums::from_numbers(numbers);
      }
      return sums.figures();
    };

  autograd::Parameter<float>& input = parameters.at("se2/embedding_layer.weight");
  const bool neutral =
      a.masked_input == "neutral" ||
      (a.masked_input == "auto" && (a.run.from_scratch || train::has_neutral_rows(input.value())));
  if (neutral) train::neutralise_rows(input);
  on_device =
      pretrain_on(where, start.se2, parameters, optimizer,
                  {{.masking = masking, .mcm_weight = a.mcm_weight, .pdr_weight = a.pdr_weight, .seed = seed},
                   a.run.dtype == "bfloat16" ? DevicePrecision::bfloat16 : DevicePrecision::float32_grade,
                   neutral,
                   joint ? std::optional(encoder_config) : std::nullopt,
                   {.seed = seed}},
                  ranks);
  if (on_device) {
    hooks.engine = on_device->engine;
  } else if (neutral) {
    hooks.reduce_gradients = [&input, reduce = hooks.reduce_gradients](autograd::ParameterSet<float>& all) {
      if (reduce) reduce(all);
      train::project_gradient_rows(input);
    };
    hooks.after_update = [&input](std::int64_t) { train::neutralise_rows(input); };
  }

  nlohmann::json config = run.config(loop);
  config.update(own_config(a, start));
  if (a.pieces_per_slice > 0) config["pieces-per-slice"] = a.pieces_per_slice;  // not in older checkpoints
  if (loading.flip_signs) config["flip-signs"] = true;                          // as this
  config["masked-input"] = neutral ? "neutral" : "plain";
  config["validation"] = slice_names(corpus, split.validation);
  const train::LoopResult result = run.train(parameters, optimizer, loop, hooks, config, corpus.identity());
  if (loader.skipped().total() > 0)
    console.warn(concat(loader.skipped().total(),
                        " pieces were passed over: ", loader.skipped().too_few_cells, " with too few cells, ",
                        loader.skipped().nothing_labelled, " without a pair to predict"));
  start.bundle.se2 = parameters.values("se2/");
  start.bundle.se2_config = start.se2_json;
  for (const auto& [name, tensor] : parameters.values("cell_encoder/"))
    start.bundle.cell_encoder.insert_or_assign(name, tensor);
  if (joint) start.bundle.learnt_genes.clear();  // others were learnt besides
  return run.finish(result, std::move(start.bundle), config,
                    {{"cell_features", start.features.name},
                     {"data", slice_names(corpus, split.training)},
                     {"held_out_slices", slice_names(corpus, split.validation)},
                     {"data_sha256", corpus.identity()}});
}

}  // namespace

int run_pretrain(const Arguments& arguments) {
  const auto ranks = start_processes();
  return distributed::guard_rank(*ranks, [&] { return pretrain(arguments, *ranks); });
}

}  // namespace stofm::program
