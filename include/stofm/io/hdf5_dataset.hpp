// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A data set opened for reading: layout, sizes and filters are checked at once, the bytes are read row by
/// row.
///
/// Contiguous data are read with pread from the place that the file states, chunks are fetched as stored and
/// decoded here (hdf5_filters.hpp). libhdf5 never allocates from a declared size and never runs a filter of
/// the file's choice.
/// Above 300 lines: opening (checks) and reading (layouts) share the state of one object.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/io/hdf5_attribute.hpp"
#include "stofm/io/hdf5_filters.hpp"
#include "stofm/io/hdf5_object.hpp"
#include "stofm/io/hdf5_type.hpp"

namespace stofm::io {

inline constexpr std::int64_t hdf5_chunk_limit = std::int64_t{256} << 20;  ///< bytes of one decoded chunk
inline constexpr std::int64_t hdf5_array_limit = std::int64_t{8}
                                                 << 40;  ///< bytes that a data set may declare
inline constexpr std::int64_t hdf5_cache_bytes = std::int64_t{32}
                                                 << 20;  ///< decoded chunks kept, at least one
/// Deflate, the densest filter known here, reaches 1032:1.
inline constexpr std::int64_t hdf5_most_inflation = 1100;

/// How a data set is stored.
enum class Hdf5Layout { compact, contiguous, chunked };

class Hdf5Dataset {
 public:
  /// Opens and checks. `file` must outlive the object. \throws FileError see the checks
  Hdf5Dataset(const Hdf5File& file, Hdf5Object object) : file_(&file), object_(std::move(object)) {
    if (object_.kind != Hdf5Kind::dataset)
      fail("STOFM-3505", object_.kind == Hdf5Kind::absent ? "nothing" : "a group", "a data set",
           "Write the file again with anndata.");
    const Hdf5MemoryBound bound(file.superblock.file_size);
    // The layout first: asking a virtual data set for its shape would open other files.
    const Hdf5Handle list =
        checked_handle(H5Dget_create_plist(id()), H5Pclose, file.path, where(), "read a property list");
    check_layout(list.get());
    check_filters(list.get());
    type_handle_ = checked_handle(H5Dget_type(id()), H5Tclose, file.path, where(), "read a type");
    type_ = describe_hdf5_type(type_handle_.get());
    // libhdf5 tells the size in memory; in the file a variable string is length (4), heap address, object
    // index (4).
    element_size_ = static_cast<std::int64_t>(type_.kind == Hdf5Type::Kind::variable_string
                                                  ? 8 + file.superblock.address_width
                                                  : H5Tget_size(type_handle_.get()));
    check_shape(list.get());
  }

  const std::string& where() const { return object_.path; }
  const Hdf5Object& object() const { return object_; }
  const Hdf5File& file() const { return *file_; }
  const Hdf5Type& type() const { return type_; }
  hid_t type_id() const { return type_handle_.get(); }
  hid_t id() const { return object_.handle.get(); }
  Hdf5Layout layout() const { return layout_; }
  const std::vector<Hdf5Filter>& filters() const { return filters_; }
  int rank() const { return static_cast<int>(dims_.size()); }
  std::int64_t dim(int i) const { return dims_[static_cast<std::size_t>(i)]; }
  std::int64_t elements() const { return elements_; }
  std::int64_t element_size() const { return element_size_; }  ///< bytes, of a variable string: its reference
  std::int64_t stored_bytes() const { return stored_bytes_; }
  std::int64_t chunk_dim(int i) const { return chunk_[static_cast<std::size_t>(i)]; }

  [[noreturn]] void fail(std::string code, std::string found, std::string expected,
                         std::string remedy) const {
    throw FileError(
        {std::move(code), file_->path, where(), std::move(found), std::move(expected), std::move(remedy)});
  }

  /// Refuses to hold the whole array if it declares far more than the file stores (deflate reaches 1032:1) or
  /// more than `memory_limit` bytes. Call before allocating. `bytes_each`: of one element in memory.
  void require_holdable(std::int64_t bytes_each, std::int64_t memory_limit) const {
    const std::int64_t bytes = checked_mul(elements_, bytes_each, "array bytes");
    if (bytes > (std::int64_t{16} << 20) &&
        bytes / hdf5_most_inflation > stored_bytes_ * bytes_each / (std::max<std::int64_t>)(element_size_, 1))
      fail("STOFM-3515", concat(elements_, " elements declared, ", stored_bytes_, " bytes stored"),
           "data that are really there", "The file is damaged or hostile: write it again.");
    if (memory_limit > 0 && bytes > memory_limit)
      throw ResourceError({"STOFM-5035", file_->path, where(), concat(bytes, " bytes to hold"),
                           concat("at most ", memory_limit),
                           "Use a machine with more memory, or a CSR file."});
  }

