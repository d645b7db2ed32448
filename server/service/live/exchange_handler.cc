#include "server/service/live/exchange_handler.h"

#include <array>
#include <utility>

#include "server/base/large_work.h"
#include "server/base/status_macros.h"
#include "server/catalog/open/warm_up.h"
#include "server/service/transport/call_server.h"
#include "server/service/transport/inflate.h"

namespace timbre {
namespace {

// Messages up to here are small: 256 frames of 256 numbers, live conversion
// with room to spare.
constexpr size_t kSmallBytes = (size_t{256} << 10) + 1024;

// Larger ones are not kept for the next message to be parsed into: allocating
// anew costs little beside their frames.
constexpr size_t kMostKept = size_t{2} << 20;

// Read before their turn, and one more message: several of what the clients
// send at once.
constexpr size_t kMostAhead = size_t{4} << 20;

constexpr absl::Duration kInlineTime = absl::Microseconds(300);
// After a longer pause the voice's frames may have left the page cache: nothing
// for the thread that polls to wait for.
constexpr absl::Duration kFresh = absl::Seconds(5);
// At most assumed of a frame of a stream that is new: its voice may be another
// one than those that set what is usual.
constexpr absl::Duration kMostUnknown = absl::Milliseconds(1);

thread_local bool interrupted = false;
thread_local std::array<WorkerScratch, 2> scratch;

}  // namespace

WorkerScratch& ThisWorkersScratch() { return scratch[interrupted ? 1 : 0]; }

void FreeThisWorkersScratch() { scratch = {}; }

Interruption::Interruption() { interrupted = true; }
Interruption::~Interruption() { interrupted = false; }
bool Interruption::UnderWay() { return interrupted; }

ExchangeHandler::ExchangeHandler(Call& call, ServiceContext& context, Rpc rpc)
    : RpcHandler(call, context, rpc), inbox_(kMostAhead, *context.read_ahead) {}

void ExchangeHandler::ReadOn() {
  if (inbox_.StartReading()) call().Read();
}

void ExchangeHandler::OnRequest(grpc::ByteBuffer message) {
  if (inbox_.Came(message)) return Take(std::move(message));
  ReadOn();
}

void ExchangeHandler::Take(grpc::ByteBuffer message) {
  if (!turns_.Begin()) return call().Finish(DrainingError());
  const absl::Time now = MonotonicNow();
  const bool fresh = now - received_ < kFresh;
  received_ = now;
  compressed_ = IsCompressed(message);
  const absl::Status admitted = Admit(message);
  context().metrics->AddBytes(rpc(), bytes_, 0);
  if (!admitted.ok()) return call().Finish(admitted);
  const bool urgent = urgency() == ThreadPool::Urgency::kUrgent;
  // The next one comes while this one is worked on. A small one is answered
  // before: the read would cost a window update of its own, which the answer
  // carries along.
  if (!urgent) ReadOn();
  // A hand-over to a worker costs more than a few frames do.
  if (urgent && fresh && pin_.pinned() && !CallServer::MoreWaits() &&
      FramesIn(message) * frame_time_ < kInlineTime) {
    polling_ = true;
    return Process(message);
  }
  polling_ = false;
  context().workers->Submit([this, keep = call().shared_from_this(),
                             message]() mutable { Process(message); },
                            urgency());
}

absl::Status ExchangeHandler::Admit(const grpc::ByteBuffer& message) {
  bytes_ = message.Length();
  const uint64_t frames = FramesIn(message);
  const bool known = frame_time_ != absl::InfiniteDuration();
  const absl::Duration frame_time =
      known ? frame_time_
            : std::min(kMostUnknown, context().admission->usual_frame_time());
  // Large messages may wait longer; small ones do not wait for them.
  const bool urgent = urgency() == ThreadPool::Urgency::kUrgent;
  ticket_ = {};
  TIMBRE_ASSIGN_OR_RETURN(
      ticket_,
      context().admission->Enter(
          {.frames = frames,
           .bytes = bytes_,
           .work = urgent ? frames * frame_time : absl::ZeroDuration()}));
  return absl::OkStatus();
}

// A few compressed bytes may be many frames.
absl::Status ExchangeHandler::InflateAndAdmit(grpc::ByteBuffer& message) {
  const uint64_t most = context().server_info.max_message_bytes();
  const absl::Status inflated = Inflate(message, most);
  // Where it was refused, up to all of that had been inflated.
  context().large_work->Saw(inflated.ok() ? message.Length() : most);
  return inflated.ok() ? Admit(message) : inflated;
}

// What is in a compressed message shows later: it is nothing for the thread
// that polls.
ThreadPool::Urgency ExchangeHandler::urgency() const {
  return bytes_ <= kSmallBytes && !compressed_ ? ThreadPool::Urgency::kUrgent
                                               : ThreadPool::Urgency::kBulk;
}

// About: what is in a message shows when it is parsed, which is work too.
uint64_t ExchangeHandler::FramesIn(const grpc::ByteBuffer& message) const {
  constexpr uint32_t kUsualDimension = 256;
  const uint32_t dimension =
      pin_.pinned() ? pin_.version().index->dimension() : kUsualDimension;
  return voices() * (message.Length() / (dimension * element_bytes_) + 1);
}

absl::Status ExchangeHandler::InPieces(uint64_t rows, LatencyBudget& budget,
                                       Pieces::Work work) {
  const absl::Time start = MonotonicNow();
  const auto pieces = std::make_shared<Pieces>(rows, budget, frame_cost_, work);
  do {
    if (call().cancelled()) pieces->Stop(absl::CancelledError(""));
    // The polling thread waits for nobody.
    if (!polling_) pieces->Recruit(*context().workers);
  } while (pieces->DoNext() && (LetOthersPass(), true));
  absl::Status status = pieces->Finish();
  time_in_pieces_ = pieces->spent();
  wall_time_in_pieces_ = MonotonicNow() - start;
  return status;
}

void ExchangeHandler::LetOthersPass() {
  if (urgency() == ThreadPool::Urgency::kUrgent || Interruption::UnderWay()) {
    return;
  }
  const Interruption interruption;
  context().workers->RunUrgent();
}

void ExchangeHandler::Process(grpc::ByteBuffer& message) {
  if (call().cancelled()) return;
  const absl::Time start = MonotonicNow();
  absl::Status status;
  if (compressed_) status = InflateAndAdmit(message);
  if (status.ok()) status = Parse(message);
  parsing_time_ = MonotonicNow() - start;
  if (!status.ok()) return call().Finish(status);
  if (!pin_.pinned()) {
    std::vector<Lease> leases;
    for (const WantedVoice& voice : pin_.wanted()) {
      Lease lease = context().catalog->FindLoaded(voice.speaker, voice.version);
      if (lease == nullptr) return Open({});
      leases.push_back(std::move(lease));
    }
    const absl::Status pinned = Pin(std::move(leases));
    if (!pinned.ok()) return call().Finish(pinned);
  }
  if (polling_ && frame_time_ == absl::InfiniteDuration()) {
    // New parameters: who knows what it takes.
    polling_ = false;
    return context().workers->Submit(
        [this, keep = call().shared_from_this()] { Respond(); }, urgency());
  }
  Respond();
}

absl::Status ExchangeHandler::Pin(std::vector<Lease> leases) {
  for (const Lease& lease : leases) WarmUp(*context().warmers, lease);
  return pin_.Pin(std::move(leases));
}

void ExchangeHandler::Open(std::vector<Lease> leases) {
  const size_t opened = leases.size();
  if (opened < pin_.wanted().size()) {
    const WantedVoice& voice = pin_.wanted()[opened];
    return context().opener->Open(
        voice.speaker, voice.version,
        [this, keep = call().shared_from_this(),
         leases = std::move(leases)](absl::StatusOr<Lease> lease) mutable {
          if (!lease.ok()) return call().Finish(lease.status());
          leases.push_back(*std::move(lease));
          Open(std::move(leases));
        });
  }
  const absl::Status pinned = Pin(std::move(leases));
  if (!pinned.ok()) return call().Finish(pinned);
  context().workers->Submit(
      [this, keep = call().shared_from_this()] { Respond(); }, urgency());
}

void ExchangeHandler::Respond() {
  if (call().cancelled()) return;
  const absl::Time start = MonotonicNow();
  const absl::StatusOr<Answer> answer = Reply();
  if (!answer.ok()) return call().Finish(answer.status());
  // As if one thread had done it all.
  LearnFrameTime(
      *answer, MonotonicNow() - start - wall_time_in_pieces_ + time_in_pieces_);
  context().metrics->ObserveMessage(rpc(), answer->nprobe_label, answer->rows,
                                    MonotonicNow() - received_);
  context().metrics->AddFrames(rpc(), answer->rows);
  if (answer->degradation != v1::DEGRADATION_UNSPECIFIED) {
    context().metrics->CountDegraded(
        rpc(), answer->degradation == v1::DEGRADATION_PASSED_THROUGH);
  }
  context().metrics->AddBytes(rpc(), 0, answer->message.Length());
  context().large_work->Saw(std::max(bytes_, answer->message.Length()));
  if (std::max(bytes_, answer->message.Length()) > kMostKept) Forget();
  ticket_ = {};
  call().Write(answer->message);
  // The answer may have to wait for its client, but the client not for us.
  ReadOn();
}

// Of small messages alone: large ones let others pass meanwhile.
void ExchangeHandler::LearnFrameTime(const Answer& answer,
                                     absl::Duration took) {
  if (answer.rows == 0) return;
  const bool telling = urgency() == ThreadPool::Urgency::kUrgent &&
                       answer.degradation == v1::DEGRADATION_UNSPECIFIED &&
                       took > absl::ZeroDuration();
  frame_time_ =
      telling ? took / (answer.rows * voices()) : absl::InfiniteDuration();
  if (telling) context().admission->Learn(frame_time_);
}

absl::Status ExchangeHandler::Decode(const v1::Frames& frames,
                                     FrameBatch& batch) {
  const absl::Time start = MonotonicNow();
  absl::Status status = DecodeFrames(frames, pin_.version().index->dimension(),
                                     *context().kernels, batch);
  element_bytes_ = BytesPerElement(batch.element_type);
  context().metrics->ObserveStage(rpc(), Stage::kDecode,
                                  parsing_time_ + (MonotonicNow() - start));
  return status;
}

LatencyBudget ExchangeHandler::BudgetOf(const ResolvedSearch& search,
                                        const LoadedVersion& version,
                                        bool may_pass_through) {
  const IndexShape shape{.kind = version.record->spec.kind,
                         .rows = version.record->manifest.frames(),
                         .nlist = std::max(1U, version.record->spec.nlist),
                         .dimension = version.index->dimension()};
  return {search, shape, received_ + search.budget, may_pass_through};
}

void ExchangeHandler::OnWritten() {
  turns_.End();
  grpc::ByteBuffer message;
  switch (inbox_.Answered(message)) {
    case Inbox::Next::kMessage:
      ReadOn();
      return Take(std::move(message));
    case Inbox::Next::kEnd:
      return call().Finish(absl::OkStatus());
    case Inbox::Next::kNothing:
      return ReadOn();
  }
}

void ExchangeHandler::OnRequestsEnd() {
  if (inbox_.Ended()) call().Finish(absl::OkStatus());
}

void ExchangeHandler::OnDrain() {
  if (turns_.Drain()) call().Finish(DrainingError());
}

}  // namespace timbre
