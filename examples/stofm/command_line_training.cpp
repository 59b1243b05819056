// SPDX-License-Identifier: MIT
#include "command_line_options.hpp"
#include "stofm/core/error.hpp"

namespace stofm::program {
namespace {

void add_files(CLI::App& app, TrainingArguments& a) {
  const char* group = "Input and output";
  app.add_option(
         "input", a.inputs,
         "Slices (.h5ad); patterns such as 'data/*.h5ad' are expanded; or a corpus (stofm corpus build)")
      ->type_name("INPUT")
      ->expected(0, 1000000)
      ->group(group);
  option(app, group, "--list", a.list, "Text file with one slice a line", "FILE");
  option(app, group, "-o,--output", a.output,
         "Directory of the run: checkpoints, log.jsonl, report.html, model.safetensors", "DIR")
      ->required();
  option(app, group, "-w,--weights", a.weights,
         "Bundle to start from, and whose genes are used (default: as for embed)", "FILE");
  option(app, group, "--cache", a.cache, "Directory where prepared slices are kept (default: in the run's)",
         "DIR");
  option(app, group, "--name", a.name, "Name in the model card (default: that of the directory)", "TEXT");
  auto* resume =
      flag(app, group, "--resume", a.resume,
           "Go on from the newest checkpoint, to the bit as if never stopped; start where there is none");
  flag(app, group, "--resume-older", a.resume_older,
       "The same, and a damaged newest checkpoint is passed over with a warning")
      ->excludes(resume);
  flag(app, group, "--force", a.force, "Go on although options or data differ from the checkpoint's");
  flag(app, group, "--skip-bad", a.skip_bad, "Leave out slices that can not be read, with a warning");
}

void add_model(CLI::App& app, TrainingArguments& a, const char* what) {
  const char* group = "Model";
  flag(app, group, "--from-scratch", a.from_scratch, what);
  option(app, group, "--config", a.config,
         "Sizes with --from-scratch: tiny, small, published, or a config.json", "NAME|FILE")
      ->capture_default_str();
  option(app, group, "--dropout", a.dropout, "All dropout rates (-1: those of the configuration)", "RATE")
      ->check(number_between(-1, 0.99, "-1 or a rate from 0 to 0.99"))
      ->capture_default_str();
}

void add_optimizer(CLI::App& app, TrainingArguments& a, const char* batch) {
  const char* group = "Optimisation (ours; the paper does not give them)";
  auto* steps =
      option(app, group, "--steps", a.steps, "Optimizer steps", "N")->check(integer(1, 1'000'000'000));
  option(app, group, "--epochs", a.epochs, "Passes over the training data, in place of --steps [3]", "NUMBER")
      ->check(number_between(1e-3, 1e6, "a number from 0.001 to 1e6"))
      ->excludes(steps);
  option(app, group, "--batch", a.batch, batch, "N")->check(integer(1, 100'000))->capture_default_str();
  option(app, group, "--learning-rate", a.learning_rate, "Highest rate of AdamW", "RATE")
      ->check(number_between(1e-12, 10, "a number above 0, 10 at most"))
      ->capture_default_str();
  option(app, group, "--final-learning-rate", a.final_learning_rate, "Rate at the end of the decay", "RATE")
      ->check(number_between(0, 10, "a number from 0 to 10"))
      ->capture_default_str();
  option(app, group, "--warmup", a.warmup, "Steps until the highest rate (-1: a twentieth of all)", "N")
      ->check(integer(-1, 1'000'000'000))
      ->capture_default_str();
  option(app, group, "--schedule", a.schedule, "Decay after the warm-up", "cosine|linear|constant")
      ->check(one_of({"cosine", "linear", "constant"}))
      ->capture_default_str();
  option(app, group, "--weight-decay", a.weight_decay, "Decoupled decay; not on biases and norms", "RATE")
      ->check(number_between(0, 100, "a number from 0 to 100"))
      ->capture_default_str();
  option(app, group, "--clip", a.clip, "Largest global gradient norm (0: no clipping)", "NORM")
      ->check(number_between(0, 1e9, "a number from 0 to 1e9"))
      ->capture_default_str();
}

void add_run(CLI::App& app, TrainingArguments& a) {
  const char* group = "Running";
  add_device(app, a.device);
  add_dtype(app, group, a.dtype, "Grade of the matrix products on a GPU");
  option(
      app, group, "--validation", a.validation,
      "Held-out slices: a share of them, or their names, comma between; 0: none [0.1; of a corpus: its own]",
      "SHARE|NAMES");
  option(app, group, "--validate-every", a.validate_every, "Steps between validations (0: 20 in a run)", "N")
      ->check(integer(0, 1'000'000'000))
      ->capture_default_str();
  option(app, group, "--checkpoint-every", a.checkpoint_every, "Steps between checkpoints (0: 20 in a run)",
         "N")
      ->check(integer(0, 1'000'000'000))
      ->capture_default_str();
  option(app, group, "--keep", a.keep, "Checkpoints kept", "N")
      ->check(integer(2, 1'000'000))
      ->capture_default_str();
  option(app, group, "--max-memory", a.max_memory,
         "Memory for prepared slices: 8G, 500M, 60% (default: half of what is free)", "SIZE");
}

void refuse(const std::string& option_name, const std::string& found, const std::string& expected,
            const std::string& remedy) {
  throw UsageError({"STOFM-2004", "", option_name, found, expected, remedy});
}

void check_run(const char* verb, const TrainingArguments& a) {
  if (a.inputs.empty() && a.list.empty())
    throw UsageError({"STOFM-2003", "", verb, "no slice", "INPUT or --list FILE",
                      concat("See 'stofm ", verb, " --help'.")});
  if (a.final_learning_rate > a.learning_rate)
    refuse("--final-learning-rate", concat(a.final_learning_rate),
           concat("at most --learning-rate ", a.learning_rate), "Lower it.");
  if (a.steps > 0 && a.warmup > a.steps)
    refuse("--warmup", concat(a.warmup), concat("at most --steps ", a.steps), "Lower it.");
}

}  // namespace

void add_pretrain(CLI::App& app, PretrainArguments& a) {
  a.run.batch = 4;
  a.run.learning_rate = 5e-4;
  add_files(app, a.run);
  add_model(app, a.run, "Random weights of the SE(2) Transformer in place of those of the bundle");
  const char* task = "What is learnt";
  option(app, task, "--features", a.features,
         "Cell features: the frozen cell encoder of the bundle, projected log counts, or principal "
         "components of each slice (ours)",
         "encoder|linear|pca")
      ->check(one_of({"encoder", "linear", "pca"}))
      ->capture_default_str();
  option(app, task, "--joint-after", a.joint_after,
         "Step from which the cell encoder is trained too (-1: it stays frozen)", "STEP")
      ->check(integer(-1, 1'000'000'000))
      ->capture_default_str();
  const auto share = [&](const char* name, double& value, const char* what) {
    option(app, task, name, value, what, "SHARE")
        ->check(number_between(0, 1, "a share from 0 to 1"))
        ->capture_default_str();
  };
  share("--mask", a.mcm_masked, "Cells masked and predicted");
  share("--mask-kept", a.mcm_kept, "Cells visible and predicted");
  share("--move", a.pdr_moved, "Cells moved, their distances predicted");
  share("--move-kept", a.pdr_kept, "Cells not moved, their distances predicted");
  option(app, task, "--move-sigma", a.pdr_sigma, "How far: sigma in units of the mean cell spacing", "FACTOR")
      ->check(number_between(0, 1000, "a number from 0 to 1000"))
      ->capture_default_str();
  option(app, task, "--mcm-weight", a.mcm_weight, "Weight of the masked cell loss (ours)", "WEIGHT")
      ->check(number_between(0, 1e6, "a number from 0 to 1e6"))
      ->capture_default_str();
  option(app, task, "--pdr-weight", a.pdr_weight, "Weight of the distance loss (ours)", "WEIGHT")
      ->check(number_between(0, 1e6, "a number from 0 to 1e6"))
      ->capture_default_str();
  option(
      app, task, "--masked-input", a.masked_input,
      "Input layer: rows that sum to zero, so that the -100s of a masked cell cancel (neutral), or as they "
      "are (plain); auto: neutral from scratch, or if they do already (ours)",
      "auto|neutral|plain")
      ->check(one_of({"auto", "neutral", "plain"}))
      ->capture_default_str();
  option(
      app, task, "--flip-signs", a.flip_signs,
      "Columns of the cell features change sign from visit to visit, so that what is learnt holds for panels "
      "that are not in the training data; auto: where features are about the mean of their slice (ours)",
      "auto|on|off")
      ->check(one_of({"auto", "on", "off"}))
      ->capture_default_str();
  add_optimizer(app, a.run, "Pieces (sub-slices) in a step");
  option(
      app, "Optimisation (ours; the paper does not give them)", "--pieces-per-slice", a.pieces_per_slice,
      "Pieces of every slice in an epoch, so that large slices do not drown small ones (0: each piece once)",
      "N")
      ->check(integer(0, 1'000'000'000))
      ->capture_default_str();
  add_run(app, a.run);
  add_slice(app, a.run.slice, true, true);
  add_geometry(app, a.run.geometry);
}

void add_adapt(CLI::App& app, AdaptArguments& a) {
  a.run.batch = 128;
  a.run.learning_rate = 5e-4;
  add_files(app, a.run);
  add_model(app, a.run, "Random weights of the cell encoder in place of those of the bundle");
  const char* task = "What is learnt (ours; the paper gives the two losses only)";
  option(app, task, "--mask", a.mask_rate, "Share of the genes of a cell that are predicted", "SHARE")
      ->check(number_between(0, 1, "a share from 0 to 1"))
      ->capture_default_str();
  option(app, task, "--view-dropout", a.view_dropout,
         "Largest share of the genes left out of a view of a cell", "SHARE")
      ->check(number_between(0, 0.95, "a share from 0 to 0.95"))
      ->capture_default_str();
  option(app, task, "--temperature", a.temperature, "Of the contrastive loss", "NUMBER")
      ->check(number_between(1e-3, 100, "a number from 0.001 to 100"))
      ->capture_default_str();
  option(app, task, "--mask-weight", a.mgm_weight, "Weight of the masked gene loss", "WEIGHT")
      ->check(number_between(0, 1e6, "a number from 0 to 1e6"))
      ->capture_default_str();
  option(app, task, "--contrastive-weight", a.contrastive_weight, "Weight of the contrastive loss", "WEIGHT")
      ->check(number_between(0, 1e6, "a number from 0 to 1e6"))
      ->capture_default_str();
  option(app, task, "--max-tokens", a.max_tokens, "Genes of a cell (0: as the configuration has positions)",
         "N")
      ->check(integer(0, 1'000'000))
      ->capture_default_str();
  add_optimizer(app, a.run, "Cells in a step");
  add_run(app, a.run);
  add_slice(app, a.run.slice, true, false);
  option(app, "Running", "--seed", a.run.geometry.seed, "Seed of everything that is drawn", "N")
      ->check(integer(0, INT64_MAX))
      ->capture_default_str();
}

void check_training(const Arguments& a) {
  if (a.verb == Verb::adapt) check_run("adapt", a.adapt.run);
  if (a.verb != Verb::pretrain) return;
  check_run("pretrain", a.pretrain.run);
  if (a.pretrain.joint_after >= 0 && a.pretrain.features != "encoder")
    refuse("--joint-after", concat("it together with --features ", a.pretrain.features), "--features encoder",
           "There is no encoder to train.");
}

}  // namespace stofm::program
