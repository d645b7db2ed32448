// The RPCs of Catalog that stream what is stored: ReadFrames and Export.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/catalog/open/voice_opener.h"
#include "server/catalog/records/file_names.h"
#include "server/catalog/records/speaker_name.h"
#include "server/engine/build/builder.h"
#include "server/engine/faiss/faiss_export.h"
#include "server/service/contract/frame_codec.h"
#include "server/service/contract/speaker_metadata.h"
#include "server/service/rpc/unary_handler.h"
#include "server/service/voices/handlers.h"

namespace timbre {
namespace {

constexpr int kMaxIds = 100'000;
// Below the contract's 1 MiB with the other fields of the message.
constexpr size_t kMaxFrameBytes = (1 << 20) - 1024;

template <typename Request>
absl::Status CheckVoice(const Request& request, const Call& call) {
  TIMBRE_RETURN_IF_ERROR(CheckSpeakerName(request.speaker()));
  return CheckSpeakerMetadata(call.Metadata("timbre-speaker"),
                              request.speaker());
}

// Rows [first, first + count), or those of `ids`, as messages.
class FrameStream {
 public:
  FrameStream(StoredFrames stored, ElementType type, uint64_t first,
              uint64_t count, std::vector<uint64_t> ids,
              const KernelTable& kernels)
      : stored_(std::move(stored)),
        type_(type),
        next_(first),
        end_(first + count),
        ids_(std::move(ids)),
        kernels_(kernels) {}

  absl::StatusOr<std::optional<grpc::ByteBuffer>> operator()() {
    const FrameStore& store = *stored_.store;
    const size_t n = store.dimension();
    const uint64_t rows = std::min<uint64_t>(
        end_ - next_, kMaxFrameBytes / (n * BytesPerElement(type_)));
    if (rows == 0) return std::optional<grpc::ByteBuffer>();
    buffer_.resize(rows * n);
    for (uint64_t i = 0; i < rows; ++i, ++next_) {
      float* const out = &buffer_[i * n];
      const float* const row =
          store.Row(ids_.empty() ? next_ : ids_[next_], out);
      if (row != out) std::copy_n(row, n, out);
    }
    TIMBRE_RETURN_IF_ERROR(store.Check());
    v1::ReadFramesResponse response;
    EncodeFrames(buffer_.data(), rows, store.dimension(), type_, kernels_,
                 *response.mutable_frames());
    response.set_version(stored_.record->manifest.version());
    return std::optional<grpc::ByteBuffer>(SerializeMessage(response));
  }

