// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Slices for adapting a cell encoder: their cells as tokens, with the panel of genes that each measures.
/// Every file is read once at the start, unless a manifest knows its cells; as many slices as the memory
/// allows are kept, the others are read again when needed.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/embed_cells.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "stofm/train/gene_masking.hpp"
#include "stofm/train/known_files.hpp"

namespace stofm::train {

struct TokenSliceOptions {
  std::int64_t max_tokens = 2048;  ///< longest sequence, <cls> included: at most the encoder's positions
  std::int64_t min_genes = fewest_genes;  ///< cells with fewer are not trained on (ours: they say little)
  pipeline::GeneMappingOptions mapping = {};
  GenePanelOptions panel = {};
};

/// Tokens of the cells of one slice that are trained on.
struct TokenSlice {
  std::string name;                        ///< path of the slice
  std::vector<std::int32_t> tokens;        ///< all cells, one after the other, each starting with <cls>
  std::vector<std::int64_t> offsets{0};    ///< [cells + 1]
  std::vector<std::int64_t> rows;          ///< [cells] which row of the slice each is
  std::shared_ptr<const GenePanel> panel;  ///< candidates and their weights
  std::int64_t left_out = 0;               ///< cells with fewer than `min_genes` genes
  Notices notices;

  std::int64_t cells() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  /// Memory it takes.
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(tokens.size() * sizeof(std::int32_t) +
                                     (offsets.size() + rows.size()) * sizeof(std::int64_t));
  }
};

/// Reads and tokenises a slice, streaming its counts. \throws as map_genes, for_token_blocks,
/// make_gene_panel. *Deterministic* yes. *Cost* one pass over the counts.
inline TokenSlice tokenize_slice(const io::Slice& slice, const pipeline::GeneTable& genes,
                                 const pipeline::MouseMap& mouse_map, const TokenSliceOptions& options = {}) {
  const pipeline::GeneMapping mapping = pipeline::map_genes(slice, genes, mouse_map, options.mapping);
  TokenSlice result;
  result.name = slice.path;
  result.notices = mapping.notices;
  pipeline::for_token_blocks(
      slice, mapping, {.max_tokens = options.max_tokens}, [&](const pipeline::TokenizedCells& block) {
        for (std::size_t c = 0; c < static_cast<std::size_t>(block.cells()); ++c) {
          if (block.offsets[c + 1] - block.offsets[c] - 1 < (std::max<std::int64_t>)(options.min_genes, 0)) {
            ++result.left_out;
            continue;
          }
          result.tokens.insert(result.tokens.end(), block.tokens.begin() + block.offsets[c],
                               block.tokens.begin() + block.offsets[c + 1]);
          result.offsets.push_back(static_cast<std::int64_t>(result.tokens.size()));
          result.rows.push_back(block.first_row + static_cast<std::int64_t>(c));
        }
      });
  result.panel = std::make_shared<GenePanel>(
      make_gene_panel(mapping.tokens, result.tokens, result.offsets, mapping.cls_token, options.panel));
  return result;
}

struct TokenCorpusOptions {
  TokenSliceOptions slices = {};
  std::int64_t memory = std::int64_t{1} << 30;  ///< bytes of tokens kept; at least one slice
  bool skip_bad = false;  ///< leave out, with a notice, what can not be read or has no cell
  /// Files whose cells need not be counted at the start, if they were by the genes of `vocabulary` and
  /// min_genes is fewest_genes; null: none.
  std::shared_ptr<const KnownFiles> known = {};
  std::string vocabulary = {};
};

/// Many slices. Not for several threads at once.
class TokenCorpus {
 public:
  using Open = std::function<io::Slice(const std::filesystem::path&)>;  ///< io::read_h5ad, or anything else
  struct Entry {
    std::filesystem::path path;
    std::int64_t cells = 0, tokens = 0;  ///< tokens of a known file: about
    bool known = false;                  ///< not read at the start
  };

