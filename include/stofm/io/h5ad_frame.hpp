// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A data frame of an .h5ad file (obs, var, raw/var, a frame in obsm): its index and columns, read one at a
/// time.
///
/// Encodings known: plain arrays; string-array; categorical (group with categories and codes, or an integer
/// array with
/// __categories/<name>, anndata < 0.8); nullable-integer, -boolean and -string-array (values and mask).
/// *Source* anndata's on-disk format page, and files of anndata 0.7 to 0.13.

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/parse_double.hpp"
#include "stofm/io/h5ad_categorical.hpp"
#include "stofm/io/hdf5_strings.hpp"

namespace stofm::io {

/// encoding-type of an object, "" if there is none (legacy). \throws FileError a version that is not known
inline std::string read_encoding(const Hdf5File& file, const Hdf5Object& object) {
  const std::string type = read_string_attribute(file, object, "encoding-type").value_or("");
  const std::string version = read_string_attribute(file, object, "encoding-version").value_or("");
  if (!version.empty() && version != "0.1.0" && version != "0.2.0")
    throw FileError({"STOFM-3508", file.path, object.path,
                     concat("encoding ", stofm::quoted(type, 60), " version ", stofm::quoted(version, 40)),
                     "version 0.1.0 or 0.2.0", "Write the file again with anndata 0.8 to 0.13."});
  return type;
}

class H5adFrame {
 public:
  /// Opens the frame at `path` and checks that its index is there; the index gives length().
  H5adFrame(const Hdf5File& file, const std::string& path, std::int64_t memory_limit)
      : file_(&file), path_(path), memory_limit_(memory_limit), group_(open_hdf5_object(file, path)) {
    if (group_.kind == Hdf5Kind::dataset)
      fail("STOFM-3535", path, "a compound data set (anndata before 0.7)", "a group",
           "Read it with an old anndata and re-write with anndata >= 0.8.");
    if (group_.kind != Hdf5Kind::group)
      fail("STOFM-3507", path, "nothing", "the data frame " + path, "Write the file again with anndata.");
    const std::string encoding = read_encoding(file, group_);
    if (!encoding.empty() && encoding != "dataframe")
      fail("STOFM-3508", path, "encoding " + stofm::quoted(encoding, 60), "dataframe",
           "Write the file again with anndata.");
    index_ = read_string_attribute(file, group_, "_index").value_or("_index");
    if (index_.empty() || index_.find('/') != std::string::npos || !has(index_))
      fail("STOFM-3507", path + "/" + index_.substr(0, 200), "no index column",
           "the index that " + path + "@_index names", "Write the file again with anndata.");
    length_ = column_length(index_);
  }

  std::int64_t length() const { return length_; }
  const std::string& index() const { return index_; }
  const std::string& path() const { return path_; }
  bool has(const std::string& column) const {
    return !column.empty() && column.find('/') == std::string::npos &&
           open_hdf5_object(*file_, path_ + "/" + column).kind != Hdf5Kind::absent;
  }
  /// Columns in order, the index not among them.
  std::vector<std::string> columns() const {
    if (auto order = read_string_list(*file_, group_, "column-order")) return *std::move(order);
    std::vector<std::string> names;
    for (auto& name : hdf5_names(*file_, group_))
      if (name != index_ && name != "__categories") names.push_back(std::move(name));
    return names;
  }

  /// What the texts of one column may take together: more can only come of a few long ones repeated, or of
  /// long fixed-length ones that compression made small.
  std::int64_t text_limit() const { return (std::int64_t{16} << 20) + 4 * file_->superblock.file_size; }

  /// Whether a column holds text, as an array or as categories. \throws nothing for what it does not know
  bool is_text(const std::string& column) const;

  /// A column as text; missing entries are "". \throws FileError numbers, damage, text beyond text_limit()
  std::vector<std::string> strings(const std::string& column) const {
    const Hdf5Object object = open_hdf5_object(*file_, at(column));
    const std::string encoding = read_encoding(*file_, object);
    if (object.kind == Hdf5Kind::group && encoding.starts_with("nullable-")) {
      Hdf5Dataset values = open_hdf5_dataset(*file_, at(column) + "/values");
      std::vector<std::string> text = texts(column, values);
      const std::vector<std::int64_t> mask = read_mask(column, static_cast<std::int64_t>(text.size()));
      for (std::size_t i = 0; i < text.size(); ++i)
        if (mask[i] != 0) text[i].clear();
      return checked(column, std::move(text));
    }
    if (is_categorical(column, object, encoding)) {
      H5adCategorical factor = categorical(column);
      std::int64_t total = 0;
      for (const std::int64_t code : factor.codes)
        if (code >= 0)
          total += static_cast<std::int64_t>(factor.categories[static_cast<std::size_t>(code)].size());
      if (total > text_limit()) fail_long(column, total);
      std::vector<std::string> text(factor.codes.size());
      for (std::size_t i = 0; i < text.size(); ++i)
        if (factor.codes[i] >= 0) text[i] = factor.categories[static_cast<std::size_t>(factor.codes[i])];
      return checked(column, std::move(text));
    }
    Hdf5Dataset data = open_hdf5_dataset(*file_, at(column));
    return checked(column, texts(column, data));
  }

