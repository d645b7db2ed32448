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

TEST(ErrorsTest, PeoplesTextIsShownAsText) {
  EXPECT_EQ(Printable("Тест"), "Тест");
  EXPECT_EQ(Printable("声 🎙 é"), "声 🎙 é");
  EXPECT_EQ(InvalidField("speaker", "Тест", "other").message(),
            "speaker: Тест is not accepted; must be other");
}

TEST(ErrorsTest, WhatChangesHowTheRestIsShownIsEscaped) {
  EXPECT_EQ(Printable("a\u0085b"), "a\\xc2\\x85b");        // C1
  EXPECT_EQ(Printable("\x7f\x1b[31m"), "\\x7f\\x1b[31m");  // DEL, ESC
  EXPECT_EQ(Printable("a\u202eb"), "a\\xe2\\x80\\xaeb");   // right to left
  EXPECT_EQ(Printable("\u2066"), "\\xe2\\x81\\xa6");
  EXPECT_EQ(Printable("\u2028"), "\\xe2\\x80\\xa8");  // ends the line
  EXPECT_EQ(Printable("a\\b"), "a\\x5cb");
}

TEST(ErrorsTest, BytesThatAreNoUtf8AreEscapedAlone) {
  EXPECT_EQ(Printable("é\xffé"), "é\\xffé");
  EXPECT_EQ(Printable("\xd0"), "\\xd0");                    // cut off
  EXPECT_EQ(Printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(Printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");  // overlong
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"),
            "\\xf4\\x90\\x80\\x80");  // beyond the last code point
  EXPECT_EQ(Printable("\xe2(x"), "\\xe2(x");
}

TEST(ErrorsTest, TextIsCutBetweenCodePointsAndEscapes) {
  EXPECT_EQ(Printable("ТТТ", 6), "ТТТ");
  EXPECT_EQ(Printable("ТТТ", 5), "ТТ...");
  EXPECT_EQ(Printable("ab\n", 6), "ab\\x0a");
  EXPECT_EQ(Printable("ab\n", 5), "ab...");
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
