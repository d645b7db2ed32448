#include "server/objects/s3_messages.h"

#include <gtest/gtest.h>

#include "server/base/errors.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

TEST(S3MessagesTest, AListingHasKeysEtagsAndItsNextPage) {
  const auto page = ParseListing(
      R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
 <Name>b</Name><IsTruncated>true</IsTruncated>
 <NextContinuationToken>a+/=&amp;</NextContinuationToken>
 <Contents><Key>p/heads/a&amp;b</Key><ETag>&quot;0123&quot;</ETag>
  <Size>5368709120</Size></Contents>
 <Contents><Key>p/heads/c</Key><ETag>"x-2"</ETag><Size>0</Size></Contents>
 <CommonPrefixes><Prefix>p/v/</Prefix></CommonPrefixes>
</ListBucketResult>)");
  ASSERT_OK(page);
  ASSERT_EQ(page->objects.size(), 2U);
  EXPECT_EQ(page->objects[0].key, "p/heads/a&b");
  EXPECT_EQ(page->objects[0].etag, "0123");
  EXPECT_EQ(page->objects[0].bytes, 5368709120U);
  EXPECT_EQ(page->objects[1].etag, "x-2");
  EXPECT_EQ(page->next, "a+/=&");
  const auto last = ParseListing(
      "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
  ASSERT_OK(last);
  EXPECT_TRUE(last->objects.empty() && last->next.empty());
}

TEST(S3MessagesTest, WhatIsNoListingIsAnError) {
  for (const char* const xml :
       {"", "ok", "<html/>", "<ListBucketResult/>",
        "<ListBucketResult><IsTruncated>false</IsTruncated>",
        "<ListBucketResult><Contents/></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents>"
        "</ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a"}) {
    EXPECT_EQ(DetailsOf(ParseListing(xml).status()).reason, "STORE_ERROR")
        << xml;
  }
  EXPECT_FALSE(ParseUploadId("<Error/>").ok());
}

TEST(S3MessagesTest, ErrorsHaveCodeAndTextThatIsSafeToPrint) {
  const S3Error error = ParseS3Error(
      "<Error><Code>NoSuchKey</Code><Message>a\nb</Message></Error>");
  EXPECT_EQ(error.code, "NoSuchKey");
  EXPECT_EQ(error.message, "a\\x0ab");
  EXPECT_EQ(ParseS3Error("<html>").code, "");
}

TEST(S3MessagesTest, ACompletionNamesThePartsInOrder) {
  EXPECT_EQ(CompletionOf({"a", "b"}),
            "<?xml version=\"1.0\"?><CompleteMultipartUpload>"
            "<Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part>"
            "<Part><PartNumber>2</PartNumber><ETag>\"b\"</ETag></Part>"
            "</CompleteMultipartUpload>");
  const auto id = ParseUploadId(
      "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
      "</InitiateMultipartUploadResult>");
  ASSERT_OK(id);
  EXPECT_EQ(*id, "u");
}

TEST(S3MessagesTest, EtagsAreBare) {
  EXPECT_EQ(BareEtag("\"a\""), "a");
  EXPECT_EQ(BareEtag("W/\"a\""), "a");
  EXPECT_EQ(BareEtag("a-2"), "a-2");
}

}  // namespace
}  // namespace timbre
