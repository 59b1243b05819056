// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// `Tensor<T, Device>`: a strided n-dimensional array that shares its buffer, and `TensorView`, its plain
/// form for kernels.
///
/// Copying a Tensor shares the data (like NumPy); `clone()` copies it. Slices, transposes and reshapes of
/// dense tensors are views without copies and keep the buffer alive.

#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "stofm/core/device.hpp"
#include "stofm/core/memory.hpp"
#include "stofm/core/scalar.hpp"
#include "stofm/core/shape.hpp"

namespace stofm {

/// Pointer, shape and strides (in elements): what a backend function receives. Owns nothing.
template <class T, DeviceTag D = Cpu>
struct TensorView {
  T* data = nullptr;
  Shape shape;
  std::array<std::int64_t, max_rank> strides{};
  D device{};

  int rank() const { return shape.rank(); }
  std::int64_t dim(int i) const { return shape[i]; }
  std::int64_t numel() const { return shape.numel(); }
  std::int64_t stride(int i) const { return strides[static_cast<std::size_t>(i)]; }
  bool is_contiguous() const {
    const auto dense = shape.row_major_strides();
    for (int i = 0; i < rank(); ++i)
      if (dim(i) > 1 && stride(i) != dense[static_cast<std::size_t>(i)]) return false;
    return true;
  }
  /// Address of row i of a matrix (host memory only).
  T* row(std::int64_t i) const { return data == nullptr ? nullptr : data + i * stride(0); }
  /// To a view that only reads. (A template, since the plain form would convert a const view to itself.)
  template <std::same_as<T> U>
  operator TensorView<const U, D>() const requires(!std::is_const_v<T>) {
    return {data, shape, strides, device};
  }
};

/// A shape as messages show it: with its strides where the elements are not dense in row-major order.
template <class T, DeviceTag D>
std::string layout_text(const TensorView<T, D>& x) {
  if (x.is_contiguous()) return to_string(x.shape);
  std::string text = to_string(x.shape) + " with strides [";
  for (int i = 0; i < x.rank(); ++i) text += (i ? ", " : "") + std::to_string(x.stride(i));
  const bool by_columns = x.rank() == 2 && x.dim(1) > 1 && x.stride(1) != 1 && x.stride(0) == 1;
  return text + (by_columns ? "], which is column-major" : "]");
}

/// A view of dense elements that live in somebody else's memory, row-major.
/// \throws ShapeError STOFM-1006 if there are not as many as the shape has.
template <class T>
TensorView<T> view_of(std::span<T> values, const Shape& shape) {
  if (shape.numel() != static_cast<std::int64_t>(values.size()))
    throw ShapeError({"STOFM-1006", "", "[view_of]", concat(values.size(), " values"),
                      concat(shape.numel(), " for shape ", to_string(shape)), "Give one value per element."});
  return {values.data(), shape, shape.row_major_strides(), {}};
}

/// A view of a dense, row-major matrix that lives in somebody else's memory. A matrix of Eigen's is
/// column-major unless it says otherwise: stofm/eigen.hpp has view_of() for these.
template <class T>
TensorView<T> matrix_view(T* data, std::int64_t rows, std::int64_t columns) {
  const Shape shape{rows, columns};
  return {data, shape, shape.row_major_strides(), {}};
}

namespace detail {
/// Memory of one device, released with the last tensor that uses it.
template <DeviceTag D>
class Buffer {
 public:
  Buffer(D device, std::int64_t bytes)
      : device_(device), bytes_(bytes), data_(allocate_bytes(device, bytes)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release_bytes(device_, data_, bytes_); }
  void* data() const { return data_; }

 private:
  D device_;
  std::int64_t bytes_;
  void* data_;
};
}  // namespace detail

template <Scalar T, DeviceTag D = Cpu>
class Tensor {
 public:
  using value_type = T;

  /// No elements: shape [0].
  Tensor() : shape_{0}, strides_(shape_.row_major_strides()) {}
  /// Uninitialised memory. \throws ResourceError if there is none.
  explicit Tensor(const Shape& shape, D device = {})
      : buffer_(std::make_shared<detail::Buffer<D>>(device,
                                                    checked_mul(shape.numel(), sizeof(T), "tensor bytes"))),
        data_(static_cast<T*>(buffer_->data())),
        shape_(shape),
        strides_(shape.row_major_strides()),
        device_(device) {}
  Tensor(const Tensor&) = default;
  Tensor& operator=(const Tensor&) = default;
  /// `other` is left without elements: shape [0], no data.
  Tensor(Tensor&& other) noexcept : Tensor() { swap(other); }
  Tensor& operator=(Tensor&& other) noexcept {
    Tensor moved(std::move(other));  // so that `x = std::move(x)` keeps x
    swap(moved);
    return *this;
  }
  ~Tensor() = default;