  /// Reads every file once. \throws what reading throws, unless skip_bad; DataError STOFM-4572 if no cell is
  /// left.
  TokenCorpus(const std::vector<std::filesystem::path>& files, Open open,
              std::shared_ptr<const pipeline::GeneTable> genes,
              std::shared_ptr<const pipeline::MouseMap> mouse_map, const TokenCorpusOptions& options = {})
      : open_(std::move(open)),
        genes_(std::move(genes)),
        mouse_map_(std::move(mouse_map)),
        options_(options) {
    for (const auto& file : files) {
      try {
        if (const KnownFile* known = known_file(file)) {
          require_cells(known->cells_with_genes, file);
          entries_.push_back({file, known->cells_with_genes,
                              (std::min)(known->tokens, known->cells_with_genes * options_.slices.max_tokens),
                              true});
          continue;
        }
        auto slice = read(file);
        require_cells(slice->cells(), file);
        entries_.push_back({file, slice->cells(), slice->offsets.back()});
        append_notices(slice->notices, file);
        keep(static_cast<std::int64_t>(entries_.size()) - 1, std::move(slice));
      } catch (const Error& error) {
        if (!options_.skip_bad || error.kind() == ErrorKind::resource) throw;
        notices_.push_back({"STOFM-W4570", concat(file.string(), " is left out: ", error.what()), 1});
      }
    }
    if (entries_.empty())
      throw DataError({"STOFM-4572", "", "slices", "none with a cell to train on", "at least one",
                       "Give slices of single cells or spots with raw counts."});
  }

  const std::vector<Entry>& entries() const { return entries_; }
  std::int64_t size() const { return static_cast<std::int64_t>(entries_.size()); }
  std::int64_t cells() const {
    std::int64_t sum = 0;
    for (const Entry& entry : entries_) sum += entry.cells;
    return sum;
  }
  const Notices& notices() const { return notices_; }

  /// A slice, read again if it was dropped. \throws DataError STOFM-4573 if it has changed since.
  std::shared_ptr<const TokenSlice> slice(std::int64_t index) {
    for (auto at = kept_.begin(); at != kept_.end(); ++at)
      if (at->first == index) {
        kept_.splice(kept_.begin(), kept_, at);
        return kept_.front().second;
      }
    const Entry& entry = entries_.at(static_cast<std::size_t>(index));
    auto slice = read(entry.path);
    if (slice->cells() != entry.cells || (!entry.known && slice->offsets.back() != entry.tokens))
      throw DataError({"STOFM-4573", entry.path.string(), "cells",
                       concat(slice->cells(), " cells with ", slice->offsets.back(), " tokens"),
                       concat(entry.cells, " with ", entry.tokens, ", as when the run began"),
                       "Leave the slices as they are while they are trained on."});
    keep(index, slice);
    return slice;
  }

 private:
  const KnownFile* known_file(const std::filesystem::path& path) const {
    if (!options_.known || options_.slices.min_genes != fewest_genes) return nullptr;
    const KnownFile* file = options_.known->find(path);
    return file != nullptr && file->vocabulary == options_.vocabulary ? file : nullptr;
  }
  void require_cells(std::int64_t cells, const std::filesystem::path& file) const {
    if (cells == 0)
      throw DataError({"STOFM-4572", file.string(), "cells", "no cell with enough genes",
                       concat("cells with at least ", options_.slices.min_genes, " genes"),
                       "Check the counts and the gene names."});
  }
  std::shared_ptr<const TokenSlice> read(const std::filesystem::path& path) const {
    return std::make_shared<TokenSlice>(tokenize_slice(open_(path), *genes_, *mouse_map_, options_.slices));
  }
  void keep(std::int64_t index, std::shared_ptr<const TokenSlice> slice) {
    held_ += slice->bytes();
    kept_.emplace_front(index, std::move(slice));
    while (held_ > options_.memory && kept_.size() > 1) {
      held_ -= kept_.back().second->bytes();
      kept_.pop_back();
    }
  }
  void append_notices(const Notices& more, const std::filesystem::path& file) {
    for (const Notice& notice : more)
      notices_.push_back({notice.code, concat(file.filename().string(), ": ", notice.text), notice.count});
  }

  Open open_;
  std::shared_ptr<const pipeline::GeneTable> genes_;
  std::shared_ptr<const pipeline::MouseMap> mouse_map_;
  TokenCorpusOptions options_;
  std::vector<Entry> entries_;
  Notices notices_;
  std::list<std::pair<std::int64_t, std::shared_ptr<const TokenSlice>>> kept_;  // last used first
  std::int64_t held_ = 0;
};

}  // namespace stofm::train
