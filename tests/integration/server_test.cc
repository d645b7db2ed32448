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
  const auto kept = client_->Blend({"alice"}, {.params = params}, queries);
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

TEST_F(ServerTest, WarmOpensAVersionAndSaysWhich) {
  ASSERT_OK(Build("alice", Speech(500, 64, 1)));
  ASSERT_OK(Build("alice", Speech(500, 64, 2)));
  client_.reset();
  app_.reset();
  Start();  // nothing is open
  const auto loaded = [this] {
    std::vector<bool> found;
    const auto speaker = client_->GetSpeaker("alice");
    EXPECT_TRUE(speaker.ok());
    for (const v1::SpeakerVersion& version : speaker->versions()) {
      found.push_back(version.loaded());
    }
    return found;
  };
  EXPECT_EQ(loaded(), (std::vector<bool>{false, false}));
  const auto active = client_->Warm({"alice"});
  ASSERT_OK(active);
  EXPECT_EQ(*active, 2U);
  EXPECT_EQ(loaded(), (std::vector<bool>{false, true}));
  const auto named = client_->Warm({"alice", 1});
  ASSERT_OK(named);
  EXPECT_EQ(*named, 1U);  // and closed again: nobody uses it
  EXPECT_EQ(client_->Warm({"nobody"}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ServerTest, StoredFramesAreReadInOrderOrAsListed) {
  const FrameMatrix frames = Speech(3000, 64, 1);
  ASSERT_OK(Build("alice", frames));
  const auto all = client_->ReadFrames({"alice"});
  ASSERT_OK(all);
  EXPECT_EQ(all->rows, 3000U);
  EXPECT_EQ(all->data, frames.data);
  const auto some = client_->ReadFrames({"alice", 1}, 2998, 2);
  ASSERT_OK(some);
  EXPECT_EQ(some->data, std::vector<float>(frames.row(2998), frames.row(3000)));
  const auto listed = client_->ReadFramesById({"alice"}, {7, 0});
  ASSERT_OK(listed);
  EXPECT_EQ(listed->data[0], frames.row(7)[0]);
  EXPECT_EQ(listed->data[64], frames.row(0)[0]);
  EXPECT_EQ(client_->ReadFramesById({"alice"}, {})->rows, 0U);
  EXPECT_EQ(
      DetailsOf(client_->ReadFramesById({"alice"}, {3000}).status()).field,
      "ids");
}

TEST_F(ServerTest, RatesPerFrameAndHalfPrecisionReplies) {
  const FrameMatrix frames = Speech(2000, 256, 1);
  const FrameMatrix queries = Speech(3000, 256, 2);  // several messages
  ASSERT_OK(Build("alice", frames, "Flat"));
  client::BlendOptions options;
  for (uint64_t i = 0; i < queries.rows; ++i) {
    options.frame_index_rates.push_back(i % 2 == 0 ? 0.0F : 1.0F);
  }
  v1::BlendParams whole;
  whole.set_index_rate(1);
  const auto mixed = client_->Blend({"alice"}, options, queries);
  const auto full = client_->Blend({"alice"}, {.params = whole}, queries);
  ASSERT_OK(mixed);
  ASSERT_OK(full);
  for (const uint64_t i : {0, 1023, 1024, 1025, 2048, 2999}) {
    const FrameMatrix& wanted = i % 2 == 0 ? queries : full->frames;
    EXPECT_EQ(
        std::vector<float>(mixed->frames.row(i), mixed->frames.row(i + 1)),
        std::vector<float>(wanted.row(i), wanted.row(i + 1)))
        << i;
  }
  options.reply_element_type = v1::ELEMENT_TYPE_FLOAT16;
  const auto half = client_->Blend({"alice"}, options, queries);
  ASSERT_OK(half);
  ASSERT_EQ(half->frames.data.size(), mixed->frames.data.size());
  for (size_t i = 0; i < half->frames.data.size(); i += 997) {
    EXPECT_NEAR(half->frames.data[i], mixed->frames.data[i],
                1e-3 * std::abs(mixed->frames.data[i]) + 1e-6);
  }
  options.frame_index_rates.pop_back();
  EXPECT_EQ(
      DetailsOf(client_->Blend({"alice"}, options, queries).status()).field,
      "frame_index_rates");
}

TEST_F(ServerTest, AnOpenStreamAnswersAgainAndAgainFromItsVersion) {
  const FrameMatrix frames = Speech(500, 32, 1);
  ASSERT_OK(Build("alice", frames, "Flat"));
  client::SearchStream search = client_->OpenSearch({"alice"});
  client::BlendStream blend = client_->OpenBlend({"alice"});
  v1::SearchParams three;
  three.set_k(3);
  ASSERT_EQ(search.Search(frames, three)->ids.columns, 3U);
  const auto before = blend.Blend(frames);
  ASSERT_OK(before);
  ASSERT_OK(Build("alice", Speech(500, 32, 2), "Flat"));
  for (int i = 0; i < 10; ++i) {
    const auto found = search.Search(frames);
    ASSERT_OK(found);
    EXPECT_EQ(found->version, 1U);
    EXPECT_EQ(found->effective.k(), 3U) << "parameters hold";
    EXPECT_EQ(found->distances.data[0], 0);
    const auto after = blend.Blend(frames);
    ASSERT_OK(after);
    EXPECT_EQ(after->frames.data, before->frames.data);
    EXPECT_EQ(after->effective.search().k(), 8U);
  }
  EXPECT_TRUE(blend.Close().ok());
  three.set_k(5000);
  EXPECT_EQ(DetailsOf(search.Search(frames, three).status()).field, "params.k");
  EXPECT_EQ(search.Search(frames).status().code(),
            absl::StatusCode::kInvalidArgument)
      << "an ended stream says why it ended";
  EXPECT_EQ(search.Close().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client_->OpenSearch({"nobody"}).Search(frames).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ServerTest, AnOpenStreamMixesTheVoicesThatItIsGiven) {
  ASSERT_OK(Build("alice", Speech(500, 32, 1), "Flat"));
  ASSERT_OK(Build("bob", Speech(500, 32, 2), "Flat"));
  const FrameMatrix frames = Speech(100, 32, 3);
  const client::BlendOptions even = {
      .voices = {{.voice = {"alice"}}, {.voice = {"bob"}}}};
  const client::BlendOptions uneven = {
      .voices = {{.voice = {"alice"}, .weight = 1},
                 {.voice = {"bob"}, .weight = 3}}};
  const auto at_once = client_->Blend({}, even, frames);
  const auto otherwise = client_->Blend({}, uneven, frames);
  ASSERT_OK(at_once);
  ASSERT_OK(otherwise);
  for (const client::VoiceRef& opened_for :
       {client::VoiceRef{"alice"}, client::VoiceRef{}}) {
    client::BlendStream stream = client_->OpenBlend(opened_for);
    const auto mixed = stream.Blend(frames, even);
    ASSERT_OK(mixed);
    EXPECT_EQ(mixed->frames.data, at_once->frames.data);
    EXPECT_EQ(mixed->versions, std::vector<uint64_t>({1, 1}));
    EXPECT_EQ(mixed->version, 0U);
    EXPECT_EQ(stream.Blend(frames)->frames.data, at_once->frames.data)
        << "voices hold";
    EXPECT_EQ(stream.Blend(frames, uneven)->frames.data,
              otherwise->frames.data);
    EXPECT_TRUE(stream.Close().ok());
  }
  client::BlendStream single = client_->OpenBlend({"alice"});
  ASSERT_OK(single.Blend(frames));
  EXPECT_EQ(DetailsOf(single.Blend(frames, even).status()).field, "voices");
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
          // Lost to the deletion, or not: the contract allows both.
          const auto built = Build("bob", Speech(300, 32, 2)).status();
          ASSERT_TRUE(built.ok() || absl::IsAborted(built)) << built;
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

TEST_F(ServerTest, VerifyNamesWhatIsDamagedAndItsStreamsEnd) {
  const FrameMatrix frames = Speech(500, 32, 1);
  ASSERT_OK(Build("alice", frames));
  ASSERT_OK(Build("bob", frames));
  std::vector<std::string> damaged;
  uint64_t done = 0;
  const auto hear = [&](const v1::VerifyResponse& response) {
    done = response.bytes_done();
    if (!response.damage().empty()) damaged.push_back(response.speaker());
    return absl::OkStatus();
  };
  ASSERT_OK(client_->Verify("", hear));
  EXPECT_TRUE(damaged.empty());
  EXPECT_GT(done, 2 * frames.data.size());
  client::SearchStream held = client_->OpenSearch({"bob"});
  ASSERT_OK(held.Search(frames));

  const std::string path = dir_.File("data/speakers/bob/1/total_fea.npy");
  std::string contents = *ReadFile(path);
  contents[contents.size() / 2] ^= 1;
  ASSERT_OK(WriteFileDurably(path, contents));
  ASSERT_OK(client_->Verify("", hear));
  EXPECT_EQ(damaged, std::vector<std::string>({"bob"}));
  EXPECT_TRUE(absl::IsDataLoss(held.Search(frames).status()));
  EXPECT_TRUE(absl::IsDataLoss(client_->Search({"bob"}, {}, frames).status()));
  ASSERT_OK(client_->Search({"alice"}, {}, frames));

  EXPECT_TRUE(absl::IsNotFound(client_->Verify("nobody", hear)));
  EXPECT_TRUE(
      absl::IsAborted(client_->Verify("", [](const v1::VerifyResponse&) {
        return absl::AbortedError("seen enough");
      })));
}

}  // namespace
}  // namespace timbre
