#include "server/objects/s3_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/monotonic_clock.h"
#include "tests/objects/scripted_server.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using Request = ScriptedServer::Request;
using testing::TempDir;

constexpr uint64_t kPiece = 8 << 20;
constexpr char kUploadBegun[] =
    "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
    "</InitiateMultipartUploadResult>";

std::string ErrorBody(const std::string& code) {
  return absl::StrCat("<Error><Code>", code, "</Code><Message>m</Message>",
                      "</Error>");
}

class S3StoreTest : public ::testing::Test {
 protected:
  void Start(ScriptedServer::Script script) {
    server_ = std::make_unique<ScriptedServer>(std::move(script));
    Connect(server_->url());
  }
  void Connect(const std::string& url,
               absl::Duration timeout = absl::Seconds(5)) {
    store_ = *S3Store::Create(
        {.target = *S3Target::Parse("s3://bucket/p", url, "", true),
         .credentials = {.fixed = Credentials{"a", "b", ""}},
         .timeout = timeout,
         .observe = [this](const absl::Status& status) { told_ = status; }});
  }
  absl::StatusOr<std::string> PutAbsent() {
    return store_->Put("k", "bytes", Condition::Absent(), {});
  }
  absl::StatusOr<std::optional<Object>> Get() {
    return store_->Get("k", "", 100, {});
  }
  std::string ReasonOf(const absl::Status& status) {
    return DetailsOf(status).reason;
  }

  absl::Status told_;
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<S3Store> store_;
};

TEST_F(S3StoreTest, WhatFailsForAMomentIsRepeated) {
  for (const int status : {500, 502, 503, 504, 429, 408}) {
    Start([&](const Request& request) {
      return request.number < 2 ? Answer(status)
                                : Answer(200, "bytes", "ETag: \"e\"\r\n");
    });
    const auto got = Get();
    ASSERT_OK(got);
    EXPECT_EQ((*got)->bytes, "bytes");
    EXPECT_EQ((*got)->etag, "e");
    EXPECT_EQ(server_->requests().size(), 3U) << status;
  }
  // A body that was cut is no answer.
  Start([&](const Request& request) {
    const std::string answer = Answer(200, "bytes");
    return request.number == 0 ? answer.substr(0, answer.size() - 1) : answer;
  });
  ASSERT_OK(Get());
}

TEST_F(S3StoreTest, RepetitionsHaveTheSameBytesUnderTheSameCondition) {
  Start([&](const Request& request) {
    return request.number == 0 ? ScriptedServer::kClose
                               : Answer(200, "", "ETag: \"e\"\r\n");
  });
  ASSERT_OK(store_->Put("k", "bytes", Condition::Etag("old"), {}));
  const auto requests = server_->requests();
  ASSERT_EQ(requests.size(), 2U);
  for (const Request& request : requests) {
    EXPECT_EQ(request.target, "/bucket/p/k");
    EXPECT_EQ(request.body, "bytes");
    EXPECT_NE(request.head.find("if-match: \"old\""), std::string::npos);
  }
}

TEST_F(S3StoreTest, AWriteThatMayHaveBeenDoneIsUnknown) {
  // 412 to a repetition may be the doing of the first.
  for (const auto& first : {Answer(500), Answer(503), ScriptedServer::kClose}) {
    Start([&](const Request& request) {
      return request.number == 0 ? first
                                 : Answer(412, ErrorBody("PreconditionFailed"));
    });
    EXPECT_EQ(ReasonOf(PutAbsent().status()), "OUTCOME_UNKNOWN");
  }
  Start([](const Request&) {
    return Answer(409, ErrorBody("ConditionalRequestConflict"));
  });
  EXPECT_EQ(ReasonOf(PutAbsent().status()), "OUTCOME_UNKNOWN");
  EXPECT_EQ(server_->requests().size(), 1U);
  Start([](const Request&) { return ScriptedServer::kClose; });
  EXPECT_EQ(ReasonOf(PutAbsent().status()), "OUTCOME_UNKNOWN");
  Start([](const Request&) { return ScriptedServer::kSilence; });
  Connect(server_->url(), absl::Seconds(1));
  EXPECT_EQ(ReasonOf(PutAbsent().status()), "OUTCOME_UNKNOWN");
}

