#include "client/load/group_run.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/cpp/status.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"

namespace timbre::load {
namespace {

constexpr uint32_t kVariants = 64;
constexpr uint64_t kVariantBytes = 64 << 20;  // at most, of all together
constexpr uint64_t kKeepEvery = 97;
constexpr size_t kKeepAtMost = 100;
constexpr std::chrono::nanoseconds kRetryAfter = std::chrono::milliseconds(100);

uint32_t Variants(const Group& group, uint32_t dimension) {
  const uint64_t bytes =
      std::max<uint64_t>(1, uint64_t{4} * group.frames * dimension);
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(kVariantBytes / bytes, 2, kVariants));
}

float Milliseconds(Clock::duration duration) {
  return std::chrono::duration<float, std::milli>(duration).count();
}

std::string MethodName(Method method) {
  return absl::StrCat("/timbre.v1.Retrieval/",
                      method == Method::kBlend ? "Blend" : "Search");
}

template <typename Message>
bool Parse(grpc::ByteBuffer& bytes, Message& message) {
  return grpc::SerializationTraits<Message>::Deserialize(&bytes, &message).ok();
}

template <typename T>
absl::string_view BytesOf(const std::vector<T>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()),
          numbers.size() * sizeof(T)};
}

}  // namespace

GroupRun::GroupRun(const Group& group, uint32_t dimension, const Stubs& stubs,
                   grpc::CompletionQueue& queue, uint32_t seed)
    : group_(group),
      stubs_(stubs),
      queue_(queue),
      payload_(group, dimension, Variants(group, dimension)),
      streams_(group.streams),
      not_before_(group.streams),
      next_variant_(seed) {
  result_.name = group.name;
  result_.streams = group.streams;
  result_.frames = group.frames;
}

void GroupRun::SetWindow(const Window& window) {
  window_ = window;
  const std::chrono::duration<double> seconds = window.end - window.begin;
  const std::chrono::duration<double> period = group_.period;
  const MutexLock lock(mutex_);
  result_.seconds = seconds.count();
  if (period.count() > 0) {
    result_.offered_per_second = group_.streams / period.count();
  }
}

std::shared_ptr<Exchange> GroupRun::NewExchange(uint32_t stream) {
  ++open_;
  auto exchange = std::make_shared<Exchange>(*stubs_[stream % stubs_.size()],
                                             MethodName(group_.method), queue_,
                                             payload_, *this);
  exchange->Start(group_.voices[stream].speaker);
  std::erase_if(calls_, [](const auto& call) { return call.expired(); });
  calls_.push_back(exchange);
  return exchange;
}

void GroupRun::Send(uint32_t stream, Clock::time_point due) {
  std::shared_ptr<Exchange> exchange;
  Message message{.due = due, .stream = stream};
  {
    const MutexLock lock(mutex_);
    if (closing_) return;
    const Clock::time_point not_before = not_before_[stream];
    if (due < not_before) {
      if (group_.period.count() == 0) return send_later_(not_before, stream);
      if (Measured(message)) ++result_.failed["BACKING_OFF"];
      return;
    }
    ++pending_;
    message.variant =
        static_cast<uint32_t>(next_variant_++ % payload_.variants());
    exchange = streams_[stream];
    if (exchange == nullptr) exchange = NewExchange(stream);
    if (!group_.new_streams) streams_[stream] = exchange;
  }
  if (!exchange->Send(message)) {  // it has ended meanwhile
    {
      const MutexLock lock(mutex_);
      exchange = streams_[stream] = NewExchange(stream);
    }
    exchange->Send(message);
  }
  if (group_.new_streams) exchange->Close();
}

void GroupRun::OnSent(const Message& message, Clock::time_point sent) {
  if (!Measured(message)) return;
  const MutexLock lock(mutex_);
  ++result_.sent;
  result_.lag_ms.push_back(Milliseconds(sent - message.due));
}

v1::Degradation GroupRun::Read(grpc::ByteBuffer& answer) {
  if (group_.method == Method::kBlend) {
    return Parse(answer, blend_) ? blend_.degradation()
                                 : v1::DEGRADATION_UNSPECIFIED;
  }
  return Parse(answer, search_) ? search_.degradation()
                                : v1::DEGRADATION_UNSPECIFIED;
}

