// The RPCs of Catalog that look at a speaker or change it.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/records/speaker_name.h"
#include "server/service/contract/speaker_metadata.h"
#include "server/service/contract/version_message.h"
#include "server/service/rpc/unary_handler.h"
#include "server/service/voices/handlers.h"

namespace timbre {
namespace {

template <typename Request>
absl::Status CheckSpeaker(const Request& request, const Call& call) {
  TIMBRE_RETURN_IF_ERROR(CheckSpeakerName(request.speaker()));
  return CheckSpeakerMetadata(call.Metadata("timbre-speaker"),
                              request.speaker());
}

template <typename Request>
absl::Status CheckVersion(const Request& request) {
  if (request.version() != 0) return absl::OkStatus();
  return InvalidField("version", "0", "at least 1");
}

absl::StatusOr<v1::Speaker> ToMessage(absl::StatusOr<SpeakerInfo> info) {
  if (!info.ok()) return std::move(info).status();
  v1::Speaker message;
  FillSpeaker(*info, message);
  return message;
}

}  // namespace

std::unique_ptr<CallHandler> NewGetSpeakerHandler(Call& call,
                                                  ServiceContext& context) {
  return NewUnaryHandler<v1::GetSpeakerRequest>(
      call, context, Rpc::kGetSpeaker,
      [&call, &context](
          const v1::GetSpeakerRequest& request) -> absl::StatusOr<v1::Speaker> {
        TIMBRE_RETURN_IF_ERROR(CheckSpeaker(request, call));
        return ToMessage(context.catalog->GetSpeaker(request.speaker()));
      });
}

std::unique_ptr<CallHandler> NewActivateVersionHandler(
    Call& call, ServiceContext& context) {
  return NewUnaryHandler<v1::ActivateVersionRequest>(
      call, context, Rpc::kActivateVersion,
      [&call, &context](const v1::ActivateVersionRequest& request)
          -> absl::StatusOr<v1::Speaker> {
        TIMBRE_RETURN_IF_ERROR(CheckSpeaker(request, call));
        TIMBRE_RETURN_IF_ERROR(CheckVersion(request));
        return ToMessage(context.catalog->ActivateVersion(request.speaker(),
                                                          request.version()));
      });
}

std::unique_ptr<CallHandler> NewDeleteVersionHandler(Call& call,
                                                     ServiceContext& context) {
  return NewUnaryHandler<v1::DeleteVersionRequest>(
      call, context, Rpc::kDeleteVersion,
      [&call, &context](const v1::DeleteVersionRequest& request)
          -> absl::StatusOr<v1::Speaker> {
        TIMBRE_RETURN_IF_ERROR(CheckSpeaker(request, call));
        TIMBRE_RETURN_IF_ERROR(CheckVersion(request));
        return ToMessage(context.catalog->DeleteVersion(request.speaker(),
                                                        request.version()));
      });
}

std::unique_ptr<CallHandler> NewDeleteSpeakerHandler(Call& call,
                                                     ServiceContext& context) {
  return NewUnaryHandler<v1::DeleteSpeakerRequest>(
      call, context, Rpc::kDeleteSpeaker,
      [&call, &context](const v1::DeleteSpeakerRequest& request)
          -> absl::StatusOr<v1::DeleteSpeakerResponse> {
        TIMBRE_RETURN_IF_ERROR(CheckSpeaker(request, call));
        TIMBRE_RETURN_IF_ERROR(
            context.catalog->DeleteSpeaker(request.speaker()));
        return v1::DeleteSpeakerResponse();
      });
}

std::unique_ptr<CallHandler> NewGetServerInfoHandler(Call& call,
                                                     ServiceContext& context) {
  return NewUnaryHandler<v1::GetServerInfoRequest>(
      call, context, Rpc::kGetServerInfo,
      [&context](
          const v1::GetServerInfoRequest&) -> absl::StatusOr<v1::ServerInfo> {
        v1::ServerInfo info = context.server_info;
        const MemoryBudget::Totals budget = context.catalog->Stats().budget;
        info.set_resident_bytes(budget.open.bytes);
        info.set_max_resident_bytes(budget.limit.bytes);
        info.set_open_versions(budget.versions);
        return info;
      });
}

}  // namespace timbre
