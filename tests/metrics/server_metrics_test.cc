#include "server/metrics/server_metrics.h"

#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <cmath>

namespace timbre {
namespace {

std::string Scrape(const ServerMetrics& metrics) {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& collectable : metrics.Collectables()) {
    for (auto& family : collectable->Collect()) {
      families.push_back(std::move(family));
    }
  }
  return prometheus::TextSerializer().Serialize(families);
}

TEST(ServerMetricsTest, NprobeIsRoundedUpToABoundedLabel) {
  EXPECT_EQ(NprobeLabel(std::nullopt), 0U);
  EXPECT_EQ(NprobeLabel(1), 1U);
  EXPECT_EQ(NprobeLabel(2), 2U);
  EXPECT_EQ(NprobeLabel(3), 3U);
  EXPECT_EQ(NprobeLabel(4), 3U);
  EXPECT_EQ(NprobeLabel(65), 8U);
  EXPECT_EQ(NprobeLabel(128), 8U);
  EXPECT_EQ(NprobeLabel(129), 9U);
  EXPECT_EQ(NprobeLabel(4'000'000'000U), 9U);
}

TEST(ServerMetricsTest, SeriesHaveTheNamesThatOperatorsWatch) {
  ServerMetrics metrics({"1.0", "1.7.3", "avx2"});
  metrics.SetScrapedValues([] {
    return ScrapedValues{.speakers = 3,
                         .versions_open = 2,
                         .max_resident_bytes = 10,
                         .last_closed_age = INFINITY,
                         .closings = {5, 6, 7, 8, 9}};
  });
  metrics.CountOpening(1);
  metrics.ObserveOpening(OpenedFrom::kDisk, absl::Milliseconds(3));
  metrics.ObserveMessage(Rpc::kSearch, NprobeLabel(3), 10,
                         absl::Milliseconds(1));
  metrics.ObserveMessage(Rpc::kBlend, NprobeLabel(std::nullopt), 0,
                         absl::Milliseconds(1));
  metrics.CallStarted(Rpc::kBuild);
  metrics.CallFinished(Rpc::kBuild, absl::StatusCode::kInvalidArgument);
  metrics.CountBuild("failed");
  metrics.ObserveBuildStage(3, absl::Seconds(2));
  const std::string text = Scrape(metrics);
  for (const char* const line :
       {"timbre_search_duration_seconds_count{nprobe=\"4\"} 1",
        "timbre_blend_duration_seconds_count{nprobe=\"exact\"} 1",
        "timbre_frame_duration_seconds_count{nprobe=\"4\",rpc=\"Search\"} 1",
        "timbre_frame_duration_seconds_count{nprobe=\"exact\",rpc=\"Blend\"} 0",
        "timbre_requests_total{rpc=\"Build\",status=\"INVALID_ARGUMENT\"} 1",
        "timbre_streams_in_flight{rpc=\"Build\"} 0",
        "timbre_builds_total{result=\"failed\"} 1",
        "timbre_build_stage_duration_seconds_count{stage=\"training\"} 1",
        "timbre_speakers 3",
        "timbre_versions_open 2",
        "timbre_max_resident_bytes 10",
        "timbre_last_closed_age_seconds +Inf",
        "timbre_closes_total{reason=\"budget\"} 5",
        "timbre_closes_total{reason=\"deleted\"} 8",
        "timbre_closes_total{reason=\"damaged\"} 9",
        "timbre_opens_total{result=\"no_room\"} 1",
        "timbre_open_duration_seconds_count{from=\"disk\"} 1",
        "timbre_open_duration_seconds_count{from=\"open\"} 0",
        "process_resident_memory_bytes",
        "simd_level=\"avx2\""}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

TEST(ServerMetricsTest, BucketsSpanTheirRanges) {
  const std::string text = Scrape(ServerMetrics({"1", "2", "3"}));
  for (const char* const part :
       {"timbre_search_duration_seconds_bucket{nprobe=\"1\",le=\"5e-05\"}",
        "timbre_search_duration_seconds_bucket{nprobe=\"1\",le=\"10\"}",
        "nprobe=\"1\",rpc=\"Search\",le=\"5e-07\"}",
        "nprobe=\"1\",rpc=\"Search\",le=\"0.1\"}",
        "stage=\"training\",le=\"0.01\"}", "stage=\"training\",le=\"1000\"}"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace timbre
