// SPDX-License-Identifier: MIT
#include "training_run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "console.hpp"
#include "resources.hpp"
#include "signals.hpp"
#include "slice_input.hpp"
#include "stofm/io/output_file.hpp"
#include "stofm/train/corpus_files.hpp"
#include "training_report.hpp"
#if defined(STOFM_WITH_HDF5)
#include "stofm/train/corpus_h5ad.hpp"
#include "stofm/version.hpp"
#endif

namespace stofm::program {
namespace {

namespace fs = std::filesystem;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string figures_text(const nlohmann::json& figures) {
  std::string text;
  for (const auto& [key, value] : figures.items())
    if (value.is_number_float() && key != "cells" && key != "pairs")
      text += concat(text.empty() ? "" : ", ", key, " ", format_number(value.get<double>(), 4));
  return text;
}

/// The command without what differs between a run and its resumption.
std::string command_text(const std::vector<std::string>& words) {
  std::string text = "stofm";
  for (std::size_t i = 1; i < words.size(); ++i)
    if (!words[i].starts_with("--resume") && words[i] != "--force") text += " " + words[i];
  return text;
}

}  // namespace

TrainingRun::TrainingRun(const char* verb, const Arguments& all, const TrainingArguments& a,
                         distributed::Communicator& ranks)
    : verb_(verb), all_(all), a_(a), ranks_(ranks), directory_(a.output) {
  const fs::path folder = directory_ / "checkpoints";
  const bool resume = a.resume || a.resume_older;
  if (ranks.is_first()) {
    std::error_code ignored;
    for (const char* name : {"model.safetensors", "report.html", "log.jsonl"})
      refuse_to_lose(directory_ / name);
    if (!resume &&
        (fs::exists(directory_ / "model.safetensors", ignored) || !train::list_checkpoints(folder).empty()))
      throw UsageError({"STOFM-2061", a.output, "--output", "a run that is there already", "a new directory",
                        "Give --resume to go on with it, or another --output."});
    checkpoints_.emplace(folder, train::CheckpointOptions{.keep = a.keep});
    remove_on_signal((folder / "lock").string());
    for (const fs::path& place : {directory_, corpus_options().cache}) clean_up_after_killed_runs(place);
    if (resume) resume_ = checkpoints_->load_newest(a.resume_older);
  }
  ranks.barrier();
  if (!ranks.is_first() && resume) resume_ = train::load_newest_checkpoint(folder, a.resume_older);
  if (!resume) return;
  Console& console = Console::get();
  if (!resume_) {
    console.say(concat("no checkpoint in ", folder.string(), " yet: starting from the first step"));
    return;
  }
  for (const Notice& notice : resume_->notices) console.warn(notice.text, {{"code", notice.code}});
  console.say(concat("resuming after step ", format_count(resume_->checkpoint.step), " (",
                     resume_->path.string(), ")"));
}

/// \throws UsageError if an output is a link, or one of the files that the run reads
void TrainingRun::refuse_to_lose(const fs::path& output) const {
  std::error_code ignored;
  if (fs::is_symlink(output, ignored))
    throw UsageError({"STOFM-3015", output.string(), "output", "a link", "a file of the run's own",
                      "Remove the link or give another --output directory."});
  std::vector<std::string> read = a_.inputs;
  read.push_back(find_weights(a_.weights));
  for (const std::string& file : {a_.list, a_.slice.spatial_csv, a_.from_scratch ? a_.config : std::string()})
    if (!file.empty()) read.push_back(file);
  for (const std::string& file : read)
    if (fs::exists(output, ignored) && io::same_file(output, file))
      throw UsageError({"STOFM-3011", output.string(), "output", "the same file as the input " + file,
                        "an output of its own", "Give another --output directory."});
}

train::LoopOptions TrainingRun::loop_options(double steps_per_epoch) const {
  train::LoopOptions loop;
  const double epochs = a_.epochs > 0 ? a_.epochs : 3.0;
  loop.steps =
      a_.steps > 0 ? a_.steps : std::max<std::int64_t>(1, std::llround(std::ceil(epochs * steps_per_epoch)));
  loop.schedule.learning_rate = a_.learning_rate;
  loop.schedule.final_rate = a_.final_learning_rate;
  loop.schedule.total_steps = loop.steps;
  loop.schedule.warmup_steps = std::min(a_.warmup >= 0 ? a_.warmup : (loop.steps + 19) / 20, loop.steps);
  loop.schedule.decay = a_.schedule == "linear"     ? nn::Decay::linear
                        : a_.schedule == "constant" ? nn::Decay::constant
                                                    : nn::Decay::cosine;
  loop.clip_norm = a_.clip;
  const std::int64_t twentieth = std::max<std::int64_t>(1, loop.steps / 20);
  loop.checkpoint_every = a_.checkpoint_every > 0 ? a_.checkpoint_every : twentieth;
  loop.validate_every = a_.validate_every > 0 ? a_.validate_every : twentieth;
  return loop;
}

train::CorpusOptions TrainingRun::corpus_options() const {
  train::CorpusOptions options;
  options.prepare = prepare_options(a_);
  options.cache = a_.cache.empty() ? directory_ / "cache" : fs::path(a_.cache);
  const std::int64_t available = available_memory();
  options.memory =
      (a_.max_memory.empty() ? available / 2 : parse_memory_size(a_.max_memory, available)) / ranks_.size();
  options.skip_bad = a_.skip_bad;
  options.rank = ranks_.rank();
  options.ranks = ranks_.size();
  options.wait_for_ranks = [this] { ranks_.barrier(); };
  return options;
}

nlohmann::json TrainingRun::config(const train::LoopOptions& loop) const {
  return {{"verb", verb_},
          {"steps", loop.steps},
          {"batch", a_.batch},
          {"learning-rate", a_.learning_rate},
          {"final-learning-rate", a_.final_learning_rate},
          {"warmup", loop.schedule.warmup_steps},
          {"schedule", a_.schedule},
          {"weight-decay", a_.weight_decay},
          {"clip", a_.clip},
          {"seed", a_.geometry.seed},
          {"from-scratch", a_.from_scratch}};
}

void TrainingRun::say_progress(const train::TrainingProgress& progress) {
  Console& console = Console::get();
  if (console.terminal()) console.progress("training", progress.step, progress.steps, "steps");
  const double now = seconds_now();
  if (now - last_said_ < 10 && progress.step != progress.steps) return;
  last_said_ = now;
  std::string losses;
  for (const auto& [name, value] : progress.losses)
    losses += concat(losses.empty() ? "" : ", ", name, " ", format_number(value, 4));
  console.say(
      concat("  step ", format_count(progress.step), "/", format_count(progress.steps), "  epoch ",
             format_number(progress.epoch, 3), "  loss ", format_number(progress.loss, 4), " (", losses,
             ")  rate ", format_number(progress.learning_rate, 3), "  ",
             format_number(progress.cells_per_second, 3), " cells/s",
             progress.step < progress.steps ? "  " + format_seconds(progress.seconds_left) + " left" : ""),
      {{"step", std::to_string(progress.step)}});
}

train::LoopResult TrainingRun::train(autograd::ParameterSet<float>& parameters, nn::AdamW<float>& optimizer,
                                     const train::LoopOptions& loop, train::LoopHooks<float> hooks,
                                     const nlohmann::json& config, const std::string& data_sha256) {
  Console& console = Console::get();
  if (resume_)
    for (const Notice& notice : train::check_same_run(*resume_, config, data_sha256, a_.force))
      console.warn(notice.text, {{"code", notice.code}});
  train::LoopOutputs outputs{.config = config, .data_sha256 = data_sha256};
  if (ranks_.is_first()) {
    log_.emplace(directory_ / "log.jsonl", resume_ ? resume_->checkpoint.step : -1);
    if (!resume_) log_->write("start", 0, {{"config", config}, {"parameters", parameters.numel()}});
    outputs.checkpoints = &*checkpoints_;
    outputs.log = &*log_;
  }
  console.say(concat("training ", format_count(parameters.numel()), " parameters for ",
                     format_count(loop.steps), " steps",
                     ranks_.size() > 1 ? concat(" on ", ranks_.size(), " processes") : ""));
  hooks.stop_signal = [this] {
    const int mine = GracefulStop::requested();
    if (ranks_.size() == 1) return mine;
    for (const std::string& text : ranks_.all_gather(std::to_string(mine)))
      if (text != "0") return std::stoi(text);
    return 0;
  };
  hooks.progress = [this](const train::TrainingProgress& progress) { say_progress(progress); };
  hooks.notice = [&console](const Notice& notice) { console.warn(notice.text, {{"code", notice.code}}); };
  hooks.validated = [&console](std::int64_t step, const nlohmann::json& figures) {
    if (!figures.empty())
      console.say(concat("  validation after step ", format_count(step), ": ", figures_text(figures)));
  };
  const GracefulStop graceful("stopping after this step, with a checkpoint (a second signal stops at once)");
  const double begin = seconds_now();
  const train::LoopResult result = train::run_training<float>(parameters, optimizer, loop, hooks, outputs,
                                                              resume_ ? &resume_->checkpoint : nullptr);
  training_seconds_ = seconds_now() - begin;
  console.end_progress();
  return result;
}

int TrainingRun::finish(const train::LoopResult& result, io::Bundle bundle, const nlohmann::json& config,
                        const nlohmann::json& facts) {
  Console& console = Console::get();
  if (!ranks_.is_first()) return result.signal != 0 ? 128 + result.signal : 0;
  const fs::path model = directory_ / "model.safetensors", report = directory_ / "report.html";
  nlohmann::json info = facts;
  info["name"] = a_.name.empty() ? fs::absolute(directory_).lexically_normal().filename().string() : a_.name;
  info["training"] = "pretrained";
  info["created_by"] = concat("stofm ", STOFM_VERSION, " ", verb_);
  info["command"] = command_text(all_.words);
  info["steps"] = result.steps;
  info["seed"] = a_.geometry.seed;
  info["held_out"] = result.validation;
  nlohmann::json last = nlohmann::json::object();
  for (const auto& [name, value] : result.losses) last[name] = value;
  info["last_losses"] = last;
  bundle.model_info.erase("limits");  // of the weights that were started from
  bundle.model_info.update(info);

  TrainingReportData data;
  data.title = info["name"].get<std::string>();
  data.verb = verb_;
  data.version = STOFM_VERSION;
  data.created = utc_minute();
  data.lines = train::read_run_log(directory_ / "log.jsonl");
  data.options = config;
  data.model = bundle.model_info;
  data.finished = result.signal == 0;
  const std::string html = training_report_html(data);
  io::OutputGroup outputs;
  const io::OutputOptions options{.overwrite = true, .follow_link = false, .group = &outputs};
  if (result.signal == 0) io::write_bundle(model, bundle, options);
  io::atomic_write(
      report, [&](io::OutputFile& file) { file.write(html); }, options);
  publish(outputs);
  if (result.signal != 0) {
    console.warn(concat("stopped by ",
                        result.signal == 2    ? "SIGINT"
                        : result.signal == 15 ? "SIGTERM"
                                              : "SIGHUP",
                        " after step ", result.steps, "; the checkpoint is ", result.checkpoint,
                        ". Give the same command with --resume to go on"));
    return 128 + result.signal;
  }
  console.say(concat("wrote ", model.string(), " and ", report.string(), " (",
                     format_seconds(training_seconds_), " of training)"),
              {{"model", model.string()}});
  return 0;
}

TrainingSlices training_slices(const TrainingArguments& a) {
  if (a.list.empty())
    if (auto of_corpus = corpus_slices(a.inputs, a.validation)) return std::move(*of_corpus);
  std::vector<std::string> named;
  std::error_code ignored;
  std::vector<std::string> files;
  for (const auto& input : a.inputs) (fs::is_directory(input, ignored) ? named : files).push_back(input);
  if (!files.empty() || !a.list.empty())
    for (auto& path : expand_inputs(files, a.list)) named.push_back(std::move(path));
  return {.files = train::find_slices(named), .of_corpus = false, .held_out = {}, .known = nullptr};
}

train::DataSplit training_split(const TrainingSlices& slices, const std::vector<fs::path>& paths,
                                const TrainingArguments& a) {
  return slices.of_corpus ? train::split_as_told(paths, slices.held_out)
                          : train::split_slices(paths, split_options(a));
}

#if defined(STOFM_WITH_HDF5)
train::SliceReader training_reader(const TrainingArguments& a, bool positions) {
  if (!a.slice.spatial_csv.empty())
    throw UsageError({"STOFM-2062", "", "--spatial-csv", "one file of positions for many slices",
                      "positions within each slice", "Write them into the slices (obsm/spatial)."});
  io::H5adReadOptions options;
  options.layer = a.slice.layer;
  options.use_raw = a.slice.use_raw;
  options.spatial_key = a.slice.spatial_key;
  options.x_column = a.slice.x;
  options.y_column = a.slice.y;
  options.gene_key = a.slice.gene_key;
  options.library_key = a.slice.library_key;
  options.only = a.slice.only;
  options.overlay = a.slice.overlay;
  options.drop_no_library = a.slice.drop_no_library;
  options.positions_required = positions;
  options.drop_bad_coords = a.slice.drop_bad_coords;
  options.accept_noninteger = a.slice.accept_noninteger;
  options.counts_scale = io::parse_counts_scale(a.slice.counts_scale);
  options.cell_names = false;
  return train::h5ad_reader(options);
}
#else
train::SliceReader training_reader(const TrainingArguments&, bool) {
  throw FileError({"STOFM-2040", "", "input", "an .h5ad file", "a program built with HDF5",
                   "Install libhdf5-dev and build again."});
}
#endif

train::PrepareOptions prepare_options(const TrainingArguments& a) {
  train::PrepareOptions options;
  options.embed.genes = gene_options(a.slice);
  options.embed.clustering =
      a.geometry.clustering == "kmeans" ? pipeline::ClusterMethod::kmeans : pipeline::ClusterMethod::leiden;
  options.embed.clusters = a.geometry.clusters;
  options.embed.alpha = a.geometry.alpha;
  options.embed.resolution = a.geometry.resolution;
  options.embed.seed = a.geometry.seed;
  options.embed.split = a.geometry.split;
  options.embed.merge_slivers = a.geometry.merge_slivers;
  options.embed.geometry =
      a.geometry.geometry == "stable" ? pipeline::Geometry::stable : pipeline::Geometry::reference;
  return options;
}

train::SplitOptions split_options(const TrainingArguments& a) {
  train::SplitOptions options;
  options.seed = a.geometry.seed;
  if (a.validation.empty()) {
    options.fraction = 0.1;
    return options;
  }
  char* end = nullptr;
  const double share = std::strtod(a.validation.c_str(), &end);
  if (end != nullptr && *end == '\0') {
    options.fraction = share;
    return options;
  }
  for (std::size_t at = 0; at <= a.validation.size();) {
    const std::size_t comma = std::min(a.validation.find(',', at), a.validation.size());
    if (comma > at) options.validation.push_back(a.validation.substr(at, comma - at));
    at = comma + 1;
  }
  return options;
}

void say_corpus(const train::Corpus& corpus, const train::DataSplit& split) {
  Console& console = Console::get();
  const train::CorpusReport& report = corpus.report();
  console.end_progress();
  std::int64_t cells = 0;
  for (const auto& entry : corpus.entries()) cells += entry.summary.cells;
  console.say(concat(format_count(corpus.size()), " slices, ", format_count(cells), " cells, ",
                     format_count(corpus.pieces()), " pieces (", report.from_cache, " from the cache, ",
                     report.prepared, " prepared in ", format_seconds(report.seconds), "); ",
                     split.training.size(), " to train on, ", split.validation.size(), " held out"));
  if (report.skipped_bad + report.skipped_single > 0)
    console.warn(concat(report.skipped_bad, " slices that can not be read and ", report.skipped_single,
                        " with one cell are left out"));
  for (const Notice& notice : split.notices) console.warn(notice.text, {{"code", notice.code}});
  for (const Notice& notice : report.notices)
    if (notice.code.starts_with("STOFM-W45"))
      console.warn(notice.text, {{"code", notice.code}});
    else
      console.detail(notice.text, {{"code", notice.code}});
}

nlohmann::json slice_names(const train::Corpus& corpus, const std::vector<std::int64_t>& slices) {
  nlohmann::json names = nlohmann::json::array();
  for (const std::int64_t i : slices) names.push_back(corpus.entries()[static_cast<std::size_t>(i)].name);
  return names;
}

}  // namespace stofm::program
