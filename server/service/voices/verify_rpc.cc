// Catalog.Verify. All calls share one thread of the lowest priority, which
// compares one version of each in turn; what takes locks is done by its courier
// (base/background_pool.h). The next version of a call is begun when the client
// has taken what was found of the one before the last.
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/background_pool.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/speaker_name.h"
#include "server/service/contract/speaker_metadata.h"
#include "server/service/rpc/unary_handler.h"
#include "server/service/voices/handlers.h"

namespace timbre {
namespace {

// The client hears of progress about as often.
constexpr absl::Duration kProgressPause = absl::Milliseconds(500);

class VerifyHandler : public RpcHandler {
 public:
  VerifyHandler(Call& call, ServiceContext& context)
      : RpcHandler(call, context, Rpc::kVerify) {}

  void OnRequest(grpc::ByteBuffer message) override {
    context().metrics->AddBytes(rpc(), message.Length(), 0);
    context().io->Submit([this, keep = call().shared_from_this(),
                          message = std::move(message)]() mutable {
      const absl::Status status = Begin(message);
      if (!status.ok()) return call().Finish(status);
      GoOn();
    });
  }
  void OnRequestsEnd() override { call().Finish(NoRequestError()); }
  // The thread looks at the call before each piece.
  void OnDrain() override { call().Finish(DrainingError()); }
  void OnWritten() override;

 private:
  absl::Status Begin(grpc::ByteBuffer& message);
  void GoOn();
  // By the courier.
  BackgroundPool::Work Next();
  std::optional<StoredVersion> NextVersion();
  void Conclude(const StoredVersion& version, const Comparison& found);
  void SayProgress();
  // What was found of a version, or of a voice; GoOn follows.
  void Say(const std::string& speaker, uint64_t version, std::string damage);
  void End();
  // By the thread.
  Comparison Compare(const StoredVersion& version);

  void SetBytes(v1::VerifyResponse& response) const;
  void Write(const v1::VerifyResponse& response);

