// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Adds results to an .h5ad file that is ours to change (a copy): obsm tables, layers, columns of obs and
/// var, a dict in uns; and reads them back. Categories are a group where a frame is a dataframe 0.2.0, codes
/// with __categories where it is older. The caller holds hdf5_mutex() and a Hdf5Quiet.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_frame.hpp"
#include "stofm/io/h5ad_parts.hpp"
#include "stofm/io/h5ad_verify.hpp"
#include "stofm/io/hdf5_write.hpp"

namespace stofm::io {

class H5adAppender {
 public:
  /// Opens `path` for reading and writing. `input`: how messages about its content call it, `output`: those
  /// about the disk.
  H5adAppender(const std::string& path, const std::string& input, const std::string& output,
               std::function<void()> progress)
      : path_(path), output_(output), writer_(file_, output) {
    file_.path = input;
    file_.superblock = check_superblock(path);
    file_.progress = std::move(progress);
    file_.raw = std::make_shared<detail::RawDescriptor>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const Hdf5Handle access =
        checked_handle(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, input, "", "create an access list");
    require_hdf5(H5Pset_fapl_sec2(access.get()) >= 0 && H5Pset_file_locking(access.get(), false, true) >= 0 &&
                     H5Pset_fclose_degree(access.get(), H5F_CLOSE_SEMI) >= 0,
                 input, "", "create an access list");
    file_.handle = Hdf5Handle(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose);
    writer_.require(static_cast<bool>(file_.handle), "", "open the file for writing");
  }

  /// Writes everything, closes the file and reads it back. \throws FileError, ResourceError; the file is then
  /// to be thrown away
  void append(const H5adResult& result) {
    write(result);
    writer_.require(H5Fflush(file_.handle.get(), H5F_SCOPE_GLOBAL) >= 0, "", "write the file");
    writer_.require(file_.handle.close(), "", "close the file");
    verify_h5ad_result(path_, output_, result, file_.progress);
  }

 private:
  /// All but the closing: nothing of the file is open afterwards, so that the close writes and says so.
  void write(const H5adResult& result) {
    constexpr std::int64_t any_size = (std::numeric_limits<std::int64_t>::max)();
    const H5adFrame obs(file_, "obs", any_size), var(file_, "var", any_size);
    cells_ = {&result.file_rows, obs.length()};
    genes_ = {&result.file_columns, var.length()};
    check(result);
    const H5adParts parts(writer_, file_);
    const std::vector<std::int64_t> all;
    std::vector<std::string> names;
    if (!result.obsm.empty()) {
      const Hdf5Handle obsm = group("obsm");
      for (const H5adTable& table : result.obsm) {
        const std::string where = "obsm/" + table.key;
        if (table.columns.empty()) {
          parts.matrix(obsm.get(), where, table.key, table.values, cells_, {&all, table.values.dim(1)});
        } else {
          if (names.empty()) names = obs.strings(obs.index());
          parts.frame(obsm.get(), where, table, names, cells_);
        }
      }
    }
    if (!result.layers.empty()) {
      const Hdf5Handle layers = group("layers");
      for (const H5adLayer& layer : result.layers)
        parts.matrix(layers.get(), "layers/" + layer.key, layer.key, layer.values, cells_, genes_);
    }
    write_columns(parts, obs, result.obs, cells_, !result.file_rows.empty());
    write_columns(parts, var, result.var, genes_, false);
    if (!result.uns.empty()) write_uns(parts, result);
    for (const auto& [key, list] : result.uns_lists) {
      const Hdf5Handle uns = group("uns");
      writer_.remove(uns.get(), key);
      parts.strings(uns.get(), "uns/" + key, key, list);
    }
  }

  [[noreturn]] void fail(const std::string& where, std::string found, std::string expected) const {
    throw UsageError(
        {"STOFM-3542", file_.path, where, std::move(found), std::move(expected), "Check the results given."});
  }

  void check_name(const std::string& name) const {
    if (name.empty() || name == "." || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos || find_invalid_utf8(name) != std::string::npos)
      fail("name of a result", stofm::quoted(name, 60), "UTF-8 text without '/'");
  }

  void check_spread(const char* name, const H5adSpread& spread) const {
    for (std::size_t i = 0; i < spread.at->size(); ++i) {
      const std::int64_t row = (*spread.at)[i];
      if (row < 0 || row >= spread.total || (i > 0 && row <= (*spread.at)[i - 1]))
        fail(name, concat("row ", row, " as entry ", i), concat("increasing rows below ", spread.total));
    }
  }

  void check_matrix(const std::string& where, const TensorView<const float>& values,
                    std::int64_t width) const {
    if (values.data == nullptr && values.numel() > 0) fail(where, "a view without data", "values");
    if (values.rank() != 2 || values.dim(0) != cells_.given() || (width >= 0 && values.dim(1) != width) ||
        (values.dim(1) > 1 && values.stride(1) != 1))
      fail(where, "shape " + to_string(values.shape),
           concat("[", cells_.given(), ", ", width < 0 ? "C" : concat(width), "], dense rows"));
  }