  /// Refuses an array that declares far more than the file stores of it, though nothing of it is held at
  /// once: going through it would take long for nothing, or others are allocated by its length.
  /// `most_unstored`: bytes that may be declared without being stored.
  void require_stored(std::int64_t most_unstored) const {
    const std::int64_t bytes = elements_ * element_size_;
    if (bytes <= most_unstored || bytes / hdf5_most_inflation <= stored_bytes_) return;
    fail("STOFM-3515",
         concat(elements_, " elements (", bytes, " bytes) declared, ", stored_bytes_, " bytes stored"),
         concat("at most ", hdf5_most_inflation, " bytes for each one stored"),
         "The file was never filled, is damaged or hostile: write it again.");
  }

  /// True if nothing was ever stored and so every number is 0.
  bool is_all_zero() const {
    return elements_ > 0 && stored_bytes_ == 0 && type_.is_number() &&
           std::all_of(fill_.begin(), fill_.end(), [](std::byte b) { return b == std::byte{0}; });
  }

  /// Reads rows [begin, end) of dimension 0 (all of the other one) as stored in the file, not converted.
  /// out: (end - begin) * row_bytes(). *Cost* the chunks touched are decoded once while they stay in the
  /// cache.
  void read_rows(std::int64_t begin, std::int64_t end, std::span<std::byte> out) {
    if (begin < 0 || end < begin || end > dims_.front() ||
        static_cast<std::int64_t>(out.size()) != (end - begin) * row_bytes())
      throw ShapeError({"STOFM-3515", file_->path, where(), concat("rows ", begin, " to ", end),
                        concat("rows of ", dims_.front()), "Ask for rows that are there."});
    if (begin == end || row_bytes() == 0) return;
    if (file_->progress) file_->progress();
    reading_uncut(*file_, where(), [&] {
      if (layout_ == Hdf5Layout::chunked && !through_libhdf5_) {
        read_chunked(begin, end, out);
      } else if (layout_ == Hdf5Layout::contiguous) {
        read_contiguous(begin, end, out);
      } else {
        read_slab(begin, end, out);
      }
    });
    require_uncut(*file_, where());
  }
  std::int64_t row_bytes() const { return elements_ == 0 ? 0 : elements_ / dims_.front() * element_size_; }

 private:
  void check_layout(hid_t list) {
    switch (H5Pget_layout(list)) {
      case H5D_COMPACT:
        layout_ = Hdf5Layout::compact;
        break;
      case H5D_CONTIGUOUS:
        layout_ = Hdf5Layout::contiguous;
        break;
      case H5D_CHUNKED:
        layout_ = Hdf5Layout::chunked;
        break;
      case H5D_VIRTUAL:
        fail("STOFM-3519", "a virtual data set", "data inside this file",
             "Virtual data sets are refused: materialise it with h5repack or anndata.");
      default:
        require_hdf5(false, file_->path, where(), "read a layout");
    }
    const int external = H5Pget_external_count(list);
    require_hdf5(external >= 0, file_->path, where(), "read a layout");
    if (external > 0)
      fail("STOFM-3518", "data in external storage", "data inside this file",
           "External storage is refused: copy the data into the file with h5repack.");
  }

  void check_filters(hid_t list) {
    const int count = H5Pget_nfilters(list);
    require_hdf5(count >= 0, file_->path, where(), "read the filters");
    for (int i = 0; i < count; ++i) {
      unsigned flags = 0;
      unsigned config = 0;
      std::array<unsigned, 32> values{};
      std::size_t value_count = values.size();
      const H5Z_filter_t filter = H5Pget_filter2(list, static_cast<unsigned>(i), &flags, &value_count,
                                                 values.data(), 0, nullptr, &config);
      require_hdf5(filter >= 0, file_->path, where(), "read a filter");
      Hdf5Filter entry{filter, (flags & H5Z_FLAG_OPTIONAL) != 0, value_count > 0 ? values[0] : 0U};
      if (!hdf5_filter_is_known(filter) && !entry.optional) {
        // A filter that the calling program has registered with libhdf5 is trusted; plugins are never loaded.
        if (filter >= 256 && H5Zfilter_avail(filter) > 0) {
          through_libhdf5_ = true;
        } else {
          fail_filter(filter);
        }
      }
      filters_.push_back(entry);
    }
  }

