// SPDX-License-Identifier: MIT
/// \file
/// `stofm embed`: everything that can be refused is refused first, then slice after slice; a slice that fails
/// does not stop the others, and with several slices a journal remembers what is done. Under mpirun, rank r
/// of n takes slices r, r + n, ...; a run without it is one rank.

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "console.hpp"
#include "device.hpp"
#include "import_input.hpp"
#include "journal.hpp"
#include "processes.hpp"
#include "resources.hpp"
#include "signals.hpp"
#include "slice_run.hpp"
#include "stofm/core/bfloat16_form.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/io/sha256.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

/// Bytes a slice may take, weights aside.
std::int64_t memory_allowance(const EmbedArguments& a) {
  const std::int64_t available = available_memory();
  return a.max_memory.empty() ? available / 10 * 8 : parse_memory_size(a.max_memory, available);
}

LoadedModel load(const EmbedArguments& a, ComputeDevice where) {
  Console& console = Console::get();
  const bool half = a.dtype == "bfloat16";
  LoadedModel loaded =
      load_model_bundle(find_weights(a.weights), half ? MatmulGrade::bfloat16 : MatmulGrade::float32);
  console.say(
      concat("model ", loaded.name, loaded.demonstration ? ": DEMONSTRATION weights, not for research" : "",
             " (", loaded.path, "), kernels ", to_string(cpu_kernels()), half ? ", bfloat16 products" : ""),
      {{"weights", loaded.path}, {"sha256", loaded.sha256}});
  if (!loaded.limits.empty()) console.say("  " + loaded.limits);
  put_encoders(loaded.model, where, half ? DevicePrecision::bfloat16 : DevicePrecision::float32_grade,
               a.batch);
  if (half && !where.cuda && !bfloat16_pays(cpu_kernels()))
    console.warn(
        "--dtype bfloat16: no faster than float32 with the kernels of this CPU; the results are as "
        "elsewhere");
  for (const Notice& notice : loaded.notices)
    console.detail(notice.text, {{"code", notice.code}, {"file", loaded.path}});
  return loaded;
}

/// Runs one slice; refusals become a line and an exit code.
int guarded_run(const SliceJob& job) {
  Console& console = Console::get();
  try {
    embed_one(job);
    return 0;
  } catch (const Error& e) {
    console.end_progress();
    console.error(e);
    return e.exit_code();
  } catch (const std::bad_alloc&) {
    console.end_progress();
    console.error(
        job.outputs.input +
            ": memory: the system has no more. Use fewer threads or smaller pieces (--split). [STOFM-5002]",
        static_cast<int>(ErrorKind::resource));
    return static_cast<int>(ErrorKind::resource);
  }
}

std::vector<std::string> outputs_of(const OutputPlan& plan) {
  std::vector<std::string> files;
  for (const std::string& file : {plan.h5ad, plan.npy, plan.csv, plan.report})
    if (!file.empty()) files.push_back(file);
  return files;
}

/// The journal's part of a run over many slices.
class Batch {
 public:
  Batch(const EmbedArguments& a, const LoadedModel& model, JournalRole role)
      : arguments_(a), model_(model), journal_(a.output_dir.empty() ? "." : a.output_dir, role) {
    set_interruption_hint("Finished slices are kept: the same command goes on from here");
    if (journal_.torn_lines() > 0)
      Console::get().warn(
          concat(journal_.path(), ": ", journal_.torn_lines(), " damaged lines were left out"));
  }

  /// True if this slice is done already. \throws UsageError if it was done from something else
  bool is_done(const OutputPlan& outputs, const OptionList& options) {
    now_ = {};
    now_.output = printable(whole_path(outputs.h5ad));
    now_.input = printable(outputs.input);
    now_.input_sha256 = io::sha256_file(outputs.input);
    now_.model_sha256 = model_.sha256;
    now_.options = options;
    const JournalEntry* then = journal_.find(now_.output);
    std::error_code missing;
    const auto size = std::filesystem::file_size(outputs.h5ad, missing);
    if (arguments_.force) return false;
    if (then == nullptr) return !missing && adopt(outputs, static_cast<std::int64_t>(size));
    if (!then->taking_names.empty() && !settle(outputs, JournalEntry(*then))) return false;
    then = journal_.find(now_.output);
    if (missing || (!outputs.in_place && static_cast<std::int64_t>(size) != then->result_bytes)) return false;
    const auto changed = changed_keys(*then, now_);
    if (changed.empty()) return !outputs.in_place || then->result_sha256 == now_.input_sha256;
    if (arguments_.overwrite) return false;
    std::string list;
    for (const auto& key : changed) list += (list.empty() ? "" : ", ") + key;
    throw UsageError({"STOFM-2021", outputs.h5ad, "journal", "a result made of something else: " + list,
                      "the same input, model and options",
                      "Use --force to do it again, or another --output-dir."});
  }

