#include "server/app/flags.h"

#include <gtest/gtest.h>

#include "absl/flags/reflection.h"
#include "server/base/errors.h"
#include "server/base/memory_limit.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

// What timbred makes of `flags`, each test from the defaults.
absl::StatusOr<Config> Parse(std::vector<std::string> flags) {
  const absl::FlagSaver saver;
  flags.insert(flags.begin(), "timbred");
  std::vector<char*> argv;
  for (std::string& flag : flags) argv.push_back(flag.data());
  return ParseFlags(static_cast<int>(argv.size()), argv.data());
}

TEST(FlagsTest, DefaultsAreThoseOfTheDocuments) {
  const auto config = Parse({"--data_dir=/voices"});
  ASSERT_OK(config);
  EXPECT_EQ(config->data_dir, "/voices");
  EXPECT_EQ(config->listen, std::vector<std::string>{"127.0.0.1:7400"});
  EXPECT_EQ(config->metrics_listen, "127.0.0.1:7401");
  EXPECT_EQ(config->drain_timeout, absl::Seconds(15));
  EXPECT_EQ(config->max_message_bytes, uint64_t{64} << 20);
  EXPECT_FALSE(config->adaptive_window);
  EXPECT_EQ(config->idle_poll, absl::Microseconds(200));
  EXPECT_EQ(config->max_connection_age, absl::InfiniteDuration());
  EXPECT_EQ(config->max_concurrent_builds, 1);
  EXPECT_EQ(config->max_build_frames, 5'000'000U);
  EXPECT_EQ(config->min_free_disk, uint64_t{1} << 30);
  EXPECT_EQ(config->keep_versions, 0U);
  EXPECT_EQ(config->scrub_rate, 8'000'000U);
  EXPECT_EQ(Parse({"--data_dir=d", "--scrub_rate=0"})->scrub_rate, 0U);
}

TEST(FlagsTest, TheBudgetIsHalfOfTheMemoryOrWhatIsSaid) {
  const auto budget = [](const std::string& value) {
    return Parse({"--data_dir=d", "--max_resident_bytes=" + value});
  };
  ASSERT_OK(budget("auto"));
  EXPECT_EQ(budget("auto")->max_resident_bytes, AvailableMemory() / 2);
  EXPECT_EQ(Parse({"--data_dir=d"})->max_resident_bytes, AvailableMemory() / 2);
  EXPECT_EQ(budget("0")->max_resident_bytes, 0U);
  EXPECT_EQ(budget("123456789012")->max_resident_bytes, 123456789012U);
  for (const char* const bad : {"", "half", "-1", "1.5", "4GB"}) {
    const auto refused = budget(bad);
    EXPECT_EQ(DetailsOf(refused.status()).field, "--max_resident_bytes");
  }
}

TEST(FlagsTest, AddressesAreSeparatedByCommas) {
  const auto config =
      Parse({"--data_dir=d", "--listen=127.0.0.1:0,unix:/run/timbre,[::]:1"});
  ASSERT_OK(config);
  EXPECT_EQ(config->listen, (std::vector<std::string>{
                                "127.0.0.1:0", "unix:/run/timbre", "[::]:1"}));
  EXPECT_TRUE(
      Parse({"--data_dir=d", "--metrics_listen="})->metrics_listen.empty());
}

TEST(FlagsTest, WhatIsOutOfRangeIsNamedWithItsValueAndTheRange) {
  for (const std::string flag :
       {"worker_threads=257", "worker_threads=-1", "build_threads=257",
        "max_concurrent_builds=0", "max_concurrent_builds=65",
        "max_concurrent_opens=0", "max_concurrent_opens=65",
        "close_idle_after=0s", "max_message_bytes=4095",
        "max_message_bytes=2147483648", "drain_timeout=-1s",
        "drain_timeout=61m", "idle_poll=-1us", "idle_poll=2ms",
        "max_connection_age=999ms", "max_connection_age_grace=0s",
        "log_level=loud", "listen=7400", "metrics_listen=7401"}) {
    const auto config = Parse({"--data_dir=d", "--" + flag});
    ASSERT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument)
        << flag;
    const std::string text(config.status().message());
    const size_t equals = flag.find('=');
    EXPECT_EQ(DetailsOf(config.status()).field, "--" + flag.substr(0, equals));
    EXPECT_NE(text.find("must be"), std::string::npos) << text;
  }
}

TEST(FlagsTest, TheLimitsThemselvesAreAccepted) {
  for (const char* const flag :
       {"--worker_threads=256", "--max_concurrent_builds=64",
        "--max_message_bytes=4096", "--max_message_bytes=2147483647",
        "--drain_timeout=0s", "--drain_timeout=1h", "--max_connection_age=1s",
        "--max_connection_age=inf"}) {
    EXPECT_TRUE(Parse({"--data_dir=d", flag}).ok()) << flag;
  }
}

TEST(FlagsTest, TheDirectoryIsRequiredAndStrayWordsAreRefused) {
  EXPECT_EQ(DetailsOf(Parse({}).status()).field, "--data_dir");
  EXPECT_FALSE(Parse({"--data_dir=d", "stray"}).ok());
  EXPECT_FALSE(Parse({"--data_dir=d", "--listen="}).ok());
}

}  // namespace
}  // namespace timbre