  [[noreturn]] void fail_filter(int filter) const {
    fail("STOFM-3521", concat("filter ", filter, " (", hdf5_filter_name(filter), ")"),
         "gzip, lzf or no compression",
         "Repack with gzip: h5repack -f GZIP=4 IN.h5ad OUT.h5ad (or write it again with anndata, "
         "compression='gzip').");
  }

  void check_shape(hid_t list) {
    const Hdf5Handle space =
        checked_handle(H5Dget_space(id()), H5Sclose, file_->path, where(), "read a shape");
    const int rank = H5Sget_simple_extent_ndims(space.get());
    if (rank < 0 || rank > 8)
      fail("STOFM-3509", concat("rank ", rank), "rank 0 to 8", "Write the file again.");
    std::array<hsize_t, H5S_MAX_RANK> dims{};
    require_hdf5(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr) >= 0, file_->path, where(),
                 "read a shape");
    if (element_size_ <= 0)
      fail("STOFM-3511", "elements of no bytes", "a type with a size", "Write the file again.");
    elements_ = H5Sget_simple_extent_type(space.get()) == H5S_NULL ? 0 : 1;
    std::int64_t bytes = element_size_;
    for (int i = 0; i < rank; ++i) {
      const hsize_t d = dims[static_cast<std::size_t>(i)];
      if (d > static_cast<hsize_t>(hdf5_array_limit) ||
          __builtin_mul_overflow(elements_, static_cast<std::int64_t>(d), &elements_) ||
          __builtin_mul_overflow(elements_, element_size_, &bytes) || bytes > hdf5_array_limit)
        fail("STOFM-3515", concat("a dimension of ", d, " in an array of more than 8 TiB"),
             "a size below the cap", "The file is damaged or hostile: write it again.");
      dims_.push_back(static_cast<std::int64_t>(d));
    }
    if (rank == 0) dims_.push_back(elements_);  // a scalar is a list of one
    stored_bytes_ = static_cast<std::int64_t>(
        (std::min<hsize_t>)(H5Dget_storage_size(id()), static_cast<hsize_t>(file_->superblock.file_size)));
    if (layout_ == Hdf5Layout::chunked) check_chunks(list);
    if (layout_ == Hdf5Layout::contiguous) check_contiguous(bytes);
    if (layout_ == Hdf5Layout::compact && elements_ * element_size_ > 65536)
      fail("STOFM-3515", "a compact data set above 64 KiB", "at most 64 KiB", "Write the file again.");
    if (!type_.is_number()) return;  // zeros: nothing is allocated from a declared element size
    fill_.resize(static_cast<std::size_t>(element_size_));
    if (stored_bytes_ < elements_ * element_size_) {
      H5D_fill_value_t status = H5D_FILL_VALUE_UNDEFINED;
      if (H5Pfill_value_defined(list, &status) >= 0 && status == H5D_FILL_VALUE_USER_DEFINED)
        require_hdf5(H5Pget_fill_value(list, type_handle_.get(), fill_.data()) >= 0, file_->path, where(),
                     "read a fill value");
    }
  }

  void check_chunks(hid_t list) {
    std::array<hsize_t, H5S_MAX_RANK> chunk{};
    const int rank = H5Pget_chunk(list, static_cast<int>(chunk.size()), chunk.data());
    if (rank != this->rank() || rank == 0)
      fail("STOFM-3516", concat("chunks of rank ", rank), concat("rank ", this->rank()),
           "Write the file again.");
    chunk_bytes_ = element_size_;
    for (int i = 0; i < rank; ++i) {
      const hsize_t c = chunk[static_cast<std::size_t>(i)];
      if (c == 0 || c > static_cast<hsize_t>(hdf5_chunk_limit) ||
          (chunk_bytes_ *= static_cast<std::int64_t>(c)) > hdf5_chunk_limit)
        fail("STOFM-3516", concat("a chunk dimension of ", c), "chunks of 1 byte to 256 MiB",
             "Repack with smaller chunks: h5repack -l CHUNK=10000 IN.h5ad OUT.h5ad.");
      chunk_.push_back(static_cast<std::int64_t>(c));
    }
  }

