// frame_codec, message_codec, page_token, status_mapper.
#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <random>

#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/half.h"
#include "server/service/contract/frame_codec.h"
#include "server/service/contract/page_token.h"
#include "server/service/transport/message_codec.h"
#include "server/service/transport/status_mapper.h"
#include "timbre/rpc/status.pb.h"

namespace timbre {
namespace {

v1::Frames Frames(const std::vector<float>& values, uint32_t dimension) {
  v1::Frames frames;
  frames.set_dimension(dimension);
  frames.set_data(values.data(), values.size() * sizeof(float));
  return frames;
}

std::string FieldOf(const v1::Frames& frames, uint32_t dimension) {
  FrameBatch batch;
  const absl::Status status =
      DecodeFrames(frames, dimension, BestKernels(), batch);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return DetailsOf(status).field;
}

TEST(FrameCodecTest, FloatsSurviveTheRoundTrip) {
  const std::vector<float> values = {1, -2.5F, 0, 1e15F, -1e-40F, 3};
  FrameBatch batch;
  ASSERT_TRUE(DecodeFrames(Frames(values, 3), 3, BestKernels(), batch).ok());
  EXPECT_EQ(batch.rows, 2U);
  EXPECT_EQ(batch.data, values);
  v1::Frames out;
  EncodeFrames(batch.data.data(), 2, 3, ElementType::kFloat32, BestKernels(),
               out);
  EXPECT_EQ(out.data(), Frames(values, 3).data());
  EXPECT_EQ(out.element_type(), v1::ELEMENT_TYPE_FLOAT32);
}

TEST(FrameCodecTest, HalvesAreReadAndRepliesSaturate) {
  v1::Frames frames;
  const std::vector<float> values = {1e6F, -1e6F, 0.1F, 2};
  EncodeFrames(values.data(), 2, 2, ElementType::kFloat16, BestKernels(),
               frames);
  EXPECT_EQ(frames.data().size(), 8U);
  FrameBatch batch;
  ASSERT_TRUE(DecodeFrames(frames, 2, BestKernels(), batch).ok());
  EXPECT_EQ(batch.data, (std::vector<float>{
                            65504, -65504, HalfToFloat(FloatToHalf(0.1F)), 2}));
  EXPECT_EQ(batch.element_type, ElementType::kFloat16);
}

TEST(FrameCodecTest, RatesAreOnePerFrameAndShares) {
  std::vector<float> rates;
  ASSERT_TRUE(DecodeRates("", 2, 0.75F, rates).ok());
  EXPECT_EQ(rates, (std::vector<float>{0.75F, 0.75F}));
  const auto decode = [&rates](std::vector<float> sent) {
    return DecodeRates({reinterpret_cast<const char*>(sent.data()),
                        sent.size() * sizeof(float)},
                       2, 0.75F, rates);
  };
  ASSERT_TRUE(decode({0, 1}).ok());
  EXPECT_EQ(rates, (std::vector<float>{0, 1}));
  for (const std::vector<float>& bad :
       {std::vector<float>{0.5F}, std::vector<float>{0, 0, 0},
        std::vector<float>{0, 1.5F}, std::vector<float>{NAN, 0}}) {
    EXPECT_EQ(DetailsOf(decode(bad)).field, "frame_index_rates");
  }
}

TEST(FrameCodecTest, NoDataAreNoRowsOfAnyDimension) {
  FrameBatch batch;
  EXPECT_TRUE(DecodeFrames(v1::Frames(), 256, BestKernels(), batch).ok());
  EXPECT_EQ(batch.rows, 0U);
  EXPECT_TRUE(DecodeFrames(Frames({}, 256), 256, BestKernels(), batch).ok());
  EXPECT_EQ(batch.rows, 0U);
}

TEST(FrameCodecTest, ShapesThatAreWrongAreRefused) {
  EXPECT_EQ(FieldOf(Frames({1, 2, 3}, 2), 2), "frames.data");
  EXPECT_EQ(FieldOf(Frames({1, 2, 3, 4}, 4), 2), "frames.dimension");
  EXPECT_EQ(FieldOf(Frames({1, 2}, 0), 0), "frames.dimension");
  EXPECT_EQ(FieldOf(Frames({1}, 1), 0), "frames.dimension");
  EXPECT_EQ(FieldOf(Frames({1, 2}, 4'000'000'000U), 0), "frames.dimension");
  EXPECT_EQ(FieldOf(Frames({}, 5), 2), "frames.dimension");
  v1::Frames odd = Frames({1, 2}, 2);
  odd.mutable_data()->pop_back();
  EXPECT_EQ(FieldOf(odd, 2), "frames.data");
  v1::Frames unknown = Frames({1, 2}, 2);
  unknown.set_element_type(static_cast<v1::ElementType>(9));
  EXPECT_EQ(FieldOf(unknown, 2), "frames.element_type");
}

TEST(FrameCodecTest, ValuesThatBreakArithmeticAreRefusedWithTheirPlace) {
  for (const float bad : {NAN, INFINITY, -INFINITY, 3e38F, -2e15F}) {
    FrameBatch batch;
    const absl::Status status =
        DecodeFrames(Frames({1, 2, 3, 4, 5, bad}, 3), 3, BestKernels(), batch);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("row 1, column 2"), absl::string_view::npos)
        << status;
  }
}

TEST(FrameCodecTest, WhateverIsSentIsDecodedWholeOrRefused) {
  std::mt19937 random(11);
  FrameBatch batch;
  for (int i = 0; i < 20'000; ++i) {
    v1::Frames frames;
    frames.set_dimension(random() % 8 == 0 ? random() : random() % 9);
    frames.set_element_type(static_cast<v1::ElementType>(random() % 4));
    std::string data(random() % 80, '\0');
    for (char& c : data) c = static_cast<char>(random());
    frames.set_data(data);
    const uint32_t expected = random() % 2 == 0 ? 0 : random() % 9;
    const absl::Status status =
        DecodeFrames(frames, expected, BestKernels(), batch);
    if (!status.ok()) {
      ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      ASSERT_FALSE(DetailsOf(status).field.empty());
      continue;
    }
    ASSERT_EQ(batch.data.size(), batch.rows * frames.dimension());
    for (const float x : batch.data) ASSERT_LE(std::fabs(x), kMaxMagnitude);
  }
}

TEST(MessageCodecTest, RandomBytesNeverCrash) {
  std::mt19937 random(12);
  for (int i = 0; i < 5'000; ++i) {
    std::string data(random() % 60, '\0');
    for (char& c : data) c = static_cast<char>(random() % 40);
    const grpc::Slice slice(data);
    grpc::ByteBuffer bytes(&slice, 1);
    v1::BuildRequest request;
    const absl::Status status = ParseMessage(bytes, request);
    ASSERT_TRUE(status.ok() || !DetailsOf(status).field.empty());
  }
}

TEST(MessageCodecTest, MessagesSurviveTheRoundTrip) {
  v1::SearchRequest request;
  request.set_speaker("alice");
  grpc::ByteBuffer bytes = SerializeMessage(request);
  v1::SearchRequest parsed;
  ASSERT_TRUE(ParseMessage(bytes, parsed).ok());
  EXPECT_EQ(parsed.speaker(), "alice");
}

grpc::ByteBuffer Bytes(const std::string& text) {
  const grpc::Slice slice(text);
  return {&slice, 1};
}

TEST(MessageCodecTest, GarbageIsRefused) {
  grpc::ByteBuffer bytes = Bytes("\xff\xff\xff\xff garbage");
  v1::SearchRequest parsed;
  const absl::Status status = ParseMessage(bytes, parsed);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailsOf(status).field, "request");
}

TEST(MessageCodecTest, AStringThatIsNotUtf8IsNamedEvenInside) {
  grpc::ByteBuffer top = Bytes("\x0a\x02\xff\xfe");
  v1::SearchRequest search;
  EXPECT_EQ(DetailsOf(ParseMessage(top, search)).field, "speaker");
  // BuildRequest.options (1) . speaker (1)
  grpc::ByteBuffer inner = Bytes(std::string("\x0a\x04\x0a\x02\xff\xfe", 6));
  v1::BuildRequest build;
  EXPECT_EQ(DetailsOf(ParseMessage(inner, build)).field, "options.speaker");
}

TEST(MessageCodecTest, MessagesThatWouldExplodeAreRefusedUnparsed) {
  std::string voices;  // 4 MB of empty voices
  for (int i = 0; i < 2'000'000; ++i) voices += std::string("\x3a\x00", 2);
  grpc::ByteBuffer many = Bytes(voices);
  v1::BlendRequest blend;
  EXPECT_EQ(ParseMessage(many, blend).code(),
            absl::StatusCode::kResourceExhausted);
  std::string group = "\xc3\x3e";  // of no field that is known
  for (int i = 0; i < 1'000; ++i) group += std::string("\x0a\x00", 2);
  grpc::ByteBuffer grouped = Bytes(group + "\xc4\x3e");
  EXPECT_EQ(DetailsOf(ParseMessage(grouped, blend)).field, "request");
  grpc::ByteBuffer large = Bytes(std::string(100, 'x'));
  v1::GetSpeakerRequest get;
  EXPECT_EQ(ParseMessage(large, get, 99).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(PageTokenTest, TokensSurviveTheRoundTripForTheirPrefixAlone) {
  const std::string token = MakePageToken("al", "alice");
  EXPECT_EQ(*ParsePageToken("al", token), "alice");
  EXPECT_FALSE(ParsePageToken("", token).ok());
  EXPECT_EQ(*ParsePageToken("al", ""), "");
}

TEST(PageTokenTest, ForgedTokensAreRefused) {
  for (const std::string& token :
       {std::string("x"), std::string("alice"), std::string("YWxpY2U"),
        std::string(10'000, 'A'), std::string("\0\0", 2)}) {
    EXPECT_EQ(DetailsOf(ParsePageToken("", token).status()).field,
              "page_token");
  }
}

TEST(StatusMapperTest, DetailsBecomeGooglesMessages) {
  const grpc::Status mapped =
      ToGrpcStatus(InvalidField("params.k", "0", "1..1024"));
  EXPECT_EQ(mapped.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  rpc::Status status;
  ASSERT_TRUE(status.ParseFromString(mapped.error_details()));
  ASSERT_EQ(status.details_size(), 2);
  EXPECT_EQ(status.details(0).type_url(),
            "type.googleapis.com/google.rpc.ErrorInfo");
  rpc::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(status.details(0).value()));
  EXPECT_EQ(info.reason(), "INVALID_FIELD");
  EXPECT_EQ(info.domain(), "timbre");
  rpc::BadRequest bad;
  ASSERT_TRUE(bad.ParseFromString(status.details(1).value()));
  EXPECT_EQ(bad.field_violations(0).field(), "params.k");
}

TEST(StatusMapperTest, RetryHintsBecomeRetryInfo) {
  const grpc::Status mapped = ToGrpcStatus(
      MakeRetryableError(absl::StatusCode::kUnavailable, "DRAINING", "text",
                         absl::Milliseconds(1500)));
  rpc::Status status;
  ASSERT_TRUE(status.ParseFromString(mapped.error_details()));
  rpc::RetryInfo retry;
  ASSERT_TRUE(retry.ParseFromString(status.details(1).value()));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(StatusMapperTest, AnUnknownOutcomeSaysSoAndIsNotToBeRepeatedBlindly) {
  const grpc::Status mapped =
      ToGrpcStatus(OutcomeUnknown(FileError(EIO, "fsync", "x")));
  EXPECT_EQ(mapped.error_code(), grpc::StatusCode::UNKNOWN);
  rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(mapped.error_details()));
  ASSERT_EQ(details.details_size(), 1);
  rpc::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(details.details(0).value()));
  EXPECT_EQ(info.reason(), "OUTCOME_UNKNOWN");
}

}  // namespace
}  // namespace timbre
