// Catalog.ListSpeakers.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/service/contract/page_token.h"
#include "server/service/contract/version_message.h"
#include "server/service/rpc/unary_handler.h"
#include "server/service/voices/handlers.h"

namespace timbre {
namespace {

constexpr uint32_t kDefaultPage = 100;
constexpr uint32_t kMaxPage = 1000;
constexpr size_t kMaxPageBytes = 2 << 20;
constexpr size_t kMaxPrefix = 63;

absl::StatusOr<v1::ListSpeakersResponse> ListPage(
    Catalog& catalog, const v1::ListSpeakersRequest& request) {
  if (request.prefix().size() > kMaxPrefix) {
    return InvalidField("prefix", request.prefix(),
                        absl::StrCat("at most ", kMaxPrefix, " bytes"));
  }
  TIMBRE_ASSIGN_OR_RETURN(
      const std::string after,
      ParsePageToken(request.prefix(), request.page_token()));
  const uint32_t page = request.page_size() == 0
                            ? kDefaultPage
                            : std::min(request.page_size(), kMaxPage);
  v1::ListSpeakersResponse response;
  // One more than fits says whether there is a next page.
  const auto speakers = catalog.List(request.prefix(), after, page + 1);
  size_t bytes = 0;
  for (const SpeakerInfo& info : speakers) {
    v1::Speaker message;
    FillSpeaker(info, message);
    for (auto& version : *message.mutable_versions()) {
      version.clear_operating_points();
    }
    bytes += message.ByteSizeLong() + 8;
    const int sent = response.speakers_size();
    if (sent > 0 && (sent == static_cast<int>(page) || bytes > kMaxPageBytes)) {
      response.set_next_page_token(MakePageToken(
          request.prefix(), response.speakers(sent - 1).speaker()));
      break;
    }
    *response.add_speakers() = std::move(message);
  }
  return response;
}

}  // namespace

std::unique_ptr<CallHandler> NewListSpeakersHandler(Call& call,
                                                    ServiceContext& context) {
  return NewUnaryHandler<v1::ListSpeakersRequest>(
      call, context, Rpc::kListSpeakers,
      [&context](const v1::ListSpeakersRequest& request) {
        return ListPage(*context.catalog, request);
      });
}

}  // namespace timbre
