#include "client/load/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace timbre::load {
namespace {

constexpr Nanoseconds kPeriod = std::chrono::milliseconds(250);

TEST(ArrivalSchedule, EveryStreamSendsOnceAPeriod) {
  ArrivalSchedule schedule(10, kPeriod, false, 1);
  std::map<uint32_t, Nanoseconds> last;
  Nanoseconds before{0};
  for (int i = 0; i < 100; ++i) {
    const Arrival arrival = schedule.Next();
    EXPECT_GE(arrival.at, before);
    before = arrival.at;
    if (last.contains(arrival.stream)) {
      EXPECT_EQ(arrival.at - last[arrival.stream], kPeriod);
    } else {
      EXPECT_LT(arrival.at, kPeriod);
    }
    last[arrival.stream] = arrival.at;
  }
  EXPECT_EQ(last.size(), 10U);
}

TEST(ArrivalSchedule, PoissonHasTheSameRate) {
  ArrivalSchedule schedule(20, kPeriod, true, 1);
  Nanoseconds end{0};
  constexpr int kArrivals = 20'000;
  for (int i = 0; i < kArrivals; ++i) end = schedule.Next().at;
  // Four standard deviations of the sum of so many exponential gaps.
  const double expected = kArrivals / 20.0 * 0.25;
  EXPECT_NEAR(std::chrono::duration<double>(end).count(), expected,
              4 * expected / std::sqrt(kArrivals));
}

TEST(ArrivalSchedule, TheSameSeedGivesTheSameSchedule) {
  ArrivalSchedule a(5, kPeriod, true, 7);
  ArrivalSchedule b(5, kPeriod, true, 7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.Next().at, b.Next().at);
}

TEST(ZipfVoices, TheFirstVoiceIsTwiceAsFrequentAsTheSecond) {
  std::map<uint32_t, int> count;
  for (const uint32_t voice : ZipfVoices(100'000, 10, 1, 1)) ++count[voice];
  EXPECT_EQ(count.size(), 10U);
  EXPECT_NEAR(static_cast<double>(count[0]) / count[1], 2, 0.1);
}

TEST(ZipfVoices, WithoutAnExponentAllAreAlike) {
  std::map<uint32_t, int> count;
  for (const uint32_t voice : ZipfVoices(100'000, 4, 0, 1)) ++count[voice];
  for (const auto& [voice, times] : count) EXPECT_NEAR(times, 25'000, 800);
}

}  // namespace
}  // namespace timbre::load
