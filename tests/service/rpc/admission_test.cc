#include "server/service/rpc/admission.h"

#include <gtest/gtest.h>

#include <optional>

#include "server/base/errors.h"

namespace timbre {
namespace {

TEST(AdmissionTest, RefusesWhatExceedsEitherLimitUntilSomethingGoes) {
  Admission admission({.frames = 100, .bytes = 1000});
  auto first = admission.Enter({.frames = 60, .bytes = 100});
  ASSERT_TRUE(first.ok());
  const auto frames = admission.Enter({.frames = 41, .bytes = 1});
  EXPECT_EQ(frames.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailsOf(frames.status()).reason, "OVERLOADED");
  EXPECT_TRUE(DetailsOf(frames.status()).retry_after.has_value());
  EXPECT_FALSE(admission.Enter({.frames = 1, .bytes = 901}).ok());
  // What was refused takes nothing.
  EXPECT_EQ(admission.frames(), 60U);
  EXPECT_EQ(admission.bytes(), 100U);
  {
    const auto second = admission.Enter({.frames = 40, .bytes = 900});
    EXPECT_TRUE(second.ok());
    EXPECT_EQ(admission.frames(), 100U);
    EXPECT_FALSE(admission.Enter({.frames = 1, .bytes = 1}).ok());
  }
  EXPECT_TRUE(admission.Enter({.frames = 1, .bytes = 1}).ok());
  *first = {};
  EXPECT_EQ(admission.frames(), 0U);
  EXPECT_EQ(admission.bytes(), 0U);
}

TEST(AdmissionTest, AMessageAboveTheLimitsIsAcceptedWhereNothingWaits) {
  Admission admission({.frames = 10, .bytes = 10});
  const auto large = admission.Enter({.frames = 5000, .bytes = 5000});
  EXPECT_TRUE(large.ok());
  EXPECT_FALSE(admission.Enter({.frames = 1, .bytes = 1}).ok());
}

TEST(AdmissionTest, RefusesWhatWouldWaitTooLong) {
  Admission admission({.work = absl::Seconds(2)});
  const auto first = admission.Enter({.frames = 1, .work = absl::Seconds(1)});
  const auto second = admission.Enter({.frames = 1, .work = absl::Seconds(1)});
  EXPECT_TRUE(first.ok() && second.ok());
  EXPECT_FALSE(
      admission.Enter({.frames = 1, .work = absl::Milliseconds(1)}).ok());
  // Large messages do not say what they take.
  EXPECT_TRUE(admission.Enter({.frames = 1}).ok());
}

TEST(AdmissionTest, OneSlowMessageDoesNotShutOutOthers) {
  Admission admission({.work = absl::Seconds(2)});
  const auto slow = admission.Enter({.frames = 1, .work = absl::Seconds(60)});
  EXPECT_TRUE(slow.ok());
  EXPECT_TRUE(
      admission.Enter({.frames = 1, .work = absl::Milliseconds(10)}).ok());
}

TEST(AdmissionTest, LearnsWhatAFrameUsuallyTakes) {
  Admission admission({});
  for (int i = 0; i < 100; ++i) admission.Learn(absl::Microseconds(500));
  EXPECT_NEAR(absl::ToDoubleMicroseconds(admission.usual_frame_time()), 500, 5);
}

TEST(AdmissionTest, WithoutLimitsEverythingIsAccepted) {
  Admission admission({});
  const auto first = admission.Enter(
      {.frames = uint64_t{1} << 40, .bytes = uint64_t{1} << 40});
  EXPECT_TRUE(first.ok());
  EXPECT_TRUE(
      admission.Enter({.frames = uint64_t{1} << 40, .bytes = uint64_t{1} << 40})
          .ok());
}

}  // namespace
}  // namespace timbre
