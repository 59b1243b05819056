// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Reads results back that were written into an .h5ad file and compares them with what was given: a write
/// that the system lost without a word is found before the file takes its name.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_frame.hpp"
#include "stofm/io/h5ad_parts.hpp"

namespace stofm::io {

namespace detail {

/// Compares a closed file with a result.
class H5adVerifier {
 public:
  H5adVerifier(const std::string& path, std::string name, std::function<void()> progress)
      : path_(path), name_(std::move(name)), progress_(std::move(progress)) {}

  void require(const H5adResult& result) {
    try {
      file_ = open_hdf5_file(path_);
      file_.progress = progress_;
      compare(result);
    } catch (const ResourceError&) {
      throw;
    } catch (const Error& error) {  // also damage: it was none before the results were written
      fail(error.where(), error.found());
    }
  }

 private:
  [[noreturn]] void fail(const std::string& where, const std::string& found) const {
    throw ResourceError({"STOFM-5038", name_, where,
                         "the disk gave back other data than were written: " + found,
                         "a disk that keeps what it is given",
                         "Check the disk or network drive (is it full?) and run again."});
  }
  void require_equal(bool equal, const std::string& where) const {
    if (!equal) fail(where, "values differ");
  }

  void compare(const H5adResult& result) {
    const H5adFrame obs(file_, "obs", 0), var(file_, "var", 0);
    const H5adSpread cells{&result.file_rows, obs.length()}, genes{&result.file_columns, var.length()};
    const std::vector<std::int64_t> all;
    for (const H5adTable& table : result.obsm) {
      const std::string where = "obsm/" + table.key;
      if (table.columns.empty())
        compare_matrix(where, table.values, cells, {&all, table.values.dim(1)});
      else
        compare_frame(where, table, obs, cells);
    }
    for (const H5adLayer& layer : result.layers)
      compare_matrix("layers/" + layer.key, layer.values, cells, genes);
    for (const H5adColumn& column : result.obs) compare_column(obs, column, result.file_rows);
    for (const H5adColumn& column : result.var) compare_column(var, column, result.file_columns);
    if (!result.file_rows.empty()) {
      const std::vector<std::int8_t> ones(result.file_rows.size(), 1);
      require_equal(is_spread(obs.numbers("stofm_embedded"), ones, result.file_rows, 0.0),
                    "obs/stofm_embedded");
    }
    for (const auto& [key, list] : result.uns_lists) require_strings("uns/" + key, list);
    for (const auto& [key, value] : result.uns) compare_value("uns/" + result.uns_key + "/" + key, value);
  }

  void compare_column(const H5adFrame& frame, const H5adColumn& column,
                      const std::vector<std::int64_t>& rows) {
    const std::string where = frame.path() + "/" + column.name;
    const std::vector<std::string> order = frame.columns();
    require_equal(std::find(order.begin(), order.end(), column.name) != order.end(),
                  frame.path() + "@column-order");
    if (!column.codes.empty() || !column.categories.empty()) {
      const bool group = open_hdf5_object(file_, where).kind == Hdf5Kind::group;
      require_strings(group ? where + "/categories" : frame.path() + "/__categories/" + column.name,
                      column.categories);
      Hdf5Dataset codes = open_hdf5_dataset(file_, group ? where + "/codes" : where);
      require_equal(is_spread(read_integers(codes, 0), column.codes, rows, std::int64_t{-1}), where);
    } else if (!column.texts.empty()) {
      require_strings(where, H5adSpread{&rows, frame.length()}(column.texts, std::string()));
    } else if (!column.integers.empty()) {
      Hdf5Dataset data = open_hdf5_dataset(file_, where);
      require_equal(is_spread(read_integers(data, 0), column.integers, rows, std::int64_t{-1}), where);
    } else {
      const double missing = std::numeric_limits<double>::quiet_NaN();
      require_equal(is_spread(frame.numbers(column.name), column.reals, rows, missing), where);
    }
  }

  /// Is `stored` the given values at their rows and `missing` elsewhere? NaN equals NaN.
  template <class Stored, class Given>
  static bool is_spread(const std::vector<Stored>& stored, const std::vector<Given>& given,
                        const std::vector<std::int64_t>& rows, Stored missing) {
    std::size_t next = 0;
    for (std::size_t i = 0; i < stored.size(); ++i) {
      const bool here = rows.empty() || (next < rows.size() && rows[next] == static_cast<std::int64_t>(i));
      if (here && next >= given.size()) return false;
      const Stored expected = here ? static_cast<Stored>(given[next++]) : missing;
      if (!(stored[i] == expected || (stored[i] != stored[i] && expected != expected))) return false;
    }
    return next == given.size();
  }

