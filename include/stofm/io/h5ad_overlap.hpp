// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sections, levels or fields of view that lie on top of each other in one file are refused, with the column
/// that tells them apart. Rows D28, H07.
///
/// Every column of obs with 2 to 2,000 values is asked, whatever its name is; so are a third column of the
/// positions and the parts of the names of the cells. That the groups lie on each other is enough where the
/// name says sample, section or field of view, where the values are the libraries of uns["spatial"], and
/// where the file is one group behind the other, as concatenated files are; elsewhere, and for cell types,
/// clusters and regions always, the positions must say so by themselves (io/slice_overlap.hpp). Groups side
/// by side are no reason for a word. *Cost* that of reading these columns (at most 256 that are not named
/// like slices), O(cells log^2 cells) once and 10 ms to 0.3 s for each of them. Nothing where there is no
/// such column. `file` and `obs` are an .h5ad file and its frame, or a MemorySource and its frame, which say
/// by few_valued_column, spatial_libraries and other_places (in their namespace) what they have; no libhdf5
/// here.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_library.hpp"
#include "stofm/io/slice_overlap.hpp"

namespace stofm::io::detail {

/// What a column is for, by its name.
enum class ColumnUse { slice, property, other };

inline ColumnUse column_use(const std::string& name) {
  static constexpr std::array<const char*, 24> properties{
      "type",  "celltype", "subtype", "cluster", "leiden", "louvain", "annotation", "annot",
      "label", "region",   "domain",  "layer",   "niche",  "phase",   "class",      "subclass",
      "ident", "identity", "state",   "lineage", "zone",   "module",  "topic",      "neighborhood"};
  static constexpr std::array<const char*, 35> slices{
      "batch",   "sample",  "library", "lib",        "slice",      "section",  "slide",     "fov",  "donor",
      "patient", "subject", "animal",  "individual", "mouse",      "specimen", "replicate", "rep",  "puck",
      "dataset", "tile",    "roi",     "run",        "experiment", "core",     "capture",   "chip", "plane",
      "z",       "bregma",  "image",   "origident",  "timepoint",  "level",    "layerz",    "field"};
  std::vector<std::string> tokens{""};
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool letter = std::isalpha(c) != 0;
    const bool hump =
        std::isupper(c) != 0 && i > 0 && std::islower(static_cast<unsigned char>(name[i - 1])) != 0;
    if (hump || !letter) tokens.emplace_back();
    if (letter) tokens.back() += lower_case(name[i]);
  }
  const std::string low = lower_case(name);
  if (low == "orig.ident" || low == "orig_ident") return ColumnUse::slice;
  ColumnUse use = ColumnUse::other;
  for (std::string token : tokens) {
    for (const std::string ending : {"ids", "id", "names", "name", "numbers", "number", "s"})
      if (token.size() > ending.size() + 2 && token.ends_with(ending)) {
        token.resize(token.size() - ending.size());
        break;
      }
    for (const char* word : slices)
      if (token == word) return ColumnUse::slice;
    for (const char* word : properties)
      if (token == word) use = ColumnUse::property;
  }
  return use;
}

/// One group behind the other in the order of the cells, as concatenation leaves them.
inline bool is_in_runs(const std::vector<std::int32_t>& code) {
  std::int64_t runs = 0;
  std::int32_t last = -1;
  std::vector<std::int32_t> seen;
  for (const std::int32_t group : code) {
    if (group < 0 || group == last) continue;
    ++runs;
    last = group;
    if (static_cast<std::size_t>(group) >= seen.size()) seen.resize(static_cast<std::size_t>(group) + 1, 0);
    seen[static_cast<std::size_t>(group)] = 1;
  }
  const auto groups = static_cast<std::int64_t>(std::count(seen.begin(), seen.end(), 1));
  return 10 * runs <= 11 * groups;
}

/// The cells of one library, of at most four (the largest): they are moved apart, so that only cells of one
/// library are compared, and few enough remain for their grounds to be seen.
struct LibrariesApart {
  std::vector<std::int64_t> cells{};  ///< of the slice; empty: all, there is one library
  SliceNeighbourhoods nearby;