TEST_F(S3StoreTest, AWriteThatWasNeverSentIsUnavailable) {
  Connect(DeadUrl());
  const absl::Status status = PutAbsent().status();
  EXPECT_EQ(ReasonOf(status), "STORE_UNAVAILABLE");
  EXPECT_EQ(DetailsOf(status).retry_after, absl::Seconds(1));
  EXPECT_TRUE(absl::IsUnavailable(status));
}

TEST_F(S3StoreTest, AConditionThatDoesNotHoldIsDefinite) {
  for (const int status : {412, 404}) {
    Start(
        [&](const Request&) { return Answer(status, ErrorBody("NoSuchKey")); });
    EXPECT_TRUE(absl::IsFailedPrecondition(PutAbsent().status()));
    EXPECT_EQ(server_->requests().size(), 1U);
  }
}

TEST_F(S3StoreTest, DefiniteErrorsAreToldApart) {
  const auto reason_of = [&](int status, const std::string& code) {
    Start([&](const Request&) { return Answer(status, ErrorBody(code)); });
    const absl::Status got = Get().status();
    EXPECT_EQ(server_->requests().size(), 1U);
    EXPECT_NE(got.message().find(code), std::string::npos);
    EXPECT_FALSE(store_->availability().away_since().has_value());
    return ReasonOf(got);
  };
  EXPECT_EQ(reason_of(404, "NoSuchKey"), "NO_SUCH_OBJECT");
  EXPECT_EQ(reason_of(404, "NoSuchBucket"), "NO_SUCH_BUCKET");
  EXPECT_EQ(reason_of(403, "SignatureDoesNotMatch"), "STORE_DENIED");
  EXPECT_EQ(reason_of(400, "InvalidRequest"), "STORE_ERROR");
  EXPECT_EQ(reason_of(301, "PermanentRedirect"), "STORE_ERROR");
  EXPECT_EQ(reason_of(501, "NotImplemented"), "STORE_ERROR");
  Start([](const Request&) { return Answer(200, std::string(101, 'a')); });
  EXPECT_TRUE(absl::IsOutOfRange(Get().status()));
}

