// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The parts of an AnnData file as they are written: matrices, columns of a data frame, data frames in obsm,
/// values of a dict; whatever was there by that name goes. Encodings are the oldest that every reader since
/// anndata 0.7 knows. The caller holds hdf5_mutex() and a Hdf5Quiet.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_result.hpp"
#include "stofm/io/hdf5_write.hpp"

namespace stofm::io {

/// Where the entries of a result stand in a file: entry i at `at[i]`, those that no entry stands at are
/// missing. `at` empty: all, in order.
struct H5adSpread {
  const std::vector<std::int64_t>* at = nullptr;
  std::int64_t total = 0;  ///< entries that the file has

  std::int64_t given() const { return at->empty() ? total : static_cast<std::int64_t>(at->size()); }

  template <class T>
  std::vector<T> operator()(const std::vector<T>& values, T missing) const {
    if (at->empty()) return values;
    std::vector<T> all(static_cast<std::size_t>(total), missing);
    for (std::size_t i = 0; i < values.size(); ++i) all[static_cast<std::size_t>((*at)[i])] = values[i];
    return all;
  }
};

/// Rows of a matrix as they stand in the file, block by block: what is written, and what is compared.
class H5adBlocks {
 public:
  H5adBlocks(const TensorView<const float>& values, const H5adSpread& rows, const H5adSpread& columns)
      : values_(values),
        rows_(rows),
        columns_(columns),
        step_((std::max<std::int64_t>)(1, (std::int64_t{1} << 20) /
                                              (std::max<std::int64_t>)(1, columns.total))) {}

  /// Fills `block` with the rows from end() on; false: there are none.
  bool next(std::vector<float>& block) {
    begin_ = end_;
    if (begin_ >= rows_.total) return false;
    end_ = (std::min)(rows_.total, begin_ + step_);
    block.assign(static_cast<std::size_t>((end_ - begin_) * columns_.total),
                 std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t row = begin_; row < end_; ++row) {
      std::int64_t cell = row;
      if (!rows_.at->empty()) {
        if (next_ >= rows_.at->size() || (*rows_.at)[next_] != row) continue;
        cell = static_cast<std::int64_t>(next_++);
      }
      const float* from = values_.row(cell);
      float* to = block.data() + (row - begin_) * columns_.total;
      if (columns_.at->empty()) {
        std::copy_n(from, columns_.total, to);
      } else {
        for (std::size_t g = 0; g < columns_.at->size(); ++g) to[(*columns_.at)[g]] = from[g];
      }
    }
    return true;
  }
  std::int64_t begin() const { return begin_; }
  std::int64_t end() const { return end_; }

 private:
  TensorView<const float> values_;
  H5adSpread rows_, columns_;
  std::int64_t step_, begin_ = 0, end_ = 0;
  std::size_t next_ = 0;  ///< entry of rows_.at
};

/// Names that HDF5 can store and a data frame can have: "/" becomes "_", a repeated name gets "_2", "_3".
inline std::vector<std::string> storable_names(std::vector<std::string> names) {
  std::set<std::string> seen;
  for (std::string& name : names) {
    std::replace(name.begin(), name.end(), '/', '_');
    if (name.empty() || name == "." || name == "_index") name = "_" + name + "_";
    const std::string plain = name;
    for (int k = 2; !seen.insert(name).second; ++k) name = concat(plain, "_", k);
  }
  return names;
}

/// Writes parts into groups of an open file.
class H5adParts {
 public:
  explicit H5adParts(const Hdf5Writer& writer, const Hdf5File& file) : writer_(&writer), file_(&file) {}

