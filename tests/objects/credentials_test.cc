#include "server/objects/credentials.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/errors.h"
#include "tests/objects/scripted_server.h"
#include "tests/support/testing.h"

namespace timbre {
namespace {

using testing::TempDir;
using Environment = std::map<std::string, std::string>;

CredentialSources From(const Environment& environment) {
  return CredentialSources::FromEnvironment(
      [&](const char* name) -> std::optional<std::string> {
        const auto found = environment.find(name);
        if (found == environment.end()) return std::nullopt;
        return found->second;
      });
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string Assumed(const std::string& key, absl::Time expires) {
  return absl::StrCat(
      "<AssumeRoleWithWebIdentityResponse "
      "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
      "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>",
      key,
      "</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey>"
      "<SessionToken>t0ken</SessionToken><Expiration>",
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", expires, absl::UTCTimeZone()),
      "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
      "</AssumeRoleWithWebIdentityResponse>");
}

TEST(CredentialsTest, TheEnvironmentComesFirst) {
  const CredentialSources sources =
      From({{"AWS_ACCESS_KEY_ID", "a"},
            {"AWS_SECRET_ACCESS_KEY", "b"},
            {"AWS_SESSION_TOKEN", "c"},
            {"AWS_ROLE_ARN", "r"},
            {"AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"}});
  CredentialsProvider provider(sources, "us-east-1", nullptr);
  const auto credentials = provider.Get({});
  ASSERT_OK(credentials);
  EXPECT_EQ(credentials->access_key_id, "a");
  EXPECT_EQ(credentials->secret_access_key, "b");
  EXPECT_EQ(credentials->session_token, "c");
}

TEST(CredentialsTest, ASharedFileHasSections) {
  const char* const text =
      "# of mine\n[default]\naws_access_key_id=a\n"
      "  aws_secret_access_key = b=/+ \r\n\n[ other ]\n"
      "AWS_ACCESS_KEY_ID = c\naws_secret_access_key = d\n"
      "aws_session_token = e\n[half]\naws_access_key_id = f\n";
  auto found = ParseSharedCredentials(text, "default");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->access_key_id, "a");
  EXPECT_EQ(found->secret_access_key, "b=/+");
  EXPECT_EQ(found->session_token, "");
  found = ParseSharedCredentials(text, "other");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->access_key_id, "c");
  EXPECT_EQ(found->session_token, "e");
  EXPECT_FALSE(ParseSharedCredentials(text, "half").has_value());
  EXPECT_FALSE(ParseSharedCredentials(text, "none").has_value());

  const TempDir directory;
  Write(directory.File("credentials"), text);
  CredentialsProvider provider(
      From({{"AWS_SHARED_CREDENTIALS_FILE", directory.File("credentials")},
            {"AWS_PROFILE", "other"}}),
      "us-east-1", nullptr);
  const auto credentials = provider.Get({});
  ASSERT_OK(credentials);
  EXPECT_EQ(credentials->access_key_id, "c");
}

TEST(CredentialsTest, WhereThereAreNoneTheTextSaysWhereTheyWereLookedFor) {
  CredentialsProvider provider(From({{"HOME", "/nowhere"}}), "us-east-1",
                               nullptr);
  const absl::Status status = provider.Get({}).status();
  EXPECT_EQ(DetailsOf(status).reason, "NO_CREDENTIALS");
  EXPECT_NE(status.message().find("AWS_ACCESS_KEY_ID"), std::string::npos);
  EXPECT_NE(status.message().find("/nowhere/.aws/credentials"),
            std::string::npos);
}

class WebIdentityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write(directory_.File("token"), "jwt+of/a=pod\n");
    http_ = *HttpClient::Create({});
  }
  CredentialsProvider Provider(const ScriptedServer& sts) {
    return {From({{"AWS_ROLE_ARN", "arn:aws:iam::1:role/timbre"},
                  {"AWS_WEB_IDENTITY_TOKEN_FILE", directory_.File("token")},
                  {"AWS_ENDPOINT_URL_STS", sts.url()}}),
            "us-east-1", http_.get()};
  }

  const TempDir directory_;
  std::unique_ptr<HttpClient> http_;
};

TEST_F(WebIdentityTest, ATokenIsChangedForCredentialsThatAreKept) {
  ScriptedServer sts([](const auto& request) {
    return Answer(200, Assumed(absl::StrCat("key", request.number),
                               absl::Now() + absl::Hours(1)));
  });
  CredentialsProvider provider = Provider(sts);
  for (int i = 0; i < 3; ++i) {
    const auto credentials = provider.Get({});
    ASSERT_OK(credentials);
    EXPECT_EQ(credentials->access_key_id, "key0");
    EXPECT_EQ(credentials->secret_access_key, "s3cret");
    EXPECT_EQ(credentials->session_token, "t0ken");
  }
  ASSERT_EQ(sts.requests().size(), 1U);
  EXPECT_EQ(sts.requests()[0].body,
            "Action=AssumeRoleWithWebIdentity&"
            "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Ftimbre&"
            "RoleSessionName=timbre&Version=2011-06-15&"
            "WebIdentityToken=jwt%2Bof%2Fa%3Dpod");
  // The store says that they are not good any more.
  provider.Expired(*provider.Get({}));
  EXPECT_EQ(provider.Get({})->access_key_id, "key1");
}

TEST_F(WebIdentityTest, CredentialsAreFetchedAnewBeforeTheyExpire) {
  ScriptedServer sts([](const auto& request) {
    // Those of the first time are soon over.
    const absl::Duration lives =
        request.number == 0 ? absl::Minutes(4) : absl::Hours(1);
    if (request.number == 1) return Answer(500);
    return Answer(
        200, Assumed(absl::StrCat("key", request.number), absl::Now() + lives));
  });
  CredentialsProvider provider = Provider(sts);
  EXPECT_EQ(provider.Get({})->access_key_id, "key0");
  // The service is away: the old ones are good yet.
  EXPECT_EQ(provider.Get({})->access_key_id, "key0");
  EXPECT_EQ(provider.Get({})->access_key_id, "key2");
  EXPECT_EQ(provider.Get({})->access_key_id, "key2");
}

TEST_F(WebIdentityTest, NoErrorTellsASecret) {
  ScriptedServer sts([](const auto& request) {
    if (request.number == 0) {
      return Answer(
          403,
          "<ErrorResponse><Error><Code>AccessDenied</Code>"
          "<Message>Not authorized</Message></Error></ErrorResponse>");
    }
    if (request.number == 1) return Answer(503);
    return Answer(200, "<AssumeRoleWithWebIdentityResponse/>");
  });
  CredentialsProvider denied = Provider(sts);
  absl::Status status = denied.Get({}).status();
  EXPECT_EQ(DetailsOf(status).reason, "NO_CREDENTIALS");
  EXPECT_NE(status.message().find("AccessDenied Not authorized"),
            std::string::npos);
  EXPECT_EQ(status.message().find("jwt"), std::string::npos);
  // Others who waited for that are told the same.
  EXPECT_EQ(denied.Get({}).status(), status);
  EXPECT_EQ(sts.requests().size(), 1U);
  CredentialsProvider away = Provider(sts);
  EXPECT_TRUE(absl::IsUnavailable(away.Get({}).status()));
  CredentialsProvider odd = Provider(sts);
  EXPECT_TRUE(absl::IsInternal(odd.Get({}).status()));
}

}  // namespace
}  // namespace timbre
