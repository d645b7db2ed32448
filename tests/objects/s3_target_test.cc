#include "server/objects/s3_target.h"

#include <gtest/gtest.h>

#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

TEST(S3TargetTest, AddressesHavePathsAndNamesHaveHosts) {
  auto target =
      S3Target::Parse("s3://voices/prod", "http://127.0.0.1:7070", "", false);
  ASSERT_OK(target);
  EXPECT_EQ(target->scheme, "http");
  EXPECT_EQ(target->host, "127.0.0.1:7070");
  EXPECT_EQ(target->region, "us-east-1");
  EXPECT_EQ(target->PathOf("heads/a"), "/voices/prod/heads/a");
  EXPECT_EQ(target->PathOf(""), "/voices");
  EXPECT_EQ(target->WithoutPrefix("prod/heads/a"), "heads/a");

  target = S3Target::Parse("s3://voices/a/b/", "", "eu-west-1", false);
  ASSERT_OK(target);
  EXPECT_EQ(target->host, "voices.s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(target->scheme, "https");
  EXPECT_EQ(target->PathOf("x"), "/a/b/x");
  EXPECT_EQ(target->PathOf(""), "/");

  target = S3Target::Parse("s3://voices", "https://s3.example:9000/", "", true);
  ASSERT_OK(target);
  EXPECT_EQ(target->host, "s3.example:9000");
  EXPECT_EQ(target->PathOf("x"), "/voices/x");
  EXPECT_EQ(target->KeyOf("x"), "x");
  for (const char* const address :
       {"http://localhost:1", "http://[::1]:80", "http://10.0.0.1"}) {
    target = S3Target::Parse("s3://voices/p", address, "", false);
    ASSERT_OK(target);
    EXPECT_TRUE(target->path_style) << address;
  }
}

TEST(S3TargetTest, WhatIsNoTargetNamesItsFlag) {
  for (const char* const store :
       {"", "voices", "s3:/voices", "s3://", "s3://Up", "s3://ab",
        "s3://voices//a", "s3://voices/a/../b", "s3://voices/./a",
        "s3://voices/a b", "s3://voices/\n", "gs://voices/a", "s3://-voices"}) {
    const auto target = S3Target::Parse(store, "", "", false);
    EXPECT_EQ(DetailsOf(target.status()).field, "--store") << store;
  }
  for (const char* const endpoint :
       {"127.0.0.1", "ftp://host", "http://", "http://a/b", "http://u@h"}) {
    const auto target = S3Target::Parse("s3://voices", endpoint, "", false);
    EXPECT_EQ(DetailsOf(target.status()).field, "--s3_endpoint") << endpoint;
  }
  EXPECT_EQ(DetailsOf(S3Target::Parse("s3://voices", "", "a/b", false).status())
                .field,
            "--s3_region");
}

}  // namespace
}  // namespace timbre
