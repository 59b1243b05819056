// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The part of the CUDA runtime that the host code under kernels/ uses, on host memory: every queued
/// operation is done at once, in the order of the calls; on a stream that is being captured it is noted and
/// done by each launch of the graph. With `emulator::device().deferred` (STOFM_EMULATOR_DEFERRED in the
/// environment) as late as the rules of the runtime allow instead: when its stream, an event behind it or the
/// device is waited for. Then a missing wait, pinned memory that is written again too early and memory that
/// is given back on another stream show. (Meant for tests of whole runners: graph_test looks at results
/// without waiting for them.) One device with `emulator::device().memory_bytes` of memory, so that running
/// out of it can be tested; what is allocated and never freed is counted, and so are graphs.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned vx = 1, unsigned vy = 1, unsigned vz = 1) : x(vx), y(vy), z(vz) {}
};

enum cudaError_t {  // the values of the toolkit
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorInvalidDeviceFunction = 98,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorIllegalState = 401,
  cudaErrorNotReady = 600,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorStreamCaptureIsolation = 905,
  cudaErrorUnknown = 999,
};
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount = 16, cudaDevAttrMemoryPoolsSupported = 115 };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold = 4 };
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaEventDefault = 0;

struct EmulatedStream {
  std::function<bool()> busy = {};  ///< whether sums over ranks queued here still go on; empty: none
  int waits = 0;                    ///< times it was told to wait for an event
  std::deque<std::function<void()>> queue = {};  ///< deferred, oldest first
  std::int64_t done = 0;                         ///< of all that were ever deferred
};
struct EmulatedEvent {
  std::function<bool()> busy = {};
  EmulatedStream* stream = nullptr;
  std::int64_t place = 0;  ///< how many of the stream's deferred operations are before it
};
using EmulatedWork = std::vector<std::function<void()>>;
struct EmulatedGraph {
  EmulatedWork work;
};
using cudaStream_t = EmulatedStream*;
using cudaEvent_t = EmulatedEvent*;
using cudaGraph_t = EmulatedGraph*;
struct EmulatedGraphExec {
  EmulatedWork work;
};
using cudaGraphExec_t = EmulatedGraphExec*;
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};
using cudaMemPool_t = void*;
struct cudaUUID_t {
  char bytes[16];
};
struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
  cudaUUID_t uuid;
  std::size_t sharedMemPerBlockOptin;
};

namespace emulator {
/// A stream that is being captured: one at a time.
struct Capture {
  cudaStream_t stream;
  EmulatedWork work;
  bool spoiled = false;
};
struct Device {
  std::size_t memory_bytes = std::size_t{1} << 32;
  std::size_t used_bytes = 0;
  std::map<void*, std::size_t> blocks;  ///< what is allocated now
  cudaError_t sticky = cudaSuccess;     ///< what cudaGetLastError returns next
  std::deque<EmulatedStream> streams;   ///< all ever made: each has an address of its own
  std::optional<Capture> capture;
  std::int64_t graphs = 0;  ///< graphs and executable graphs that were not destroyed
  std::int64_t graph_launches = 0;
  bool deferred = std::getenv("STOFM_EMULATOR_DEFERRED") != nullptr;
  std::map<const char*, std::size_t> pinned;  ///< pinned host memory made while deferred
};
inline Device& device() {
  static Device only;
  return only;
}
/// The first byte of the device's UUID as this thread sees it: threads that are ranks have their own.
inline char& device_number() {
  static thread_local char number = 0;
  return number;
}
/// Does what was deferred on a stream, up to `place`.
inline void catch_up(cudaStream_t stream, std::int64_t place = INT64_MAX) {
  while (stream != nullptr && stream->done < place && !stream->queue.empty()) {
    const std::function<void()> work = std::move(stream->queue.front());
    stream->queue.pop_front();
    ++stream->done;
    work();
  }
}
inline void catch_up_all() {
  if (!device().deferred) return;
  for (EmulatedStream& stream : device().streams) catch_up(&stream);
}
inline bool is_pinned(const void* p) {
  const auto* const at = static_cast<const char*>(p);
  auto after = device().pinned.upper_bound(at);
  return after != device().pinned.begin() && at < (--after)->first + after->second;
}
/// Does `work` now, or when it must; on the stream that is being captured, in each launch of the graph.
template <class Work>
cudaError_t enqueue(cudaStream_t stream, Work work) {
  std::optional<Capture>& capture = device().capture;
  if (!capture || capture->stream != stream) {
    if (device().deferred && stream != nullptr) return stream->queue.push_back(std::move(work)), cudaSuccess;
    return work(), cudaSuccess;
  }
  if (capture->spoiled) return cudaErrorStreamCaptureInvalidated;
  return capture->work.push_back(std::move(work)), cudaSuccess;
}
/// True while a stream is captured, and spoils that capture: for calls that allocate or wait.
inline bool spoils_capture() {
  std::optional<Capture>& capture = device().capture;
  if (capture) capture->spoiled = true;
  return capture.has_value();
}
inline bool spoils_capture(cudaStream_t stream) {
  return device().capture && device().capture->stream == stream && spoils_capture();
}
}  // namespace emulator