 private:
  const StoredFrames stored_;
  const ElementType type_;
  uint64_t next_;
  const uint64_t end_;
  const std::vector<uint64_t> ids_;
  const KernelTable& kernels_;
  std::vector<float> buffer_;
};

absl::Status CheckRange(const v1::ReadFramesRequest& request, uint64_t rows) {
  if (request.ids_size() > kMaxIds) {
    return InvalidField("ids", absl::StrCat(request.ids_size(), " ids"),
                        absl::StrCat("at most ", kMaxIds));
  }
  if (request.ids_size() > 0 &&
      (request.first_id() != 0 || request.count() != 0)) {
    return InvalidField("ids", absl::StrCat(request.ids_size(), " ids"),
                        "left out where first_id or count is given");
  }
  for (const uint64_t id : request.ids()) {
    if (id >= rows) {
      return InvalidField("ids", absl::StrCat(id),
                          absl::StrCat("0..", rows - 1));
    }
  }
  if (request.first_id() > rows) {
    return InvalidField("first_id", absl::StrCat(request.first_id()),
                        absl::StrCat("0..", rows));
  }
  if (request.count() > rows - request.first_id()) {
    return InvalidField("count", absl::StrCat(request.count()),
                        absl::StrCat("0..", rows - request.first_id()));
  }
  return absl::OkStatus();
}

absl::StatusOr<MessageSource> StartReadFrames(
    const v1::ReadFramesRequest& request, const Call& call,
    ServiceContext& context) {
  TIMBRE_ASSIGN_OR_RETURN(
      ElementType type,
      DecodeElementType(request.element_type(), "element_type"));
  TIMBRE_RETURN_IF_ERROR(CheckVoice(request, call));
  TIMBRE_ASSIGN_OR_RETURN(
      StoredFrames stored,
      context.catalog->OpenFrames({request.speaker(), request.version()},
                                  [&call] { return call.cancelled(); }));
  const uint64_t rows = stored.store->rows();
  TIMBRE_RETURN_IF_ERROR(CheckRange(request, rows));
  if (request.element_type() == v1::ELEMENT_TYPE_UNSPECIFIED) {
    type = stored.record->storage;
  }
  std::vector<uint64_t> ids(request.ids().begin(), request.ids().end());
  const uint64_t count = !ids.empty()           ? ids.size()
                         : request.count() != 0 ? request.count()
                                                : rows - request.first_id();
  auto stream =
      std::make_shared<FrameStream>(std::move(stored), type, request.first_id(),
                                    count, std::move(ids), *context.kernels);
  return MessageSource([stream] { return (*stream)(); });
}

// A file on its way, and what it refers to.
struct ExportedFile {
  std::shared_ptr<const VersionRecord> record;
  std::shared_ptr<const void> version;
  ByteSource source;
};

absl::StatusOr<ExportedFile> OpenIndexFile(const v1::ExportRequest& request,
                                           const Call& call,
                                           ServiceContext& context) {
  TIMBRE_ASSIGN_OR_RETURN(
      const Lease lease,
      context.opener->OpenNow({request.speaker(), request.version()},
                              [&call] { return call.cancelled(); }));
  const VersionRecord& record = *lease->record;
  const Catalog& catalog = *context.catalog;
  const ExportDefaults defaults{.nprobe = record.tuning.nprobe,
                                .k_factor = record.tuning.k_factor};
  const ExportInput input = lease->index->export_input();
  if (request.format() == v1::EXPORT_FORMAT_IVF_FLAT) {
    return ExportedFile{lease->record, lease, ExportIvfFlat(input, defaults)};
  }
  const IndexDescription stored =
      record.Describe(VersionDir(catalog.data_dir(), record.manifest.speaker(),
                                 record.manifest.version()),
                      catalog.files());
  return ExportedFile{
      lease->record, lease,
      ExportAsBuilt(input,
                    {stored.index_path, stored.index_digest, catalog.files()},
                    defaults)};
}

absl::StatusOr<ExportedFile> OpenExport(const v1::ExportRequest& request,
                                        const Call& call,
                                        ServiceContext& context) {
  switch (request.format()) {
    case v1::EXPORT_FORMAT_UNSPECIFIED:
    case v1::EXPORT_FORMAT_FAISS_INDEX:
    case v1::EXPORT_FORMAT_IVF_FLAT:
      return OpenIndexFile(request, call, context);
    case v1::EXPORT_FORMAT_NPY: {
      TIMBRE_ASSIGN_OR_RETURN(
          const StoredFrames stored,
          context.catalog->OpenFrames({request.speaker(), request.version()},
                                      [&call] { return call.cancelled(); }));
      return ExportedFile{stored.record, stored.store,
                          ExportNpy(*stored.store)};
    }
    default:
      return InvalidField(
          "format", absl::StrCat(static_cast<int>(request.format())), "0..3");
  }
}

absl::StatusOr<MessageSource> StartExport(const v1::ExportRequest& request,
                                          const Call& call,
                                          ServiceContext& context) {
  TIMBRE_RETURN_IF_ERROR(CheckVoice(request, call));
  TIMBRE_ASSIGN_OR_RETURN(ExportedFile opened,
                          OpenExport(request, call, context));
  const auto file = std::make_shared<ExportedFile>(std::move(opened));
  return MessageSource([file, catalog = context.catalog]()
                           -> absl::StatusOr<std::optional<grpc::ByteBuffer>> {
    v1::ExportResponse response;
    TIMBRE_RETURN_IF_ERROR(catalog->WhyUnreadable(
        *file->record, file->source.Next(response.mutable_chunk())));
    if (response.chunk().empty()) return std::optional<grpc::ByteBuffer>();
    return std::optional<grpc::ByteBuffer>(SerializeMessage(response));
  });
}

}  // namespace

std::unique_ptr<CallHandler> NewReadFramesHandler(Call& call,
                                                  ServiceContext& context) {
  return NewServerStreamHandler<v1::ReadFramesRequest>(
      call, context, Rpc::kReadFrames,
      [&call, &context](const v1::ReadFramesRequest& request) {
        return StartReadFrames(request, call, context);
      });
}

std::unique_ptr<CallHandler> NewExportHandler(Call& call,
                                              ServiceContext& context) {
  return NewServerStreamHandler<v1::ExportRequest>(
      call, context, Rpc::kExport,
      [&call, &context](const v1::ExportRequest& request) {
        return StartExport(request, call, context);
      },
      SingleRequestHandler::On::kOpener);
}

}  // namespace timbre
