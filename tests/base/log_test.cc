#include "server/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace timbre {
namespace {

using nlohmann::json;

// Standard error is a pipe of 4 KiB, which nobody reads unless a test does.
class LogTest : public ::testing::Test {
 protected:
  LogTest() : lost_before_(LogLinesLost()), before_(dup(STDERR_FILENO)) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    reader_ = ends[0];
    EXPECT_GT(fcntl(ends[1], F_SETPIPE_SZ, 4096), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
  }
  ~LogTest() override {
    dup2(before_, STDERR_FILENO);
    close(before_);
    close(reader_);
  }

  // Lines that this test has lost.
  uint64_t Lost() const { return LogLinesLost() - lost_before_; }

  // Lines until one of `event` has come.
  std::vector<json> ReadUntil(const std::string& event) {
    std::vector<json> lines;
    while (true) {
      const size_t end = unread_.find('\n');
      if (end == std::string::npos) {
        char buffer[4096];
        const ssize_t got = read(reader_, buffer, sizeof buffer);
        if (got <= 0) return lines;
        unread_.append(buffer, static_cast<size_t>(got));
        continue;
      }
      lines.push_back(json::parse(unread_.substr(0, end)));
      unread_.erase(0, end + 1);
      if (lines.back()["event"] == event) return lines;
    }
  }

 private:
  const uint64_t lost_before_;
  const int before_;
  int reader_ = -1;
  std::string unread_;
};

TEST_F(LogTest, ALineIsAJsonObjectWithItsFields) {
  Log(LogLevel::kWarning, "tested", {{"speaker", "Тест"}, {"number", 7}});
  const json line = ReadUntil("tested").back();
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["speaker"], "Тест");
  EXPECT_EQ(line["number"], 7);
  EXPECT_TRUE(line.contains("time"));
  EXPECT_TRUE(FlushLog(absl::Seconds(10)));
}

// If it blocked, the test would never end: the pipe holds some 60 lines.
TEST_F(LogTest, ALogThatNobodyReadsDelaysNothingAndSaysWhatIsMissing) {
  constexpr int kLines = 5000;
  for (int i = 0; i < kLines; ++i) {
    Log(LogLevel::kInfo, absl::StrCat("event_", i));
  }
  EXPECT_FALSE(FlushLog(absl::Milliseconds(1)));
  // Whoever reads now gets the newest lines, and the number of the others.
  const auto lines = ReadUntil(absl::StrCat("event_", kLines - 1));
  size_t seen = 0;
  size_t dropped = 0;
  for (const json& line : lines) {
    if (line["event"] == "log_lines_dropped") {
      dropped += line["lines"].get<size_t>();
    } else {
      ++seen;
    }
  }
  EXPECT_GT(dropped, 0U);
  EXPECT_EQ(seen + dropped, static_cast<size_t>(kLines));
  EXPECT_EQ(Lost(), dropped);
  EXPECT_TRUE(FlushLog(absl::Seconds(10)));
}

TEST_F(LogTest, NoLineIsTornWhereStandardErrorDoesNotBlock) {
  ASSERT_EQ(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
  constexpr int kLines = 500;  // some ten times what the pipe holds
  for (int i = 0; i < kLines; ++i) {
    Log(LogLevel::kInfo, absl::StrCat("line_", i));
  }
  const auto lines = ReadUntil(absl::StrCat("line_", kLines - 1));
  EXPECT_EQ(lines.size(), static_cast<size_t>(kLines));
}

TEST_F(LogTest, OneEventCannotFillTheLog) {
  for (int i = 0; i < 1000; ++i) Log(LogLevel::kWarning, "refused");
  Log(LogLevel::kWarning, "last");
  const size_t lines = ReadUntil("last").size();
  EXPECT_GE(lines, 101U);
  EXPECT_LT(lines, 300U);  // the burst, and 10 for each second of a slow run
  EXPECT_EQ(Lost(), 1001 - lines);
}

TEST_F(LogTest, WhatIsBelowTheLevelIsNotLogged) {
  Log(LogLevel::kDebug, "quiet");
  SetLogLevel(LogLevel::kDebug);
  Log(LogLevel::kDebug, "loud");
  EXPECT_EQ(ReadUntil("loud").size(), 1U);
  SetLogLevel(LogLevel::kInfo);
}

}  // namespace
}  // namespace timbre
