// A gRPC service whose messages stay bytes.
//
// Every method, unary ones too, is a stream of ByteBuffers to gRPC (on the
// wire there is no difference), so that one kind of call serves the whole
// contract, and a message that does not parse is ours to answer: gRPC's typed
// streams would show it as a half-close.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_RAW_SERVICE_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_RAW_SERVICE_H_

#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/async_stream.h>

#include <string>
#include <vector>

namespace timbre {

using RawStream =
    grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

// Thread-safe after construction.
class RawService : public grpc::Service {
 public:
  // All methods of `descriptor`, in its order.
  explicit RawService(const google::protobuf::ServiceDescriptor* descriptor);

  // Asks for the next call of method `index`; `tag` comes out of `queue` when
  // it is there.
  void RequestCall(int index, grpc::ServerContext* context, RawStream* stream,
                   grpc::ServerCompletionQueue* queue, void* tag) {
    RequestAsyncBidiStreaming(index, context, stream, queue, queue, tag);
  }

 private:
  std::vector<std::string> paths_;  // gRPC keeps pointers into these
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_RAW_SERVICE_H_