  // Set before the first GoOn.
  std::string asked_;  // empty: all voices
  std::vector<std::pair<std::string, absl::Status>> unreadable_;
  uint64_t bytes_total_ = 0;
  // Of the courier.
  std::string speaker_;  // where it is
  uint64_t version_ = 0;
  uint64_t bytes_before_ = 0;  // of versions that were compared
  // Of the version that is being compared.
  std::atomic<uint64_t> bytes_now_{0};

  Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  // What was found while something was written.
  std::optional<v1::VerifyResponse> waiting_ ABSL_GUARDED_BY(mutex_);
};

absl::Status VerifyHandler::Begin(grpc::ByteBuffer& message) {
  v1::VerifyRequest request;
  TIMBRE_RETURN_IF_ERROR(ParseMessage(
      message, request,
      std::min<uint64_t>(kMaxSingleRequestBytes,
                         context().server_info.max_message_bytes())));
  Catalog& catalog = *context().catalog;
  if (request.speaker().empty()) {
    unreadable_ = catalog.ReadUnreadable();
  } else {
    TIMBRE_RETURN_IF_ERROR(CheckSpeakerName(request.speaker()));
    TIMBRE_RETURN_IF_ERROR(CheckSpeakerMetadata(
        call().Metadata("timbre-speaker"), request.speaker()));
    TIMBRE_RETURN_IF_ERROR(catalog.GetSpeaker(request.speaker()).status());
  }
  asked_ = request.speaker();
  speaker_ = asked_;
  bytes_total_ = catalog.StoredBytes(asked_);
  return absl::OkStatus();
}

void VerifyHandler::GoOn() {
  context().verifiers->Submit(
      [this, keep = call().shared_from_this()] { return Next(); });
}

BackgroundPool::Work VerifyHandler::Next() {
  if (call().cancelled()) return nullptr;
  if (!unreadable_.empty()) {
    const auto [speaker, why] = std::move(unreadable_.back());
    unreadable_.pop_back();
    Say(speaker, 0, absl::StrCat("could not be read: ", why.message()));
    return nullptr;
  }
  std::optional<StoredVersion> next = NextVersion();
  if (!next) {
    End();
    return nullptr;
  }
  return [this, keep = call().shared_from_this(), version = *std::move(next)] {
    const Comparison found = Compare(version);
    context().verifiers->HandOver(
        [this, keep, version, found] { Conclude(version, found); });
  };
}

std::optional<StoredVersion> VerifyHandler::NextVersion() {
  auto next = context().catalog->NextVersion(speaker_, version_);
  if (!next || (!asked_.empty() && next->speaker != asked_)) {
    return std::nullopt;
  }
  speaker_ = next->speaker;
  version_ = next->version;
  return next;
}

Comparison VerifyHandler::Compare(const StoredVersion& version) {
  absl::Time said = MonotonicNow();
  return context().catalog->Compare(version, [&](size_t bytes) {
    bytes_now_.fetch_add(bytes);
    if (const absl::Time now = MonotonicNow(); now - said >= kProgressPause) {
      said = now;
      context().verifiers->HandOver(
          [this, keep = call().shared_from_this()] { SayProgress(); });
    }
    return !call().cancelled();
  });
}

void VerifyHandler::Conclude(const StoredVersion& version,
                             const Comparison& found) {
  const absl::Status status =
      context().catalog->Conclude(version, found, MonotonicNow());
  bytes_before_ += found.bytes;
  bytes_now_.store(0);
  if (call().cancelled()) return;
  // Deleted meanwhile.
  if (absl::IsNotFound(status)) return GoOn();
  std::string damage;
  if (absl::IsDataLoss(status)) {
    damage = std::string(status.message());
  } else if (!status.ok()) {
    damage = absl::StrCat("could not be read: ", status.message());
  }
  Say(version.speaker, version.version, std::move(damage));
}

void VerifyHandler::SetBytes(v1::VerifyResponse& response) const {
  const uint64_t done = bytes_before_ + bytes_now_.load();
  response.set_bytes_done(done);
  // Versions may have come since it was counted.
  response.set_bytes_total(std::max(bytes_total_, done));
}

void VerifyHandler::SayProgress() {
  v1::VerifyResponse response;
  SetBytes(response);
  {
    const MutexLock lock(mutex_);
    // A client that does not read misses nothing.
    if (writing_) return;
    writing_ = true;
  }
  Write(response);
}

void VerifyHandler::Say(const std::string& speaker, uint64_t version,
                        std::string damage) {
  v1::VerifyResponse response;
  response.set_speaker(speaker);
  response.set_version(version);
  response.set_damage(std::move(damage));
  SetBytes(response);
  {
    const MutexLock lock(mutex_);
    if (writing_) {
      waiting_ = std::move(response);
      return;
    }
    writing_ = true;
  }
  Write(response);
  GoOn();
}

void VerifyHandler::OnWritten() {
  std::optional<v1::VerifyResponse> next;
  bool ended = false;
  {
    const MutexLock lock(mutex_);
    next = std::exchange(waiting_, std::nullopt);
    writing_ = next.has_value();
    ended = ending_ && !writing_;
  }
  if (ended) return call().Finish(absl::OkStatus());
  if (!next) return;
  Write(*next);
  GoOn();
}

void VerifyHandler::End() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    if (writing_) return;
  }
  call().Finish(absl::OkStatus());
}

void VerifyHandler::Write(const v1::VerifyResponse& response) {
  const grpc::ByteBuffer bytes = SerializeMessage(response);
  context().metrics->AddBytes(rpc(), 0, bytes.Length());
  call().Write(bytes);
}

}  // namespace

std::unique_ptr<CallHandler> NewVerifyHandler(Call& call,
                                              ServiceContext& context) {
  return std::make_unique<VerifyHandler>(call, context);
}

}  // namespace timbre