  std::vector<std::int32_t> of(const std::vector<std::int32_t>& code) const {
    if (cells.empty()) return code;
    std::vector<std::int32_t> some;
    for (const std::int64_t cell : cells) some.push_back(code[static_cast<std::size_t>(cell)]);
    return some;
  }
};

inline LibrariesApart libraries_apart(std::vector<double> xy, const std::vector<std::int32_t>& library,
                                      const std::function<void()>& progress) {
  if (library.empty()) return {{}, SliceNeighbourhoods(std::move(xy), progress)};
  std::map<std::int32_t, std::int64_t> sizes;
  for (const std::int32_t code : library)
    if (code >= 0) ++sizes[code];
  std::vector<std::pair<std::int64_t, std::int32_t>> largest;
  for (const auto& [code, size] : sizes) largest.emplace_back(-size, code);
  std::sort(largest.begin(), largest.end());
  largest.resize((std::min<std::size_t>)(largest.size(), 4));
  double low = 0, high = 0;
  for (std::size_t i = 0; i < xy.size(); i += 2) {
    low = i == 0 ? xy[i] : (std::min)(low, xy[i]);
    high = i == 0 ? xy[i] : (std::max)(high, xy[i]);
  }
  const double step = 3 * (high - low) + 1;
  std::vector<std::int64_t> cells;
  std::vector<double> some;
  for (std::size_t i = 0; i < library.size(); ++i)
    for (std::size_t k = 0; k < largest.size(); ++k)
      if (largest[k].second == library[i]) {
        cells.push_back(static_cast<std::int64_t>(i));
        some.push_back(xy[2 * i] + step * static_cast<double>(k));
        some.push_back(xy[2 * i + 1]);
      }
  return {std::move(cells), SliceNeighbourhoods(std::move(some), progress)};
}

/// One grouping with what was found.
struct FoundOverlap {
  CellGroups groups;
  ColumnUse use = ColumnUse::other;
  bool in_runs = false;
  SliceOverlap overlap{};

  bool named() const { return use == ColumnUse::slice; }
  bool counts() const {
    if (named() || (use == ColumnUse::other && groups.text && in_runs)) return overlap.is_possible();
    return overlap.is_plain(use == ColumnUse::other && groups.text ? 3 : 4);
  }
};

/// Looks for overlaps in a slice whose cells, positions and library are those that will be embedded. \throws
/// DataError (STOFM-3562)
template <class File, class Frame>
class OverlapSearch {
 public:
  OverlapSearch(const File& file, const Frame& obs, const H5adReadOptions& options,
                const H5adCoordinates& positions, const Slice& slice, std::int64_t memory_limit)
      : file_(file),
        obs_(obs),
        options_(options),
        positions_(positions),
        slice_(slice),
        limit_(memory_limit) {}

  void refuse() const {
    if (slice_.cells < 40) return;
    const std::vector<std::string> libraries = spatial_libraries(file_);
    std::optional<LibrariesApart> apart;
    const auto places = [&]() -> const LibrariesApart& {
      if (!apart) apart.emplace(libraries_apart(own_places(), slice_.library, file_.progress));
      return *apart;
    };
    std::vector<FoundOverlap> found;
    for_each_candidate(libraries, [&](FoundOverlap candidate) {
      if (overlaps(places(), candidate)) found.push_back(std::move(candidate));
    });
    if (found.empty()) {
      if (libraries.size() > 1 && slice_.library.empty() && !is_one_of(libraries))
        refuse_by_order(places().nearby, libraries);
      return;
    }
    std::stable_sort(found.begin(), found.end(), [](const FoundOverlap& a, const FoundOverlap& b) {
      return a.named() != b.named() ? a.named() : a.overlap.groups < b.overlap.groups;
    });
    refuse_by(found[best_of(found)], found);
  }

 private:
  std::vector<double> own_places() const {
    return {slice_.coordinates.data(), slice_.coordinates.data() + slice_.coordinates.numel()};
  }
  bool overlaps(const LibrariesApart& places, FoundOverlap& candidate) const {
    const auto groups = static_cast<std::int32_t>(candidate.groups.names.size());
    const std::vector<std::int32_t> code = places.of(candidate.groups.code);
    candidate.overlap = measure_overlap(places.nearby, code, groups, file_.progress);
    return candidate.counts() &&
           (candidate.overlap.is_plain() ||
            !is_one_tissue(places.nearby, code, groups, candidate.overlap, file_.progress));
  }

