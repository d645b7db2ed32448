// Catalog.Tune.
#include <utility>

#include "server/service/transport/message_codec.h"
#include "server/service/upload/handlers.h"
#include "server/service/upload/tune_session.h"
#include "server/service/upload/upload_handler.h"

namespace timbre {
namespace {

class TuneHandler : public UploadHandler<TuneSession> {
 public:
  TuneHandler(Call& call, ServiceContext& context)
      : UploadHandler(call, context, Rpc::kTune) {}

 private:
  void FinishReceiving(TuneSession& session) override {
    if (const auto status = session.CheckComplete(); !status.ok()) {
      return call().Finish(status);
    }
    QueueWork();
  }

  absl::Status Work(TuneSession& session) override {
    return session.Measure(*this);
  }

  void Conclude(TuneSession& session) override {
    if (!call().Begin()) return;
    const auto response = session.Apply();
    if (!response.ok()) return call().Finish(response.status());
    const grpc::ByteBuffer bytes = SerializeMessage(*response);
    context().metrics->AddBytes(Rpc::kTune, 0, bytes.Length());
    call().WriteAndFinish(bytes);
  }
};

}  // namespace

std::unique_ptr<CallHandler> NewTuneHandler(Call& call,
                                            ServiceContext& context) {
  return std::make_unique<TuneHandler>(call, context);
}

}  // namespace timbre