  /// float32, dense.
  void matrix(hid_t parent, const std::string& where, const std::string& name,
              const TensorView<const float>& values, const H5adSpread& rows,
              const H5adSpread& columns) const {
    writer_->remove(parent, name);
    Hdf5Handle data =
        writer_->create_dataset(parent, name, H5T_IEEE_F32LE,
                                {static_cast<hsize_t>(rows.total), static_cast<hsize_t>(columns.total)});
    writer_->set_encoding(data.get(), "array", "0.2.0");
    if (columns.total > 0) {
      const Hdf5Handle space(H5Dget_space(data.get()), H5Sclose);
      std::vector<float> block;
      for (H5adBlocks blocks(values, rows, columns); blocks.next(block);) {
        const hsize_t start[2] = {static_cast<hsize_t>(blocks.begin()), 0};
        const hsize_t count[2] = {static_cast<hsize_t>(blocks.end() - blocks.begin()),
                                  static_cast<hsize_t>(columns.total)};
        const Hdf5Handle memory(H5Screate_simple(2, count, nullptr), H5Sclose);
        writer_->require(
            H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr) >= 0 &&
                H5Dwrite(data.get(), H5T_NATIVE_FLOAT, memory.get(), space.get(), H5P_DEFAULT,
                         block.data()) >= 0,
            where, "write rows");
        if (file_->progress) file_->progress();
      }
    }
    writer_->close(std::move(data), where);
  }

  /// A data frame of float32 columns with the names of the cells as its index.
  void frame(hid_t parent, const std::string& where, const H5adTable& table,
             const std::vector<std::string>& cells, const H5adSpread& rows) const {
    writer_->remove(parent, table.key);
    const std::vector<std::string> names = storable_names(table.columns);
    const Hdf5Handle group = writer_->create_group(parent, table.key);
    writer_->set_encoding(group.get(), "dataframe", "0.2.0");
    writer_->set_attribute(group.get(), "_index", std::string("_index"));
    strings(group.get(), where + "/_index", "_index", cells);
    std::vector<float> column(static_cast<std::size_t>(rows.given()));
    for (std::size_t c = 0; c < names.size(); ++c) {
      for (std::size_t i = 0; i < column.size(); ++i)
        column[i] = table.values.row(static_cast<std::int64_t>(i))[c];
      plain(group.get(), where + "/" + names[c], names[c], H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, rows.total,
            rows(column, std::numeric_limits<float>::quiet_NaN()).data());
      if (file_->progress) file_->progress();
    }
    writer_->require(writer_->try_attribute(group.get(), "column-order", names), where,
                     "store the names of this many columns");
  }

  /// One column of the data frame whose group is `parent`. `legacy`: of anndata before 0.8.
  void column(hid_t parent, const std::string& frame, const H5adColumn& column, const H5adSpread& rows,
              bool legacy) const {
    const std::string where = frame + "/" + column.name;
    if (!column.categories.empty() || !column.codes.empty())
      return legacy ? legacy_categories(parent, frame, column, rows)
                    : categories(parent, where, column, rows);
    if (!column.texts.empty()) return strings(parent, where, column.name, rows(column.texts, std::string()));
    if (!column.integers.empty())
      return plain(parent, where, column.name, H5T_STD_I64LE, H5T_NATIVE_INT64, rows.total,
                   rows(column.integers, std::int64_t{-1}).data());
    plain(parent, where, column.name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, rows.total,
          rows(column.reals, std::numeric_limits<double>::quiet_NaN()).data());
  }

  void flags(hid_t parent, const std::string& where, const std::string& name,
             const std::vector<std::int8_t>& values) const {
    const Hdf5Handle type = Hdf5Writer::bool_type();
    plain(parent, where, name, type.get(), type.get(), static_cast<std::int64_t>(values.size()),
          values.data());
  }

  void strings(hid_t parent, const std::string& where, const std::string& name,
               const std::vector<std::string>& texts) const {
    Hdf5Handle data = writer_->write_strings(parent, name, texts);
    writer_->set_encoding(data.get(), "string-array", "0.2.0");
    writer_->close(std::move(data), where);
  }

