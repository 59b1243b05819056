// SPDX-License-Identifier: MIT
/// \file
/// `stofm adapt`: the cell encoder learns the genes of slices (hidden genes, two views of a cell).

#include <algorithm>
#include <filesystem>

#include "console.hpp"
#include "device.hpp"
#include "processes.hpp"
#include "resources.hpp"
#include "slice_input.hpp"
#include "stofm/distributed/gradient_reducer.hpp"
#include "stofm/io/sha256.hpp"
#include "stofm/pipeline/model_config.hpp"
#include "stofm/train/adapt.hpp"
#include "training_config.hpp"
#include "training_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

constexpr std::int64_t projection = 256;       ///< width of a cell embedding from scratch: that of the paper
constexpr std::int64_t held_out_batches = 16;  ///< at most, spread over the held-out cells

struct AdaptStart {
  io::Bundle bundle;
  std::shared_ptr<const pipeline::GeneTable> genes;
  std::shared_ptr<const pipeline::MouseMap> mouse;
  model::CellEncoderConfig config;
  std::string sha256;
};

AdaptStart load_start(const TrainingArguments& a) {
  AdaptStart start;
  const std::string path = find_weights(a.weights);
  start.sha256 = io::sha256_file(path);
  start.bundle = io::read_bundle(path);
  io::Bundle& bundle = start.bundle;
  bundle.learnt_genes.clear();  // others are learnt from here on
  start.genes = std::make_shared<pipeline::GeneTable>(
      pipeline::GeneTable::parse(bundle.gene_table, path + ": genes/table"));
  auto mouse = std::make_shared<pipeline::MouseMap>();
  if (!bundle.mouse_to_human.empty())
    *mouse = pipeline::MouseMap::parse(bundle.mouse_to_human, *start.genes, path + ": genes/mouse_to_human");
  start.mouse = std::move(mouse);
  if (a.from_scratch) {  // what is left of the bundle are its genes
    bundle.cell_encoder.clear();
    bundle.se2.clear();
    bundle.se2_config = nullptr;
    bundle.cell_encoder_config = named_cell_encoder_config(a.config, start.genes->vocabulary_size());
  }
  if (!bundle.has_cell_encoder())
    throw UsageError({"STOFM-2063", path, "--weights", "a bundle without a cell encoder", "one to start from",
                      "Give --from-scratch, or another bundle."});
  if (a.dropout >= 0)
    for (const char* key : {"hidden_dropout_prob", "attention_probs_dropout_prob"})
      bundle.cell_encoder_config[key] = a.dropout;
  start.config = pipeline::parse_cell_encoder_config(
      bundle.cell_encoder_config, a.from_scratch ? "--config" : path + ": cell_encoder_config");
  const auto weight = bundle.cell_encoder.find("proj.weight");
  start.config.projection_dim = weight == bundle.cell_encoder.end() ? projection : weight->second.dim(0);
  return start;
}

std::string data_hash(const TrainingSlices& slices) {
  std::string all;
  for (const auto& file : slices.files) all += train::file_hash(file, slices.known.get()) + "\n";
  return io::sha256_hex(all);
}

nlohmann::json names_of(const train::TokenCorpus* corpus) {
  nlohmann::json names = nlohmann::json::array();
  if (corpus != nullptr)
    for (const auto& entry : corpus->entries()) names.push_back(train::slice_name(entry.path));
  return names;
}

/// Losses on held-out cells, without dropout, with the same hidden genes each time.
nlohmann::json evaluate(train::AdaptStep<float>& step, train::TokenCorpus& corpus, std::int64_t cells,
                        distributed::Communicator& ranks) {
  train::CellBatches batches(corpus, {.cells = cells, .shuffle = false});
  const std::int64_t count = batches.batches_per_epoch(), take = std::min(count, held_out_batches);
  std::vector<double> sums(6);
  for (std::int64_t i = ranks.rank(); i < take; i += ranks.size()) {
    batches.restore({0, i * count / take});
    const train::AdaptLosses losses =
        step.evaluate(batches.next(), RandomKey{.seed = 0x76616c, .step = static_cast<std::uint64_t>(i)});
    const double values[] = {losses.genes,         losses.cells,         losses.gene_entropy,
                             losses.gene_accuracy, losses.cell_accuracy, 1};
    for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += values[k];
  }
  ranks.all_reduce_sum(std::span<double>(sums));
  return {{"genes_loss", sums[0] / sums[5]},
          {"genes_entropy", sums[2] / sums[5]},
          {"genes_accuracy", sums[3] / sums[5]},
          {"views_loss", sums[1] / sums[5]},
          {"views_accuracy", sums[4] / sums[5]}};
}

