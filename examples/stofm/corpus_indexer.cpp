// SPDX-License-Identifier: MIT
#include "corpus_indexer.hpp"

#include <algorithm>

#include "import_input.hpp"
#include "resources.hpp"
#include "slice_input.hpp"
#include "stofm/io/safetensors.hpp"
#include "training_run.hpp"
#if defined(STOFM_WITH_HDF5)
#include "stofm/io/h5ad_tables.hpp"
#endif

namespace stofm::program {
namespace {

namespace fs = std::filesystem;
using train::ManifestSlice;

#if defined(STOFM_WITH_HDF5)
/// What uns and obs say of where the slice comes from.
void read_slice_origin(const std::string& path, const std::string& donor_column, ManifestSlice& line) {
  const io::H5adTables tables = io::read_h5ad_tables(path, {.uns = true});
  for (const char* key : {"technology", "provenance/technology", "stofm_import/format"})
    if (const auto found = tables.uns.find(key); found != tables.uns.end() && line.technology_in_file.empty())
      line.technology_in_file = found->second;
  const std::vector<std::string> usual{"donor_id", "donor", "patient", "animal"};
  for (const std::string& column : donor_column.empty() ? usual : std::vector{donor_column}) {
    if (std::find(tables.obs_columns.begin(), tables.obs_columns.end(), column) == tables.obs_columns.end())
      continue;
    io::H5adReadOptions options;
    options.obs_columns = {column};
    try {
      line.donors_in_file = io::read_h5ad_tables(path, {}, options).labels.front().categories;
    } catch (const UsageError&) {  // no cell has a value: the file does not say
    }
    std::sort(line.donors_in_file.begin(), line.donors_in_file.end());
    return;
  }
}
#else
void read_slice_origin(const std::string&, const std::string&, ManifestSlice&) {}
#endif

}  // namespace

CorpusIndexer::CorpusIndexer(const CorpusArguments& arguments, fs::path folder)
    : a_(arguments), folder_(std::move(folder)) {
  const std::string path = find_weights(a_.weights);
  const auto file = io::SafetensorsFile::open(path);
  if (!file.contains("genes/table"))
    throw FileError({"STOFM-4336", path, "genes/table", "no gene table", "one, to read counts",
                     "Convert the weights with their gene table."});
  const std::string table = file.read_bytes("genes/table");
  const std::string mouse =
      file.contains("genes/mouse_to_human") ? file.read_bytes("genes/mouse_to_human") : std::string();
  genes_ = pipeline::GeneTable::parse(table, path + ": genes/table");
  if (!mouse.empty()) mouse_ = pipeline::MouseMap::parse(mouse, genes_, path + ": genes/mouse_to_human");
  vocabulary_ = train::vocabulary_hash(table, mouse);
  TrainingArguments reading;
  reading.slice = a_.slice;
  reader_ = training_reader(reading);
}

std::string CorpusIndexer::relative(const fs::path& path) const {
  const fs::path near = path.lexically_relative(folder_);
  return near.empty() ? path.string() : near.string();
}

fs::path CorpusIndexer::slice_of(const CorpusSource& source) const {
  if (!source.instrument) return source.path;
  const std::string name = fs::path(imported_name(source.path.string())).stem().string();
  return folder_ / "imported" / concat(name, "-", io::sha256_hex(source.path.string()).substr(0, 8), ".h5ad");
}

fs::path CorpusIndexer::fingerprint_path(const ManifestSlice& line) const {
  return folder_ / "fingerprints" / (line.sha256.substr(0, 32) + "-" + line.made_with + ".safetensors");
}

/// What a line depends on beside the file. The first word changes with what a line says.
std::string CorpusIndexer::made_with(const std::string& species) const {
  const std::string text = concat("index 1\n", vocabulary_, "\n", reader_.identity, "\n",
                                  species.empty() ? a_.slice.species : species, "\n", a_.slice.min_coverage,
                                  "\n", stofm::quoted(a_.donor_column));
  return io::sha256_hex(text).substr(0, 16);
}

std::optional<ManifestSlice> CorpusIndexer::known_line(const CorpusSource& source, const std::string& species,
                                                       const KnownLines& known) const {
  const fs::path file = slice_of(source);
  const ManifestSlice* then = known.find(relative(file));
  if (then == nullptr || then->made_with != made_with(species)) return std::nullopt;
  if (source.instrument && then->source_state != folder_state(source.path)) return std::nullopt;
  std::error_code ignored;
  const io::FileIdentity now = io::file_identity(file.string());
  if (!now.known() || now.bytes != then->bytes || !fs::exists(fingerprint_path(*then), ignored))
    return std::nullopt;
  if (now.modified_ns != then->modified_ns && io::sha256_file(file) != then->sha256) return std::nullopt;
  ManifestSlice line = *then;
  line.modified_ns = now.modified_ns;
  return line;
}

ManifestSlice CorpusIndexer::index(const CorpusSource& source, const std::string& species) const {
  const fs::path file = slice_of(source);
  const std::string state = source.instrument ? folder_state(source.path) : "";
  if (source.instrument) import_to(source.path.string(), file.string());
  train::IndexedSlice indexed = read(file, species);
  ManifestSlice& line = indexed.line;
  line.made_with = made_with(species);
  if (source.instrument) line.source = relative(source.path);
  line.source_state = state;
  train::write_fingerprints(fingerprint_path(line), indexed.prints);
  return line;
}

train::IndexedSlice CorpusIndexer::read(const fs::path& file, const std::string& species) const {
  const std::string path = file.string();
  const io::FileIdentity before = io::file_identity(path);
  const std::string sha256 = io::sha256_file(file);
  SliceArguments reading = a_.slice;
  if (!species.empty()) reading.species = species;
  train::IndexedSlice indexed = train::index_slice(reader_.open(file), genes_, mouse_, gene_options(reading));
  ManifestSlice& line = indexed.line;
  read_slice_origin(path, a_.donor_column, line);
  io::require_unchanged(path, before);
  line.file = relative(file);
  line.sha256 = sha256;
  line.bytes = before.bytes;
  line.modified_ns = before.modified_ns;
  line.vocabulary = vocabulary_;
  line.technology = line.technology_in_file;
  line.donors = line.donors_in_file;
  return indexed;
}

}  // namespace stofm::program
