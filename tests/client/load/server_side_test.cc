#include "client/load/server_side.h"

#include <gtest/gtest.h>

namespace timbre::load {
namespace {

// Two label sets of one histogram, before and after ten more observations.
constexpr char kBefore[] = R"(# HELP d_seconds Text with 1 number
# TYPE d_seconds histogram
d_seconds_count{nprobe="1"} 5
d_seconds_sum{nprobe="1"} 0.5
d_seconds_bucket{nprobe="1",le="0.001"} 5
d_seconds_bucket{nprobe="1",le="0.002"} 5
d_seconds_bucket{nprobe="1",le="+Inf"} 5
d_seconds_count{nprobe="4"} 3
d_seconds_bucket{nprobe="4",le="0.001"} 3
d_seconds_bucket{nprobe="4",le="+Inf"} 3
process_cpu_seconds_total 1.5
)";
constexpr char kAfter[] = R"(
d_seconds_count{nprobe="1"} 15
d_seconds_sum{nprobe="1"} 0.6
d_seconds_bucket{nprobe="1",le="0.001"} 10
d_seconds_bucket{nprobe="1",le="0.002"} 14
d_seconds_bucket{nprobe="1",le="+Inf"} 15
d_seconds_count{nprobe="4"} 3
d_seconds_bucket{nprobe="4",le="0.001"} 3
d_seconds_bucket{nprobe="4",le="+Inf"} 3
)";

TEST(ParseMetrics, ReadsSamplesAndSkipsComments) {
  const Scrape scrape = ParseMetrics(kBefore);
  EXPECT_EQ(scrape.at("process_cpu_seconds_total"), 1.5);
  EXPECT_EQ(scrape.at("d_seconds_count{nprobe=\"1\"}"), 5);
  EXPECT_EQ(scrape.size(), 9U);
}

TEST(Between, GivesWhatWasAdded) {
  const auto histograms =
      Between(ParseMetrics(kBefore), ParseMetrics(kAfter), "d_seconds");
  ASSERT_EQ(histograms.size(), 1U);  // nothing came to nprobe 4
  EXPECT_EQ(histograms[0].labels, "nprobe=\"1\"");
  EXPECT_EQ(histograms[0].count, 10);
  EXPECT_NEAR(histograms[0].sum, 0.1, 1e-12);
}

// Five in (0, 1 ms], four in (1 ms, 2 ms], one above.
TEST(ServerHistogram, QuantilesAreLinearWithinABucket) {
  const ServerHistogram histogram =
      Between(ParseMetrics(kBefore), ParseMetrics(kAfter), "d_seconds")[0];
  EXPECT_NEAR(histogram.Quantile(0.25), 0.0005, 1e-9);
  EXPECT_NEAR(histogram.Quantile(0.7), 0.0015, 1e-9);
  EXPECT_NEAR(histogram.Quantile(0.99), 0.002, 1e-9);
}

}  // namespace
}  // namespace timbre::load
