#include "server/service/live/exchange_handler.h"

#include <algorithm>
#include <utility>

#include "server/base/large_work.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"
#include "server/catalog/open/voice_opener.h"
#include "server/catalog/open/warm_up.h"
#include "server/service/live/message_work.h"
#include "server/service/transport/call_server.h"
#include "server/service/transport/inflate.h"

namespace timbre {
namespace {

// Messages up to here are small: 256 frames of 256 numbers, live conversion
// with room to spare.
constexpr size_t kSmallBytes = (size_t{256} << 10) + 1024;

// Larger ones are not kept for the next message to be parsed into: allocating
// anew costs little beside their frames.
constexpr size_t kMaxKeptBytes = size_t{2} << 20;

// Read before their turn, and one more message: several of what the clients
// send at once.
constexpr size_t kMaxAheadBytes = size_t{4} << 20;

// What the thread that polls may do itself.
constexpr absl::Duration kInlineTime = absl::Microseconds(300);
// After a longer pause the voice's frames may have left the page cache: nothing
// for the thread that polls to wait for.
constexpr absl::Duration kFresh = absl::Seconds(5);
// A stream that has come so far is no sweep's: it counts as a second use of its
// voices (see WarmUp).
constexpr int kManyMessages = 8;
// At most assumed of a frame of a stream that is new: its voice may be another
// one than those that set what is usual.
constexpr absl::Duration kMaxUnknown = absl::Milliseconds(1);

}  // namespace

ExchangeHandler::ExchangeHandler(Call& call, ServiceContext& context, Rpc rpc,
                                 std::unique_ptr<Answerer> answerer)
    : RpcHandler(call, context, rpc),
      answerer_(std::move(answerer)),
      inbox_(kMaxAheadBytes, *context.read_ahead) {}

void ExchangeHandler::ReadOn() {
  if (inbox_.StartReading()) call().Read();
}

void ExchangeHandler::OnRequest(grpc::ByteBuffer message) {
  if (inbox_.Came(message)) return Take(std::move(message));
  ReadOn();
}

void ExchangeHandler::Take(grpc::ByteBuffer message) {
  if (!gate_.Enter()) return call().Finish(DrainingError());
  const absl::Time now = MonotonicNow();
  const bool fresh = now - received_ < kFresh;
  received_ = now;
  compressed_ = IsCompressed(message);
  const absl::Status admitted = Admit(message);
  context().metrics->AddBytes(rpc(), bytes_, 0);
  if (!admitted.ok()) return End(admitted);
  const bool urgent = urgency() == ThreadPool::Urgency::kUrgent;
  // The next one comes while this one is worked on. A small one is answered
  // before: the read would cost a window update of its own, which the answer
  // carries along.
  if (!urgent) ReadOn();
  // A hand-over to a worker costs more than a few frames do.
  if (urgent && fresh && pin_.pinned() && !CallServer::MoreWaits() &&
      pin_.warm() &&
      costs_.SearchesIn(bytes_, pin_) * costs_.search_time() < kInlineTime) {
    return Process(message, On::kPollingThread);
  }
  context().workers->Submit(
      [this, keep = call().shared_from_this(), message]() mutable {
        Process(message, On::kWorker);
      },
      urgency());
}

absl::Status ExchangeHandler::Admit(const grpc::ByteBuffer& message) {
  bytes_ = message.Length();
  const uint64_t searches = costs_.SearchesIn(bytes_, pin_);
  const absl::Duration search_time =
      costs_.known()
          ? costs_.search_time()
          : std::min(kMaxUnknown, context().admission->usual_frame_time());
  // Large messages may wait longer; small ones do not wait for them.
  const bool urgent = urgency() == ThreadPool::Urgency::kUrgent;
  ticket_ = {};
  TIMBRE_ASSIGN_OR_RETURN(
      ticket_,
      context().admission->Enter(
          {.frames = searches,
           .bytes = bytes_,
           .work = urgent ? searches * search_time : absl::ZeroDuration()}));
  return absl::OkStatus();
}

// A few compressed bytes may be many frames.
absl::Status ExchangeHandler::InflateAndAdmit(grpc::ByteBuffer& message) {
  const uint64_t max_bytes = context().server_info.max_message_bytes();
  const absl::Status inflated = Inflate(message, max_bytes);
  // Where it was refused, up to all of that had been inflated.
  context().large_work->Saw(inflated.ok() ? message.Length() : max_bytes);
  return inflated.ok() ? Admit(message) : inflated;
}

// What is in a compressed message shows later: it is nothing for the thread
// that polls.
ThreadPool::Urgency ExchangeHandler::urgency() const {
  return bytes_ <= kSmallBytes && !compressed_ ? ThreadPool::Urgency::kUrgent
                                               : ThreadPool::Urgency::kBulk;
}

void ExchangeHandler::Process(grpc::ByteBuffer& message, On thread) {
  if (call().cancelled()) return;
  const absl::Time start = MonotonicNow();
  const absl::Status parsed = Parse(message);
  parsing_time_ = MonotonicNow() - start;
  if (!parsed.ok()) return End(parsed);
  MemoryBudget::Visit visit(context().catalog->budget());
  if (!pin_.pinned()) {
    const absl::StatusOr<bool> pinned = PinOpen(visit);
    if (!pinned.ok()) return End(pinned.status());
    if (!*pinned) return Open();
    // A warm-up holds it for as long as this takes, others from now on.
    if (answerer_->HasFrames()) visit.End();
  }
  // New parameters: who knows what it takes.
  if (thread == On::kPollingThread && !costs_.known()) return SubmitRespond();
  Respond(thread);
}

absl::Status ExchangeHandler::Parse(grpc::ByteBuffer& message) {
  if (compressed_) TIMBRE_RETURN_IF_ERROR(InflateAndAdmit(message));
  TIMBRE_ASSIGN_OR_RETURN(
      const bool new_params,
      answerer_->Parse(message, call().Metadata("timbre-speaker"), pin_));
  if (new_params) costs_.Forget();
  return absl::OkStatus();
}

absl::StatusOr<bool> ExchangeHandler::PinOpen(MemoryBudget::Visit& visit) {
  const absl::Time start = MonotonicNow();
  std::vector<Lease> leases =
      context().catalog->FindAllLoaded(pin_.wanted(), visit, IsReadAhead);
  if (leases.empty()) return false;
  if (!pin_.resolved()) visit.Count();  // not once more after a warm-up
  TIMBRE_RETURN_IF_ERROR(Pin(std::move(leases)));
  context().metrics->ObserveOpening(OpenedFrom::kOpen, MonotonicNow() - start);
  return true;
}

absl::Status ExchangeHandler::Pin(std::vector<Lease> leases) {
  const bool first = !pin_.resolved();
  TIMBRE_RETURN_IF_ERROR(pin_.Pin(std::move(leases)));
  if (first) WarmUpAll();
  return absl::OkStatus();
}

void ExchangeHandler::WarmUpAll() {
  for (const Lease& lease : pin_.leases()) WarmUp(*context().warmers, *lease);
}

void ExchangeHandler::Open() {
  context().opener->Open(
      pin_.wanted(),
      [this, keep = call().shared_from_this()](
          absl::StatusOr<VoiceOpener::Leases> leases) {
        if (!leases.ok()) return call().Finish(leases.status());
        const absl::Status pinned = Pin(*std::move(leases));
        if (!pinned.ok()) return call().Finish(pinned);
        // One without frames takes no time, and lets go of the voice at once.
        if (!answerer_->HasFrames()) return Respond(On::kWorker);
        SubmitRespond();
      },
      [this, keep = call().shared_from_this()] { return call().cancelled(); });
}

void ExchangeHandler::SubmitRespond() {
  context().workers->Submit(
      [this, keep = call().shared_from_this()] { Respond(On::kWorker); },
      urgency());
}

void ExchangeHandler::Respond(On thread) {
  if (call().cancelled()) return;
  const absl::Time start = MonotonicNow();
  MessageWork work(call(), context(), rpc(), pin_, costs_,
                   {.received = received_,
                    .parsing_time = parsing_time_,
                    .urgent = urgency() == ThreadPool::Urgency::kUrgent,
                    .polling = thread == On::kPollingThread});
  const absl::StatusOr<Answer> answer = answerer_->Reply(work);
  if (!answer.ok()) {
    if (absl::IsDataLoss(answer.status())) {
      for (const Lease& lease : pin_.leases()) {
        context().catalog->DropDamaged(*lease);
      }
    }
    return End(answer.status());
  }
  used_ = used_ || answer->rows > 0;
  if (!used_) pin_.Release();  // a warm-up holds nothing
  // As if one thread had done it all.
  if (++answered_ == kManyMessages) WarmUpAll();
  LearnCosts(*answer, MonotonicNow() - start - work.wall_time_in_pieces() +
                          work.time_in_pieces());
  Count(*answer);
  if (std::max(bytes_, answer->message.Length()) > kMaxKeptBytes) {
    answerer_->Forget();
  }
  ticket_ = {};
  call().Write(answer->message);
  // The answer may have to wait for its client, but the client not for us.
  ReadOn();
}

void ExchangeHandler::Count(const Answer& answer) {
  ServerMetrics& metrics = *context().metrics;
  metrics.ObserveMessage(rpc(), answer.nprobe_label, answer.rows,
                         MonotonicNow() - received_);
  metrics.AddFrames(rpc(), answer.rows);
  if (answer.degradation != v1::DEGRADATION_UNSPECIFIED) {
    metrics.CountDegraded(rpc(),
                          answer.degradation == v1::DEGRADATION_PASSED_THROUGH);
  }
  metrics.AddBytes(rpc(), 0, answer.message.Length());
  context().large_work->Saw(std::max(bytes_, answer.message.Length()));
}

// From small messages alone: large ones let others pass meanwhile.
void ExchangeHandler::LearnCosts(const Answer& answer, absl::Duration took) {
  if (answer.rows == 0) return;
  const bool telling = urgency() == ThreadPool::Urgency::kUrgent &&
                       answer.degradation == v1::DEGRADATION_UNSPECIFIED &&
                       took > absl::ZeroDuration();
  if (!telling) return costs_.Forget();
  costs_.Learn(answer.rows, pin_, took);
  context().admission->Learn(costs_.search_time());
}

void ExchangeHandler::OnWritten() {
  gate_.Leave();
  grpc::ByteBuffer message;
  switch (inbox_.Answered(message)) {
    case Inbox::Next::kMessage:
      ReadOn();
      return Take(std::move(message));
    case Inbox::Next::kEnd:
      return End(absl::OkStatus());
    case Inbox::Next::kNothing:
      return ReadOn();
  }
}

void ExchangeHandler::OnRequestsEnd() {
  if (inbox_.Ended()) End(absl::OkStatus());
}

// Released before the client knows: it may want the room for its next stream.
void ExchangeHandler::End(const absl::Status& status) {
  pin_.Release();
  call().Finish(status);
}

void ExchangeHandler::OnDrain() {
  if (gate_.Drain()) call().Finish(DrainingError());
}

}  // namespace timbre