TEST_F(S3StoreTest, AfterThreeFailuresNobodyWaits) {
  std::atomic<bool> works = false;
  Start([&](const Request&) { return works ? Answer(200) : Answer(503); });
  EXPECT_EQ(ReasonOf(Get().status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(server_->requests().size(), 3U);
  EXPECT_FALSE(told_.ok());
  EXPECT_TRUE(store_->availability().away_since().has_value());
  // What is not sent is not done.
  EXPECT_EQ(ReasonOf(PutAbsent().status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(server_->requests().size(), 3U);
  works = true;
  while (!Get().ok()) std::this_thread::yield();
  EXPECT_EQ(server_->requests().size(), 4U);
  EXPECT_TRUE(told_.ok());
  ASSERT_OK(PutAbsent());
}

TEST_F(S3StoreTest, AStoreThatNeverAnswersCostsTheTimeoutAtMost) {
  Start([](const Request&) { return ScriptedServer::kSilence; });
  Connect(server_->url(), absl::Seconds(1));
  EXPECT_EQ(ReasonOf(Get().status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(server_->requests().size(), 1U);
  const TempDir directory;
  std::ofstream(directory.File("f")) << "frames";
  EXPECT_EQ(ReasonOf(store_->PutFile("k", directory.File("f"), {})),
            "STORE_UNAVAILABLE");
  EXPECT_EQ(ReasonOf(store_->GetFile(
                "k", 5, [](auto) { return absl::OkStatus(); }, {})),
            "STORE_UNAVAILABLE");
}

TEST_F(S3StoreTest, CredentialsThatHaveExpiredAreReplacedOnce) {
  Start([](const Request&) { return Answer(400, ErrorBody("ExpiredToken")); });
  EXPECT_EQ(ReasonOf(Get().status()), "STORE_DENIED");
  EXPECT_EQ(server_->requests().size(), 2U);
}

// Of an object of 'a', 'b' ... piece by piece.
std::string PieceOf(const Request& request, uint64_t bytes) {
  const size_t at = request.head.find("range: bytes=");
  const uint64_t begin = strtoull(request.head.c_str() + at + 13, nullptr, 10);
  const uint64_t size = std::min(kPiece, bytes - begin);
  return Answer(206, std::string(size, static_cast<char>('a' + begin / kPiece)),
                absl::StrCat("Content-Range: bytes ", begin, "-",
                             begin + size - 1, "/", bytes, "\r\n"));
}

TEST_F(S3StoreTest, PiecesOfAFileComeInOrderWhateverFails) {
  constexpr uint64_t kBytes = 6 * kPiece + 5;
  std::atomic<int> cut = 0;
  Start([&](const Request& request) {
    const std::string piece = PieceOf(request, kBytes);
    // Fewer than make the store away.
    if (request.number % 2 == 1 && cut++ < 2) {
      return cut == 2 ? Answer(503) : piece.substr(0, piece.size() / 2);
    }
    return piece;
  });
  std::string order;
  uint64_t bytes = 0;
  ASSERT_OK(store_->GetFile("k", kBytes,
                            [&](absl::string_view piece) {
                              order += piece.front();
                              bytes += piece.size();
                              EXPECT_EQ(piece.front(), piece.back());
                              return absl::OkStatus();
                            },
                            {}));
  EXPECT_EQ(order, "abcdefg");
  EXPECT_EQ(bytes, kBytes);
}

TEST_F(S3StoreTest, AFileOfAnotherSizeIsDamaged) {
  const auto ignore = [](absl::string_view) { return absl::OkStatus(); };
  for (const uint64_t real : {uint64_t{4}, uint64_t{6}}) {
    Start([&](const Request&) {
      return Answer(206, std::string(std::min<uint64_t>(real, 5), 'a'),
                    absl::StrCat("Content-Range: bytes 0-4/", real, "\r\n"));
    });
    EXPECT_TRUE(absl::IsDataLoss(store_->GetFile("k", 5, ignore, {})));
  }
  Start([](const Request&) { return Answer(416, ErrorBody("InvalidRange")); });
  EXPECT_TRUE(absl::IsDataLoss(store_->GetFile("k", 5, ignore, {})));
}

TEST_F(S3StoreTest, WhoTakesAFileMayEndIt) {
  Start([](const Request& request) { return PieceOf(request, 100 * kPiece); });
  const absl::Status full = absl::ResourceExhaustedError("disk");
  EXPECT_EQ(store_->GetFile("k", 100 * kPiece,
                            [&](absl::string_view) { return full; }, {}),
            full);
  EXPECT_LT(server_->requests().size(), 20U);
}

TEST_F(S3StoreTest, AnUploadWhoseEndWasLostIsFoundDone) {
  const TempDir directory;
  std::ofstream(directory.File("f")) << std::string(kPiece + 1, 'a');
  Start([&](const Request& request) {
    if (request.method == "HEAD") {
      return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", kPiece + 1,
                          "\r\n\r\n");
    }
    if (request.target == "/bucket/p/k?uploads=") {
      return Answer(200, kUploadBegun);
    }
    if (request.method == "PUT") return Answer(200, "", "ETag: \"e\"\r\n");
    return Answer(404, ErrorBody("NoSuchUpload"));
  });
  ASSERT_OK(store_->PutFile("k", directory.File("f"), {}));
}

TEST_F(S3StoreTest, AnUploadThatFailsIsGivenBack) {
  const TempDir directory;
  std::ofstream(directory.File("f")) << std::string(kPiece + 1, 'a');
  Start([&](const Request& request) {
    if (request.method == "HEAD") return Answer(404);
    if (request.method == "DELETE") return Answer(204);
    if (request.target == "/bucket/p/k?uploads=") {
      return Answer(200, kUploadBegun);
    }
    if (request.method == "PUT") return Answer(200, "", "ETag: \"e\"\r\n");
    // After a status that promised more.
    return Answer(200, ErrorBody("InternalError"));
  });
  EXPECT_EQ(ReasonOf(store_->PutFile("k", directory.File("f"), {})),
            "STORE_UNAVAILABLE");
  EXPECT_EQ(server_->requests().back().method, "DELETE");
  EXPECT_EQ(server_->requests().back().target, "/bucket/p/k?uploadId=u");
}

}  // namespace
}  // namespace timbre
