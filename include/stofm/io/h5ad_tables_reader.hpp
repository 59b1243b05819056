// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parts of an .h5ad file without its counts and genes, read in this process. h5ad_tables.hpp has the
/// function to call.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_open.hpp"
#include "stofm/io/h5ad_tables_content.hpp"

namespace stofm::io {

namespace detail {

/// Texts and numbers of a dict, and of dicts in it, as texts. What is of another kind is left out.
inline void read_provenance(const Hdf5File& file, const std::string& path, const std::string& prefix,
                            std::map<std::string, std::string>& found) {
  const Hdf5Object dict = open_hdf5_object(file, path);
  if (dict.kind != Hdf5Kind::group) return;
  for (const std::string& name : hdf5_names(file, dict, 1000)) {
    const std::string at = path + "/" + name;
    try {
      const Hdf5Kind kind = open_hdf5_object(file, at).kind;
      if (kind == Hdf5Kind::group && prefix.empty()) read_provenance(file, at, name + "/", found);
      if (kind != Hdf5Kind::dataset) continue;
      Hdf5Dataset data = open_hdf5_dataset(file, at);
      if (data.rank() != 1 || data.elements() != 1) continue;
      if (data.type().is_string())
        found[prefix + name] = read_strings(data, std::int64_t{1} << 20).front();
      else if (data.type().is_number())
        found[prefix + name] = concat(read_doubles(data, std::int64_t{1} << 20).front());
    } catch (const Error&) {
      continue;  // not ours
    }
  }
}

/// The reading side, in one process. The caller holds hdf5_mutex() and a Hdf5Quiet.
class H5adTablesReader {
 public:
  using Rows = std::function<void(std::span<const float>)>;

  H5adTablesReader(const std::string& path, const H5adTablesRequest& request, const H5adReadOptions& options,
                   std::function<void()> progress)
      : file_(open_hdf5_file(path)), limit_(memory_limit_of(options)) {
    file_.progress = std::move(progress);
    require_anndata(file_);
    tables_.path = path;
    tables_.identity = file_.identity;
    const H5adFrame obs(file_, "obs", limit_);
    tables_.file_cells = obs.length();
    tables_.obs_columns = obs.columns();
    const Hdf5Object obsm = open_hdf5_object(file_, "obsm");
    if (obsm.kind == Hdf5Kind::group) tables_.obsm_keys = hdf5_names(file_, obsm, 1000);
    choose_rows(obs, request, options);
    for (const std::string& name : options.obs_columns) {
      tables_.labels.push_back(read_asked_column(file_, obs, name));
      keep_rows(tables_.labels.back().codes, tables_.file_rows);
      finish_asked_column(tables_.labels.back(), tables_.notices);
    }
    for (const std::string& name : request.obs_numbers) add_numbers(obs, name);
    for (const std::string& key : request.obsm) open_matrix(key);
    read_provenance(file_, "uns/stofm", "", tables_.provenance);
    if (request.uns) read_provenance(file_, "uns", "", tables_.uns);
  }

  /// Everything but the values of obsm, whose tensors have their shapes only in widths().
  H5adTables& tables() { return tables_; }
  const std::vector<std::int64_t>& widths() const { return widths_; }

  /// Hands the rows of obsm entry `index` out in order, some at a time.
  void for_each_block(std::size_t index, const Rows& rows) {
    const std::int64_t width = widths_[index];
    if (width == 0) return;
    if (!tables_.obsm[index].columns.empty()) return read_frame(index, rows);
    Hdf5Dataset data = open_hdf5_dataset(file_, "obsm/" + tables_.obsm[index].key);
    const std::int64_t step = (std::max<std::int64_t>)(1, (std::int64_t{1} << 20) / width);
    std::vector<std::byte> raw;
    std::vector<double> numbers;
    std::vector<float> block;
    std::size_t next = 0;  // of file_rows
    for (std::int64_t begin = 0; begin < tables_.file_cells; begin += step) {
      const std::int64_t end = (std::min)(tables_.file_cells, begin + step);
      raw.resize(static_cast<std::size_t>((end - begin) * width) * data.type().size);
      data.read_rows(begin, end, raw);
      numbers.resize(static_cast<std::size_t>((end - begin) * width));
      convert_to_double(data.type(), raw.data(), numbers);
      block.clear();
      for (std::int64_t row = begin; row < end; ++row) {
        if (!tables_.file_rows.empty()) {
          if (next >= tables_.file_rows.size() || tables_.file_rows[next] != row) continue;
          ++next;
        }
        for (std::int64_t c = 0; c < width; ++c)
          block.push_back(static_cast<float>(numbers[static_cast<std::size_t>((row - begin) * width + c)]));
      }
      if (!block.empty()) rows(block);
    }
  }