  void check_contiguous(std::int64_t bytes) {
    if (elements_ == 0) return;
    const haddr_t offset = H5Dget_offset(id());
    if (offset == HADDR_UNDEF) return;  // never written: fill values
    const auto size = static_cast<std::uint64_t>(file_->superblock.file_size);
    if (offset > size || static_cast<std::uint64_t>(bytes) > size - offset)
      fail("STOFM-3502", concat("truncated: ", bytes, " bytes at ", offset, " in a file of ", size, " bytes"),
           "data that end inside the file", "Download or copy the file again.");
    offset_ = static_cast<std::int64_t>(offset);
  }

  void fill(std::span<std::byte> out) const {
    if (std::all_of(fill_.begin(), fill_.end(), [](std::byte b) { return b == std::byte{0}; })) {
      if (!out.empty()) std::memset(out.data(), 0, out.size());
      return;
    }
    for (std::size_t i = 0; i < out.size(); i += fill_.size()) std::copy(fill_.begin(), fill_.end(), &out[i]);
  }

  void read_contiguous(std::int64_t begin, std::int64_t end, std::span<std::byte> out) const {
    if (offset_ < 0) return fill(out);
    std::size_t have = 0;
    while (have < out.size()) {
      const auto at = static_cast<off_t>(offset_ + begin * row_bytes() + static_cast<std::int64_t>(have));
      const ssize_t got = ::pread(file_->raw->fd, out.data() + have, out.size() - have, at);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        fail("STOFM-3502",
             concat("no bytes for rows ", begin, " to ", end, " (",
                    got < 0 ? std::strerror(errno) : "end of file", ")"),
             "data that end inside the file", "The file changed while it was read: run again.");
      have += static_cast<std::size_t>(got);
    }
  }

