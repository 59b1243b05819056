// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums gradients over ranks while backward still runs (data-parallel training). Parameters lie in buckets,
/// in the reverse order of their names (about the order in which backward finishes them); a bucket is sent as
/// soon as it and all before it are complete. Buckets are always sent in that order, so ranks whose graphs
/// differ (a piece without targets) still match, and layout and result depend on the parameters alone, never
/// on timing.
///     GradientReducer<float> reducer(ranks, parameters);
///     ... backward of all parts of the batch but the last: gradients add up ...
///     reducer.attach(tape);      // before the last backward of the step
///     tape.backward(loss);
///     reducer.finish();          // gradients are those of all ranks now
/// Source of the idea: Li et al., "PyTorch Distributed", VLDB 2020.

#include <algorithm>
#include <map>
#include <string>

#include "stofm/autograd/tape.hpp"
#include "stofm/distributed/communicator.hpp"

namespace stofm::distributed {

enum class Combine {
  sum,      ///< losses were divided by what all ranks have together
  average,  ///< losses were divided by what a rank has, the same on each
};

struct GradientReducerOptions {
  Combine combine = Combine::sum;
  std::int64_t bucket_bytes = 4 << 20;  ///< a bucket is closed when it has reached this; our choice
};

/// The set must outlive it. With one rank it does nothing. *Cost* memory of one more copy of the gradients.
template <ops::Computed T>
class GradientReducer {
 public:
  GradientReducer(Communicator& ranks, autograd::ParameterSet<T>& set,
                  const GradientReducerOptions& options = {})
      : ranks_(ranks), set_(set), options_(options) {}
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// Listens to the next backward of `tape`. Gradients that are complete before it, or that it does not
  /// reach, are sent by `finish`. Which parameters are trainable must be the same on all ranks.
  void attach(autograd::Tape<T>& tape) {
    if (ranks_.size() == 1) return;
    begin();
    tape_ = &tape;
    tape.on_gradient_ready = [this](autograd::Parameter<T>& parameter) { ready(parameter); };
  }
  /// Sends what was not sent, waits for all, and puts the combined gradients into the parameters. All ranks
  /// must call it, also one that had nothing to compute (its gradients are zero). \throws DeviceError
  /// STOFM-4601.
  void finish();

  /// How many buckets were on their way before `finish` was called.
  std::int64_t sent_early() const { return sent_early_; }
  std::int64_t bucket_count() const { return static_cast<std::int64_t>(buckets_.size()); }

 private:
  struct Bucket {
    std::vector<autograd::Parameter<T>*> parameters;
    std::vector<T> values;
    std::int64_t missing = 0;
    PendingSum pending;
  };

  void begin();
  void layout();
  void ready(autograd::Parameter<T>& parameter);
  void send_complete();

  Communicator& ranks_;
  autograd::ParameterSet<T>& set_;
  GradientReducerOptions options_;
  autograd::Tape<T>* tape_ = nullptr;
  std::vector<Bucket> buckets_;
  std::map<autograd::Parameter<T>*, std::size_t> bucket_of_;
  std::map<autograd::Parameter<T>*, bool> is_ready_;
  std::size_t next_ = 0;
  std::int64_t sent_early_ = 0;
  bool begun_ = false;
};

/// Gives all ranks the values of rank 0: at the start of training, and after loading a checkpoint on rank 0
/// alone.
template <ops::Computed T>
void broadcast_parameters(Communicator& ranks, autograd::ParameterSet<T>& set) {
  if (ranks.size() == 1) return;
  for (autograd::Parameter<T>* parameter : set.list())
    ranks.broadcast_values(parameter->changing().span(), 0);
}

/// Whether the values have the same bits on all ranks: a check for every few hundred steps. *Cost* one pass.
template <ops::Computed T>
bool same_on_all_ranks(Communicator& ranks, const autograd::ParameterSet<T>& set) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a over 32-bit words
  for (const autograd::Parameter<T>* parameter : std::as_const(set).list()) {
    const auto bytes = std::as_bytes(parameter->value().span());
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, bytes.data() + i, 4);
      hash = (hash ^ word) * 0x100000001b3ULL;
    }
  }
  const std::vector<std::string> all = ranks.all_gather(std::to_string(hash));
  return std::all_of(all.begin(), all.end(), [&](const std::string& one) { return one == all.front(); });
}

// ---- definitions

template <ops::Computed T>
void GradientReducer<T>::layout() {
  buckets_.clear();
  bucket_of_.clear();
  auto parameters = set_.list();
  std::reverse(parameters.begin(), parameters.end());
  std::int64_t bytes = 0;
  for (autograd::Parameter<T>* parameter : parameters) {
    if (!parameter->trainable) continue;
    if (buckets_.empty() || bytes >= options_.bucket_bytes) {
      buckets_.emplace_back();
      bytes = 0;
    }
    buckets_.back().parameters.push_back(parameter);
    bucket_of_[parameter] = buckets_.size() - 1;
    bytes += parameter->value().numel() * static_cast<std::int64_t>(sizeof(T));
  }
}

template <ops::Computed T>
void GradientReducer<T>::begin() {
  std::size_t trainable = 0;
  bool known = true;
  for (autograd::Parameter<T>* parameter : set_.list())
    if (parameter->trainable) {
      ++trainable;
      known = known && bucket_of_.contains(parameter);
    }
  if (!known || trainable != bucket_of_.size()) layout();
  for (Bucket& bucket : buckets_) bucket.missing = static_cast<std::int64_t>(bucket.parameters.size());
  is_ready_.clear();
  next_ = 0;
  sent_early_ = 0;
  begun_ = true;
}

template <ops::Computed T>
void GradientReducer<T>::ready(autograd::Parameter<T>& parameter) {
  const auto found = bucket_of_.find(&parameter);
  if (found == bucket_of_.end() || is_ready_[&parameter]) return;
  is_ready_[&parameter] = true;
  --buckets_[found->second].missing;
  send_complete();
  ranks_.progress();
}

template <ops::Computed T>
void GradientReducer<T>::send_complete() {
  for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_) {
    Bucket& bucket = buckets_[next_];
    bucket.values.clear();
    for (const autograd::Parameter<T>* parameter : bucket.parameters) {
      const auto grad = parameter->grad().span();
      bucket.values.insert(bucket.values.end(), grad.begin(), grad.end());
    }
    bucket.pending = ranks_.start_sum(std::span<T>(bucket.values));
  }
}

template <ops::Computed T>
void GradientReducer<T>::finish() {
  if (ranks_.size() == 1) return;
  if (tape_ != nullptr) tape_->on_gradient_ready = nullptr;
  tape_ = nullptr;
  if (!begun_) begin();
  begun_ = false;
  sent_early_ = static_cast<std::int64_t>(next_);
  for (Bucket& bucket : buckets_) bucket.missing = 0;
  send_complete();
  const T factor = options_.combine == Combine::average ? T(1) / static_cast<T>(ranks_.size()) : T(1);
  for (Bucket& bucket : buckets_) {
    ranks_.wait(bucket.pending);
    const T* from = bucket.values.data();
    for (autograd::Parameter<T>* parameter : bucket.parameters)
      for (T& g : parameter->grad().span()) g = factor * *from++;
  }
}

}  // namespace stofm::distributed