  /// The finished files take their names, and the journal knows of it whenever the run ends.
  void publish(const OutputPlan& outputs, io::OutputGroup& files) {
    now_.finished = utc_minute();
    now_.taking_names.clear();
    for (const io::PendingOutput& file : files.files())
      now_.taking_names.push_back(FileMark::of(file.temporary_path(), printable(file.path())));
    now_.result_bytes = now_.taking_names.front().bytes;
    if (outputs.in_place) now_.result_sha256 = io::sha256_file(files.files().front().temporary_path());
    const JournalEntry* known = journal_.find(now_.output);
    const std::optional<JournalEntry> before = known == nullptr ? std::nullopt : std::optional(*known);
    const WriteSection section;
    journal_.record(now_);
    try {
      files.commit();
    } catch (...) {
      before ? journal_.record(*before) : journal_.forget(now_.output);
      throw;
    }
    now_.taking_names.clear();
    try {
      journal_.record(now_);
    } catch (const Error& e) {  // the entry above says enough
      Console::get().detail(e.what(), {{"code", e.code()}});
    }
  }

  const std::string& input_sha256() const { return now_.input_sha256; }

 private:
  /// True if the files are there and the .h5ad says that it was made of the same, by a run without a journal
  /// (one slice alone): from now on the journal knows it.
  bool adopt(const OutputPlan& outputs, std::int64_t bytes) {
    if (outputs.in_place) return false;
    for (const std::string& file : outputs_of(outputs))
      if (!std::filesystem::exists(file)) return false;
    const std::optional<EmbedProvenance> known = embed_provenance(outputs.h5ad);
    if (!known) return false;
    JournalEntry entry = now_;
    entry.input_sha256 = known->input_sha256;
    entry.model_sha256 = known->model_sha256;
    entry.options = known->options;
    entry.result_bytes = bytes;
    entry.finished = utc_minute();
    if (!changed_keys(entry, now_).empty()) return false;
    journal_.record(entry);
    return true;
  }

  /// After a run that ended while files took their names: true if all have them; else those that have go, so
  /// that the slice can be done again. The .h5ad is the last one.
  bool settle(const OutputPlan& outputs, const JournalEntry& then) {
    const auto there = [&then](const std::string& file) {
      return std::any_of(then.taking_names.begin(), then.taking_names.end(), [&file](const FileMark& mark) {
        return mark.path == printable(file) && mark.is(file);
      });
    };
    JournalEntry whole = then;
    whole.taking_names.clear();
    if (there(outputs.h5ad)) {
      journal_.record(whole);
      return true;
    }
    for (const std::string& file : outputs_of(outputs)) {
      if (!there(file)) continue;
      Console::get().say(
          concat("  removed ", file, ", of a run that ended before all its files had their names"));
      std::error_code ignored;
      std::filesystem::remove(file, ignored);
    }
    journal_.forget(then.output);
    return false;
  }

  const EmbedArguments& arguments_;
  const LoadedModel& model_;
  Journal journal_;
  JournalEntry now_;
};

int run_batch(const EmbedArguments& a, const std::vector<OutputPlan>& plans,
              const std::vector<std::string>& inputs, SliceJob job, distributed::Communicator& ranks) {
  Console& console = Console::get();
  std::optional<Batch> batch;
  const bool alone = ranks.size() == 1;
  const JournalRole role = alone              ? JournalRole::alone
                           : ranks.is_first() ? JournalRole::first
                                              : JournalRole::other;
  if (!a.dry_run && ranks.is_first()) batch.emplace(a, *job.model, role);
  ranks.barrier();  // the first holds the lock of the directory from here on
  if (!a.dry_run && !ranks.is_first()) batch.emplace(a, *job.model, role);
  int worst = 0;
  std::int64_t done = 0, skipped = 0, failed = 0;
  for (auto i = static_cast<std::size_t>(ranks.rank()); i < plans.size();
       i += static_cast<std::size_t>(ranks.size())) {
    console.say(concat("[", i + 1, "/", plans.size(), "] ", plans[i].input));
    job.outputs = plans[i];
    int code = 0;
    try {
      job.hashed = batch ? io::file_identity(plans[i].input) : io::FileIdentity{};
      if (batch && batch->is_done(plans[i], job.options)) {
        console.say("  done before, skipped (--force does it again)", {{"skipped", plans[i].input}});
        ++skipped;
        continue;
      }
      if (!a.dry_run) {
        for (const std::string& folder : plans[i].folders) std::filesystem::create_directories(folder);
        check_outputs(plans[i], inputs, job.overwrite);
        job.input_sha256 = batch->input_sha256();
      }
      if (batch) job.publish = [&](io::OutputGroup& files) { batch->publish(plans[i], files); };
      code = guarded_run(job);
    } catch (const Error& e) {
      console.error(e);
      code = e.exit_code();
    } catch (const std::filesystem::filesystem_error& e) {
      const UsageError error({"STOFM-3012", e.path1().string(), "output directory", e.code().message(),
                              "a directory that can be made", "Choose another --output-dir."});
      console.error(error);
      code = error.exit_code();
    }
    (code == 0 ? done : failed) += 1;
    worst = std::max(worst, code);
    if (code != 0 && a.fail_fast) break;
  }
  if (!alone) {
    done = static_cast<std::int64_t>(ranks.sum_of(static_cast<double>(done)));
    skipped = static_cast<std::int64_t>(ranks.sum_of(static_cast<double>(skipped)));
    failed = static_cast<std::int64_t>(ranks.sum_of(static_cast<double>(failed)));
    for (const std::string& code : ranks.all_gather(std::to_string(worst)))
      worst = std::max(worst, std::stoi(code));
  }
  console.say(
      concat(done, a.dry_run ? " planned, " : " embedded, ", skipped, " skipped, ", failed, " failed"),
      {{"embedded", std::to_string(done)},
       {"skipped", std::to_string(skipped)},
       {"failed", std::to_string(failed)}});
  if (done > 0 && !a.dry_run && ranks.is_first())
    console.say("  " + next_step_line(a, a.slice.drop_bad_coords));
  return worst;
}

