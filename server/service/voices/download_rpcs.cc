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
absl::StatusOr<Lease> AcquireFor(const Request& request, const Call& call,
                                 ServiceContext& context) {
  TIMBRE_RETURN_IF_ERROR(CheckSpeakerName(request.speaker()));
  TIMBRE_RETURN_IF_ERROR(
      CheckSpeakerMetadata(call.Metadata("timbre-speaker"), request.speaker()));
  return context.opener->OpenNow(request.speaker(), request.version());
}

// Rows [first, first + count), or those of `ids`, as messages.
class FrameStream {
 public:
  FrameStream(Lease lease, ElementType type, uint64_t first, uint64_t count,
              std::vector<uint64_t> ids)
      : lease_(std::move(lease)),
        type_(type),
        next_(first),
        end_(first + count),
        ids_(std::move(ids)) {}

  absl::StatusOr<std::optional<grpc::ByteBuffer>> operator()() {
    const FrameStore& store = lease_->index->store();
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
    EncodeFrames(buffer_.data(), rows, store.dimension(), type_,
                 lease_->index->kernels(), *response.mutable_frames());
    response.set_version(lease_->record->manifest.version());
    return std::optional<grpc::ByteBuffer>(SerializeMessage(response));
  }

 private:
  const Lease lease_;
  const ElementType type_;
  uint64_t next_;
  const uint64_t end_;
  const std::vector<uint64_t> ids_;
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
  TIMBRE_ASSIGN_OR_RETURN(Lease lease, AcquireFor(request, call, context));
  const uint64_t rows = lease->index->rows();
  TIMBRE_RETURN_IF_ERROR(CheckRange(request, rows));
  if (request.element_type() == v1::ELEMENT_TYPE_UNSPECIFIED) {
    type = lease->record->storage;
  }
  std::vector<uint64_t> ids(request.ids().begin(), request.ids().end());
  const uint64_t count = !ids.empty()           ? ids.size()
                         : request.count() != 0 ? request.count()
                                                : rows - request.first_id();
  auto stream = std::make_shared<FrameStream>(
      std::move(lease), type, request.first_id(), count, std::move(ids));
  return MessageSource([stream] { return (*stream)(); });
}

absl::StatusOr<ByteSource> OpenExport(v1::ExportFormat format,
                                      const LoadedVersion& version,
                                      const Catalog& catalog) {
  const ExportDefaults defaults{.nprobe = version.record->tuning.nprobe,
                                .k_factor = version.record->tuning.k_factor};
  switch (format) {
    case v1::EXPORT_FORMAT_UNSPECIFIED:
    case v1::EXPORT_FORMAT_FAISS_INDEX: {
      const storage::Manifest& manifest = version.record->manifest;
      const IndexDescription stored = version.record->Describe(
          VersionDir(catalog.data_dir(), manifest.speaker(),
                     manifest.version()),
          catalog.files());
      return ExportAsBuilt(
          version.index->export_input(),
          {stored.index_path, stored.index_digest, catalog.files()}, defaults);
    }
    case v1::EXPORT_FORMAT_IVF_FLAT:
      return ExportIvfFlat(version.index->export_input(), defaults);
    case v1::EXPORT_FORMAT_NPY:
      return ExportNpy(version.index->store());
    default:
      return InvalidField("format", absl::StrCat(static_cast<int>(format)),
                          "0..3");
  }
}

absl::StatusOr<MessageSource> StartExport(const v1::ExportRequest& request,
                                          const Call& call,
                                          ServiceContext& context) {
  TIMBRE_ASSIGN_OR_RETURN(const Lease lease,
                          AcquireFor(request, call, context));
  TIMBRE_ASSIGN_OR_RETURN(
      ByteSource opened,
      OpenExport(request.format(), *lease, *context.catalog));
  auto source = std::make_shared<ByteSource>(std::move(opened));
  // The source refers into the lease, so they go together.
  return MessageSource([lease, source, catalog = context.catalog]()
                           -> absl::StatusOr<std::optional<grpc::ByteBuffer>> {
    v1::ExportResponse response;
    TIMBRE_RETURN_IF_ERROR(
        catalog->WhyUnreadable(*lease, source->Next(response.mutable_chunk())));
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
      });
}

}  // namespace timbre
