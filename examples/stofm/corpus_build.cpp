// SPDX-License-Identifier: MIT
#include "corpus_build.hpp"

#include <algorithm>
#include <mutex>

#include "console.hpp"
#include "corpus_indexer.hpp"
#include "option_flags.hpp"
#include "output_plan.hpp"
#include "resources.hpp"
#include "signals.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/io/output_file.hpp"
#include "stofm/train/build_manifest.hpp"
#include "stofm/train/checkpoint_lock.hpp"

namespace stofm::program {
namespace {

namespace fs = std::filesystem;
using train::ManifestSlice;

/// A file that can not be used.
struct RefusedSlice {
  std::string file, code, message;
  int exit_code = 0;
};

std::string refused_line(const RefusedSlice& r) {
  return nlohmann::ordered_json{
             {"file", r.file}, {"code", r.code}, {"message", r.message}, {"exit_code", r.exit_code}}
             .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) +
         "\n";
}

class CorpusBuild {
 public:
  CorpusBuild(const CorpusArguments& a, distributed::Communicator& ranks)
      : a_(a), ranks_(ranks), folder_(whole_path(a.output)) {}

  int run() {
    std::optional<train::DirectoryLock> lock;
    if (ranks_.is_first()) lock.emplace(prepare_folder());
    ranks_.barrier();
    indexer_.emplace(a_, folder_);
    if (!a_.table.empty()) table_ = read_corpus_table(a_.table);
    sources_ = find_corpus_sources(inputs());
    rows_ = rows_of(table_, a_.table, sources_);
    known_ = KnownLines(folder_);
    ranks_.barrier();  // all have read what the last run left before anybody adds to it
    set_interruption_hint("The same command goes on where it stopped.");
    index_all();
    return finish();
  }

 private:
  /// Makes the folders. \return the path of the lock
  fs::path prepare_folder() const {
    std::error_code error;
    for (const char* part : {"fingerprints", "imported"}) fs::create_directories(folder_ / part, error);
    if (error)
      throw UsageError({"STOFM-3012", folder_.string(), "output", error.message(),
                        "a folder that can be made", "Choose another --output."});
    for (const fs::path& place : {folder_, folder_ / "fingerprints", folder_ / "imported"})
      clean_up_after_killed_runs(place);
    remove_on_signal((folder_ / "corpus.lock").string());
    return folder_ / "corpus.lock";
  }

  std::vector<std::string> inputs() const {
    if (!a_.inputs.empty() || !a_.list.empty()) return expand_inputs(a_.inputs, a_.list);
    std::vector<std::string> files;
    for (const CorpusTableRow& row : table_) {
      const fs::path beside = fs::path(a_.table).parent_path() / row.file;
      files.push_back((fs::exists(beside) ? beside : fs::path(row.file)).string());
    }
    return files;
  }

  /// Indexes this process's share: every `ranks`-th source that is not known already.
  void index_all() {
    Console& console = Console::get();
    std::vector<std::size_t> mine;
    for (std::size_t i = 0; i < sources_.size(); ++i)
      if (i % static_cast<std::size_t>(ranks_.size()) == static_cast<std::size_t>(ranks_.rank()))
        mine.push_back(i);
    LineFile lines(folder_ / concat("indexed-", ranks_.rank(), ".jsonl"));
    const auto total = static_cast<std::int64_t>(mine.size());
    std::atomic<std::int64_t> done{0};
    std::mutex mutex;
    std::exception_ptr stopped;
    train::detail::on_threads(total, thread_count(), [&](std::int64_t k, bool caller) {
      {
        const std::scoped_lock guard(mutex);
        if (stopped) return;
      }
      try {
        index_one(mine[static_cast<std::size_t>(k)], lines, mutex);
      } catch (...) {
        const std::scoped_lock guard(mutex);
        if (!stopped) stopped = std::current_exception();
      }
      ++done;
      if (caller) console.progress("slices", done.load(), total, "slices");
    });
    console.end_progress();
    if (stopped) std::rethrow_exception(stopped);
  }

