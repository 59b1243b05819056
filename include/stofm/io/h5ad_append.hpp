// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Adds results to an .h5ad file that is ours to change (a copy): obsm tables, obs columns, a dict in uns;
/// and reads them back.
///
/// Encodings are the oldest that every reader since anndata 0.7 knows: plain arrays; categories as a group
/// where obs is a dataframe 0.2.0, as codes with __categories where obs is older. The caller holds
/// hdf5_mutex() and a Hdf5Quiet.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_frame.hpp"
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
    const H5adFrame frame(file_, "obs", (std::numeric_limits<std::int64_t>::max)());
    rows_ = &result.file_rows;
    cells_ = frame.length();
    slice_cells_ = rows_->empty() ? cells_ : static_cast<std::int64_t>(rows_->size());
    check(result);
    if (!result.obsm.empty()) {
      const Hdf5Handle obsm = group("obsm");
      for (const H5adTable& table : result.obsm) write_table(obsm.get(), table);
    }
    write_columns(frame, result);
    if (!result.uns.empty()) write_uns(result);
    for (const auto& [key, list] : result.uns_lists) {
      const Hdf5Handle uns = group("uns");
      writer_.remove(uns.get(), key);
      Hdf5Handle data = writer_.write_strings(uns.get(), key, list);
      writer_.set_encoding(data.get(), "string-array", "0.2.0");
      writer_.close(std::move(data), "uns/" + key);
    }
  }

  [[noreturn]] void fail(const std::string& where, std::string found, std::string expected) const {
    throw UsageError(
        {"STOFM-3542", file_.path, where, std::move(found), std::move(expected), "Check the results given."});
  }

  void check(const H5adResult& result) const {
    const auto check_name = [this](const std::string& name) {
      if (name.empty() || name == "." || name.find('/') != std::string::npos ||
          name.find('\0') != std::string::npos || find_invalid_utf8(name) != std::string::npos)
        fail("name of a result", stofm::quoted(name, 60), "UTF-8 text without '/'");
    };
    for (std::size_t i = 0; i < rows_->size(); ++i) {
      const std::int64_t row = (*rows_)[i];
      if (row < 0 || row >= cells_ || (i > 0 && row <= (*rows_)[i - 1]))
        fail("file_rows", concat("row ", row, " as entry ", i), concat("increasing rows below ", cells_));
    }
    for (const H5adTable& table : result.obsm) {
      check_name(table.key);
      if (table.values.data == nullptr && table.values.numel() > 0)
        fail("obsm/" + table.key, "a view without data", "values");
      if (table.values.rank() != 2 || table.values.dim(0) != slice_cells_ ||
          (table.values.dim(1) > 1 && table.values.stride(1) != 1))
        fail("obsm/" + table.key, "shape " + to_string(table.values.shape),
             concat("[", slice_cells_, ", C], dense rows"));
    }
    for (const H5adColumn& column : result.obs) {
      check_name(column.name);
      const auto size = column.integers.size() + column.reals.size() + column.codes.size();
      if (static_cast<std::int64_t>(size) != slice_cells_ ||
          (std::max)({column.integers.size(), column.reals.size(), column.codes.size()}) != size)
        fail("obs/" + column.name, concat(size, " entries"), concat(slice_cells_, " of one kind"));
      for (const std::int32_t code : column.codes)
        if (code < -1 || code >= static_cast<std::int64_t>(column.categories.size()))
          fail("obs/" + column.name, concat("code ", code),
               concat("-1 to ", column.categories.size(), " - 1"));
    }
    check_name(result.uns_key);
    for (const auto& [name, value] : result.uns) check_name(name);
    for (const auto& [key, list] : result.uns_lists) check_name(key);
  }

  /// A group below the root, made as an empty dict if it is absent.
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

  /// Entries of the slice's cells spread over the rows of the file.
  template <class T>
  std::vector<T> spread(const std::vector<T>& values, T missing) const {
    if (rows_->empty()) return values;
    std::vector<T> all(static_cast<std::size_t>(cells_), missing);
    for (std::size_t i = 0; i < values.size(); ++i) all[static_cast<std::size_t>((*rows_)[i])] = values[i];
    return all;
  }

  void write_table(hid_t obsm, const H5adTable& table) const {
    const std::int64_t width = table.values.dim(1);
    writer_.remove(obsm, table.key);
    Hdf5Handle data = writer_.create_dataset(obsm, table.key, H5T_IEEE_F32LE,
                                             {static_cast<hsize_t>(cells_), static_cast<hsize_t>(width)});
    writer_.set_encoding(data.get(), "array", "0.2.0");
    if (width == 0) return writer_.close(std::move(data), "obsm/" + table.key);
    const Hdf5Handle space(H5Dget_space(data.get()), H5Sclose);
    const std::int64_t step = (std::max<std::int64_t>)(1, (std::int64_t{4} << 20) / (4 * width));
    std::vector<float> block;
    std::size_t next = 0;  // entry of file_rows
    for (std::int64_t begin = 0; begin < cells_; begin += step) {
      const std::int64_t end = (std::min)(cells_, begin + step);
      block.assign(static_cast<std::size_t>((end - begin) * width), std::numeric_limits<float>::quiet_NaN());
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t cell = row;
        if (!rows_->empty()) {
          if (next >= rows_->size() || (*rows_)[next] != row) continue;
          cell = static_cast<std::int64_t>(next++);
        }
        std::copy_n(table.values.row(cell), width, block.begin() + (row - begin) * width);
      }
      const hsize_t start[2] = {static_cast<hsize_t>(begin), 0};
      const hsize_t count[2] = {static_cast<hsize_t>(end - begin), static_cast<hsize_t>(width)};
      const Hdf5Handle memory(H5Screate_simple(2, count, nullptr), H5Sclose);
      writer_.require(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr) >= 0 &&
                          H5Dwrite(data.get(), H5T_NATIVE_FLOAT, memory.get(), space.get(), H5P_DEFAULT,
                                   block.data()) >= 0,
                      "obsm/" + table.key, "write rows");
      if (file_.progress) file_.progress();
    }
    writer_.close(std::move(data), "obsm/" + table.key);
  }

  void write_columns(const H5adFrame& frame, const H5adResult& result) const {
    if (result.obs.empty() && rows_->empty()) return;
    Hdf5Object obs = open_hdf5_object(file_, "obs");
    const bool legacy = read_string_attribute(file_, obs, "encoding-version").value_or("0.1.0") == "0.1.0";
    std::vector<std::string> order = frame.columns();
    const auto add = [&](const std::string& name) {
      if (name == frame.index() || name == "__categories")
        fail("obs/" + name, "the name of the index", "a column name");
      writer_.remove(obs.handle.get(), name);
      const Hdf5Object old = open_hdf5_object(file_, "obs/__categories");
      if (old.kind == Hdf5Kind::group) writer_.remove(old.handle.get(), name);
      if (std::find(order.begin(), order.end(), name) == order.end()) order.push_back(name);
    };
    const auto size = static_cast<hsize_t>(cells_);
    for (const H5adColumn& column : result.obs) {
      add(column.name);
      if (!column.categories.empty() || !column.codes.empty()) {
        write_categories(obs.handle.get(), column, legacy);
      } else if (!column.integers.empty()) {
        Hdf5Handle data =
            writer_.write_dataset(obs.handle.get(), column.name, H5T_STD_I64LE, H5T_NATIVE_INT64, {size},
                                  spread(column.integers, std::int64_t{-1}).data());
        writer_.set_encoding(data.get(), "array", "0.2.0");
        writer_.close(std::move(data), "obs/" + column.name);
      } else {
        Hdf5Handle data =
            writer_.write_dataset(obs.handle.get(), column.name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {size},
                                  spread(column.reals, std::numeric_limits<double>::quiet_NaN()).data());
        writer_.set_encoding(data.get(), "array", "0.2.0");
        writer_.close(std::move(data), "obs/" + column.name);
      }
    }
    if (!rows_->empty()) {
      add("stofm_embedded");
      const Hdf5Handle type = Hdf5Writer::bool_type();
      Hdf5Handle data =
          writer_.write_dataset(obs.handle.get(), "stofm_embedded", type.get(), type.get(), {size},
                                spread(std::vector<std::int8_t>(rows_->size(), 1), std::int8_t{0}).data());
      writer_.set_encoding(data.get(), "array", "0.2.0");
      writer_.close(std::move(data), "obs/stofm_embedded");
    }
    if (writer_.try_attribute(obs.handle.get(), "column-order", order)) return;
    // More than about 4,090 columns: h5py and anndata read such an attribute, an old group can't hold it.
    obs.handle = writer_.rebuild_group_for_large_attributes(file_.handle.get(), "obs");
    writer_.set_attribute(obs.handle.get(), "column-order", order);
  }

  void write_categories(hid_t obs, const H5adColumn& column, bool legacy) const {
    const std::vector<std::int32_t> codes = spread(column.codes, std::int32_t{-1});
    const std::size_t count = column.categories.size();
    const hid_t type = count < 128 ? H5T_STD_I8LE : count < 32768 ? H5T_STD_I16LE : H5T_STD_I32LE;
    const auto size = static_cast<hsize_t>(cells_);
    if (legacy) {
      Hdf5Object categories = open_hdf5_object(file_, "obs/__categories");
      if (categories.kind == Hdf5Kind::absent) categories.handle = writer_.create_group(obs, "__categories");
      Hdf5Handle names = writer_.write_strings(categories.handle.get(), column.name, column.categories);
      writer_.set_attribute(names.get(), "ordered", false);
      writer_.close(std::move(names), "obs/__categories/" + column.name);
      Hdf5Handle data = writer_.write_dataset(obs, column.name, type, H5T_NATIVE_INT32, {size}, codes.data());
      hobj_ref_t reference{};
      writer_.require(
          H5Rcreate(&reference, categories.handle.get(), column.name.c_str(), H5R_OBJECT, -1) >= 0,
          "obs/" + column.name, "make a reference");
      const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
      const Hdf5Handle attribute(
          H5Acreate2(data.get(), "categories", H5T_STD_REF_OBJ, space.get(), H5P_DEFAULT, H5P_DEFAULT),
          H5Aclose);
      writer_.require(H5Awrite(attribute.get(), H5T_STD_REF_OBJ, &reference) >= 0, "obs/" + column.name,
                      "write a reference");
      writer_.close(std::move(data), "obs/" + column.name);
      return;
    }
    const Hdf5Handle group = writer_.create_group(obs, column.name);
    writer_.set_encoding(group.get(), "categorical", "0.2.0");
    writer_.set_attribute(group.get(), "ordered", false);
    Hdf5Handle names = writer_.write_strings(group.get(), "categories", column.categories);
    writer_.set_encoding(names.get(), "string-array", "0.2.0");
    writer_.close(std::move(names), "obs/" + column.name + "/categories");
    Hdf5Handle data =
        writer_.write_dataset(group.get(), "codes", type, H5T_NATIVE_INT32, {size}, codes.data());
    writer_.set_encoding(data.get(), "array", "0.2.0");
    writer_.close(std::move(data), "obs/" + column.name + "/codes");
  }

  void write_uns(const H5adResult& result) const {
    const Hdf5Handle uns = group("uns");
    writer_.remove(uns.get(), result.uns_key);
    const Hdf5Handle dict = writer_.create_group(uns.get(), result.uns_key);
    writer_.set_encoding(dict.get(), "dict", "0.1.0");
    for (const auto& [name, value] : result.uns) {
      Hdf5Handle data;
      if (const auto* text = std::get_if<std::string>(&value)) {
        const Hdf5Handle type = Hdf5Writer::string_type();
        const char* pointer = text->c_str();
        data = writer_.write_dataset(dict.get(), name, type.get(), type.get(), {}, &pointer);
        writer_.set_encoding(data.get(), "string", "0.2.0");
      } else if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
        data = writer_.write_strings(dict.get(), name, *list);
        writer_.set_encoding(data.get(), "string-array", "0.2.0");
      } else {
        const auto* integer = std::get_if<std::int64_t>(&value);
        const void* number =
            integer != nullptr ? static_cast<const void*>(integer) : &std::get<double>(value);
        data = writer_.write_dataset(dict.get(), name, integer != nullptr ? H5T_STD_I64LE : H5T_IEEE_F64LE,
                                     integer != nullptr ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, {}, number);
        writer_.set_encoding(data.get(), "numeric-scalar", "0.2.0");
      }
      writer_.close(std::move(data), "uns/" + result.uns_key + "/" + name);
    }
  }

  std::string path_;
  std::string output_;
  Hdf5File file_;
  Hdf5Writer writer_;
  const std::vector<std::int64_t>* rows_ = nullptr;
  std::int64_t cells_ = 0;        ///< of the file
  std::int64_t slice_cells_ = 0;  ///< of the results
};

}  // namespace stofm::io
