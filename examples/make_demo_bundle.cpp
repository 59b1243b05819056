// SPDX-License-Identifier: MIT
// Puts the demonstration bundle together from what was trained and committed and from the gene tables:
//   make_demo_bundle OUTPUT TRAINED GENES_TSV MOUSE_TO_HUMAN_TSV
// TRAINED is what weights_tools/pack_demo.py wrote; its model card lies beside it. The word table has the
// trained rows of the genes that the training slices measured; other genes get seeded random rows of the same
// length, so that slices of other panels can be embedded, too.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/io/bundle.hpp"
#include "stofm/pipeline/gene_table.hpp"

namespace {

constexpr std::uint64_t seed = 20240711;
constexpr const char* format = "stofm-packed-demo";

std::string read_text(const char* path) {
  return stofm::io::File::open(path).read_all(std::int64_t{64} << 20);
}

void require(bool good, const std::string& file, const char* where, const char* expected) {
  if (!good)
    throw stofm::FileError({"STOFM-3701", file, where, "something else", expected,
                            "Make it anew with weights_tools/pack_demo.py."});
}

// Rows of the word table: the first columns the gene's vector, then two that bring its sum to 0 and its
// length to 1, as start_bundle.py's word_rows. Rows of <pad> (0) and <cls> (the last) stay 0.
stofm::Tensor<float> word_table(const stofm::io::SafetensorsFile& file, std::int64_t vocabulary,
                                std::int64_t hidden) {
  const auto tokens = file.read<std::int32_t>("words/tokens");
  const auto rows = file.read<float>("words/rows");
  const std::int64_t used = rows.rank() == 2 ? rows.dim(1) : 0;
  require(tokens.rank() == 1 && used >= 3 && used <= hidden && rows.dim(0) == tokens.dim(0), file.path(),
          "words/rows", "a row for each of words/tokens");
  std::vector<double> lengths;
  for (std::int64_t i = 0; i < rows.dim(0); ++i) {
    double squares = 0;
    for (std::int64_t c = 0; c + 2 < used; ++c)
      squares += static_cast<double>(rows(i, c)) * static_cast<double>(rows(i, c));
    lengths.push_back(std::sqrt(squares));
  }
  require(!lengths.empty(), file.path(), "words/tokens", "at least one gene");
  std::nth_element(lengths.begin(), lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2),
                   lengths.end());
  const double usual = lengths[lengths.size() / 2];

  auto table = stofm::Tensor<float>::zeros({vocabulary, hidden});
  const auto features = static_cast<std::size_t>(used - 2);
  std::vector<double> row(features);
  for (std::int64_t token = 1; token + 1 < vocabulary; ++token) {
    stofm::Random random(seed, static_cast<std::uint64_t>(token));
    double sum = 0, squares = 0;
    for (double& value : row) sum += value = random.normal();
    for (double& value : row) {
      value -= sum / static_cast<double>(features);
      squares += value * value;
    }
    for (std::size_t c = 0; c < features; ++c)
      table(token, static_cast<std::int64_t>(c)) = static_cast<float>(row[c] * usual / std::sqrt(squares));
    const auto apart = static_cast<float>(std::sqrt((std::max)(0.0, (1 - usual * usual) / 2)));
    table(token, used - 2) = apart;
    table(token, used - 1) = -apart;
  }
  for (std::int64_t i = 0; i < rows.dim(0); ++i) {
    const std::int64_t token = tokens.data()[i];
    require(token > 0 && token + 1 < vocabulary, file.path(), "words/tokens", "tokens of genes");
    for (std::int64_t c = 0; c < used; ++c) table(token, c) = rows(i, c);
  }
  return table;
}

// The Ensembl ids of the trained rows, one a line in the order of the gene table.
std::string learnt_genes(const stofm::io::SafetensorsFile& file, const stofm::pipeline::GeneTable& genes) {
  const auto tokens = file.read<std::int32_t>("words/tokens");
  const auto listed = tokens.span();
  std::string text;
  for (std::size_t row = 0; row < genes.tokens.size(); ++row)
    if (std::find(listed.begin(), listed.end(), genes.tokens[row]) != listed.end())
      text += genes.ensembl_ids[row] + "\n";
  return text;
}

stofm::Tensor<float> place_table(const stofm::io::SafetensorsFile& file, std::int64_t hidden) {
  const auto columns = file.read<float>("places/columns");
  require(columns.rank() == 2 && columns.dim(1) <= hidden, file.path(), "places/columns",
          "[places, columns]");
  auto table = stofm::Tensor<float>::zeros({columns.dim(0), hidden});
  for (std::int64_t i = 0; i < columns.dim(0); ++i)
    for (std::int64_t c = 0; c < columns.dim(1); ++c) table(i, hidden - columns.dim(1) + c) = columns(i, c);
  return table;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 5)
      throw stofm::UsageError({"STOFM-2000", "", "command line", stofm::concat(argc - 1, " arguments"), "4",
                               "Use make_demo_bundle OUTPUT TRAINED GENES_TSV MOUSE_TO_HUMAN_TSV."});
    const auto file = stofm::io::SafetensorsFile::open(argv[2]);
    const auto kind = file.metadata().find("format");
    require(kind != file.metadata().end() && kind->second == format, file.path(), "format", format);
    stofm::io::Bundle bundle;
    bundle.gene_table = read_text(argv[3]);
    bundle.mouse_to_human = read_text(argv[4]);
    bundle.model_info = stofm::io::detail::bundle_json(file, "model_info", true);
    bundle.se2_config = stofm::io::detail::bundle_json(file, "se2_config", true);
    bundle.cell_encoder_config = stofm::io::detail::bundle_json(file, "cell_encoder_config", true);
    const std::string se2 = "se2/", cell_encoder = "cell_encoder/";
    for (const std::string& name : file.names()) {
      if (name.starts_with(se2)) bundle.se2.emplace(name.substr(se2.size()), file.read<float>(name));
      if (name.starts_with(cell_encoder))
        bundle.cell_encoder.emplace(name.substr(cell_encoder.size()), file.read<float>(name));
    }
    const auto genes = stofm::pipeline::GeneTable::parse(bundle.gene_table, argv[3]);
    const auto hidden = bundle.cell_encoder_config.at("hidden_size").get<std::int64_t>();
    bundle.cell_encoder.emplace("bert/embeddings.word_embeddings.weight",
                                word_table(file, genes.vocabulary_size(), hidden));
    bundle.cell_encoder.emplace("bert/embeddings.position_embeddings.weight", place_table(file, hidden));
    bundle.learnt_genes = learnt_genes(file, genes);
    stofm::io::write_bundle(argv[1], bundle, true);
    return 0;
  } catch (const stofm::Error& error) {
    std::fprintf(stderr, "make_demo_bundle: %s\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_demo_bundle: %s\n", error.what());
    return 5;
  }
}
