// SPDX-License-Identifier: MIT
// H04: files that are well-formed HDF5 and odd .h5ad: attributes, values, types, shapes, storage, links and
// texts of small good files are changed at random, one to three at a time. Each one is read; this process
// must live, each child must answer within 5 s of processor time, and what is accepted must have the numbers
// that libhdf5 itself reads (its conversion, its filters) from the same file.
//
// By hand, with a seed of your own, and again in the asan build:
//   STOFM_MUTATIONS=2000 STOFM_MUTATION_SEED=12345 build/tests/test_io_h5ad_mutations
// STOFM_MUTATION_KEEP=FOLDER keeps files with a fault; a file is made again from its seed with
// STOFM_MUTATIONS=1.
#include <sys/resource.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <random>

#include "stofm/io/h5ad_writer.hpp"
#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t n) { return static_cast<std::size_t>(random() % n); }

template <class T>
const T& pick(Random& random, const std::vector<T>& list) {
  return list[below(random, list.size())];
}

Hdf5Handle open_any(hid_t file, const std::string& path) {
  return {H5Oopen(file, path.empty() ? "/" : path.c_str(), H5P_DEFAULT), H5Oclose};
}
bool is_dataset(const Hdf5Handle& object) { return object && H5Iget_type(object.get()) == H5I_DATASET; }

/// A numeric data set as double, by libhdf5's own reading.
struct Numbers {
  std::vector<hsize_t> dims;
  std::vector<double> values;
  bool good = false;
};

Numbers numbers_of(hid_t file, const std::string& path) {
  Numbers numbers;
  if (H5Lexists(file, path.c_str(), H5P_DEFAULT) <= 0) return numbers;
  const Hdf5Handle data = open_any(file, path);
  if (!is_dataset(data)) return numbers;
  const Hdf5Handle type(H5Dget_type(data.get()), H5Tclose);
  const Hdf5Handle space(H5Dget_space(data.get()), H5Sclose);
  const H5T_class_t kind = H5Tget_class(type.get());
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  if ((kind != H5T_INTEGER && kind != H5T_FLOAT) || count < 0 || count > 2000000) return numbers;
  numbers.dims.resize(static_cast<std::size_t>((std::max)(0, H5Sget_simple_extent_ndims(space.get()))));
  H5Sget_simple_extent_dims(space.get(), numbers.dims.data(), nullptr);
  numbers.values.resize(static_cast<std::size_t>(count));
  numbers.good = count == 0 || H5Dread(data.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                                       numbers.values.data()) >= 0;
  return numbers;
}

