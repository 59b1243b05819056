// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What every .h5ad that is made from nothing has: the file, obs and var with their names, the dicts,
/// positions; and the look at what the disk kept. Counts are the business of those who use it
/// (h5ad_new_writer.hpp holds them, import/slice_writer.hpp streams them). The caller holds hdf5_mutex() and
/// a Hdf5Quiet.

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_new.hpp"
#include "stofm/io/h5ad_writer.hpp"

namespace stofm::io::detail {

class NewH5adFile {
 public:
  /// \param path is written, `output` is what messages about the disk call it
  NewH5adFile(const std::string& path, const std::string& output, std::function<void()> progress)
      : path_(path), output_(output), writer_(file_, output) {
    file_.path = output;
    file_.progress = std::move(progress);
  }
  NewH5adFile(const NewH5adFile&) = delete;
  NewH5adFile& operator=(const NewH5adFile&) = delete;

  const std::string& path() const { return path_; }
  const std::string& output() const { return output_; }
  const std::function<void()>& progress() const { return file_.progress; }
  void tick() const {
    if (file_.progress) file_.progress();
  }
  const Hdf5Writer& writer() const { return writer_; }
  hid_t root() const { return file_.handle.get(); }
  H5adParts parts() const { return H5adParts(writer_, file_); }

  /// Makes the file, empty but for what says that it is AnnData's.
  void create() {
    const Hdf5Handle access =
        checked_handle(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, output_, "", "create an access list");
    require_hdf5(H5Pset_fapl_sec2(access.get()) >= 0 && H5Pset_file_locking(access.get(), false, true) >= 0 &&
                     H5Pset_fclose_degree(access.get(), H5F_CLOSE_SEMI) >= 0,
                 output_, "", "create an access list");
    file_.handle = Hdf5Handle(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
    writer_.require(static_cast<bool>(file_.handle), "", "make the file");
    writer_.set_encoding(root(), "anndata", "0.1.0");
  }

  /// obs and var with their names alone, and the dicts, positions in obsm.
  void write_frames(const NewH5ad& made) const {
    for (const auto& [frame, names] : {std::pair{"obs", &made.cells}, std::pair{"var", &made.genes}}) {
      const Hdf5Handle group = writer_.create_group(root(), frame);
      writer_.set_encoding(group.get(), "dataframe", "0.2.0");
      writer_.set_attribute(group.get(), "_index", std::string("_index"));
      writer_.set_attribute(group.get(), "column-order", std::vector<std::string>{});
      parts().strings(group.get(), std::string(frame) + "/_index", "_index", *names);
      tick();
    }
    for (const char* dict : {"layers", "obsm", "obsp", "uns", "varm", "varp"}) {
      const Hdf5Handle group = writer_.create_group(root(), dict);
      writer_.set_encoding(group.get(), "dict", "0.1.0");
      if (std::string(dict) == "obsm" && made.spatial.rank() == 2)
        numbers(group.get(), "obsm/spatial", "spatial", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                {static_cast<hsize_t>(made.spatial.dim(0)), static_cast<hsize_t>(made.spatial.dim(1))},
                positions(made).data());
    }
  }

  /// The attribute "shape" of a sparse X.
  void write_shape(hid_t x, const NewH5ad& made) const {
    writer_.set_attribute(x, "shape",
                          std::vector<std::int64_t>{static_cast<std::int64_t>(made.cells.size()),
                                                    static_cast<std::int64_t>(made.genes.size())});
  }

  void numbers(hid_t parent, const std::string& where, const char* name, hid_t type, hid_t memory_type,
               const std::vector<hsize_t>& dims, const void* values) const {
    Hdf5Handle data = writer_.write_dataset(parent, name, type, memory_type, dims, values);
    writer_.set_encoding(data.get(), "array", "0.2.0");
    writer_.close(std::move(data), where);
    tick();
  }

  void close() {
    writer_.require(H5Fflush(root(), H5F_SCOPE_GLOBAL) >= 0, "", "write the file");
    writer_.require(file_.handle.close(), "", "close the file");
  }

  /// Compares names and positions with the closed file, and what `counts_equal(Hdf5File&)` compares.
  /// \throws ResourceError (STOFM-5038)
  template <class CountsEqual>
  void verify(const NewH5ad& made, const CountsEqual& counts_equal) const {
    try {
      Hdf5File file = open_hdf5_file(path_);
      file.progress = file_.progress;
      const H5adFrame obs(file, "obs", 0), var(file, "var", 0);
      bool equal =
          obs.strings("_index") == made.cells && var.strings("_index") == made.genes && counts_equal(file);
      if (made.spatial.rank() == 2) {
        Hdf5Dataset data = open_hdf5_dataset(file, "obsm/spatial");
        const std::vector<double> stored = read_doubles(data, 0);
        const std::vector<double> given = positions(made);
        equal = equal && stored.size() == given.size() &&
                std::memcmp(stored.data(), given.data(), 8 * given.size()) == 0;
      }
      if (!equal) fail_disk("", "values differ");
    } catch (const ResourceError&) {
      throw;
    } catch (const Error& error) {
      fail_disk(error.where(), error.found());
    }
  }
  [[noreturn]] void fail_disk(const std::string& where, const std::string& found) const {
    throw ResourceError({"STOFM-5038", output_, where,
                         "the disk gave back other data than were written: " + found,
                         "a disk that keeps what it is given",
                         "Check the disk or network drive (is it full?) and run again."});
  }

 private:
  static std::vector<double> positions(const NewH5ad& made) {
    std::vector<double> all;
    for (std::int64_t i = 0; i < made.spatial.dim(0); ++i)
      all.insert(all.end(), made.spatial.row(i), made.spatial.row(i) + made.spatial.dim(1));
    return all;
  }

  std::string path_, output_;
  Hdf5File file_;
  Hdf5Writer writer_;
};

/// Reserves a new .h5ad, has it written by `work(temporary path)`, and gives it its name.
/// \throws UsageError the output exists (STOFM-3010), has no directory (3012) or is no regular file (3014)
template <class Work>
void with_new_h5ad(const std::string& output, const OutputOptions& reserve, const Work& work) {
  PendingOutput pending(output, reserve);
  if (pending.is_stream())
    throw UsageError({"STOFM-3014", output, "output", "a pipe or device", "a regular file",
                      "Name a file: .h5ad is not a stream."});
  const std::string temporary = pending.temporary_path();
  {
    Descriptor target(TemporaryFiles::of_process().create(temporary));
    if (!target.valid()) throw_errno(errno, output, "create");
    if (target.close() != 0) throw_errno(errno, output, "close");
  }
  work(temporary);
  if (pending.mode() != 0) (void)!::chmod(temporary.c_str(), pending.mode());
  pending.commit();
}

}  // namespace stofm::io::detail