  void compare_matrix(const std::string& where, const TensorView<const float>& values, const H5adSpread& rows,
                      const H5adSpread& columns) {
    Hdf5Dataset data = open_hdf5_dataset(file_, where);
    require_equal(data.rank() == 2 && data.dim(0) == rows.total && data.dim(1) == columns.total &&
                      data.element_size() == 4,
                  where);
    if (columns.total == 0) return;
    std::vector<float> block;
    std::vector<std::byte> stored;
    for (H5adBlocks blocks(values, rows, columns); blocks.next(block);) {
      stored.resize(block.size() * sizeof(float));
      data.read_rows(blocks.begin(), blocks.end(), stored);
      require_equal(equal_floats(block, stored), where);
    }
  }

  /// Bit for bit; NaN in a place without an entry may be any NaN.
  static bool equal_floats(const std::vector<float>& block, const std::vector<std::byte>& stored) {
    if (std::memcmp(stored.data(), block.data(), stored.size()) == 0) return true;
    for (std::size_t i = 0; i < block.size(); ++i) {
      float value = 0;
      std::memcpy(&value, stored.data() + 4 * i, 4);
      if (!(value == block[i] || (value != value && block[i] != block[i]))) return false;
    }
    return true;
  }

  void compare_frame(const std::string& where, const H5adTable& table, const H5adFrame& obs,
                     const H5adSpread& rows) {
    const H5adFrame frame(file_, where, 0);
    const std::vector<std::string> names = storable_names(table.columns);
    require_equal(frame.columns() == names, where + "@column-order");
    require_equal(frame.strings(frame.index()) == obs.strings(obs.index()), where + "/_index");
    std::vector<float> column(static_cast<std::size_t>(rows.given()));
    for (std::size_t c = 0; c < names.size(); ++c) {
      for (std::size_t i = 0; i < column.size(); ++i)
        column[i] = table.values.row(static_cast<std::int64_t>(i))[c];
      require_equal(
          is_spread(frame.numbers(names[c]), column, *rows.at, std::numeric_limits<double>::quiet_NaN()),
          where + "/" + names[c]);
    }
  }

  void compare_value(const std::string& where, const H5adValue& value) {
    if (const auto* list = std::get_if<std::vector<std::string>>(&value))
      return require_strings(where, *list);
    if (const auto* text = std::get_if<std::string>(&value)) return require_strings(where, {*text});
    Hdf5Dataset data = open_hdf5_dataset(file_, where);
    if (const auto* numbers = std::get_if<std::vector<double>>(&value))
      return require_equal(is_spread(read_doubles(data, 0), *numbers, {}, 0.0), where);
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      require_equal(read_integers(data, 0) == std::vector<std::int64_t>{*integer}, where);
    } else {
      const std::vector<double> stored = read_doubles(data, 0);
      require_equal(stored.size() == 1 && std::memcmp(stored.data(), &std::get<double>(value), 8) == 0,
                    where);
    }
  }

  /// Variable strings as libhdf5 reads them: up to a NUL, in whatever encoding they were given.
  void require_strings(const std::string& where, const std::vector<std::string>& given) const {
    const Hdf5Dataset data = open_hdf5_dataset(file_, where);
    require_equal(data.elements() == static_cast<std::int64_t>(given.size()) &&
                      data.type().kind == Hdf5Type::Kind::variable_string,
                  where);
    if (given.empty()) return;
    std::vector<char*> raw(given.size(), nullptr);
    const bool good = H5Dread(data.id(), data.type_id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()) >= 0;
    bool equal = true;
    for (std::size_t i = 0; i < given.size(); ++i) {
      equal =
          equal && std::string_view(raw[i] == nullptr ? "" : raw[i]) == std::string_view(given[i].c_str());
      H5free_memory(raw[i]);
    }
    require_hdf5(good, file_.path, where, "read strings");
    require_equal(equal, where);
  }

  std::string path_;
  std::string name_;
  std::function<void()> progress_;
  Hdf5File file_;
};

}  // namespace detail

/// Reads `result` back from the closed file `path`, which messages call `name`. The caller holds hdf5_mutex()
/// and a Hdf5Quiet. \throws ResourceError (STOFM-5038) if anything differs or can not be read. *Cost* one
/// read of the results
inline void verify_h5ad_result(const std::string& path, const std::string& name, const H5adResult& result,
                               const std::function<void()>& progress = {}) {
  detail::H5adVerifier(path, name, progress).require(result);
}

}  // namespace stofm::io