  void value(hid_t dict, const std::string& where, const std::string& name, const H5adValue& value) const {
    if (const auto* list = std::get_if<std::vector<std::string>>(&value))
      return strings(dict, where, name, *list);
    if (const auto* numbers = std::get_if<std::vector<double>>(&value))
      return plain(dict, where, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                   static_cast<std::int64_t>(numbers->size()), numbers->data());
    Hdf5Handle data;
    if (const auto* text = std::get_if<std::string>(&value)) {
      const Hdf5Handle type = Hdf5Writer::string_type();
      const char* pointer = text->c_str();
      data = writer_->write_dataset(dict, name, type.get(), type.get(), {}, &pointer);
      writer_->set_encoding(data.get(), "string", "0.2.0");
    } else {
      const auto* integer = std::get_if<std::int64_t>(&value);
      const void* number = integer != nullptr ? static_cast<const void*>(integer) : &std::get<double>(value);
      data = writer_->write_dataset(dict, name, integer != nullptr ? H5T_STD_I64LE : H5T_IEEE_F64LE,
                                    integer != nullptr ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, {}, number);
      writer_->set_encoding(data.get(), "numeric-scalar", "0.2.0");
    }
    writer_->close(std::move(data), where);
  }

 private:
  /// A list of numbers.
  void plain(hid_t parent, const std::string& where, const std::string& name, hid_t type, hid_t memory_type,
             std::int64_t size, const void* values) const {
    Hdf5Handle data =
        writer_->write_dataset(parent, name, type, memory_type, {static_cast<hsize_t>(size)}, values);
    writer_->set_encoding(data.get(), "array", "0.2.0");
    writer_->close(std::move(data), where);
  }

  static hid_t code_type(std::size_t count) {
    return count < 128 ? H5T_STD_I8LE : count < 32768 ? H5T_STD_I16LE : H5T_STD_I32LE;
  }

  void categories(hid_t parent, const std::string& where, const H5adColumn& column,
                  const H5adSpread& rows) const {
    const Hdf5Handle group = writer_->create_group(parent, column.name);
    writer_->set_encoding(group.get(), "categorical", "0.2.0");
    writer_->set_attribute(group.get(), "ordered", false);
    strings(group.get(), where + "/categories", "categories", column.categories);
    plain(group.get(), where + "/codes", "codes", code_type(column.categories.size()), H5T_NATIVE_INT32,
          rows.total, rows(column.codes, std::int32_t{-1}).data());
  }

  /// Codes with __categories, as anndata before 0.8 has them.
  void legacy_categories(hid_t parent, const std::string& frame, const H5adColumn& column,
                         const H5adSpread& rows) const {
    const std::string where = frame + "/" + column.name;
    Hdf5Object all = open_hdf5_object(*file_, frame + "/__categories");
    if (all.kind == Hdf5Kind::absent) all.handle = writer_->create_group(parent, "__categories");
    Hdf5Handle names = writer_->write_strings(all.handle.get(), column.name, column.categories);
    writer_->set_attribute(names.get(), "ordered", false);
    writer_->close(std::move(names), frame + "/__categories/" + column.name);
    Hdf5Handle data = writer_->write_dataset(parent, column.name, code_type(column.categories.size()),
                                             H5T_NATIVE_INT32, {static_cast<hsize_t>(rows.total)},
                                             rows(column.codes, std::int32_t{-1}).data());
    hobj_ref_t reference{};
    writer_->require(H5Rcreate(&reference, all.handle.get(), column.name.c_str(), H5R_OBJECT, -1) >= 0, where,
                     "make a reference");
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle attribute(
        H5Acreate2(data.get(), "categories", H5T_STD_REF_OBJ, space.get(), H5P_DEFAULT, H5P_DEFAULT),
        H5Aclose);
    writer_->require(H5Awrite(attribute.get(), H5T_STD_REF_OBJ, &reference) >= 0, where, "write a reference");
    writer_->close(std::move(data), where);
  }

  const Hdf5Writer* writer_;
  const Hdf5File* file_;
};

}  // namespace stofm::io
