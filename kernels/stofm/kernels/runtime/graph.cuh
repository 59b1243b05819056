// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Queues of kernels that come again, as CUDA graphs: one launch instead of one for each kernel.
///
/// A graph keeps every grid, size and pointer it was captured with, and reads what the pointers point to when
/// it is launched. So it may stand for a queue exactly if all of those are the same, and they are its key:
/// what is reallocated or of another size has another key. While the queue is captured nothing may allocate
/// or wait, and it may read no host memory. A queue is captured when its key is met for the second time: by
/// then what is made at first use (plans of products, loaded modules) is there, and shapes that never come
/// again cost a comparison. Whatever call of a graph fails, the queue is launched kernel by kernel, then and
/// from then on, with one notice. Host code. *Deterministic* the same kernels with the same parameters in the
/// same order: the same bits. *Source* CUDA C++ programming guide, section on CUDA graphs, stream capture.

#include <algorithm>
#include <list>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/graphs.hpp"
#include "stofm/kernels/common/launch.cuh"

namespace stofm::kernels {

/// All that decides what a queue launches, as bytes.
class GraphKey {
 public:
  template <class T>
  GraphKey& add(const T& value) {
    static_assert(std::has_unique_object_representations_v<T>,
                  "no padding, no floating point: bytes compare");
    const auto* const begin = reinterpret_cast<const unsigned char*>(&value);
    bytes_.insert(bytes_.end(), begin, begin + sizeof value);
    return *this;
  }
  friend bool operator==(const GraphKey&, const GraphKey&) = default;

 private:
  std::vector<unsigned char> bytes_;
};

namespace detail {

struct GraphDeleter {
  void operator()(cudaGraph_t graph) const { STOFM_CUDA_RELEASE(cudaGraphDestroy(graph)); }
};
/// One that still runs is freed when it has ended.
struct GraphExecDeleter {
  void operator()(cudaGraphExec_t graph) const { STOFM_CUDA_RELEASE(cudaGraphExecDestroy(graph)); }
};
using OwnGraph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, GraphDeleter>;
using OwnGraphExec = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, GraphExecDeleter>;

/// A stream that is being captured; whatever happens, it is not any more when this has gone. Calls of other
/// threads are not concerned.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    STOFM_CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() {
    if (!open_) return;
    cudaGraph_t unwanted = nullptr;
    STOFM_CUDA_RELEASE(cudaStreamEndCapture(stream_, &unwanted));
    if (unwanted != nullptr) GraphDeleter{}(unwanted);
    (void)cudaGetLastError();  // unchecked: the error that is on its way says more
  }
  OwnGraph end() {
    cudaGraph_t graph = nullptr;
    STOFM_CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    open_ = false;
    return OwnGraph(graph);
  }

 private:
  cudaStream_t stream_;
  bool open_ = true;
};

template <class Queue>
OwnGraphExec captured(cudaStream_t stream, const Queue& queue) {
  Capture capture(stream);
  queue();
  const OwnGraph graph = capture.end();
  cudaGraphExec_t exec = nullptr;
  STOFM_CUDA_CHECK(cudaGraphInstantiate(&exec, graph.get(), 0));
  return OwnGraphExec(exec);
}

}  // namespace detail

/// The graphs of one runner. Not for two threads at once.
class GraphCache {
 public:
  static constexpr std::size_t most_keys = 8;  ///< then the one not met for the longest time is forgotten

  explicit GraphCache(bool enabled) : enabled_(enabled) {}

  const backend::CudaGraphUse& use() const { return use_; }
  /// Forgets all graphs.
  void clear() { entries_.clear(); }

  /// Queues on `stream` what queue() queues there. \param key see the brief. \throws what queue() throws
  template <class Queue>
  void run(CudaStream stream, const GraphKey& key, const Queue& queue) {
    if (!enabled_ || !met(key)) return queue();
    try {
      detail::OwnGraphExec& graph = entries_.front().graph;
      if (graph == nullptr) {
        graph = detail::captured(native(stream), queue);
        ++use_.captured;
      }
      STOFM_CUDA_CHECK(cudaGraphLaunch(graph.get(), native(stream)));
      ++use_.replayed;
      return;
    } catch (const Error& error) {
      enabled_ = false;
      entries_.clear();
      use_.notices.push_back(
          {"STOFM-W6001", concat("kernels are launched one by one, without CUDA graphs: ", error.what()), 1});
    }
    queue();
  }

 private:
  struct Entry {
    GraphKey key;
    detail::OwnGraphExec graph;  // null until the key was met twice
  };

  /// Whether the key is known; it is the first entry then, and in any case from then on.
  bool met(const GraphKey& key) {
    const auto found =
        std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
    if (found != entries_.end()) {
      entries_.splice(entries_.begin(), entries_, found);
      return true;
    }
    entries_.push_front({key, nullptr});
    if (entries_.size() > most_keys) entries_.pop_back();
    return false;
  }

  bool enabled_;
  std::list<Entry> entries_;  // the latest first
  backend::CudaGraphUse use_;
};

}  // namespace stofm::kernels