  static Tensor zeros(const Shape& shape) requires std::same_as<D, Cpu> {
    Tensor result(shape);
    if (result.numel() > 0)
      std::memset(static_cast<void*>(result.data()), 0, static_cast<std::size_t>(result.numel()) * sizeof(T));
    return result;
  }
  static Tensor full(const Shape& shape, T value) requires std::same_as<D, Cpu> {
    Tensor result(shape);
    std::fill_n(result.data(), result.numel(), value);
    return result;
  }
  /// Copies `values`, row-major. \throws ShapeError if the counts differ.
  static Tensor from(const Shape& shape, std::span<const T> values) requires std::same_as<D, Cpu> {
    if (shape.numel() != static_cast<std::int64_t>(values.size()))
      throw ShapeError({"STOFM-1006", "", "[from]", concat(values.size(), " values"),
                        concat(shape.numel(), " for shape ", to_string(shape)),
                        "Give one value per element."});
    Tensor result(shape);
    std::copy(values.begin(), values.end(), result.data());
    return result;
  }
  static Tensor from(const Shape& shape, std::initializer_list<T> values) requires std::same_as<D, Cpu> {
    return from(shape, std::span<const T>(values.begin(), values.size()));
  }

  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  std::int64_t dim(int i) const { return shape_[checked_dimension(i)]; }
  std::int64_t numel() const { return shape_.numel(); }
  std::int64_t stride(int i) const { return strides_[static_cast<std::size_t>(checked_dimension(i))]; }
  D device() const { return device_; }
  bool empty() const { return numel() == 0; }
  bool is_contiguous() const { return view().is_contiguous(); }

  /// First element. Tensors share data, so a const Tensor still gives a mutable pointer only through a
  /// non-const handle.
  T* data() { return data_; }
  const T* data() const { return data_; }
  TensorView<T, D> view() { return {data_, shape_, strides_, device_}; }
  TensorView<const T, D> view() const { return {data_, shape_, strides_, device_}; }

  /// All elements of a dense tensor. \throws ShapeError for a strided view.
  std::span<T> span() requires std::same_as<D, Cpu> {
    require_contiguous("span");
    return {data_, static_cast<std::size_t>(numel())};
  }
  std::span<const T> span() const requires std::same_as<D, Cpu> {
    require_contiguous("span");
    return {data_, static_cast<std::size_t>(numel())};
  }

  /// The number of a tensor that has one, whatever its shape. \throws ShapeError STOFM-1013 for more or none.
  T item() const requires std::same_as<D, Cpu> {
    if (numel() != 1)
      throw ShapeError({"STOFM-1013", "", "[item]", concat("a tensor of shape ", to_string(shape_)),
                        "one element", "Index it, or reduce it to one number."});
    return *data_;
  }

  /// Element access, host only. \throws ShapeError outside the bounds. For loops take `view()`.
  template <std::convertible_to<std::int64_t>... Index>
  T& operator()(Index... index) requires std::same_as<D, Cpu> {
    return data_[offset_of({static_cast<std::int64_t>(index)...})];
  }
  template <std::convertible_to<std::int64_t>... Index>
  const T& operator()(Index... index) const requires std::same_as<D, Cpu> {
    return data_[offset_of({static_cast<std::int64_t>(index)...})];
  }

