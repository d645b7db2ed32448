#include "server/service/transport/raw_service.h"

#include "absl/strings/str_cat.h"

namespace timbre {

RawService::RawService(const google::protobuf::ServiceDescriptor* descriptor) {
  for (int i = 0; i < descriptor->method_count(); ++i) {
    paths_.push_back(absl::StrCat("/", descriptor->full_name(), "/",
                                  descriptor->method(i)->name()));
  }
  for (int i = 0; i < descriptor->method_count(); ++i) {
    // grpc::Service owns the method; a null handler makes it asynchronous.
    // Generated services do the same in their constructors.
    AddMethod(new grpc::internal::RpcServiceMethod(
        paths_[static_cast<size_t>(i)].c_str(),
        grpc::internal::RpcMethod::BIDI_STREAMING, nullptr));
    MarkMethodRaw(i);
  }
}

}  // namespace timbre
