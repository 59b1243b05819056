// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The body of import_slice: opens the source, streams its counts into the writer, writes the rest.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/with_commas.hpp"
#include "stofm/io/h5ad_reader.hpp"
#include "stofm/io/import/cosmx.hpp"
#include "stofm/io/import/count_tables.hpp"
#include "stofm/io/import/find_format.hpp"
#include "stofm/io/import/import_features.hpp"
#include "stofm/io/import/import_slice.hpp"
#include "stofm/io/import/slice_writer.hpp"
#include "stofm/io/import/stereo_seq_gef.hpp"
#include "stofm/io/import/visium_hd.hpp"
#include "stofm/io/import/xenium.hpp"

#if STOFM_H5AD_BODIES
namespace stofm::io {
namespace detail {

/// Opens the source of a format. \throws UsageError (STOFM-3919) an option that the format does not have
inline ImportSource open_import_source(const FoundFormat& found, const ImportOptions& options,
                                       const ImportContext& context) {
  const std::string& format = found.format;
  const bool tables = format == "tables" || format == "10x" || format == "slide-seq";
  const auto refuse = [&](const char* option, const char* of) {
    throw UsageError({"STOFM-3919", found.path.string(), option,
                      concat("it together with ", import_title(format)), of,
                      concat("Leave ", option, " out.")});
  };
  if (options.bin > 0 && format != "visium-hd" && format != "stereo-seq")
    refuse("ImportOptions::bin", "Visium HD or Stereo-seq");
  if (!options.positions.empty() && !tables)
    refuse("ImportOptions::positions", "two tables, a 10x matrix or Slide-seq");
  if (!options.counts.empty() && (!tables || format == "10x"))
    refuse("ImportOptions::counts", "two tables or Slide-seq");
  if (options.by_order && format != "tables") refuse("ImportOptions::by_order", "two tables");
  if (format == "visium") return open_visium(found.path, context);
  if (format == "visium-hd") return open_visium_hd(found.path, options, context);
  if (format == "xenium") return open_xenium(found.path, options.parquet, context);
  if (format == "merscope") return open_merscope(found.path, context);
  if (format == "cosmx") return open_cosmx(found.path, context);
  if (format == "stereo-seq") return open_stereo_seq(found.path, options, context);
  if (format == "slide-seq") return open_slide_seq(found.path, options, context);
  if (format == "10x") return open_tenx(found.path, options, context);
  if (format == "tables") return open_tables(found.path, options, context);
  throw UsageError({"STOFM-3919", found.path.string(), "ImportOptions::format",
                    stofm::quoted(found.format, 40), format_list(), "Choose one of these."});
}

/// Streams the counts of a source into a file and writes everything else.
class SliceImport {
 public:
  SliceImport(ImportSource source, const std::string& temporary, const std::string& output,
              const ImportOptions& options, std::function<void()> tick)
      : source_(std::move(source)),
        temporary_(temporary),
        output_(output),
        options_(options),
        tick_(std::move(tick)),
        genes_(choose_genes(source_.features, source_.files.front())) {}

  ImportReport run(const std::string& input) {
    if (source_.cells.empty())
      throw DataError({"STOFM-3916", source_.files.front(), "cells", "no cell", "at least one",
                       "Give the output of a finished run."});
    SliceWriter writer(temporary_, output_, tick_);
    std::unique_ptr<CountSink> sink = stream(writer, source_.unordered);
    if (!sink) {
      writer.restart();
      sink = stream(writer, true);
    }
    std::vector<std::int64_t> kept;
    for (std::size_t i = 0; i < source_.cells.size(); ++i)
      if (!source_.cells_by_stream || sink->present()[i] != 0) kept.push_back(static_cast<std::int64_t>(i));
    const NewH5ad made = describe(*sink, kept, input);
    ImportReport report;
    report.format = source_.format;
    report.grain = source_.grain;
    report.library_key = source_.library_key;
    report.files = source_.files;
    report.cells = static_cast<std::int64_t>(made.cells.size());
    report.genes = static_cast<std::int64_t>(made.genes.size());
    report.entries = writer.entries();
    report.notices = source_.notices;
    writer.finish(made, kept);
    return report;
  }