  void check_column(const std::string& frame, const H5adColumn& column, const H5adSpread& rows) const {
    check_name(column.name);
    const std::string where = frame + "/" + column.name;
    const auto sizes = {column.integers.size(), column.reals.size(), column.codes.size(),
                        column.texts.size()};
    std::size_t size = 0;
    for (const std::size_t one : sizes) size += one;
    if (static_cast<std::int64_t>(size) != rows.given() || (std::max)(sizes) != size)
      fail(where, concat(size, " entries"), concat(rows.given(), " of one kind"));
    for (const std::int32_t code : column.codes)
      if (code < -1 || code >= static_cast<std::int64_t>(column.categories.size()))
        fail(where, concat("code ", code), concat("-1 to ", column.categories.size(), " - 1"));
  }

  void check(const H5adResult& result) const {
    check_spread("file_rows", cells_);
    check_spread("file_columns", genes_);
    for (const H5adTable& table : result.obsm) {
      check_name(table.key);
      check_matrix("obsm/" + table.key, table.values,
                   table.columns.empty() ? -1 : static_cast<std::int64_t>(table.columns.size()));
      for (const std::string& column : storable_names(table.columns)) check_name(column);
    }
    for (const H5adLayer& layer : result.layers) {
      check_name(layer.key);
      check_matrix("layers/" + layer.key, layer.values, genes_.given());
    }
    for (const H5adColumn& column : result.obs) check_column("obs", column, cells_);
    for (const H5adColumn& column : result.var) check_column("var", column, genes_);
    const std::size_t slash = result.uns_key.find('/');
    check_name(result.uns_key.substr(0, slash));
    if (slash != std::string::npos) check_name(result.uns_key.substr(slash + 1));
    for (const auto& [name, value] : result.uns) check_name(name);
    for (const auto& [key, list] : result.uns_lists) check_name(key);
  }

  /// A group of the file, made as an empty dict if it is absent.
  Hdf5Handle group(const std::string& name) const {
    Hdf5Object object = open_hdf5_object(file_, name);
    if (object.kind == Hdf5Kind::group) return std::move(object.handle);
    if (object.kind == Hdf5Kind::absent) writer_.remove(file_.handle.get(), name);  // anndata's null
    if (object.kind != Hdf5Kind::absent)
      throw FileError({"STOFM-3535", file_.path, name, "not a group (anndata before 0.7)", "a group",
                       "Re-write the file with anndata >= 0.8."});
    Hdf5Handle made = writer_.create_group(file_.handle.get(), name);
    writer_.set_encoding(made.get(), "dict", "0.1.0");
    return made;
  }

  /// Columns of obs or var, in the order of the file and behind it. `mark`: say which cells the results have.
  void write_columns(const H5adParts& parts, const H5adFrame& frame, const std::vector<H5adColumn>& columns,
                     const H5adSpread& rows, bool mark) const {
    if (columns.empty() && !mark) return;
    const std::string& path = frame.path();
    Hdf5Object group = open_hdf5_object(file_, path);
    const bool legacy = read_string_attribute(file_, group, "encoding-version").value_or("0.1.0") == "0.1.0";
    std::vector<std::string> order = frame.columns();
    const auto add = [&](const std::string& name) {
      if (name == frame.index() || name == "__categories")
        fail(path + "/" + name, "the name of the index", "a column name");
      writer_.remove(group.handle.get(), name);
      const Hdf5Object old = open_hdf5_object(file_, path + "/__categories");
      if (old.kind == Hdf5Kind::group) writer_.remove(old.handle.get(), name);
      if (std::find(order.begin(), order.end(), name) == order.end()) order.push_back(name);
    };
    for (const H5adColumn& column : columns) {
      add(column.name);
      parts.column(group.handle.get(), path, column, rows, legacy);
    }
    if (mark) {
      add("stofm_embedded");
      parts.flags(group.handle.get(), path + "/stofm_embedded", "stofm_embedded",
                  rows(std::vector<std::int8_t>(rows.at->size(), 1), std::int8_t{0}));
    }
    if (writer_.try_attribute(group.handle.get(), "column-order", order)) return;
    // More than about 4,090 columns: h5py and anndata read such an attribute, an old group can't hold it.
    group.handle = writer_.rebuild_group_for_large_attributes(file_.handle.get(), path);
    writer_.set_attribute(group.handle.get(), "column-order", order);
  }

  /// uns[uns_key] anew; of "a/b" only b, a is made if it is no dict.
  void write_uns(const H5adParts& parts, const H5adResult& result) const {
    Hdf5Handle parent = group("uns");
    std::string name = result.uns_key;
    if (const std::size_t slash = name.find('/'); slash != std::string::npos) {
      const std::string outer = name.substr(0, slash);
      name = name.substr(slash + 1);
      Hdf5Object dict = open_hdf5_object(file_, "uns/" + outer);
      if (dict.kind != Hdf5Kind::group) {
        writer_.remove(parent.get(), outer);
        dict.handle = writer_.create_group(parent.get(), outer);
        writer_.set_encoding(dict.handle.get(), "dict", "0.1.0");
      }
      parent = std::move(dict.handle);
    }
    writer_.remove(parent.get(), name);
    const Hdf5Handle dict = writer_.create_group(parent.get(), name);
    writer_.set_encoding(dict.get(), "dict", "0.1.0");
    for (const auto& [key, value] : result.uns)
      parts.value(dict.get(), "uns/" + result.uns_key + "/" + key, key, value);
  }

  std::string path_;
  std::string output_;
  Hdf5File file_;
  Hdf5Writer writer_;
  H5adSpread cells_, genes_;
};

}  // namespace stofm::io