  /// A line or a refusal for one source. \throws ResourceError, DeviceError: these say nothing of the slice
  void index_one(std::size_t i, LineFile& lines, std::mutex& mutex) {
    const CorpusSource& source = sources_[i];
    const std::string species = rows_[i] == nullptr ? "" : rows_[i]->species;
    try {
      std::optional<ManifestSlice> known = indexer_->known_line(source, species, known_);
      ManifestSlice line = known ? *std::move(known) : indexer_->index(source, species);
      const std::scoped_lock guard(mutex);
      if (!known) lines.append(train::manifest_line(line));
      (known ? kept_ : fresh_) += 1;
      lines_.push_back(std::move(line));
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::resource || e.kind() == ErrorKind::device) throw;
      const std::scoped_lock guard(mutex);
      refused_.push_back({indexer_->relative(source.path), e.code(), with_flags(e.what()), e.exit_code()});
    }
  }

  /// Gathers what all processes have; the first compares, decides and writes.
  int finish() {
    std::string mine, refusals;
    for (const ManifestSlice& line : lines_) mine += train::manifest_line(line);
    for (const RefusedSlice& refused : refused_) refusals += refused_line(refused);
    const std::vector<std::string> all = ranks_.all_gather(mine), all_refused = ranks_.all_gather(refusals);
    const auto fresh = static_cast<std::int64_t>(ranks_.sum_of(static_cast<double>(fresh_)));
    const auto kept = static_cast<std::int64_t>(ranks_.sum_of(static_cast<double>(kept_)));
    int code = 0;
    if (ranks_.is_first()) {
      std::vector<ManifestSlice> slices;
      for (const std::string& text : all)
        for (const std::string& line : lines_of(text))
          slices.push_back(train::parse_manifest_line(line, "rank", 0));
      std::vector<std::string> refused;
      for (const std::string& text : all_refused)
        for (std::string& line : lines_of(text)) refused.push_back(std::move(line));
      std::sort(refused.begin(), refused.end());
      Console::get().say(concat(format_count(fresh), " slices indexed, ", format_count(kept),
                                " as they were, ", refused.size(), " refused"));
      code = write(std::move(slices), refused);
    }
    ranks_.barrier();
    return code;
  }

  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
      lines.push_back(text.substr(at, end - at));
    return lines;
  }

  void say_refused(const std::vector<std::string>& refused) const {
    Console& console = Console::get();
    for (std::size_t i = 0; i < refused.size() && i < 10; ++i) {
      const auto line = nlohmann::json::parse(refused[i]);
      console.warn("refused: " + line.at("message").get<std::string>(),
                   {{"code", line.at("code").get<std::string>()}});
    }
    if (refused.size() > 10)
      console.warn(concat(refused.size() - 10, " more are refused: refused.jsonl has all of them"));
    if (a_.strict && !refused.empty())
      throw DataError({"STOFM-4586", a_.output, "slices", concat(refused.size(), " that are refused"),
                       "none under --strict", "Mend them or leave them out; what was indexed is kept."});
  }

  /// What the table and the options say beside the file.
  void tell(ManifestSlice& line, const CorpusTableRow* row) const {
    line.technology = line.technology_in_file.empty() ? a_.technology : line.technology_in_file;
    line.donors = line.donors_in_file;
    line.tissue = row == nullptr ? "" : row->tissue;
    line.licence = row == nullptr ? "" : row->licence;
    if (row == nullptr) return;
    if (!row->technology.empty()) line.technology = row->technology;
    if (!row->donor.empty()) line.donors = {row->donor};
  }

  int write(std::vector<ManifestSlice> slices, const std::vector<std::string>& refused) {
    say_refused(refused);
    if (slices.empty())
      throw DataError({"STOFM-4585", a_.output, "slices", concat("none of ", sources_.size(), " can be used"),
                       "at least one", "See what is said of each above."});
    std::sort(slices.begin(), slices.end(),
              [](const ManifestSlice& a, const ManifestSlice& b) { return a.file < b.file; });
    std::map<std::string, const CorpusTableRow*> told;
    for (std::size_t i = 0; i < sources_.size(); ++i)
      told[indexer_->relative(indexer_->slice_of(sources_[i]))] = rows_[i];
    std::vector<std::optional<train::CorpusPart>> given;
    for (ManifestSlice& line : slices) {
      const CorpusTableRow* row = told.at(line.file);
      tell(line, row);
      given.push_back(row == nullptr ? std::nullopt : row->part);
    }
    const std::vector<train::ManifestPair> pairs = train::build_manifest(
        slices,
        [&](std::int64_t i, bool sketches) {
          return train::read_fingerprints(indexer_->fingerprint_path(slices[static_cast<std::size_t>(i)]),
                                          sketches);
        },
        given,
        {.least = {a_.min_cells, a_.min_genes, a_.min_median_counts},
         .duplicates = {.duplicate = a_.duplicate_share},
         .split = {a_.validation, a_.test, a_.seed}});
    publish_files(slices, pairs, refused);
    return 0;
  }

  void publish_files(const std::vector<ManifestSlice>& slices, const std::vector<train::ManifestPair>& pairs,
                     const std::vector<std::string>& refused) {
    std::string lines, twins, errors;
    std::int64_t parts[3] = {}, excluded = 0, duplicates = 0;
    for (const ManifestSlice& line : slices) {
      lines += train::manifest_line(line);
      excluded += !line.excluded.empty();
      duplicates += line.excluded.empty() && !line.duplicate_of.empty();
      parts[static_cast<std::size_t>(line.part)] += line.used();
    }
    for (const train::ManifestPair& pair : pairs)
      twins += nlohmann::ordered_json{{"a", slices[static_cast<std::size_t>(pair.common.a)].file},
                                      {"b", slices[static_cast<std::size_t>(pair.common.b)].file},
                                      {"same_file", pair.same_file},
                                      {"share_by_counts", pair.common.counts},
                                      {"share_by_places", pair.common.places}}
                   .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) +
               "\n";
    for (const std::string& line : refused) errors += line + "\n";
    io::OutputGroup outputs;
    const io::OutputOptions options{.overwrite = true, .follow_link = false, .group = &outputs};
    for (const auto& [name, text] :
         {std::pair{"manifest.jsonl", &lines}, std::pair{"duplicates.jsonl", &twins},
          std::pair{"refused.jsonl", &errors}})
      io::atomic_write(
          folder_ / name, [content = text](io::OutputFile& file) { file.write(*content); }, options);
    publish(outputs);
    for (const fs::path& file : unfinished_lines(folder_)) {
      std::error_code ignored;
      fs::remove(file, ignored);
    }
    Console::get().say(concat("wrote ", (fs::path(a_.output) / "manifest.jsonl").string(), ": ", parts[0],
                              " slices to train on, ", parts[1], " for validation, ", parts[2],
                              " for the test; ", duplicates, " duplicates and ", excluded,
                              " excluded are left out"));
  }

  const CorpusArguments& a_;
  distributed::Communicator& ranks_;
  fs::path folder_;
  std::optional<CorpusIndexer> indexer_;
  std::vector<CorpusTableRow> table_;
  std::vector<CorpusSource> sources_;
  std::vector<const CorpusTableRow*> rows_;
  KnownLines known_;
  std::vector<ManifestSlice> lines_;
  std::vector<RefusedSlice> refused_;
  std::int64_t fresh_ = 0, kept_ = 0;
};

}  // namespace

int build_corpus(const CorpusArguments& arguments, distributed::Communicator& ranks) {
  return CorpusBuild(arguments, ranks).run();
}

}  // namespace stofm::program
