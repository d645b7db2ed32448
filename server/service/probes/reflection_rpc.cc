#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/service/probes/handlers.h"
#include "server/service/probes/reflection.h"
#include "server/service/rpc/rpc_handler.h"
#include "server/service/transport/drain_gate.h"
#include "server/service/transport/message_codec.h"

namespace timbre {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1::ExtensionRequest;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

constexpr size_t kMaxRequestBytes = 16384;

const DescriptorPool& Pool() { return *DescriptorPool::generated_pool(); }

void SetError(absl::StatusCode code, const std::string& text,
              ServerReflectionResponse& response) {
  response.mutable_error_response()->set_error_code(static_cast<int>(code));
  response.mutable_error_response()->set_error_message(text);
}

// `file` and what it imports, each once.
void AddFiles(const FileDescriptor& file,
              std::set<const FileDescriptor*>& added,
              ServerReflectionResponse& response) {
  if (!added.insert(&file).second) return;
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  file.CopyJsonNameTo(&proto);  // else some clients show field_name as it is
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(
      proto.SerializeAsString());
  for (int i = 0; i < file.dependency_count(); ++i) {
    AddFiles(*file.dependency(i), added, response);
  }
}

// `file` is null where `wanted` does not exist.
void SetFile(const FileDescriptor* file, const std::string& wanted,
             ServerReflectionResponse& response) {
  if (file == nullptr) {
    return SetError(absl::StatusCode::kNotFound,
                    absl::StrCat(Printable(wanted), " is not known"), response);
  }
  std::set<const FileDescriptor*> added;
  AddFiles(*file, added, response);
}

const FileDescriptor* FileOf(const ExtensionRequest& request) {
  const Descriptor* const type =
      Pool().FindMessageTypeByName(request.containing_type());
  if (type == nullptr) return nullptr;
  const FieldDescriptor* const extension =
      Pool().FindExtensionByNumber(type, request.extension_number());
  return extension == nullptr ? nullptr : extension->file();
}

void SetExtensions(const std::string& type_name,
                   ServerReflectionResponse& response) {
  const Descriptor* const type = Pool().FindMessageTypeByName(type_name);
  if (type == nullptr) return SetFile(nullptr, type_name, response);
  auto& answer = *response.mutable_all_extension_numbers_response();
  answer.set_base_type_name(type_name);
  std::vector<const FieldDescriptor*> extensions;
  Pool().FindAllExtensions(type, &extensions);
  for (const FieldDescriptor* const extension : extensions) {
    answer.add_extension_number(extension->number());
  }
}

class ReflectionHandler : public CallHandler {
 public:
  ReflectionHandler(Call& call, ServiceContext& context)
      : call_(call), context_(context) {}

  void OnStart() override { call_.Read(); }

  void OnRequest(grpc::ByteBuffer message) override {
    if (!gate_.Enter()) return call_.Finish(DrainingError());
    context_.io->Submit([this, keep = call_.shared_from_this(),
                         message]() mutable { Answer(message); });
  }

  void OnWritten() override {
    gate_.Leave();
    call_.Read();
  }

  void OnRequestsEnd() override { call_.Finish(absl::OkStatus()); }

  void OnDrain() override {
    if (gate_.Drain()) call_.Finish(DrainingError());
  }

  void OnEnd(const absl::Status&) override {}

 private:
  void Answer(grpc::ByteBuffer& message) {
    ServerReflectionRequest request;
    const absl::Status parsed =
        ParseMessage(message, request, kMaxRequestBytes);
    if (!parsed.ok()) return call_.Finish(parsed);
    call_.Write(SerializeMessage(Reflect(request, context_.services)));
  }

  Call& call_;
  ServiceContext& context_;
  DrainGate gate_;
};

}  // namespace

ServerReflectionResponse Reflect(const ServerReflectionRequest& request,
                                 const std::vector<std::string>& services) {
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      SetFile(Pool().FindFileByName(request.file_by_filename()),
              request.file_by_filename(), response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      SetFile(Pool().FindFileContainingSymbol(request.file_containing_symbol()),
              request.file_containing_symbol(), response);
      break;
    case ServerReflectionRequest::kFileContainingExtension: {
      const ExtensionRequest& extension = request.file_containing_extension();
      SetFile(FileOf(extension),
              absl::StrCat("extension ", extension.extension_number(), " of ",
                           extension.containing_type()),
              response);
      break;
    }
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      SetExtensions(request.all_extension_numbers_of_type(), response);
      break;
    case ServerReflectionRequest::kListServices:
      for (const std::string& service : services) {
        response.mutable_list_services_response()->add_service()->set_name(
            service);
      }
      break;
    default:
      SetError(absl::StatusCode::kInvalidArgument,
               "message_request: not set, or not known here", response);
      break;
  }
  return response;
}

std::unique_ptr<CallHandler> NewReflectionHandler(Call& call,
                                                  ServiceContext& context) {
  return std::make_unique<ReflectionHandler>(call, context);
}

}  // namespace timbre