int embed(const Arguments& arguments, distributed::Communicator& ranks) {
  const EmbedArguments& a = arguments.embed;
  const ComputeDevice where = choose_device(a.device, ranks.rank());
  const std::int64_t allowance = memory_allowance(a) / ranks.size();
  std::int64_t results = 0;
  const std::vector<std::string> inputs = without_results(expand_inputs(a.inputs, a.list), a, results);
  if (results > 0)
    Console::get().say(concat(results, results == 1 ? " input is a result" : " inputs are results",
                              " of other inputs (NAME.stofm.h5ad), left out"));
  const bool pattern = std::any_of(a.inputs.begin(), a.inputs.end(), is_pattern);
  const bool instrument = inputs.size() == 1 && ranks.size() == 1 && a.list.empty() && !pattern &&
                          results == 0 && is_instrument_output(inputs.front());
  if (instrument && a.in_place)
    throw UsageError({"STOFM-2005", inputs.front(), "--in-place", "the output of an instrument", "an .h5ad",
                      "Leave --in-place out."});
  const std::vector<OutputPlan> plans =
      plan_outputs(instrument ? std::vector<std::string>{imported_name(inputs.front())} : inputs, a);
  const bool several = inputs.size() > 1 || !a.list.empty() || ranks.size() > 1 ||
                       (a.output.empty() && (pattern || results > 0));
  const std::vector<std::string> read = a.dry_run ? inputs : files_read(inputs, a);
  SliceJob job;
  job.arguments = &a;
  job.max_memory = allowance;
  job.overwrite = a.overwrite || a.force;
  job.options = result_options(a);
  if (!a.slice.spatial_csv.empty())
    job.options.emplace_back("spatial-csv-sha256", io::sha256_file(a.slice.spatial_csv));
  if (!several) {
    job.outputs = plans.front();
    if (!instrument)
      (void)io::File::open(job.outputs.input);  // a missing input is said before weights are read
    if (!a.dry_run) check_outputs(job.outputs, read, job.overwrite);
    job.publish = publish;
  }
  if (!a.dry_run && ranks.is_first()) {
    std::set<std::filesystem::path> folders;
    for (const OutputPlan& plan : plans)
      for (const std::string& file : outputs_of(plan))
        folders.insert(std::filesystem::path(file).parent_path());
    for (const auto& folder : folders) clean_up_after_killed_runs(folder);
  }
  std::shared_ptr<const std::string> imported;
  if (instrument) {
    imported = import_for_run(inputs.front(), job.outputs.h5ad);
    job.outputs.input = *imported;
    job.shown = inputs.front();
  }
  if (!several && !a.dry_run) {
    job.hashed = io::file_identity(job.outputs.input);
    job.input_sha256 = io::sha256_file(job.outputs.input);
  }
  const LoadedModel model = load(a, where);
  job.model = &model;
  memory_state().cap = memory_state().in_use.load() + allowance;
  job.alone = !several;
  if (several) return run_batch(a, plans, read, job, ranks);
  embed_one(job);
  return 0;
}

}  // namespace

int run_embed(const Arguments& arguments) {
  const auto ranks = start_processes();
  return distributed::guard_rank(*ranks, [&] { return embed(arguments, *ranks); });
}

}  // namespace stofm::program