 private:
  void choose_rows(const H5adFrame& obs, const H5adTablesRequest& request, const H5adReadOptions& options) {
    const auto cells = static_cast<std::size_t>(obs.length());
    if (obs.length() == 0)
      throw DataError(
          {"STOFM-3527", file_.path, "obs", "0 cells", "at least one cell", "Give a file with cells."});
    std::vector<char> kept = rows_asked_for(file_, obs, options.only, tables_.notices);
    if (!request.file_rows.empty()) {
      kept.assign(cells, 0);
      for (const std::int64_t row : request.file_rows) {
        if (row < 0 || row >= obs.length())
          throw UsageError({"STOFM-3539", file_.path, "file_rows", concat("row ", row),
                            concat("rows of 0 to ", obs.length() - 1), "Ask for cells that are there."});
        kept[static_cast<std::size_t>(row)] = 1;
      }
    }
    H5adCoordinates places;
    if (request.positions) {
      places = read_coordinates(file_, obs, options, kept, limit_, tables_.notices);
      if (!places.bad_rows.empty() && kept.empty()) kept.assign(cells, 1);
      for (const std::int64_t row : places.bad_rows) kept[static_cast<std::size_t>(row)] = 0;
    }
    for (std::size_t row = 0; row < kept.size(); ++row)
      if (kept[row] != 0) tables_.file_rows.push_back(static_cast<std::int64_t>(row));
    if (!kept.empty() && tables_.file_rows.empty())
      throw DataError({"STOFM-3531", file_.path, places.source, "no cell with finite coordinates",
                       "at least one", "Mend the coordinates."});
    tables_.cells = kept.empty() ? obs.length() : static_cast<std::int64_t>(tables_.file_rows.size());
    if (!request.positions) return;
    keep_rows(places.xy, tables_.file_rows, 2);
    tables_.coordinates = Tensor<double>::from({tables_.cells, 2}, std::span<const double>(places.xy));
    tables_.coordinates_source = places.source;
  }

  void add_numbers(const H5adFrame& obs, const std::string& name) {
    std::vector<std::string> names;
    if (name.ends_with('*') && !obs.has(name)) {
      for (const std::string& column : tables_.obs_columns)
        if (column.starts_with(name.substr(0, name.size() - 1)) && obs.has(column)) names.push_back(column);
      if (names.empty())
        throw UsageError({"STOFM-3552", file_.path, "obs/" + name,
                          "nothing; obs has " + name_list(tables_.obs_columns, 40),
                          "columns whose names begin so", "Name columns that are there."});
    } else {
      require_column(file_, obs, name, "Name a column that is there.");
      names.push_back(name);
    }
    for (const std::string& column : names) {
      tables_.numbers.push_back({column, obs.numbers(column)});
      keep_rows(tables_.numbers.back().values, tables_.file_rows);
    }
  }

  void open_matrix(const std::string& key) {
    const std::string path = "obsm/" + key;
    const Hdf5Object object =
        key.empty() || key.find('/') != std::string::npos ? Hdf5Object{} : open_hdf5_object(file_, path);
    if (object.kind == Hdf5Kind::absent)
      throw UsageError({"STOFM-3552", file_.path, path,
                        "nothing; obsm has " + name_list(nearest_first(key, tables_.obsm_keys), 40),
                        "an entry of that key", "Name an entry that is there."});
    H5adObsm& entry = tables_.obsm.emplace_back();
    entry.key = key;
    if (object.kind == Hdf5Kind::group) {
      if (read_encoding(file_, object) != "dataframe") refuse_matrix(path, "a group that is no data frame");
      const H5adFrame frame(file_, path, limit_);
      if (frame.length() != tables_.file_cells) refuse_matrix(path, concat(frame.length(), " rows"));
      entry.columns = frame.columns();
      widths_.push_back(static_cast<std::int64_t>(entry.columns.size()));
      return;
    }
    const Hdf5Dataset data = open_hdf5_dataset(file_, path);
    if (data.rank() != 2 || data.dim(0) != tables_.file_cells || !data.type().is_number())
      refuse_matrix(path,
                    concat(to_string(data.type()), " of rank ", data.rank(), " with ", data.dim(0), " rows"));
    data.require_holdable(4, limit_);
    widths_.push_back(data.dim(1));
  }

  [[noreturn]] void refuse_matrix(const std::string& path, std::string found) const {
    throw FileError({"STOFM-3554", file_.path, path, std::move(found),
                     concat("numbers, ", tables_.file_cells, " rows: a dense matrix or a data frame"),
                     "Name another entry of obsm, or write it as a dense matrix."});
  }

  void read_frame(std::size_t index, const Rows& rows) {
    const H5adObsm& entry = tables_.obsm[index];
    const auto width = entry.columns.size();
    std::vector<float> all(checked_size(tables_.cells * static_cast<std::int64_t>(width)));
    const H5adFrame frame(file_, "obsm/" + entry.key, limit_);
    for (std::size_t c = 0; c < width; ++c) {
      std::vector<double> column = frame.numbers(entry.columns[c]);
      keep_rows(column, tables_.file_rows);
      for (std::size_t i = 0; i < column.size(); ++i) all[i * width + c] = static_cast<float>(column[i]);
    }
    const std::size_t step = (std::max<std::size_t>)(1, (std::size_t{1} << 20) / width) * width;
    for (std::size_t at = 0; at < all.size(); at += step)
      rows(std::span<const float>(all).subspan(at, (std::min)(step, all.size() - at)));
  }
  static std::size_t checked_size(std::int64_t size) { return static_cast<std::size_t>(size); }

  Hdf5File file_;
  std::int64_t limit_;
  H5adTables tables_;
  std::vector<std::int64_t> widths_;
};

}  // namespace detail

}  // namespace stofm::io