int adapt(const Arguments& arguments, distributed::Communicator& ranks) {
  const AdaptArguments& a = arguments.adapt;
  Console& console = Console::get();
  ComputeDevice where = choose_device(a.run.device, ranks.rank());
  const TrainingSlices slices = training_slices(a.run);
  const std::vector<std::filesystem::path>& files = slices.files;
  TrainingRun run("adapt", arguments, a.run, ranks);
  AdaptStart start = load_start(a.run);
  const train::DataSplit split = training_split(slices, files, a.run);
  const auto open = [reader = training_reader(a.run, false)](const std::filesystem::path& path) {
    return reader.open(path);
  };
  const auto corpus_of = [&](const std::vector<std::int64_t>& which) {
    std::vector<std::filesystem::path> some;
    for (const std::int64_t i : which) some.push_back(files[static_cast<std::size_t>(i)]);
    train::TokenCorpusOptions options;
    const std::int64_t positions = start.config.max_position_embeddings;
    options.slices.max_tokens =
        a.max_tokens > 0 ? std::min(a.max_tokens, positions) : std::min<std::int64_t>(2048, positions);
    options.slices.mapping = gene_options(a.run.slice);
    options.memory = run.corpus_options().memory;
    options.skip_bad = a.run.skip_bad;
    options.known = slices.known;
    options.vocabulary = train::vocabulary_hash(start.bundle.gene_table, start.bundle.mouse_to_human);
    return std::make_unique<train::TokenCorpus>(some, open, start.genes, start.mouse, options);
  };
  const auto corpus = corpus_of(split.training);
  const auto held_out = split.validation.empty() ? nullptr : corpus_of(split.validation);
  console.say(concat(format_count(corpus->size()), " slices, ", format_count(corpus->cells()),
                     " cells to train on, ", split.validation.size(), " slices held out"));
  for (const Notice& notice : corpus->notices()) {
    if (notice.code.starts_with("STOFM-W45"))
      console.warn(notice.text, {{"code", notice.code}});
    else
      console.detail(notice.text, {{"code", notice.code}});
  }
  if (a.run.batch % ranks.size() != 0)
    throw UsageError({"STOFM-2065", "", "--batch", concat(a.run.batch),
                      concat("a multiple of the ", ranks.size(), " processes"),
                      "The batch is that of all processes together."});
  const std::uint64_t seed = a.run.geometry.seed;
  train::CellBatches batches(
      *corpus,
      {.seed = seed, .cells = a.run.batch / ranks.size(), .rank = ranks.rank(), .ranks = ranks.size()});
  const double per_epoch = static_cast<double>(batches.batches_per_epoch());
  const train::LoopOptions loop = run.loop_options(per_epoch);

  autograd::ParameterSet<float> parameters(
      train::adapt_parameters<float>(start.config, start.bundle.cell_encoder, {.seed = seed}));
  nn::AdamW<float> optimizer(parameters,
                             {.learning_rate = a.run.learning_rate, .weight_decay = a.run.weight_decay});
  train::AdaptOptions options;
  options.masking.chosen = a.mask_rate;
  options.views.least_kept = 1.0 - a.view_dropout;
  options.views.most_kept = 1.0 - a.view_dropout / 3.0;
  options.temperature = a.temperature;
  options.gene_weight = a.mgm_weight;
  options.cell_weight = a.contrastive_weight;
  train::AdaptStep<float> step(start.config, parameters, options);
  distributed::GradientReducer<float> reducer(ranks, parameters, {.combine = distributed::Combine::average});

  const auto on_device =
      adapt_on(where, start.config, parameters, optimizer, options,
               a.run.dtype == "bfloat16" ? DevicePrecision::bfloat16 : DevicePrecision::float32_grade, ranks);

  train::LoopHooks<float> hooks;
  if (on_device) hooks.engine = on_device->engine;
  hooks.step = [&](std::int64_t k) {
    const train::CellBatch batch = batches.next();
    RandomKey key{.seed = seed, .step = static_cast<std::uint64_t>(k)};
    if (ranks.size() > 1) {
      key = key.child(static_cast<std::uint64_t>(ranks.rank()));
      if (!on_device) reducer.attach(step.tape());
    }
    const train::AdaptLosses losses =
        on_device ? on_device->accumulate(batch, key) : step.accumulate(batch, key);
    if (on_device)
      on_device->average_gradients();
    else
      reducer.finish();  // before anything else is exchanged
    std::vector<double> numbers{losses.total, losses.genes, losses.cells, static_cast<double>(batch.size())};
    ranks.all_reduce_sum(std::span<double>(numbers));
    const double size = ranks.size();
    train::StepReport report;
    report.loss = numbers[0] / size;
    report.losses = {{"genes", numbers[1] / size}, {"views", numbers[2] / size}};
    report.cells = static_cast<std::int64_t>(numbers[3]);
    report.epoch =
        static_cast<double>(batch.epoch) + static_cast<double>(batches.position().batch) / per_epoch;
    report.where = train::slice_name(corpus->entries()[static_cast<std::size_t>(batch.slice)].path);
    return report;
  };
  hooks.save_state = [&batches] {
    return nlohmann::json{{"epoch", batches.position().epoch}, {"batch", batches.position().batch}};
  };
  hooks.load_state = [&batches](const nlohmann::json& state) {
    batches.restore({state.at("epoch").get<std::int64_t>(), state.at("batch").get<std::int64_t>()});
  };
  if (held_out)
    hooks.validate = [&](std::int64_t) {
      return evaluate(step, *held_out, a.run.batch / ranks.size(), ranks);
    };

  nlohmann::json config = run.config(loop);
  config.update({{"weights-sha256", start.sha256},
                 {"model", start.bundle.cell_encoder_config},
                 {"mask", a.mask_rate},
                 {"view-dropout", a.view_dropout},
                 {"temperature", a.temperature},
                 {"mask-weight", a.mgm_weight},
                 {"contrastive-weight", a.contrastive_weight},
                 {"max-tokens", a.max_tokens},
                 {"validation", names_of(held_out.get())}});
  const std::string hash = data_hash(slices);
  const train::LoopResult result = run.train(parameters, optimizer, loop, hooks, config, hash);
  start.bundle.cell_encoder = train::encoder_parameters(start.config, parameters);
  return run.finish(result, std::move(start.bundle), config,
                    {{"data", names_of(corpus.get())},
                     {"held_out_slices", names_of(held_out.get())},
                     {"data_sha256", hash}});
}

}  // namespace

int run_adapt(const Arguments& arguments) {
  const auto ranks = start_processes();
  return distributed::guard_rank(*ranks, [&] { return adapt(arguments, *ranks); });
}

}  // namespace stofm::program