  /// Groups of the cells of the slice, one grouping after the other.
  template <class Visit>
  void for_each_candidate(const std::vector<std::string>& libraries, const Visit& visit) const {
    constexpr int most_unnamed = 256;
    const auto add = [&](std::optional<CellGroups> groups, ColumnUse use) {
      if (!groups) return;
      keep_rows(groups->code, slice_.file_rows);
      if (std::all_of(groups->code.begin(), groups->code.end(),
                      [&groups](std::int32_t code) { return code < 0 || code == groups->code.front(); }))
        return;
      const auto is_library = [&](const std::string& name) {
        return std::find(groups->names.begin(), groups->names.end(), name) != groups->names.end();
      };
      if (libraries.size() > 1 && std::all_of(libraries.begin(), libraries.end(), is_library))
        use = ColumnUse::slice;
      const bool in_runs = is_in_runs(groups->code);
      visit(FoundOverlap{*std::move(groups), use, in_runs});
    };
    add(groups_of_z(obs_, positions_), ColumnUse::slice);
    int unnamed = 0;
    const std::vector<std::string> columns = obs_.columns();
    for (const bool named : {true, false})
      for (const std::string& column : columns) {
        const ColumnUse use = column_use(column);
        if ((use == ColumnUse::slice) != named || column.starts_with("stofm_")) continue;
        if (!named && ++unnamed > most_unnamed) break;
        if (file_.progress) file_.progress();
        add(few_valued_column(file_, obs_, column), use);
      }
    constexpr std::int64_t most_names = 200000;
    if (slice_.library.empty() && (obs_.length() <= most_names || libraries.size() > 1)) {
      std::vector<std::string> names;
      try {
        names = obs_.strings(obs_.index());
      } catch (const FileError&) {
        return;  // odd names are no reason to refuse
      }
      for (const char* part : {"index:suffix", "index:prefix", "index:letters"})
        add(groups_of_names(part, names), ColumnUse::other);
    }
  }

  /// The first that, used as the library, leaves no other overlap; else the first.
  std::size_t best_of(const std::vector<FoundOverlap>& found) const {
    if (found.size() == 1) return 0;
    for (std::size_t i = 0; i < (std::min<std::size_t>)(found.size(), 4); ++i) {
      std::vector<std::int32_t> library = found[i].groups.code;
      if (!slice_.library.empty())
        for (std::size_t c = 0; c < library.size(); ++c)
          if (library[c] >= 0)
            library[c] += slice_.library[c] * static_cast<std::int32_t>(found[i].groups.names.size());
      const LibrariesApart apart = libraries_apart(own_places(), library, file_.progress);
      bool clean = true;
      for (std::size_t k = 0; k < found.size() && clean; ++k) {
        if (k == i) continue;
        FoundOverlap again = found[k];
        clean = !overlaps(apart, again);
      }
      if (clean) return i;
    }
    return 0;
  }

  /// The option that names other places, where nothing overlaps; "" if there are none.
  std::string better_places(const std::vector<FoundOverlap>& found) const {
    for (OtherPlaces& other : other_places(file_, obs_, slice_.coordinates_source, limit_)) {
      keep_rows(other.xy, slice_.file_rows, 2);
      const LibrariesApart apart = libraries_apart(std::move(other.xy), slice_.library, file_.progress);
      bool clean = true;
      for (FoundOverlap again : found) clean = clean && !overlaps(apart, again);
      if (clean) return other.option;
    }
    return {};
  }