  /// A column as numbers; missing entries are NaN. Text is accepted if every entry is a number.
  std::vector<double> numbers(const std::string& column) const;

  /// A column as groups: categories as stored, or the distinct texts or integers in order of appearance.
  H5adCategorical categorical(const std::string& column) const;

 private:
  [[noreturn]] void fail(std::string code, std::string where, std::string found, std::string expected,
                         std::string remedy) const {
    throw FileError({std::move(code), file_->path, std::move(where), std::move(found), std::move(expected),
                     std::move(remedy)});
  }
  [[noreturn]] void fail_long(const std::string& column, std::int64_t bytes) const {
    fail("STOFM-3515", at(column), concat(bytes, " bytes of text"),
         concat("at most ", text_limit(), ", 4 times the file and 16 MiB"),
         "Shorten the names: long texts that repeat do not name anything.");
  }
  /// All strings of a data set, within text_limit().
  std::vector<std::string> texts(const std::string& column, Hdf5Dataset& data) const {
    if (data.type().is_string() && data.type().kind != Hdf5Type::Kind::variable_string &&
        data.element_size() > 0 && data.elements() > text_limit() / data.element_size())
      fail_long(column, data.elements() * data.element_size());
    return read_strings(data, memory_limit_);
  }
  std::string at(const std::string& column) const { return path_ + "/" + column; }

  bool is_categorical(const std::string& column, const Hdf5Object& object,
                      const std::string& encoding) const {
    if (object.kind == Hdf5Kind::group) {
      if (encoding == "categorical") return true;
      fail("STOFM-3508", at(column), "encoding " + stofm::quoted(encoding, 60),
           "an array, categorical, or nullable-integer, -boolean or -string-array",
           "Write the column as text or numbers.");
    }
    return column != index_ &&
           open_hdf5_object(*file_, path_ + "/__categories/" + column).kind == Hdf5Kind::dataset;
  }

  std::int64_t column_length(const std::string& column) const {
    const Hdf5Object object = open_hdf5_object(*file_, at(column));
    std::string data_path = at(column);
    if (object.kind == Hdf5Kind::group) {
      const std::string encoding = read_encoding(*file_, object);
      if (encoding != "categorical" && !encoding.starts_with("nullable-"))
        fail("STOFM-3508", at(column), "encoding " + stofm::quoted(encoding, 60),
             "string-array, categorical or nullable", "Write the file again with anndata.");
      data_path += encoding == "categorical" ? "/codes" : "/values";
    }
    const Hdf5Dataset data = open_hdf5_dataset(*file_, data_path);
    if (data.rank() != 1)
      data.fail("STOFM-3507", concat("rank ", data.rank()), "a list", "Write the file again with anndata.");
    data.require_stored(std::int64_t{1} << 20);  // other arrays are allocated by this length
    return data.dim(0);
  }

  std::vector<std::int64_t> read_mask(const std::string& column, std::int64_t length) const {
    Hdf5Dataset mask = open_hdf5_dataset(*file_, at(column) + "/mask");
    if (mask.rank() != 1 || mask.dim(0) != length)
      mask.fail("STOFM-3507", concat(mask.elements(), " entries"), concat(length, ", as the values"),
                "Write the file again with anndata.");
    return read_integers(mask, memory_limit_);
  }

  template <class Values>
  Values checked(const std::string& column, Values values) const {
    if (static_cast<std::int64_t>(values.size()) != length_)
      fail("STOFM-3507", at(column), concat(values.size(), " entries"), concat(length_, ", as the index has"),
           "Write the file again with anndata.");
    return values;
  }