inline const char* cudaGetErrorName(cudaError_t e) {
  switch (e) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    default:
      return "an error of the emulated runtime";
  }
}
inline const char* cudaGetErrorString(cudaError_t e) { return e == cudaSuccess ? "no error" : "(emulated)"; }
inline cudaError_t cudaGetLastError() { return std::exchange(emulator::device().sticky, cudaSuccess); }
inline cudaError_t cudaPeekAtLastError() { return emulator::device().sticky; }

inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaGetDevice(int* ordinal) { return *ordinal = 0, cudaSuccess; }
inline cudaError_t cudaSetDevice(int ordinal) { return ordinal == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
inline cudaError_t cudaDeviceSynchronize() {
  if (emulator::spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  return emulator::catch_up_all(), cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {"kernel emulator", emulator::device().memory_bytes, 9, 0, 132, {{emulator::device_number()}},
        227U * 1024U};
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr what, int) {
  return *value = what == cudaDevAttrMultiProcessorCount ? 132 : 1, cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
inline cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
inline cudaError_t cudaMemGetInfo(std::size_t* unused, std::size_t* total) {
  *total = emulator::device().memory_bytes;
  *unused = *total - emulator::device().used_bytes;
  return cudaSuccess;
}

inline cudaError_t cudaMalloc(void** p, std::size_t bytes) {
  emulator::Device& d = emulator::device();
  *p = nullptr;
  if (emulator::spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  if (bytes > d.memory_bytes - d.used_bytes) return cudaErrorMemoryAllocation;
  *p = std::aligned_alloc(256, (std::max<std::size_t>(bytes, 1) + 255) / 256 * 256);
  if (*p == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*p, 0xff, bytes);
  d.blocks[*p] = bytes;
  d.used_bytes += bytes;
  return cudaSuccess;
}
inline cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  emulator::Device& d = emulator::device();
  if (p == nullptr) return cudaSuccess;
  if (emulator::spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  const auto found = d.blocks.find(p);
  if (found == d.blocks.end()) return cudaErrorInvalidValue;
  d.used_bytes -= found->second;
  d.blocks.erase(found);
  return emulator::enqueue(stream, [owner = std::shared_ptr<void>(p, std::free)] {});
}
inline cudaError_t cudaFree(void* p) {
  if (p != nullptr) emulator::catch_up_all();
  return cudaFreeAsync(p, nullptr);
}
inline cudaError_t cudaMallocAsync(void** p, std::size_t bytes, cudaStream_t stream) {
  const cudaError_t error = cudaMalloc(p, bytes);
  // Whoever uses it without waiting for this stream loses what it wrote.
  if (error == cudaSuccess && emulator::device().deferred)
    return emulator::enqueue(stream, [to = *p, bytes] { std::memset(to, 0xff, bytes); });
  return error;
}
inline cudaError_t cudaMallocHost(void** p, std::size_t bytes) {
  if (emulator::spoils_capture()) return cudaErrorStreamCaptureUnsupported;
  *p = std::malloc(std::max<std::size_t>(bytes, 1));
  if (emulator::device().deferred) emulator::device().pinned[static_cast<const char*>(*p)] = bytes;
  return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* p) {
  if (emulator::device().deferred) {
    emulator::catch_up_all();
    emulator::device().pinned.erase(static_cast<const char*>(p));
  }
  return std::free(p), cudaSuccess;
}
inline cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  return *pool = nullptr, cudaSuccess;
}
inline cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
inline cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) { return cudaSuccess; }

inline cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                                     std::size_t width, std::size_t height, cudaMemcpyKind kind,
                                     cudaStream_t stream) {
  if (width > to_pitch || width > from_pitch) return cudaErrorInvalidValue;
  // A graph would read host memory at each launch: none of ours may.
  if (kind != cudaMemcpyDeviceToDevice && emulator::spoils_capture(stream))
    return cudaErrorStreamCaptureUnsupported;
  const auto copy = [=](const char* source, std::size_t pitch) {
    for (std::size_t i = 0; width > 0 && i < height; ++i)
      std::memcpy(static_cast<char*>(to) + i * to_pitch, source + i * pitch, width);
  };
  const auto* const source = static_cast<const char*>(from);
  if (emulator::device().deferred && kind == cudaMemcpyDeviceToHost && !emulator::is_pinned(to)) {
    emulator::catch_up(stream);  // pageable memory is there when the call returns
    return copy(source, from_pitch), cudaSuccess;
  }
  if (emulator::device().deferred && kind == cudaMemcpyHostToDevice && !emulator::is_pinned(from)) {
    std::vector<char> staged(width * height);  // and may be written again
    for (std::size_t i = 0; width > 0 && i < height; ++i)
      std::memcpy(staged.data() + i * width, source + i * from_pitch, width);
    return emulator::enqueue(stream, [=, staged = std::move(staged)] { copy(staged.data(), width); });
  }
  return emulator::enqueue(stream, [=] { copy(source, from_pitch); });
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}
inline cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t stream) {
  return emulator::enqueue(stream, [=] {
    if (bytes > 0) std::memset(p, value, bytes);
  });
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
  static std::mutex mutex;  // ranks may be threads
  const std::scoped_lock lock(mutex);
  return *s = &emulator::device().streams.emplace_back(), cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t s) { return emulator::catch_up(s), cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  if (emulator::spoils_capture(s)) return cudaErrorStreamCaptureUnsupported;
  return emulator::catch_up(s), cudaSuccess;
}
inline cudaError_t cudaStreamQuery(cudaStream_t s) {
  return s != nullptr && s->busy && s->busy() ? cudaErrorNotReady : cudaStreamSynchronize(s);
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  return *e = new EmulatedEvent, cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t e) {
  delete e;
  return cudaSuccess;
}
/// Forks and joins of a capture are not emulated.
inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  if (s != nullptr) {
    e->busy = s->busy;
    e->stream = s;
    e->place = s->done + static_cast<std::int64_t>(s->queue.size());
  }
  return emulator::spoils_capture(s) ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
