// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What `pretrain` and `adapt` share: the directory of a run with its lock, checkpoints, log and report;
/// resume; signals; what is said while it goes on; the bundle at the end.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "arguments.hpp"
#include "corpus_input.hpp"
#include "stofm/distributed/communicator.hpp"
#include "stofm/io/bundle.hpp"
#include "stofm/train/corpus.hpp"
#include "stofm/train/training_loop.hpp"

namespace stofm::program {

/// The directory of one run. Made first, so that a directory that can not be used is refused before any work.
class TrainingRun {
 public:
  /// Creates and locks it, and loads the checkpoint to go on from. \throws UsageError STOFM-2061 if there is
  /// a run already and --resume was not given; as CheckpointDirectory and load_newest_checkpoint
  TrainingRun(const char* verb, const Arguments& all, const TrainingArguments& a,
              distributed::Communicator& ranks);

  bool resumes() const { return resume_.has_value(); }
  std::filesystem::path directory() const { return directory_; }

  /// Steps, schedule, clipping and intervals. \param steps_per_epoch optimizer steps
  train::LoopOptions loop_options(double steps_per_epoch) const;
  train::CorpusOptions corpus_options() const;

  /// What decides the result, of the options both verbs have; the verb adds its own.
  nlohmann::json config(const train::LoopOptions& loop) const;

  /// Trains. `hooks` gets progress, notices, signals and validation figures from here.
  /// \throws UsageError STOFM-3804 if options or data are not those of the checkpoint; as run_training
  train::LoopResult train(autograd::ParameterSet<float>& parameters, nn::AdamW<float>& optimizer,
                          const train::LoopOptions& loop, train::LoopHooks<float> hooks,
                          const nlohmann::json& config, const std::string& data_sha256);

  /// Writes model.safetensors and report.html of a run that ended, or says how to go on with one that a
  /// signal stopped. `bundle.model_info` is filled with what the run knows. \return the exit code
  int finish(const train::LoopResult& result, io::Bundle bundle, const nlohmann::json& config,
             const nlohmann::json& facts);

 private:
  void refuse_to_lose(const std::filesystem::path& output) const;
  void say_progress(const train::TrainingProgress& progress);

  std::string verb_;
  const Arguments& all_;
  const TrainingArguments& a_;
  distributed::Communicator& ranks_;
  std::filesystem::path directory_;
  std::optional<train::CheckpointDirectory> checkpoints_;
  std::optional<train::ResumePoint> resume_;
  std::optional<train::RunLog> log_;
  double last_said_ = -1e9, training_seconds_ = 0;
};

/// Slices given by name, folder, pattern or list, or by a corpus. \throws UsageError, FileError
TrainingSlices training_slices(const TrainingArguments& a);
/// Which of `paths`, slices of `slices`, are trained on. \throws UsageError
train::DataSplit training_split(const TrainingSlices& slices, const std::vector<std::filesystem::path>& paths,
                                const TrainingArguments& a);
/// How slices are read. `positions` false: slices without any will do. \throws FileError (STOFM-2040) if this
/// program was built without HDF5
train::SliceReader training_reader(const TrainingArguments& a, bool positions = true);
train::PrepareOptions prepare_options(const TrainingArguments& a);
/// --validation as a share or as names. \throws UsageError
train::SplitOptions split_options(const TrainingArguments& a);
/// Says what opening met.
void say_corpus(const train::Corpus& corpus, const train::DataSplit& split);
/// Names of slices as a JSON list.
nlohmann::json slice_names(const train::Corpus& corpus, const std::vector<std::int64_t>& slices);

}  // namespace stofm::program
