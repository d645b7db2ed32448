#include "client/cpp/status.h"

#include <gtest/gtest.h>

#include <string>

#include "server/base/errors.h"
#include "server/service/transport/status_mapper.h"
#include "tests/support/testing.h"

namespace timbre::client {
namespace {

TEST(StatusTest, DetailsComeBackAsTheyWereSent) {
  const absl::Status sent = MakeRetryableError(
      absl::StatusCode::kUnavailable, "DRAINING", "text", absl::Seconds(1));
  const absl::Status received = FromGrpcStatus(ToGrpcStatus(sent));
  EXPECT_EQ(received.code(), sent.code());
  EXPECT_EQ(DetailsOf(received).reason, "DRAINING");
  EXPECT_EQ(DetailsOf(received).retry_after, absl::Seconds(1));
  EXPECT_EQ(DetailsOf(FromGrpcStatus(ToGrpcStatus(InvalidField("f", "v", "a"))))
                .field,
            "f");
}

TEST(StatusTest, OfTwoVersionsOfOneStatusTheDetailsAreBelieved) {
  const absl::Status sent = InvalidField("speaker", "BAD NAME", "[a-z0-9]");
  for (const grpc::StatusCode code :
       {grpc::StatusCode::CANCELLED, grpc::StatusCode::INTERNAL,
        grpc::StatusCode::UNKNOWN, grpc::StatusCode::UNAVAILABLE}) {
    const grpc::Status mangled(code, "Received RST_STREAM with error code 8",
                               ToGrpcStatus(sent).error_details());
    const absl::Status received = FromGrpcStatus(mangled);
    EXPECT_EQ(received.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(received.message(), sent.message());
    EXPECT_EQ(DetailsOf(received).field, "speaker");
  }
}

TEST(StatusTest, DetailsThatAreNoneLeaveTheStatusAsItIs) {
  // Field 1, the code, is 99; and what does not parse at all.
  for (const std::string& details :
       {std::string("\x08\x63"), std::string("?")}) {
    const absl::Status received = FromGrpcStatus(
        grpc::Status(grpc::StatusCode::NOT_FOUND, "text", details));
    EXPECT_EQ(received.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(received.message(), "text");
  }
}

TEST(StatusTest, AnswersOfProxiesNameTheLikelyCause) {
  struct Case {
    grpc::StatusCode code;
    const char* text;
    absl::StatusCode expected;
    const char* reason;
    const char* said;
  };
  using Code = grpc::StatusCode;
  for (const Case& c : {
           Case{Code::UNKNOWN, "Received http2 header with status: 413",
                absl::StatusCode::kResourceExhausted, "BODY_TOO_LARGE",
                "client_max_body_size"},
           Case{Code::UNAVAILABLE, "Received http2 header with status: 502",
                absl::StatusCode::kUnavailable, "NO_SERVER_BEHIND",
                "reaches no server"},
           Case{Code::UNAVAILABLE, "Received http2 header with status: 504",
                absl::StatusCode::kUnavailable, "PROXY_TIMEOUT",
                "grpc_read_timeout"},
           Case{Code::PERMISSION_DENIED,
                "Received http2 header with status: 403",
                absl::StatusCode::kPermissionDenied, "PROXY_REFUSED",
                "HTTP status 403"},
           Case{Code::INTERNAL, "Bad GRPC frame type 0x3c",
                absl::StatusCode::kUnavailable, "NO_GRPC_ANSWER",
                "speaks no gRPC"},
           Case{Code::INTERNAL, "Received RST_STREAM with error code 2",
                absl::StatusCode::kUnavailable, "STREAM_CUT", "cut on its way"},
       }) {
    const absl::Status status = FromGrpcStatus(grpc::Status(c.code, c.text));
    EXPECT_EQ(status.code(), c.expected) << c.text;
    EXPECT_EQ(DetailsOf(status).reason, c.reason);
    EXPECT_NE(status.message().find(c.said), absl::string_view::npos)
        << status.message();
  }
}

TEST(StatusTest, WhatTheServerItselfSaysIsNoProxys) {
  const absl::Status status = FromGrpcStatus(grpc::Status(
      grpc::StatusCode::RESOURCE_EXHAUSTED, "Received RST_STREAM (calm)"));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "Received RST_STREAM (calm)");
}

}  // namespace
}  // namespace timbre::client
