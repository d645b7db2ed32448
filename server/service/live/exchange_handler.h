// The protocol of Search and Blend: a stream that answers message by message.
#ifndef TIMBRE_SERVER_SERVICE_LIVE_EXCHANGE_HANDLER_H_
#define TIMBRE_SERVER_SERVICE_LIVE_EXCHANGE_HANDLER_H_

#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/thread_pool.h"
#include "server/catalog/open/lease.h"
#include "server/service/live/answerer.h"
#include "server/service/live/stream_costs.h"
#include "server/service/live/voice_pin.h"
#include "server/service/rpc/admission.h"
#include "server/service/rpc/rpc_handler.h"
#include "server/service/transport/drain_gate.h"
#include "server/service/transport/inbox.h"

namespace timbre {

// Has one message after the other answered on a worker, or on the thread that
// polls where that takes less than a hand-over; those that come meanwhile are
// kept (see Inbox). The voice of the first message is opened, and its frames
// are read ahead, by a thread of the opener if that was not done; it is held
// from the first message with frames on.
class ExchangeHandler : public RpcHandler {
 public:
  ExchangeHandler(Call& call, ServiceContext& context, Rpc rpc,
                  std::unique_ptr<Answerer> answerer);

  void OnRequest(grpc::ByteBuffer message) override;
  void OnRequestsEnd() override;
  void OnWritten() override;
  void OnDrain() override;

 private:
  enum class On { kWorker, kPollingThread };

  // Reads the next message if none is being read and there is room for it.
  void ReadOn();
  // It is the message's turn.
  void Take(grpc::ByteBuffer message);
  // Lets the message in, which is to be the one in work; or says why not.
  absl::Status Admit(const grpc::ByteBuffer& message);
  absl::Status InflateAndAdmit(grpc::ByteBuffer& message);
  // Of the message in work.
  ThreadPool::Urgency urgency() const;
  void Process(grpc::ByteBuffer& message, On thread);
  absl::Status Parse(grpc::ByteBuffer& message);
  // Pins the voices that are wanted if all of them are open and read ahead.
  absl::StatusOr<bool> PinOpen(MemoryBudget::Visit& visit);
  // Has the voices that are wanted opened, pins them and goes on.
  void Open();
  absl::Status Pin(std::vector<Lease> leases);
  void WarmUpAll();
  // By whoever has the message in work, or where none is.
  void End(const absl::Status& status);
  void SubmitRespond();
  void Respond(On thread);
  void Count(const Answer& answer);
  void LearnCosts(const Answer& answer, absl::Duration took);

  const std::unique_ptr<Answerer> answerer_;
  // What follows is used by one task at a time.
  VoicePin pin_;
  StreamCosts costs_;
  int answered_ = 0;   // messages
  bool used_ = false;  // one of them had frames
  // Of the message in work:
  Admission::Ticket ticket_;
  size_t bytes_ = 0;
  bool compressed_ = false;  // it came so
  absl::Time received_;      // or the one before, or never
  absl::Duration parsing_time_;

  DrainGate gate_;
  Inbox inbox_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_LIVE_EXCHANGE_HANDLER_H_
