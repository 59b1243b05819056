// SPDX-License-Identifier: MIT
#include "tasks/task_run.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "console.hpp"
#include "option_flags.hpp"
#include "report.hpp"
#include "resources.hpp"
#include "signals.hpp"
#include "slice_input.hpp"
#include "slice_run.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/core/memory.hpp"
#include "stofm/io/output_file.hpp"
#if defined(STOFM_WITH_HDF5)
#include "stofm/io/h5ad_new_writer.hpp"
#include "stofm/io/h5ad_writer.hpp"
#include "stofm/version.hpp"
#endif

namespace stofm::program {
namespace {

namespace fs = std::filesystem;

/// The part of the task that `embed` has as well.
EmbedArguments as_embed(const TaskArguments& task) {
  EmbedArguments a;
  a.output = task.output;
  a.output_dir = task.output_dir;
  a.in_place = task.in_place;
  a.overwrite = task.overwrite;
  return a;
}

std::vector<std::string> files_of_task(const TaskArguments& task, const std::vector<std::string>& inputs) {
  std::vector<std::string> read = inputs;
  for (const std::string& file : {task.list, task.weights, task.slice.spatial_csv})
    if (!file.empty()) read.push_back(file);
  return read;
}

TaskSlice open_task_slice(const std::string& path, const TaskArguments& task,
                          const std::vector<std::string>& labels, bool positions,
                          std::int64_t label_columns) {
  TaskSlice opened;
  opened.slice = open_slice(path, task.slice, task_memory(task), false, label_columns, positions, labels);
  opened.name = task_slice_name(path);
  const io::Slice& slice = opened.slice;
  Console::get().say(concat(
      path, ": ", format_count(slice.cells), " cells x ", format_count(slice.genes()), " genes, counts in ",
      slice.counts_source,
      slice.coordinates_source.empty() ? std::string() : ", positions in " + slice.coordinates_source));
  say_notices(slice.notices, path);
  return opened;
}

std::string task_json_object(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string text;
  for (const auto& [key, value] : members)
    text += concat(text.empty() ? "" : ", ", json_text(key), ": ", json_text(value));
  return concat("{", text, "}");
}

std::string shell_command(const std::vector<std::string>& words) {
  std::string text = "stofm";
  for (const std::string& word : words) {
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789_-+=.,:/@%") == std::string::npos;
    if (plain) {
      text += " " + word;
      continue;
    }
    text += " '";
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += "'";
  }
  return text;
}

bool is_figure_name(const fs::path& path) { return path.extension() == ".svg" || path.extension() == ".png"; }

void fill_report(TaskReport& report, const TaskArguments& task, const Arguments& arguments,
                 std::span<const TaskSlice> slices, const LoadedModel* model) {
  if (report.created.empty()) report.created = utc_minute();
  if (report.version.empty()) report.version = STOFM_VERSION;
  if (report.command.empty()) report.command = shell_command(arguments.words);
  if (report.options.empty())
    for (const auto& [key, value] : task_options(task))
      if (!value.empty() && value != "no") report.options.emplace_back("--" + key, value);
  if (report.notices.empty())
    for (const TaskSlice& slice : slices)
      for (const Notice& notice : slice.slice.notices)
        report.notices.push_back(slices.size() > 1 ? concat(slice.name, ": ", with_flags(notice.text))
                                                   : with_flags(notice.text));
  if (model == nullptr) return;
  if (report.model.empty()) {
    report.model = model->card;
    report.model.emplace_back("file", model->path);
    report.model.emplace_back("SHA-256", model->sha256);
  }
  if (!report.banner.empty()) return;
  if (model->demonstration)
    report.banner.push_back("Demonstration weights, not for research: " + model->limits + ".");
  else if (!model->limits.empty())
    report.banner.push_back(model->limits);
  for (const TaskSlice& slice : slices)
    if (was_trained_on(*model, slice.slice.path))
      report.banner.push_back(
          concat("These weights were trained on a file named ", slice.name,
                 ": what is said of it here is better than of a slice they have not seen."));
}

/// uns["stofm"][verb].
std::map<std::string, io::H5adValue> task_uns(const TaskArguments& task, const LoadedModel* model,
                                              std::map<std::string, io::H5adValue> members) {
  members["program"] = "stofm " STOFM_VERSION;
  members["options"] = task_json_object(task_options(task));
  if (model != nullptr) {
    members["model"] = model->name;
    members["model_sha256"] = model->sha256;
    members["model_kind"] =
        std::string(model->demonstration ? "demonstration weights, not for research" : "weights given");
  }
  return members;
}

#if defined(STOFM_WITH_HDF5)
void write_task_h5ad(const TaskArguments& task, const std::string& verb, const TaskSlice& slice,
                     TaskOutput& output, std::map<std::string, io::H5adValue> uns, io::OutputGroup& group) {
  for (const auto& [key, value] : output.provenance) uns[key] = value;
  const io::H5adWriteOptions options{.in_place = slice.plan.in_place,
                                     .overwrite = task.overwrite,
                                     .follow_link = slice.plan.follows_link(slice.h5ad),
                                     .group = &group};
  io::H5adResult& content = output.whole ? output.whole->content : output.file;
  content.uns = std::move(uns);
  content.uns_key = "stofm/" + verb;
  if (output.whole) return io::write_new_h5ad(slice.h5ad, *output.whole, options);
  content.file_rows = slice.slice.file_rows;
  if (content.file_columns.empty()) content.file_columns = slice.slice.file_columns;
  content.input = slice.slice.identity;
  io::write_h5ad_result(slice.slice.path, slice.h5ad, content, options);
}
#else
void write_task_h5ad(const TaskArguments&, const std::string&, const TaskSlice& slice, TaskOutput&,
                     std::map<std::string, io::H5adValue>, io::OutputGroup&) {
  throw FileError({"STOFM-2040", slice.h5ad, "output", "an .h5ad file", "a program built with HDF5",
                   "Install libhdf5-dev and build again."});
}
#endif

}  // namespace

std::string task_slice_name(const std::string& path) {
  std::string name = fs::path(path).filename().string();
  for (const std::string_view ending : {".h5ad", ".stofm"})
    if (name.size() > ending.size() && name.ends_with(ending)) name.resize(name.size() - ending.size());
  return name;
}

std::int64_t task_memory(const TaskArguments& task) {
  static std::int64_t allowance = 0;
  if (allowance > 0) return allowance;
  const std::int64_t available = available_memory();
  allowance = task.max_memory.empty() ? available / 10 * 8 : parse_memory_size(task.max_memory, available);
  memory_state().cap = memory_state().in_use.load() + allowance;
  return allowance;
}

void check_pictures(const TaskArguments& task, const std::vector<std::string>& read) {
  if (!task.report.empty()) check_one_output(task.report, read, task.overwrite);
  if (task.figures.empty()) return;
  std::error_code failed;
  if (fs::exists(task.figures, failed) && !fs::is_directory(task.figures, failed))
    throw UsageError({"STOFM-2050", task.figures, "--figures", "a file",
                      "a directory, or a name for a new one", "Choose another directory."});
  for (fs::directory_iterator entry(task.figures, failed), end; !failed && entry != end;
       entry.increment(failed))
    if (!task.overwrite && is_figure_name(entry->path()))
      throw UsageError({"STOFM-2051", task.figures, "--figures",
                        concat("figures, such as ", stofm::quoted(entry->path().filename().string(), 100)),
                        "a directory without figures", "Choose another directory, or use --overwrite."});
}

std::vector<TaskSlice> open_inputs(const TaskArguments& task, const std::string& verb,
                                   const std::vector<std::string>& labels, bool positions,
                                   std::int64_t label_columns) {
  if (task.inputs.empty() && task.list.empty())
    throw UsageError(
        {"STOFM-2003", "", "input", "no slice", "at least one .h5ad file", "Name a slice, or give --list."});
  const std::vector<std::string> inputs = expand_inputs(task.inputs, task.list, verb);
  if (!task.output_dir.empty()) {
    std::error_code failed;
    fs::create_directories(task.output_dir, failed);
    if (failed)
      throw UsageError({"STOFM-3012", task.output_dir, "output directory", failed.message(),
                        "a directory that can be made", "Choose another --output-dir."});
  }
  const std::vector<OutputPlan> plans = plan_outputs(inputs, as_embed(task), verb);
  const std::vector<std::string> read = files_of_task(task, inputs);
  for (const OutputPlan& plan : plans) {
    (void)io::File::open(plan.input);  // a missing input is said before anything is made
    for (const std::string& folder : plan.folders) fs::create_directories(folder);
    check_outputs(plan, read, task.overwrite);
    clean_up_after_killed_runs(fs::path(plan.h5ad).parent_path());
  }
  check_pictures(task, read);
  std::vector<TaskSlice> slices;
  for (const OutputPlan& plan : plans) {
    slices.push_back(open_task_slice(plan.input, task, labels, positions, label_columns));
    slices.back().h5ad = plan.h5ad;
    slices.back().plan = plan;
  }
  return slices;
}

std::vector<TaskSlice> open_others(const std::vector<std::string>& paths, const TaskArguments& task,
                                   const std::vector<std::string>& labels, bool positions) {
  std::vector<TaskSlice> slices;
  if (paths.empty()) return slices;
  for (const std::string& path : expand_inputs(paths, "", "stofm-task")) {
    for (const std::string& output : {task.output, task.report})
      if (!output.empty() && io::same_file(output, path))
        throw UsageError({"STOFM-3011", output, "output", "the same file as " + path + ", which is read",
                          "an output of its own", "Choose another output path."});
    slices.push_back(open_task_slice(path, task, labels, positions, 0));
  }
  return slices;
}

LoadedModel load_task_model(const TaskArguments& task) {
  Console& console = Console::get();
  LoadedModel loaded = load_model_bundle(find_weights(task.weights));
  console.say(
      concat("model ", loaded.name, loaded.demonstration ? ": DEMONSTRATION weights, not for research" : "",
             " (", loaded.path, "), kernels ", to_string(cpu_kernels())),
      {{"weights", loaded.path}, {"sha256", loaded.sha256}});
  if (!loaded.limits.empty()) console.say("  " + loaded.limits);
  for (const Notice& notice : loaded.notices)
    console.detail(notice.text, {{"code", notice.code}, {"file", loaded.path}});
  (void)task_memory(task);
  return loaded;
}

pipeline::EmbedOptions task_embed_options(const TaskArguments& task, std::int64_t max_memory) {
  return embed_options(task.slice, task.geometry, max_memory);
}

std::vector<std::pair<std::string, std::string>> task_options(const TaskArguments& task) {
  EmbedArguments embed;
  embed.slice = task.slice;
  embed.geometry = task.geometry;
  std::vector<std::pair<std::string, std::string>> options{{"use", task.use}, {"features", task.features}};
  for (auto& option : result_options(embed))  // those that tasks do not have are at their defaults
    if (option.first != "cells-only" && option.first != "cell-embeddings" && option.first != "dtype" &&
        option.first != "embedding-clusters")
      options.push_back(std::move(option));
  return options;
}

void write_task(const TaskArguments& task, const std::string& verb, const Arguments& arguments,
                std::span<const TaskSlice> slices, std::span<TaskOutput> outputs, const LoadedModel* model,
                const std::map<std::string, io::H5adValue>& provenance, TaskReport& report,
                const nlohmann::json& summary) {
  Console& console = Console::get();
  console.end_progress();
  io::OutputGroup group;
  std::vector<std::string> inputs, written, figures;
  std::size_t next = 0;
  for (const TaskSlice& slice : slices) {
    if (slice.h5ad.empty()) continue;
    if (next >= outputs.size())
      throw UsageError({"STOFM-2052", slice.h5ad, "write_task", concat(outputs.size(), " results"),
                        "one for each slice", "This is a fault of the program: please report it."});
    for (const TaskSlice& other : slices)
      if (!slice.plan.in_place && io::same_file(slice.h5ad, other.slice.path))
        throw UsageError({"STOFM-3011", slice.h5ad, "output",
                          "the same file as " + other.slice.path + ", which is read", "an output of its own",
                          "Choose another output path."});
    write_task_h5ad(task, verb, slice, outputs[next++], task_uns(task, model, provenance), group);
    inputs.push_back(slice.slice.path);
    written.push_back(slice.h5ad);
  }
  if (!task.report.empty() || !task.figures.empty()) fill_report(report, task, arguments, slices, model);
  if (!task.figures.empty()) {
    std::error_code failed;
    fs::create_directories(task.figures, failed);
    if (failed)
      throw UsageError({"STOFM-3012", task.figures, "--figures", failed.message(),
                        "a directory that can be made", "Choose another directory."});
    for (const auto& [name, bytes] : task_figures(report)) {
      figures.push_back((fs::path(task.figures) / name).string());
      io::atomic_write(figures.back(), [&bytes = bytes](io::OutputFile& file) { file.write(bytes); },
                       {.overwrite = task.overwrite, .follow_link = false, .group = &group});
    }
  }
  if (!task.report.empty()) {
    const std::string html = task_report_html(report);
    io::atomic_write(task.report, [&html](io::OutputFile& file) { file.write(html); },
                     {.overwrite = task.overwrite, .group = &group});
  }
  for (const TaskSlice& slice : slices)
    if (slice.slice.identity.known()) io::require_unchanged(slice.slice.path, slice.slice.identity);
  if (!group.files().empty()) publish(group);
  std::string files;
  for (const std::string& file : written) files += concat(files.empty() ? "" : ", ", file);
  if (!task.report.empty()) files += concat(files.empty() ? "" : ", ", task.report);
  if (!figures.empty())
    files += concat(files.empty() ? "" : ", ", figures.size(),
                    figures.size() == 1 ? " figure in " : " figures in ", task.figures);
  if (!files.empty())
    console.say(concat("wrote ", files, "; peak memory ", format_bytes(static_cast<double>(peak_memory()))));
  if (!task.json) return;
  nlohmann::json object = summary.is_object() ? summary : nlohmann::json::object();
  object["verb"] = verb;
  if (!object.contains("inputs")) object["inputs"] = inputs;
  object["outputs"] = written;
  if (!task.report.empty()) object["report"] = task.report;
  if (!task.figures.empty()) object["figures"] = figures;
  print(object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

TaskReportSlice report_slice(const TaskSlice& slice) {
  TaskReportSlice drawn;
  drawn.name = slice.name;
  if (slice.slice.cells <= 100000) drawn.cell_names = slice.slice.cell_names;  // as in the report of `embed`
  if (slice.slice.coordinates_source.empty()) return drawn;
  for (std::int64_t i = 0; i < slice.slice.cells; ++i) {
    drawn.x.push_back(static_cast<float>(slice.slice.coordinates(i, 0)));
    drawn.y.push_back(static_cast<float>(slice.slice.coordinates(i, 1)));
  }
  return drawn;
}

}  // namespace stofm::program