  const Hdf5File* file_;
  std::string path_;
  std::int64_t memory_limit_;
  Hdf5Object group_;
  std::string index_;
  std::int64_t length_ = 0;
};

namespace detail {

/// A whole text as a number in the C locale's form, or false.
inline bool parse_number(std::string_view text, double& value) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return false;
  text = text.substr(first, text.find_last_not_of(" \t") - first + 1);
  if (text.front() == '+') text.remove_prefix(1);
  const auto [end, error] = parse_double(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace detail

inline bool H5adFrame::is_text(const std::string& column) const {
  const auto text = [this](const std::string& path) {
    return open_hdf5_object(*file_, path).kind == Hdf5Kind::dataset &&
           open_hdf5_dataset(*file_, path).type().is_string();
  };
  if (!has(column)) return false;
  if (open_hdf5_object(*file_, at(column)).kind == Hdf5Kind::group) {
    const std::string encoding =
        read_string_attribute(*file_, open_hdf5_object(*file_, at(column)), "encoding-type").value_or("");
    return (encoding == "categorical" && text(at(column) + "/categories")) ||
           (encoding == "nullable-string-array" && text(at(column) + "/values"));
  }
  return text(at(column)) || (column != index_ && text(path_ + "/__categories/" + column));
}

inline std::vector<double> H5adFrame::numbers(const std::string& column) const {
  const Hdf5Object object = open_hdf5_object(*file_, at(column));
  if (object.kind == Hdf5Kind::absent)
    fail("STOFM-3507", at(column), "nothing", "a column of numbers", "Name a column that is there.");
  const std::string encoding = read_encoding(*file_, object);
  if (object.kind == Hdf5Kind::group && (encoding == "nullable-integer" || encoding == "nullable-boolean")) {
    Hdf5Dataset data = open_hdf5_dataset(*file_, at(column) + "/values");
    std::vector<double> values = read_doubles(data, memory_limit_);
    const std::vector<std::int64_t> mask = read_mask(column, static_cast<std::int64_t>(values.size()));
    for (std::size_t i = 0; i < values.size(); ++i)
      if (mask[i] != 0) values[i] = std::numeric_limits<double>::quiet_NaN();
    return checked(column, std::move(values));
  }
  if (object.kind == Hdf5Kind::dataset && !is_categorical(column, object, encoding)) {
    Hdf5Dataset data = open_hdf5_dataset(*file_, at(column));
    if (data.type().is_number()) return checked(column, read_doubles(data, memory_limit_));
  }
  const std::vector<std::string> text = strings(column);
  std::vector<double> values(text.size());
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!detail::parse_number(text[i], values[i]))
      throw DataError({"STOFM-3536", file_->path, concat(at(column), ", row ", i), stofm::quoted(text[i], 60),
                       "a number", "Write the column as numbers."});
  return values;
}

inline H5adCategorical H5adFrame::categorical(const std::string& column) const {
  const Hdf5Object object = open_hdf5_object(*file_, at(column));
  if (object.kind == Hdf5Kind::absent)
    fail("STOFM-3507", at(column), "nothing", "a column", "Name a column that is there.");
  const std::string encoding = read_encoding(*file_, object);
  H5adCategorical result;
  if (encoding.starts_with("nullable-") || !is_categorical(column, object, encoding)) {
    std::map<std::string, std::int64_t> seen;
    std::vector<std::string> text;
    bool numeric = false;
    if (object.kind == Hdf5Kind::dataset) numeric = open_hdf5_dataset(*file_, at(column)).type().is_number();
    if (numeric || encoding == "nullable-integer" || encoding == "nullable-boolean") {
      for (const double value : numbers(column)) text.push_back(concat(value));
    } else {
      text = strings(column);
    }
    for (auto& entry : text) {
      const auto [place, fresh] = seen.emplace(entry, static_cast<std::int64_t>(seen.size()));
      if (fresh) result.categories.push_back(entry);
      result.codes.push_back(place->second);
    }
    return result;
  }
  const bool legacy = object.kind == Hdf5Kind::dataset;
  const std::string names_path = legacy ? path_ + "/__categories/" + column : at(column) + "/categories";
  Hdf5Dataset codes = open_hdf5_dataset(*file_, legacy ? at(column) : at(column) + "/codes");
  Hdf5Dataset names = open_hdf5_dataset(*file_, names_path);
  result.codes = checked(column, read_integers(codes, memory_limit_));
  if (names.type().is_string()) {
    result.categories = texts(column, names);
  } else {
    for (const double value : read_doubles(names, memory_limit_)) result.categories.push_back(concat(value));
  }
  const auto count = static_cast<std::int64_t>(result.categories.size());
  if (codes.type().kind == Hdf5Type::Kind::signed_integer && codes.type().size == 1 && count > 128)
    codes.fail("STOFM-3534", concat(count, " categories with i1 codes"), "codes that can name every category",
               "Write the file again with anndata.");
  for (std::size_t i = 0; i < result.codes.size(); ++i)
    if (result.codes[i] < -1 || result.codes[i] >= count)
      throw FileError({"STOFM-3534", file_->path, concat(codes.where(), ", row ", i),
                       concat("code ", result.codes[i]), concat("-1 to ", count - 1),
                       "Write the file again with anndata."});
  return result;
}

}  // namespace stofm::io