  void read_slab(std::int64_t begin, std::int64_t end, std::span<std::byte> out) const {
    const Hdf5Handle space =
        checked_handle(H5Dget_space(id()), H5Sclose, file_->path, where(), "read a shape");
    std::array<hsize_t, H5S_MAX_RANK> start{};
    std::array<hsize_t, H5S_MAX_RANK> count{};
    for (int i = 0; i < rank(); ++i) count[static_cast<std::size_t>(i)] = static_cast<hsize_t>(dim(i));
    start[0] = static_cast<hsize_t>(begin);
    count[0] = static_cast<hsize_t>(end - begin);
    require_hdf5(
        H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) >= 0,
        file_->path, where(), "select rows");
    const Hdf5Handle memory = checked_handle(H5Screate_simple(rank(), count.data(), nullptr), H5Sclose,
                                             file_->path, where(), "select rows");
    require_hdf5(H5Dread(id(), type_handle_.get(), memory.get(), space.get(), H5P_DEFAULT, out.data()) >= 0,
                 file_->path, where(), "read rows");
  }

  using ChunkKey = std::array<std::int64_t, 2>;

  void read_chunked(std::int64_t begin, std::int64_t end, std::span<std::byte> out) {
    if (rank() > 2) fail("STOFM-3509", concat("rank ", rank()), "rank 1 or 2", "Write the file again.");
    const std::int64_t width = rank() == 2 ? dim(1) : 1;
    const std::int64_t chunk_rows = chunk_[0];
    const std::int64_t chunk_width = rank() == 2 ? chunk_[1] : 1;
    for (std::int64_t r = begin / chunk_rows; r * chunk_rows < end; ++r) {
      const std::int64_t from = (std::max)(begin, r * chunk_rows);
      const std::int64_t to = (std::min)(end, (r + 1) * chunk_rows);
      for (std::int64_t c = 0; c * chunk_width < width; ++c) {
        const std::vector<std::byte>& chunk = decoded({r, c});
        const std::int64_t columns = (std::min)(chunk_width, width - c * chunk_width);
        for (std::int64_t row = from; row < to; row += width == chunk_width ? to - from : 1) {
          const std::int64_t rows = width == chunk_width ? to - from : 1;  // whole rows are one piece
          const auto source = static_cast<std::size_t>((row - r * chunk_rows) * chunk_width * element_size_);
          const auto target =
              static_cast<std::size_t>(((row - begin) * width + c * chunk_width) * element_size_);
          const auto bytes = static_cast<std::size_t>(rows * columns * element_size_);
          if (chunk.empty())
            fill(out.subspan(target, bytes));
          else
            std::memcpy(&out[target], chunk.data() + source, bytes);
        }
      }
    }
  }

  /// The chunk's bytes; none if it was never written: then it is all fill values, however large it says it
  /// is.
  const std::vector<std::byte>& decoded(const ChunkKey& key) {
    if (const auto hit = cache_.find(key); hit != cache_.end()) return hit->second;
    if (static_cast<std::int64_t>(cache_.size() + 1) * chunk_bytes_ > hdf5_cache_bytes) cache_.clear();
    return cache_.emplace(key, fetch(key)).first->second;
  }

  std::vector<std::byte> fetch(const ChunkKey& key) const {
    if (file_->progress) file_->progress();
    const std::array<hsize_t, 2> place{static_cast<hsize_t>(key[0] * chunk_[0]),
                                       static_cast<hsize_t>(rank() == 2 ? key[1] * chunk_[1] : 0)};
    const auto complain = [&](const std::string& found) {
      fail("STOFM-3522",
           concat("chunk at element ", place[0], rank() == 2 ? concat(", ", place[1]) : "", ": ", found),
           "an intact chunk", "The file is damaged: download or write it again.");
    };
    hsize_t stored = 0;
    if (stored_bytes_ > 0 && H5Dget_chunk_storage_size(id(), place.data(), &stored) < 0) {
      // A chunk that was never written is an error to libhdf5 1.10; asking again is slow, so the words are
      // tried first.
      const std::string reason = hdf5_reason();
      haddr_t address = 0;
      unsigned ignored = 0;
      if (reason.find("chunk storage is not allocated") == std::string::npos &&
          (H5Dget_chunk_info_by_coord(id(), place.data(), &ignored, &address, &stored) < 0 ||
           address != HADDR_UNDEF))
        complain("libhdf5 can not find it (" + reason + ")");
      stored = 0;
    }
    std::vector<std::byte> bytes;
    if (stored == 0) return bytes;  // never written
    const hsize_t most = static_cast<hsize_t>(chunk_bytes_ + chunk_bytes_ / 8 + 65536);
    if (stored > most || stored > static_cast<hsize_t>(file_->superblock.file_size))
      complain(concat("an index that says ", stored, " bytes for ", chunk_bytes_));
    bytes.resize(static_cast<std::size_t>(stored));
    std::uint32_t mask = 0;
    if (H5Dread_chunk(id(), H5P_DEFAULT, place.data(), &mask, bytes.data()) < 0)
      complain("libhdf5 can not read it (" + hdf5_reason() + ")");
    for (std::size_t i = 0; i < filters_.size(); ++i)
      if ((mask >> i & 1U) == 0 && !hdf5_filter_is_known(filters_[i].id)) fail_filter(filters_[i].id);
    const std::string problem =
        decode_hdf5_chunk(filters_, mask, static_cast<std::size_t>(chunk_bytes_), bytes);
    if (!problem.empty()) complain(problem);
    return bytes;
  }

  const Hdf5File* file_;
  Hdf5Object object_;
  Hdf5Handle type_handle_;
  Hdf5Type type_;
  Hdf5Layout layout_ = Hdf5Layout::contiguous;
  std::vector<Hdf5Filter> filters_;
  bool through_libhdf5_ = false;
  std::vector<std::int64_t> dims_;
  std::vector<std::int64_t> chunk_;
  std::int64_t elements_ = 0;
  std::int64_t element_size_ = 0;
  std::int64_t chunk_bytes_ = 0;
  std::int64_t stored_bytes_ = 0;
  std::int64_t offset_ = -1;
  std::vector<std::byte> fill_;
  std::map<ChunkKey, std::vector<std::byte>> cache_;
};

/// Opens the data set at `path`. \throws FileError absent or not a data set
inline Hdf5Dataset open_hdf5_dataset(const Hdf5File& file, const std::string& path) {
  return Hdf5Dataset(file, open_hdf5_object(file, path));
}

}  // namespace stofm::io
