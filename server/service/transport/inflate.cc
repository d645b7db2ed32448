#include "server/service/transport/inflate.h"

#include <grpc/slice.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>
#include <zlib.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

constexpr size_t kMinChunk = size_t{4} << 10;
constexpr size_t kMaxChunk = size_t{256} << 10;
constexpr int kGzipWindow = MAX_WBITS + 16;  // zlib's way to ask for gzip
constexpr int kDeflateWindow = MAX_WBITS;

// Shows what gRPC's C structures say of a buffer, which its C++ class hides.
class Reader : public grpc::ProtoBufferReader {
 public:
  using ProtoBufferReader::ProtoBufferReader;
  grpc_compression_algorithm compression() {
    if (!status().ok()) return GRPC_COMPRESS_NONE;  // nothing in it
    return reader()->buffer_in->data.raw.compression;
  }
};

class Inflater {
 public:
  Inflater(grpc_compression_algorithm algorithm, size_t max_bytes)
      : max_bytes_(max_bytes) {
    ready_ = inflateInit2(&stream_, algorithm == GRPC_COMPRESS_GZIP
                                        ? kGzipWindow
                                        : kDeflateWindow) == Z_OK;
  }
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Inflates all that `reader` has, `compressed` bytes. Nothing where they are
  // damaged. Ends early, with an empty buffer, once TooLarge().
  std::optional<grpc::ByteBuffer> Run(Reader& reader, size_t compressed) {
    chunk_ = std::clamp(4 * compressed, kMinChunk, kMaxChunk);
    int result = ready_ ? Z_OK : Z_MEM_ERROR;
    while (result == Z_OK && !TooLarge() && Feed(reader)) result = Consume();
    if (TooLarge()) return grpc::ByteBuffer();
    const bool all = stream_.avail_in == 0 && !Feed(reader);
    if (result != Z_STREAM_END || !all) return std::nullopt;
    if (!chunks_.empty()) {
      chunks_.back() =
          chunks_.back().sub(0, chunks_.back().size() - stream_.avail_out);
    }
    return grpc::ByteBuffer(chunks_.data(), chunks_.size());
  }

  bool TooLarge() const { return stream_.total_out > max_bytes_; }

 private:
  // Whether there is more input. gRPC's slices may be empty.
  bool Feed(Reader& reader) {
    const void* data = nullptr;
    int size = 0;
    while (size == 0) {
      if (!reader.Next(&data, &size)) return false;
    }
    // zlib does not write to it.
    stream_.next_in = static_cast<Bytef*>(const_cast<void*>(data));
    stream_.avail_in = static_cast<uInt>(size);
    return true;
  }

  // What is at stream_.next_in.
  int Consume() {
    int result = Z_OK;
    while (result == Z_OK && !TooLarge() &&
           (stream_.avail_in > 0 || stream_.avail_out == 0)) {
      if (stream_.avail_out == 0) AddChunk();
      result = inflate(&stream_, Z_NO_FLUSH);
    }
    // No input was left for the room there was: more of it comes.
    return result == Z_BUF_ERROR && stream_.avail_in == 0 ? Z_OK : result;
  }

  void AddChunk() {
    grpc_slice slice = grpc_slice_malloc(chunk_);
    stream_.next_out = GRPC_SLICE_START_PTR(slice);
    stream_.avail_out = static_cast<uInt>(chunk_);
    chunks_.emplace_back(slice, grpc::Slice::STEAL_REF);
  }

  const size_t max_bytes_;
  size_t chunk_ = kMinChunk;
  z_stream stream_{};
  bool ready_ = false;
  std::vector<grpc::Slice> chunks_;
};

}  // namespace

bool IsCompressed(grpc::ByteBuffer& bytes) {
  return Reader(&bytes).compression() != GRPC_COMPRESS_NONE;
}

absl::Status Inflate(grpc::ByteBuffer& bytes, size_t max_bytes) {
  const size_t size = bytes.Length();
  std::optional<grpc::ByteBuffer> inflated;
  {
    Reader reader(&bytes);
    if (reader.compression() == GRPC_COMPRESS_NONE) return absl::OkStatus();
    Inflater inflater(reader.compression(), max_bytes);
    inflated = inflater.Run(reader, size);
    if (inflater.TooLarge()) {
      return MakeErrorWithDetails(
          absl::StatusCode::kResourceExhausted,
          absl::StrCat("request: ", size,
                       " compressed bytes that hold more "
                       "than ",
                       max_bytes, " are not accepted; must be at most ",
                       max_bytes, " bytes"),
          {.reason = "MESSAGE_TOO_LARGE",
           .field = "request",
           .retry_after = std::nullopt});
    }
  }
  if (!inflated) {
    return InvalidField("request", absl::StrCat(size, " compressed bytes"),
                        "whole and compressed as grpc-encoding says");
  }
  bytes.Swap(&*inflated);
  return absl::OkStatus();
}

}  // namespace timbre