  [[noreturn]] void refuse_by(const FoundOverlap& by, const std::vector<FoundOverlap>& found) const {
    const auto name = [&by](std::size_t i) {
      return stofm::quoted(by.groups.names[static_cast<std::size_t>(by.overlap.example[i])], 40);
    };
    const auto percent = [](double share) { return concat(std::llround(100 * share), " %"); };
    const std::string better = options_.coordinates ? std::string() : better_places(found);
    const std::string key =
        options_.library_key.empty() ? by.groups.key : options_.library_key + "," + by.groups.key;
    throw DataError(
        {"STOFM-3562", file_.path, slice_.coordinates_source,
         concat(by.overlap.groups, " groups of cells, told apart by ", by.groups.name,
                ", that lie on top of each other (", name(0), " and ", name(1),
                ", for one; of their nearest cells ", percent(by.overlap.nearest_same),
                " are of the same group, of the 16 nearest ", percent(by.overlap.near_same), ")"),
         "the cells of one slice, or slices side by side",
         (better.empty() ? std::string("Embed them")
                         : "Use the places where they lie side by side, with " + better + ", or embed them") +
             " as slices of their own with H5adReadOptions::library_key = " + key +
             (std::count(by.groups.code.begin(), by.groups.code.end(), -1) == 0
                  ? std::string()
                  : " H5adReadOptions::drop_no_library (some cells have no value)") +
             "; H5adReadOptions::overlay embeds them as they lie."});
  }

  /// A column says that all cells are of one of these libraries (of which the others were cut away).
  bool is_one_of(const std::vector<std::string>& libraries) const {
    const std::vector<std::string> columns = obs_.columns();
    return std::any_of(columns.begin(), columns.end(), [&](const std::string& column) {
      if (column_use(column) != ColumnUse::slice) return false;
      auto groups = few_valued_column(file_, obs_, column);
      if (!groups) return false;
      keep_rows(groups->code, slice_.file_rows);
      const std::int32_t first = groups->code.front();
      return first >= 0 &&
             std::all_of(groups->code.begin(), groups->code.end(),
                         [first](std::int32_t code) { return code == first; }) &&
             std::find(libraries.begin(), libraries.end(), groups->names[static_cast<std::size_t>(first)]) !=
                 libraries.end();
    });
  }

  /// uns["spatial"] has several libraries, but no column says which cell is of which: halves of the file.
  void refuse_by_order(const SliceNeighbourhoods& nearby, const std::vector<std::string>& libraries) const {
    std::vector<std::int32_t> part;
    for (std::int64_t i = 0; i < slice_.cells; ++i)
      part.push_back(static_cast<std::int32_t>(2 * i / slice_.cells));
    if (!measure_overlap(nearby, part, 2, file_.progress).is_possible()) return;
    throw DataError({"STOFM-3562", file_.path, slice_.coordinates_source,
                     concat("cells that lie on top of each other: uns[\"spatial\"] has the libraries ",
                            name_list(libraries, 4), ", but no column of obs says which cell is of which"),
                     "the cells of one slice, or slices side by side",
                     "Add a column to obs that names the library of each cell and give it with "
                     "H5adReadOptions::library_key; "
                     "H5adReadOptions::overlay embeds the cells as they lie."});
  }

  const File& file_;
  const Frame& obs_;
  const H5adReadOptions& options_;
  const H5adCoordinates& positions_;
  const Slice& slice_;
  std::int64_t limit_;
};

/// All cells at one place: positions that were lost. \throws DataError (STOFM-3563)
template <class File, class Frame>
void refuse_one_place(const File& file, const Frame& obs, const Slice& slice, std::int64_t memory_limit) {
  const double* xy = slice.coordinates.data();
  if (slice.cells < 2) return;
  for (std::int64_t i = 1; i < slice.cells; ++i)
    if (xy[2 * i] != xy[0] || xy[2 * i + 1] != xy[1]) return;
  std::string others;
  for (OtherPlaces& other : other_places(file, obs, slice.coordinates_source, memory_limit)) {
    keep_rows(other.xy, slice.file_rows, 2);
    if (are_places(other.xy)) others += (others.empty() ? "Use " : " or ") + other.option;
  }
  if (!others.empty()) others += ". ";
  throw DataError({"STOFM-3563", file.path, slice.coordinates_source,
                   concat("all ", slice.cells, " cells at one place (", xy[0], ", ", xy[1], ")"),
                   "a place for each cell",
                   others + "Without positions, EmbedOptions::target = cells_only embeds each cell by its "
                            "genes; H5adReadOptions::overlay goes on "
                            "as if they lay there."});
}

}  // namespace stofm::io::detail