void GroupRun::OnAnswer(const Message& message, grpc::ByteBuffer& answer) {
  const Clock::time_point now = Clock::now();
  const v1::Degradation degradation = Read(answer);
  {
    const MutexLock lock(mutex_);
    if (Measured(message)) {
      const std::chrono::duration<float> at = message.due - window_.begin;
      result_.answered.push_back({at.count(), Milliseconds(now - message.due)});
      result_.late +=
          group_.late_after.count() > 0 && now - message.due > group_.late_after
              ? 1
              : 0;
      result_.reduced += degradation == v1::DEGRADATION_REDUCED ? 1 : 0;
      result_.passed_through +=
          degradation == v1::DEGRADATION_PASSED_THROUGH ? 1 : 0;
    }
    KeepSome(message, degradation);
    if (--pending_ == 0) changed_.notify_all();
  }
  Next(message, now);
}

void GroupRun::KeepSome(const Message& message, v1::Degradation degradation) {
  // A degraded answer is another one by design.
  if (answers_++ % kKeepEvery != 0 || kept_.size() >= kKeepAtMost ||
      degradation != v1::DEGRADATION_UNSPECIFIED) {
    return;
  }
  kept_.push_back({message, blend_, search_});
}

void GroupRun::OnFailed(const Message& message, const grpc::Status& status) {
  const absl::Status error =
      status.ok() ? absl::UnknownError("the stream ended without an answer")
                  : client::FromGrpcStatus(status);
  Clock::time_point at = Clock::now();
  {
    const MutexLock lock(mutex_);
    const ErrorDetails details = DetailsOf(error);
    if (Measured(message)) {
      ++result_.failed[details.reason];
      result_.explained.try_emplace(details.reason, error);
    }
    at += details.retry_after ? absl::ToChronoNanoseconds(*details.retry_after)
                              : kRetryAfter;
    if (details.retry_after) not_before_[message.stream] = at;
    if (--pending_ == 0) changed_.notify_all();
  }
  Next(message, at);
}

void GroupRun::Next(const Message& message, Clock::time_point at) {
  if (group_.period.count() > 0 || at >= window_.end) return;
  if (at <= Clock::now()) return Send(message.stream, at);
  send_later_(at, message.stream);
}

void GroupRun::OnEnd() {
  const MutexLock lock(mutex_);
  if (--open_ == 0) changed_.notify_all();
}

void GroupRun::Close(std::chrono::milliseconds patience) {
  {
    MutexLock lock(mutex_);
    AwaitNone(pending_, patience, lock);
    closing_ = true;
  }
  ForEachCall([](Exchange& call) { call.Close(); });
  {
    MutexLock lock(mutex_);
    AwaitNone(open_, patience, lock);
  }
  ForEachCall([](Exchange& call) { call.Cancel(); });
  MutexLock lock(mutex_);
  while (open_ != 0) lock.Wait(changed_);
}

void GroupRun::AwaitNone(const uint64_t& count,
                         std::chrono::milliseconds patience, MutexLock& lock) {
  const Clock::time_point deadline = Clock::now() + patience;
  while (count != 0) {
    if (lock.WaitUntil(changed_, deadline) == std::cv_status::timeout) return;
  }
}

void GroupRun::ForEachCall(const std::function<void(Exchange&)>& act) {
  std::vector<std::weak_ptr<Exchange>> calls;
  {
    const MutexLock lock(mutex_);
    calls = calls_;
  }
  for (const auto& call : calls) {
    if (const auto open = call.lock()) act(*open);
  }
}

absl::StatusOr<bool> GroupRun::SameAgain(client::Client& client,
                                         const Kept& kept) {
  client::VoiceRef voice = group_.voices[kept.message.stream];
  v1::BlendParams params = group_.params;
  params.mutable_search()->clear_latency_budget();
  const client::FrameMatrix& frames = payload_.Frames(kept.message.variant);
  if (group_.method == Method::kBlend) {
    voice.version = kept.blend.version();
    TIMBRE_ASSIGN_OR_RETURN(const auto again,
                            client.Blend(voice, {.params = params}, frames));
    return kept.blend.frames().data() == BytesOf(again.frames.data);
  }
  voice.version = kept.search.version();
  TIMBRE_ASSIGN_OR_RETURN(const auto again,
                          client.Search(voice, params.search(), frames));
  return kept.search.neighbors().ids() == BytesOf(again.ids.data);
}

absl::Status GroupRun::Check(client::Client& client) {
  std::vector<Kept> some;
  {
    const MutexLock lock(mutex_);
    some.swap(kept_);
  }
  for (const Kept& kept : some) {
    TIMBRE_ASSIGN_OR_RETURN(const bool same, SameAgain(client, kept));
    const MutexLock lock(mutex_);
    ++result_.checked;
    if (!same) ++result_.wrong;
  }
  return absl::OkStatus();
}

GroupResult GroupRun::TakeResult() {
  const MutexLock lock(mutex_);
  return std::move(result_);
}

}  // namespace timbre::load