 private:
  /// \return nothing if the counts must be sorted
  std::unique_ptr<CountSink> stream(SliceWriter& writer, bool sorting) {
    auto sink = std::make_unique<CountSink>(
        genes_.column_of, static_cast<std::int64_t>(source_.cells.size()),
        CountSinkOptions{.sorting = sorting,
                         .most_entries = options_.most_entries,
                         .spill = temporary_ + ".runs",
                         .progress = tick_},
        [&writer](std::int64_t cell, std::span<const std::int32_t> columns, std::span<const float> values) {
          writer.append(cell, columns, values);
        });
    try {
      source_.stream(*sink);
    } catch (const CountsOutOfOrder&) {
      return {};
    }
    sink->finish();
    return sink;
  }

  void note(const char* code, std::int64_t count, const std::string& text) {
    if (count > 0) source_.notices.push_back({code, concat(with_commas(count), " ", text), count});
  }

  /// Everything but the counts.
  NewH5ad describe(const CountSink& sink, const std::vector<std::int64_t>& kept, const std::string& input) {
    NewH5ad made;
    const auto absent = static_cast<std::int64_t>(source_.cells.size() - kept.size());
    note("STOFM-W3906", absent, "cells have a position and no row of counts: left out");
    if (kept.empty())
      throw DataError({"STOFM-3914", source_.files.front(), "cell names", "no cell that has a position",
                       "the names of the same cells", "Give tables of the same sample."});
    note("STOFM-W3901", sink.unplaced(), "cells of the counts have no position: left out");
    note("STOFM-W3904", sink.background(), source_.background + ": left out");
    std::int64_t features = 0;
    for (const auto& [kind, count] : genes_.set_aside) features += count;
    if (features > 0)
      source_.notices.push_back({"STOFM-W3902",
                                 concat(type_counts(genes_.set_aside), " features are no genes: set aside"),
                                 features});
    note("STOFM-W3909", genes_.renamed, "gene names repeat: \"-1\", \"-2\" are put behind them");
    note("STOFM-W3905", sink.summed(), "entries have the cell and gene of another: summed");
    note("STOFM-W3907", sink.fractional(), "values are no whole numbers: kept as they are");
    note("STOFM-W3911", sink.rounded(), "values are rounded to float32");
    for (const std::int64_t row : kept) {
      const auto i = static_cast<std::size_t>(row);
      made.cells.push_back(std::move(source_.cells[i]));
      xy_.push_back(source_.xy[2 * i]);
      xy_.push_back(source_.xy[2 * i + 1]);
    }
    for (const H5adColumn& column : source_.obs) gather(column, kept, made.content.obs.emplace_back());
    if (features > 0) {
      H5adColumn& sums = made.content.obs.emplace_back();
      sums.name = "set_aside_counts";
      for (const std::int64_t row : kept)
        sums.reals.push_back(sink.set_aside()[static_cast<std::size_t>(row)]);
    }
    made.genes = genes_.names;
    if (!genes_.ids.empty()) {
      H5adColumn& ids = made.content.var.emplace_back();
      ids.name = "gene_ids";
      ids.texts = genes_.ids;
    }
    H5adColumn& types = made.content.var.emplace_back();
    types.name = "feature_types";
    types.categories = {"Gene Expression"};
    types.codes.assign(made.genes.size(), 0);
    made.spatial = matrix_view<const double>(xy_.data(), static_cast<std::int64_t>(made.cells.size()), 2);
    made.content.uns_key = "stofm_import";
    made.content.uns = source_.facts;
    if (!options_.program.empty()) made.content.uns["program"] = options_.program;
    made.content.uns["format"] = source_.format;
    made.content.uns["input"] = input;
    made.content.uns["files"] = source_.files;
    made.content.uns["unit"] = source_.unit;
    std::vector<std::string> told;
    for (const Notice& notice : source_.notices) told.push_back(notice.code + ": " + notice.text);
    if (!told.empty()) made.content.uns["notices"] = told;
    return made;
  }