  /// Elements [begin, end) of one dimension, as a view.
  Tensor slice(int dimension, std::int64_t begin, std::int64_t end) const {
    const int d = checked_dimension(dimension);
    if (begin < 0 || begin > end || end > shape_[d])
      throw ShapeError({"STOFM-1007", "", "[slice]", concat("range [", begin, ", ", end, ")"),
                        concat("a range within dimension ", d, " of ", to_string(shape_)),
                        "Check the bounds."});
    Tensor result = *this;
    std::array<std::int64_t, max_rank> sizes{};
    for (int i = 0; i < rank(); ++i) sizes[static_cast<std::size_t>(i)] = i == d ? end - begin : shape_[i];
    result.shape_ = Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank())));
    if (data_ != nullptr) result.data_ += begin * stride(d);
    return result;
  }
  /// One index of one dimension, which disappears; a view.
  Tensor select(int dimension, std::int64_t index) const {
    const int d = checked_dimension(dimension);
    Tensor one = slice(d, index, index + 1);
    std::array<std::int64_t, max_rank> sizes{}, strides{};
    for (int i = 0, k = 0; i < rank(); ++i) {
      if (i == d) continue;
      sizes[static_cast<std::size_t>(k)] = shape_[i];
      strides[static_cast<std::size_t>(k++)] = strides_[static_cast<std::size_t>(i)];
    }
    one.shape_ = Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank() - 1)));
    one.strides_ = strides;
    return one;
  }
  /// Two dimensions exchanged, as a view.
  Tensor transpose(int a, int b) const {
    const auto i = static_cast<std::size_t>(checked_dimension(a)),
               j = static_cast<std::size_t>(checked_dimension(b));
    Tensor result = *this;
    std::array<std::int64_t, max_rank> sizes{};
    std::copy(shape_.sizes().begin(), shape_.sizes().end(), sizes.begin());
    std::swap(sizes[i], sizes[j]);
    std::swap(result.strides_[i], result.strides_[j]);
    result.shape_ = Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank())));
    return result;
  }
  /// The same elements under another shape, as a view. \throws ShapeError for a strided view or another
  /// element count.
  Tensor reshape(const Shape& shape) const {
    require_contiguous("reshape");
    if (shape.numel() != numel())
      throw ShapeError({"STOFM-1008", "", "[reshape]", concat(to_string(shape_), " -> ", to_string(shape)),
                        "the same number of elements", "Check the shape."});
    Tensor result = *this;
    result.shape_ = shape;
    result.strides_ = shape.row_major_strides();
    return result;
  }
  /// A dense copy in new memory.
  Tensor clone() const requires std::same_as<D, Cpu> {
    Tensor result(shape_);
    const std::int64_t count = numel();
    if (count == 0) return result;
    if (is_contiguous()) {
      std::memcpy(static_cast<void*>(result.data_), data_, static_cast<std::size_t>(count) * sizeof(T));
      return result;
    }
    std::array<std::int64_t, max_rank> index{};
    for (std::int64_t k = 0; k < count; ++k) {
      std::int64_t offset = 0;
      for (int i = 0; i < rank(); ++i)
        offset += index[static_cast<std::size_t>(i)] * strides_[static_cast<std::size_t>(i)];
      result.data_[k] = data_[offset];
      for (int i = rank() - 1; i >= 0 && ++index[static_cast<std::size_t>(i)] == shape_[i]; --i)
        index[static_cast<std::size_t>(i)] = 0;
    }
    return result;
  }
  /// This tensor if dense, else a dense copy.
  Tensor contiguous() const requires std::same_as<D, Cpu> { return is_contiguous() ? *this : clone(); }

 private:
  void swap(Tensor& other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(data_, other.data_);
    std::swap(shape_, other.shape_);
    std::swap(strides_, other.strides_);
    std::swap(device_, other.device_);
  }
  int checked_dimension(int i) const {
    const int d = i < 0 ? i + rank() : i;
    if (d < 0 || d >= rank())
      throw ShapeError({"STOFM-1009", "", "[dim]", concat("dimension ", i),
                        concat("one of the ", rank(), " dimensions of ", to_string(shape_)),
                        "Check the dimension."});
    return d;
  }
  void require_contiguous(const char* op) const {
    if (!is_contiguous())
      throw ShapeError({"STOFM-1010", "", concat("[", op, "]"),
                        concat("a strided view of shape ", to_string(shape_)), "a dense tensor",
                        "Call contiguous() first."});
  }
  std::int64_t offset_of(std::initializer_list<std::int64_t> index) const {
    bool inside = static_cast<int>(index.size()) == rank();
    std::int64_t offset = 0;
    int d = 0;
    for (const std::int64_t i : index) {
      inside = inside && i >= 0 && i < shape_[d];
      if (inside) offset += i * strides_[static_cast<std::size_t>(d)];
      ++d;
    }
    if (!inside) {
      std::string text;
      for (const std::int64_t i : index) text += (text.empty() ? "" : ", ") + std::to_string(i);
      throw ShapeError({"STOFM-1011", "", "[index]", "(" + text + ")", "an element of " + to_string(shape_),
                        "Check the index."});
    }
    return offset;
  }

  std::shared_ptr<detail::Buffer<D>> buffer_;
  T* data_ = nullptr;
  Shape shape_;
  std::array<std::int64_t, max_rank> strides_{};
  D device_{};
};

}  // namespace stofm
