// The whole server in this process, over a real socket, driven by the C++
// client library. The Python suite beside it covers the contract; this one the
// library, and both under the sanitizers.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cpp/client.h"
#include "server/app/app.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using client::Client;
using client::FrameMatrix;
using testing::ExactSearch;
using testing::Speech;
using testing::TempDir;

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override { Start(); }

  void Start() {
    Config config;
    config.data_dir = dir_.File("data");
    config.listen = {"127.0.0.1:0"};
    config.metrics_listen = "127.0.0.1:0";
    config.log_level = LogLevel::kError;
    config.max_message_bytes = 64 << 20;
    config.drain_timeout = absl::Seconds(5);
    config.max_connection_age = absl::InfiniteDuration();
    auto app = App::Start(config);
    ASSERT_OK(app);
    app_ = *std::move(app);
    client_ =
        std::make_unique<Client>(absl::StrCat("127.0.0.1:", app_->grpc_port()));
  }

  absl::StatusOr<v1::SpeakerVersion> Build(const std::string& speaker,
                                           const FrameMatrix& frames,
                                           const std::string& factory = "") {
    v1::BuildOptions options;
    options.set_speaker(speaker);
    options.set_index_factory(factory);
    bool sent = false;
    return client_->Build(
        options,
        [&]() -> absl::StatusOr<std::optional<FrameMatrix>> {
          if (std::exchange(sent, true)) return std::optional<FrameMatrix>();
          return std::optional<FrameMatrix>(frames);
        },
        [](const v1::BuildProgress&) {});
  }

  TempDir dir_;
  std::unique_ptr<App> app_;
  std::unique_ptr<Client> client_;
};

TEST_F(ServerTest, BuildsSearchesBlendsAndExports) {
  const FrameMatrix frames = Speech(5000, 64, 1);
  const FrameMatrix queries = Speech(3000, 64, 2);
  const auto built = Build("alice", frames, "Flat");
  ASSERT_OK(built);
  EXPECT_EQ(built->frames(), 5000U);

  const auto found = client_->Search({"alice"}, {}, queries);
  ASSERT_OK(found);
  ASSERT_EQ(found->ids.data.size(), 3000U * 8);
  for (const uint64_t q : {0, 1499, 2999}) {
    const auto exact = ExactSearch(frames, queries.row(q), Metric::kL2, 8);
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_NEAR(found->distances.row(q)[i], exact.distances[i],
                  1e-5 * exact.distances[i]);
    }
  }

  v1::BlendParams params;
  params.set_index_rate(0);
  const auto kept = client_->Blend({"alice"}, params, queries);
  ASSERT_OK(kept);
  EXPECT_EQ(kept->frames.data, queries.data);
  EXPECT_EQ(kept->mean_shift, 0);

  std::string npy;
  ASSERT_OK(client_->Export({"alice"}, v1::EXPORT_FORMAT_NPY,
                            [&npy](const std::string& chunk) {
                              npy += chunk;
                              return absl::OkStatus();
                            }));
  EXPECT_EQ(npy, *ReadFile(dir_.File("data/speakers/alice/1/total_fea.npy")));
}

TEST_F(ServerTest, ASourceThatFailsPublishesNothing) {
  v1::BuildOptions options;
  options.set_speaker("alice");
  int calls = 0;
  const auto built = client_->Build(
      options,
      [&]() -> absl::StatusOr<std::optional<FrameMatrix>> {
        if (calls++ == 2) return absl::DataLossError("cannot read a file");
        return std::optional<FrameMatrix>(Speech(100, 32, 1));
      },
      [](const v1::BuildProgress&) {});
  EXPECT_EQ(built.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(client_->GetSpeaker("alice").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ServerTest, ErrorsComeWithTheirDetails) {
  const auto unknown = client_->Search({"nobody"}, {}, Speech(1, 32, 1));
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(DetailsOf(unknown.status()).reason, "SPEAKER_NOT_FOUND");
  v1::SearchParams params;
  params.set_k(5000);
  ASSERT_OK(Build("alice", Speech(10, 32, 1)));
  const auto bad = client_->Search({"alice"}, params, Speech(1, 32, 1));
  EXPECT_EQ(DetailsOf(bad.status()).field, "params.k");
}

TEST_F(ServerTest, VersionsSurviveARestart) {
  ASSERT_OK(Build("alice", Speech(100, 32, 1)));
  ASSERT_OK(Build("alice", Speech(200, 32, 1)));
  ASSERT_OK(client_->ActivateVersion({"alice", 1}));
  app_->Drain();
  app_ = nullptr;
  Start();
  const auto speaker = client_->GetSpeaker("alice");
  ASSERT_OK(speaker);
  EXPECT_EQ(speaker->active_version(), 1U);
  EXPECT_EQ(speaker->versions_size(), 2);
  EXPECT_TRUE(*client_->CheckHealth());
  ASSERT_OK(client_->DeleteVersion({"alice", 2}));
  ASSERT_OK(client_->DeleteSpeaker("alice"));
  EXPECT_TRUE(client_->ListSpeakers("")->empty());
}

TEST_F(ServerTest, StreamsGoOnWhileVoicesAreBuiltAndDeleted) {
  const FrameMatrix frames = Speech(2000, 32, 1);
  ASSERT_OK(Build("alice", frames, "IVF16,PQ16x4fs,RFlat"));
  const auto expected = client_->Blend({"alice", 1}, {}, frames);
  ASSERT_OK(expected);
  std::vector<std::thread> workers;
  for (int i = 0; i < 8; ++i) {
    workers.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        const auto blended = client_->Blend({"alice", 1}, {}, frames);
        ASSERT_OK(blended);
        ASSERT_EQ(blended->frames.data, expected->frames.data);
        if (i == 0) {
          ASSERT_OK(Build("bob", Speech(300, 32, 2)));
        }
        if (i == 1) client_->DeleteSpeaker("bob").IgnoreError();
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
}

TEST_F(ServerTest, DrainingWithCallsOfEveryKindOpenEnds) {
  ASSERT_OK(Build("alice", Speech(500, 32, 1)));
  std::vector<std::thread> callers;
  std::atomic<bool> stop = false;
  for (int i = 0; i < 6; ++i) {
    callers.emplace_back([&, i] {
      Client own(absl::StrCat("127.0.0.1:", app_->grpc_port()),
                 absl::Seconds(5));
      while (!stop) {
        absl::Status status;
        if (i % 3 == 0) {
          status = own.Blend({"alice"}, {}, Speech(400, 32, 2)).status();
        } else if (i % 3 == 1) {
          status = own.ListSpeakers("").status();
        } else {
          status =
              own.Export({"alice"}, v1::EXPORT_FORMAT_NPY,
                         [](const std::string&) { return absl::OkStatus(); });
        }
        if (!status.ok()) {
          EXPECT_TRUE(status.code() == absl::StatusCode::kUnavailable ||
                      status.code() == absl::StatusCode::kCancelled)
              << status;
          return;
        }
      }
    });
  }
  ASSERT_OK(client_->GetSpeaker("alice"));
  app_->Drain();
  stop = true;
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace timbre
