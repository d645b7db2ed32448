#include "server/base/errors.h"

#include <gtest/gtest.h>

namespace timbre {
namespace {

TEST(ErrorsTest, InvalidFieldNamesFieldValueAndAcceptedRange) {
  const absl::Status status = InvalidField("params.k", "2000", "1..1024");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "params.k: 2000 is not accepted; must be 1..1024");
  EXPECT_EQ(DetailsOf(status).reason, "INVALID_FIELD");
  EXPECT_EQ(DetailsOf(status).field, "params.k");
}

TEST(ErrorsTest, HostileValuesAreEscapedAndCut) {
  const std::string hostile("a\0\n\xff", 4);
  EXPECT_EQ(Printable(hostile), "a\\x00\\x0a\\xff");
  EXPECT_EQ(Printable(std::string(1000, 'x')), std::string(80, 'x') + "...");
}

TEST(ErrorsTest, RetryHintSurvivesAnnotation) {
  const absl::Status status =
      Annotate(MakeRetryableError(absl::StatusCode::kUnavailable, "DRAINING",
                                  "text", absl::Milliseconds(1500)),
               "context");
  EXPECT_EQ(status.message(), "context: text");
  EXPECT_EQ(DetailsOf(status).retry_after, absl::Milliseconds(1500));
  EXPECT_EQ(DetailsOf(status).reason, "DRAINING");
}

TEST(ErrorsTest, ForeignErrorsHaveTheirCodeAsReason) {
  EXPECT_EQ(DetailsOf(absl::NotFoundError("x")).reason, "NOT_FOUND");
}

}  // namespace
}  // namespace timbre
