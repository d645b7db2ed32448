#include "server/service/transport/inflate.h"

#include <grpc/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "server/base/errors.h"

namespace grpc::internal {

// gRPC's door for tests: a buffer as its core would deliver it.
class GrpcByteBufferPeer {
 public:
  static ByteBuffer Of(grpc_byte_buffer* buffer) {
    ByteBuffer made;
    made.set_buffer(buffer);
    return made;
  }
};

}  // namespace grpc::internal

namespace timbre {
namespace {

constexpr size_t kLimit = 1 << 20;

std::string Deflated(const std::string& text, bool gzip) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                         MAX_WBITS + (gzip ? 16 : 0), 8, Z_DEFAULT_STRATEGY),
            Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// In slices of `piece` bytes, with empty ones between and behind them.
grpc::ByteBuffer Received(const std::string& bytes, size_t piece,
                          grpc_compression_algorithm algorithm) {
  std::vector<grpc_slice> slices;
  for (size_t i = 0; i < bytes.size(); i += piece) {
    slices.push_back(grpc_slice_from_copied_buffer(
        bytes.data() + i, std::min(piece, bytes.size() - i)));
    slices.push_back(grpc_empty_slice());
  }
  auto buffer = grpc::internal::GrpcByteBufferPeer::Of(
      grpc_raw_compressed_byte_buffer_create(slices.data(), slices.size(),
                                             algorithm));
  for (const grpc_slice slice : slices) grpc_slice_unref(slice);
  return buffer;
}

std::string TextOf(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(bytes.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

std::string Random(size_t bytes) {
  std::mt19937 random(1);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random() % 7);
  return text;
}

TEST(InflateTest, WhatWasCompressedComesOutHoweverItIsCut) {
  for (const size_t bytes : {0, 1, 4095, 4096, 4097, 300'000}) {
    const std::string text = Random(bytes);
    for (const bool gzip : {false, true}) {
      const std::string compressed = Deflated(text, gzip);
      for (const size_t piece : {size_t{1}, size_t{7}, size_t{8192}}) {
        grpc::ByteBuffer buffer =
            Received(compressed, piece,
                     gzip ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_DEFLATE);
        EXPECT_TRUE(IsCompressed(buffer));
        ASSERT_TRUE(Inflate(buffer, kLimit).ok()) << bytes << " " << piece;
        EXPECT_FALSE(IsCompressed(buffer));
        EXPECT_EQ(TextOf(buffer), text);
      }
    }
  }
}

TEST(InflateTest, WhatIsNotCompressedStaysAsItIs) {
  grpc::Slice slice("text");
  grpc::ByteBuffer buffer(&slice, 1);
  EXPECT_FALSE(IsCompressed(buffer));
  ASSERT_TRUE(Inflate(buffer, 1).ok());
  EXPECT_EQ(TextOf(buffer), "text");
  grpc::ByteBuffer empty;
  EXPECT_FALSE(IsCompressed(empty));
  EXPECT_TRUE(Inflate(empty, 1).ok());
}

TEST(InflateTest, TheLimitIsExact) {
  const std::string compressed = Deflated(std::string(70'000, 'x'), true);
  grpc::ByteBuffer fits = Received(compressed, 8192, GRPC_COMPRESS_GZIP);
  EXPECT_TRUE(Inflate(fits, 70'000).ok());
  grpc::ByteBuffer too_large = Received(compressed, 8192, GRPC_COMPRESS_GZIP);
  const absl::Status status = Inflate(too_large, 69'999);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailsOf(status).reason, "MESSAGE_TOO_LARGE");
}

TEST(InflateTest, EveryCutAndEveryFlippedByteIsSeen) {
  const std::string whole = Deflated(Random(2000), true);
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    grpc::ByteBuffer cut =
        Received(whole.substr(0, bytes), 64, GRPC_COMPRESS_GZIP);
    EXPECT_EQ(Inflate(cut, kLimit).code(), absl::StatusCode::kInvalidArgument)
        << bytes;
  }
  // But for those of gzip's header that say when and where it was made.
  for (size_t i = 10; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(~flipped[i]);
    grpc::ByteBuffer buffer = Received(flipped, 64, GRPC_COMPRESS_GZIP);
    EXPECT_FALSE(Inflate(buffer, kLimit).ok()) << i;
  }
}

}  // namespace
}  // namespace timbre