/// Puts a data set in the place of `path`; the attributes of the old one are copied as far as they are texts.
void put(hid_t file, const std::string& path, hid_t type, const std::vector<hsize_t>& dims, hid_t list,
         const double* values) {
  std::map<std::string, std::string> texts;
  if (H5Lexists(file, path.c_str(), H5P_DEFAULT) > 0) {
    const Hdf5Handle old = open_any(file, path);
    Hdf5File named;
    for (const char* name : {"encoding-type", "encoding-version"})
      if (old && H5Aexists(old.get(), name) > 0) {
        Hdf5Object object;
        object.handle = Hdf5Handle(old.get(), nullptr);
        texts[name] = read_string_attribute(named, object, name).value_or("");
      }
    H5Ldelete(file, path.c_str(), H5P_DEFAULT);
  }
  const Hdf5Handle space(dims.empty() ? H5Screate(H5S_SCALAR)
                                      : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                         H5Sclose);
  const Hdf5Handle data(H5Dcreate2(file, path.c_str(), type, space.get(), H5P_DEFAULT, list, H5P_DEFAULT),
                        H5Dclose);
  if (!data) return;
  if (values != nullptr) H5Dwrite(data.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  Hdf5File named;
  for (const auto& [name, text] : texts) Hdf5Writer(named, "").set_attribute(data.get(), name.c_str(), text);
}

const std::vector<std::string> number_sets{"X/data",       "X/indices",    "X/indptr",        "X",
                                           "obsm/spatial", "obs/n_counts", "obs/region/codes"};
const std::vector<std::string> text_sets{"obs/_index", "var/_index", "var/ensembl_id",
                                         "obs/region/categories"};

std::vector<hid_t> number_types() {
  return {H5T_STD_I8LE,   H5T_STD_U8LE,   H5T_STD_I16LE, H5T_STD_U16BE,  H5T_STD_I32LE,  H5T_STD_U32LE,
          H5T_STD_I32BE,  H5T_STD_I64LE,  H5T_STD_U64LE, H5T_STD_I64BE,  H5T_IEEE_F32LE, H5T_IEEE_F64LE,
          H5T_IEEE_F32BE, H5T_IEEE_F64BE, H5T_STD_B32LE, H5T_STD_REF_OBJ};
}

void change_value(hid_t file, Random& random) {
  const std::string path = pick(random, number_sets);
  Numbers old = numbers_of(file, path);
  if (!old.good || old.values.empty()) return;
  static const std::vector<double> odd{-1,
                                       0,
                                       1,
                                       2,
                                       7,
                                       33,
                                       59,
                                       60,
                                       61,
                                       0.5,
                                       1e-300,
                                       1e300,
                                       2147483647.0,
                                       2147483648.0,
                                       -2147483648.0,
                                       9007199254740992.0,
                                       9.3e18,
                                       NAN,
                                       INFINITY,
                                       -INFINITY};
  const std::size_t times = 1 + below(random, 3);
  for (std::size_t i = 0; i < times; ++i) old.values[below(random, old.values.size())] = pick(random, odd);
  put(file, path, pick(random, std::vector<hid_t>{H5T_STD_I32LE, H5T_STD_I64LE, H5T_IEEE_F64LE}), old.dims,
      H5P_DEFAULT, old.values.data());
}

void change_type(hid_t file, Random& random) {
  const std::string path = pick(random, number_sets);
  const Numbers old = numbers_of(file, path);
  if (old.good) put(file, path, pick(random, number_types()), old.dims, H5P_DEFAULT, old.values.data());
}

void change_storage(hid_t file, Random& random) {
  const std::string path = pick(random, number_sets);
  const Numbers old = numbers_of(file, path);
  if (!old.good || old.dims.empty() || old.values.empty()) return;
  const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const std::size_t kind = below(random, 6);
  if (kind == 0) {
    H5Pset_layout(list.get(), H5D_COMPACT);
  } else if (kind > 1) {
    std::vector<hsize_t> chunk;
    for (const hsize_t d : old.dims) chunk.push_back(1 + below(random, static_cast<std::size_t>(d)));
    if (old.values.size() > 3000 && chunk[0] < 64) chunk[0] = (std::min<hsize_t>)(64, old.dims[0]);
    H5Pset_chunk(list.get(), static_cast<int>(chunk.size()), chunk.data());
    for (std::size_t n = below(random, 4); n > 0; --n) {
      const std::size_t filter = below(random, 3);
      if (filter == 0) H5Pset_shuffle(list.get());
      if (filter == 1) H5Pset_deflate(list.get(), static_cast<unsigned>(1 + below(random, 9)));
      if (filter == 2) H5Pset_fletcher32(list.get());
    }
  }
  const bool real = path == "X/data" || path == "X" || path == "obsm/spatial" || path == "obs/n_counts";
  const double five = 5;
  if (below(random, 8) == 0) H5Pset_fill_value(list.get(), H5T_NATIVE_DOUBLE, &five);
  put(file, path, real ? H5T_IEEE_F64LE : H5T_STD_I32LE, old.dims, list.get(),
      below(random, 8) == 0 ? nullptr : old.values.data());
}

void change_shape(hid_t file, Random& random) {
  const std::string path = pick(random, number_sets);
  Numbers old = numbers_of(file, path);
  if (!old.good || old.dims.empty()) return;
  static const std::vector<hsize_t> huge{1000000, hsize_t{1} << 31, hsize_t{1} << 33, hsize_t{1} << 40,
                                         hsize_t{1} << 62};
  switch (below(random, 5)) {
    case 0:
      old.dims[below(random, old.dims.size())] += 1 + below(random, 50);
      break;
    case 1:
      old.dims[0] = below(random, static_cast<std::size_t>(old.dims[0]) + 1);
      break;
    case 2:
      old.dims.push_back(1 + below(random, 3));
      break;
    case 3:
      old.dims = {old.values.size()};
      break;
    default:
      old.dims[below(random, old.dims.size())] = pick(random, huge);
      put(file, path, H5T_IEEE_F32LE, old.dims, H5P_DEFAULT, nullptr);
      return;
  }
  std::size_t count = 1;
  for (const hsize_t d : old.dims) count *= static_cast<std::size_t>(d);
  old.values.resize(count, 1.0);
  put(file, path, H5T_IEEE_F64LE, old.dims, H5P_DEFAULT, old.values.data());
}

void change_attribute(hid_t file, Random& random) {
  static const std::vector<std::string> places{"", "X", "obs", "var", "obsm", "obsm/spatial", "obs/region"};
  static const std::vector<std::string> names{"encoding-type", "encoding-version", "shape", "_index",
                                              "column-order"};
  static const std::vector<std::string> texts{
      "csr_matrix", "csc_matrix", "array",  "dataframe", "categorical", "null",     "",         "0.1.0",
      "0.2.0",      "9",          "_index", "a/b",       "..",          "\x1b[31m", "\xff\xfe", "n_counts"};
  static const std::vector<std::int64_t> odd{
      -1, 0, 1, 33, 60, 61, std::int64_t{1} << 31, std::int64_t{1} << 40, INT64_MAX};
  const std::string place = pick(random, places);
  const std::string name = pick(random, names);
  const Hdf5Handle object = open_any(file, place);
  if (!object) return;
  if (H5Aexists(object.get(), name.c_str()) > 0) H5Adelete(object.get(), name.c_str());
  const std::size_t kind = below(random, 5);
  if (kind == 0) return;
  Hdf5File named;
  const Hdf5Writer writer(named, "");
  if (kind == 1) {
    const std::vector<std::int64_t> values{pick(random, odd), pick(random, odd), pick(random, odd)};
    const hsize_t count = 1 + below(random, 3);
    const Hdf5Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Hdf5Handle attribute(H5Acreate2(object.get(), name.c_str(), pick(random, number_types()),
                                          space.get(), H5P_DEFAULT, H5P_DEFAULT),
                               H5Aclose);
    if (attribute) H5Awrite(attribute.get(), H5T_NATIVE_INT64, values.data());
  } else if (kind == 2) {
    writer.set_attribute(object.get(), name.c_str(),
                         std::vector<std::string>(1 + below(random, 40), pick(random, texts)));
  } else {
    writer.set_attribute(object.get(), name.c_str(), pick(random, texts));
  }
}

void change_link(hid_t file, Random& random) {
  static const std::vector<std::string> places{
      "X",          "X/data",       "X/indices", "X/indptr",       "obs",       "var", "obs/_index", "obsm",
      "var/_index", "obsm/spatial", "uns",       "var/ensembl_id", "obs/region"};
  const std::string path = pick(random, places);
  const std::string other = "/" + pick(random, places);
  if (H5Lexists(file, path.c_str(), H5P_DEFAULT) <= 0) return;
  H5Lmove(file, path.c_str(), file, "kept", H5P_DEFAULT, H5P_DEFAULT);
  switch (below(random, 7)) {
    case 0:
      return;
    case 1:
      H5Lcreate_soft("/kept", file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return;
    case 2:
      H5Lcreate_soft(other.c_str(), file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return;
    case 3:
      if (H5Oexists_by_name(file, other.c_str(), H5P_DEFAULT) > 0)
        H5Lcreate_hard(file, other.c_str(), file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return;
    case 4:
      H5Lcreate_external("/etc/passwd", "/X", file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return;
    case 5: {
      const Hdf5Handle group(H5Gcreate2(file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
      return;
    }
    default: {
      const double five = 5;
      put(file, path, H5T_IEEE_F64LE, {}, H5P_DEFAULT, &five);
      return;
    }
  }
}

void change_text(hid_t file, Random& random) {
  static const std::vector<std::string> odd{"",
                                            "nan",
                                            "\x1b[31mred",
                                            "\xff\xfe",
                                            "a\nb",
                                            "\xc0\xaf",
                                            std::string(3000, 'L'),
                                            "ENSG00000141510",
                                            "TP53",
                                            "<script>",
                                            "\xe2\x80\xae"
                                            "evil"};
  const std::string path = pick(random, text_sets);
  const Hdf5Handle data = open_any(file, path);
  if (!is_dataset(data)) return;
  const Hdf5Handle space(H5Dget_space(data.get()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  if (count <= 0 || count > 100000 || H5Sget_simple_extent_ndims(space.get()) != 1) return;
  std::vector<std::string> texts;
  const bool all = below(random, 4) == 0;
  const std::string text = pick(random, odd);
  const std::size_t at = below(random, static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    texts.push_back(all || i == at ? text : concat("name", i));
  H5Ldelete(file, path.c_str(), H5P_DEFAULT);
  Hdf5File named;
  (void)Hdf5Writer(named, "").write_strings(file, path, texts);
}

/// One to three changes.
void mutate(const std::string& path, Random& random) {
  const Hdf5Quiet quiet;
  const Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  REQUIRE(static_cast<bool>(file));
  const std::vector<void (*)(hid_t, Random&)> changes{change_value, change_type,      change_storage,
                                                      change_shape, change_attribute, change_link,
                                                      change_text,  change_storage};
  for (std::size_t n = 1 + below(random, 3); n > 0; --n) {
    try {
      pick(random, changes)(file.get(), random);
    } catch (const Error&) {  // libhdf5 does not write such a thing
    }
  }
}

/// X as libhdf5 reads it, [rows, columns] dense; empty if it is not of a known form.
std::vector<double> reference_counts(const std::string& path, std::int64_t rows, std::int64_t columns) {
  const Hdf5Quiet quiet;
  const Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  const Numbers dense = numbers_of(file.get(), "X");
  if (dense.good) return dense.values;
  const Numbers data = numbers_of(file.get(), "X/data");
  const Numbers indices = numbers_of(file.get(), "X/indices");
  const Numbers starts = numbers_of(file.get(), "X/indptr");
  if (!data.good || !indices.good || !starts.good) return {};
  Hdf5File named;
  Hdf5Object group;
  group.handle = open_any(file.get(), "X");
  const bool csr = read_string_attribute(named, group, "encoding-type").value_or("") == "csr_matrix";
  std::vector<double> counts(static_cast<std::size_t>(rows * columns), 0.0);
  for (std::size_t line = 0; line + 1 < starts.values.size(); ++line)
    for (auto k = static_cast<std::size_t>(starts.values[line]);
         k < static_cast<std::size_t>(starts.values[line + 1]); ++k) {
      const auto index = static_cast<std::size_t>(indices.values[k]);
      const std::size_t row = csr ? line : index;
      const std::size_t column = csr ? index : line;
      if (row >= static_cast<std::size_t>(rows) || column >= static_cast<std::size_t>(columns))
        return {};  // columns were merged: not comparable
      counts[row * static_cast<std::size_t>(columns) + column] += data.values[k];
    }
  return counts;
}

double child_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

long number_of(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtol(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("H04: mutated structures are refused, or read with the numbers that libhdf5 reads") {
  const long count = number_of("STOFM_MUTATIONS", 150);
  const auto first = static_cast<std::uint64_t>(number_of("STOFM_MUTATION_SEED", 1));
  const char* keep = std::getenv("STOFM_MUTATION_KEEP");
  const std::vector<std::string> names{"csr_f32_gzip", "csc", "dense_f32", "csr_i32",
                                       "superblock_v2_nocompress"};
  H5adReadOptions options;
  options.cell_names = true;
  std::map<std::string, long> refused;
  long accepted = 0, compared = 0;
  double before = child_seconds(), slowest = 0;
  for (long i = 0; i < count; ++i) {
    const std::uint64_t seed = first + static_cast<std::uint64_t>(i);
    CAPTURE(seed);
    Random random(seed * 0x9e3779b97f4a7c15U + 1);
    const H5Case test(pick(random, names));
    mutate(test.path, random);
    bool fault = false;
    try {
      const Read read = read_all(test.path, options);
      ++accepted;
      const std::vector<double> expected =
          read.slice.counts_scale == "counts" && read.slice.counts_source == "X"
              ? reference_counts(test.path, read.slice.cells, read.slice.genes())
              : std::vector<double>{};
      // Columns that repeat an id are summed: then the shapes differ.
      if (!expected.empty() && expected.size() == read.dense.size() && read.slice.file_rows.empty()) {
        ++compared;
        fault = expected != read.dense;
      }
    } catch (const Error& error) {
      ++refused[error.code()];
      fault = error.found().empty() || error.code() == "STOFM-3533" || error.code() == "STOFM-5037";
      if (fault) MESSAGE("seed ", seed, ": ", std::string(error.what()));
    }
    const double now = child_seconds();
    slowest = (std::max)(slowest, now - before);
    fault = fault || now - before > 5;
    before = now;
    CHECK_FALSE(fault);
    if (fault && keep != nullptr)
      std::filesystem::copy_file(test.path, std::filesystem::path(keep) / concat("mutation-", seed, ".h5ad"),
                                 std::filesystem::copy_options::overwrite_existing);
  }
  std::string codes;
  for (const auto& [code, times] : refused) codes += concat(" ", code, ":", times);
  MESSAGE("mutations: ", count, " files, ", accepted, " accepted, ", compared,
          " of them equal to what libhdf5 reads, slowest ", slowest, " s of processor time; refused:", codes);
  if (count >= 100) CHECK(compared * 20 > count);  // the generator makes enough files that are good
}