  ImportSource source_;
  std::string temporary_, output_;
  const ImportOptions& options_;
  std::function<void()> tick_;
  ImportedGenes genes_;
  std::vector<double> xy_;
};

inline std::string pack_report(const ImportReport& report) {
  ByteSink sink;
  sink.put('r');
  for (const std::string& text : {report.format, report.grain, report.library_key}) sink.put(text);
  sink.put(report.files);
  for (const std::int64_t number : {report.cells, report.genes, report.entries}) sink.put(number);
  put(sink, report.notices);
  return sink.take();
}

/// Takes what the child tells until its report comes.
inline ImportReport receive_report(Hdf5Process& process, const ImportOptions& options) {
  for (;;) {
    ByteSource source(process.receive());
    char kind = 0;
    source.get(kind);
    if (kind == 'p') {
      std::string stage;
      std::int64_t done = 0, total = 0;
      source.get(stage);
      source.get(done);
      source.get(total);
      if (options.progress) options.progress(stage, done, total);
      continue;
    }
    ImportReport report;
    for (std::string* text : {&report.format, &report.grain, &report.library_key}) source.get(*text);
    source.get(report.files);
    for (std::int64_t* number : {&report.cells, &report.genes, &report.entries}) source.get(*number);
    get(source, report.notices);
    return report;
  }
}

}  // namespace detail
}  // namespace stofm::io

namespace stofm {

STOFM_H5AD_INLINE std::vector<std::string> io::import_formats_of(const std::string& path) {
  std::vector<std::string> words;
  for (const FoundFormat& found : detail::all_formats(path)) words.push_back(found.format);
  return words;
}

STOFM_H5AD_INLINE io::ImportReport io::import_slice(const std::string& input, const std::string& output,
                                                    const ImportOptions& options,
                                                    const H5adWriteOptions& write) {
  const FoundFormat found = find_import_format(input, options.format);
  ImportReport report;
  const OutputOptions reserve{
      .overwrite = write.overwrite, .follow_link = write.follow_link, .group = write.group};
  detail::with_new_h5ad(output, reserve, [&](const std::string& temporary) {
    const auto work = [&](const ImportContext& context, std::function<void()> tick) {
      const Hdf5Quiet quiet;
      return detail::with_memory_errors(input, [&] {
        return detail::SliceImport(detail::open_import_source(found, options, context), temporary, output,
                                   options, std::move(tick))
            .run(input);
      });
    };
    if (write.isolation == H5adIsolation::child_process) {
      std::unique_lock lock(hdf5_mutex());
      Hdf5Process process(output, write.silence_limit_s, [&](Channel& channel) {
        const std::function<void()> tick = channel.ticker((std::max)(write.busy_limit_s, 120.0));
        ImportContext context;
        context.progress = [&channel, tick, last = std::chrono::steady_clock::time_point()](
                               std::string_view stage, std::int64_t done, std::int64_t total) mutable {
          tick();
          const auto now = std::chrono::steady_clock::now();
          if (now - last < std::chrono::milliseconds(200)) return;
          last = now;
          ByteSink sink;
          sink.put('p');
          sink.put(std::string(stage));
          sink.put(done);
          sink.put(total);
          if (!channel.send(Channel::Kind::data, sink.take())) ::_exit(0);
        };
        channel.send(Channel::Kind::data, detail::pack_report(work(context, tick)));
      });
      lock.unlock();
      report = detail::receive_report(process, options);
    } else {
      const std::lock_guard lock(hdf5_mutex());
      ImportContext context;
      if (options.progress)
        context.progress = [&options](std::string_view stage, std::int64_t done, std::int64_t total) {
          options.progress(std::string(stage), done, total);
        };
      report = work(context, {});
    }
  });
  return report;
}

}  // namespace stofm
#endif