inline cudaError_t cudaEventQuery(cudaEvent_t e) {
  if (e->busy && e->busy()) return cudaErrorNotReady;
  return emulator::catch_up(e->stream, e->place), cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  return emulator::catch_up(e->stream, e->place), cudaSuccess;
}
inline cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) { return *ms = 0, cudaSuccess; }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned = 0) {
  if (s != nullptr) ++s->waits;
  if (emulator::spoils_capture(s)) return cudaErrorStreamCaptureIsolation;
  if (!emulator::device().deferred || e->stream == s) return cudaSuccess;
  return emulator::enqueue(s, [other = e->stream, place = e->place] { emulator::catch_up(other, place); });
}

inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  if (s == nullptr) return cudaErrorStreamCaptureUnsupported;
  if (emulator::device().capture) return cudaErrorIllegalState;
  emulator::device().capture = emulator::Capture{s, {}};
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
  std::optional<emulator::Capture>& capture = emulator::device().capture;
  *graph = nullptr;
  if (!capture || capture->stream != s) return cudaErrorIllegalState;
  const emulator::Capture ended = *std::exchange(capture, std::nullopt);
  if (ended.spoiled) return cudaErrorStreamCaptureInvalidated;
  *graph = new EmulatedGraph{ended.work};
  ++emulator::device().graphs;
  return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long = 0) {
  *exec = new EmulatedGraphExec{graph->work};
  ++emulator::device().graphs;
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s) {
  if (emulator::spoils_capture(s)) return cudaErrorStreamCaptureUnsupported;
  ++emulator::device().graph_launches;
  for (const auto& work : exec->work) (void)emulator::enqueue(s, work);
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  --emulator::device().graphs;
  return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  --emulator::device().graphs;
  return cudaSuccess;
}
