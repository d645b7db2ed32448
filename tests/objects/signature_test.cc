#include "server/objects/signature.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace timbre {
namespace {

using Texts = std::map<std::string, std::string>;

// What botocore says of the same requests: see make_signatures.py.
TEST(SignatureTest, SignsAsBotocoreDoes) {
  std::ifstream file(TIMBRE_SIGNATURES);
  const auto cases = nlohmann::json::parse(file);
  EXPECT_GE(cases.size(), 9U);
  for (const auto& expected : cases) {
    const RequestToSign request{
        .method = expected["method"],
        .host = expected["host"],
        .path = expected["path"],
        .query = expected["query"].get<Texts>(),
        .headers = expected["headers"].get<Texts>(),
        .payload_sha256 = Sha256Hex(expected["body"].get<std::string>())};
    const Credentials credentials{
        .access_key_id = "AKIDEXAMPLE",
        .secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        .session_token = expected["token"]};
    const absl::Time now = absl::FromCivil(
        absl::CivilSecond(2026, 11, 29, 7, 8, 9), absl::UTCTimeZone());
    auto headers = Sign(request, credentials, "eu-west-1", now);
    EXPECT_EQ(headers["authorization"],
              expected["authorization"].get<std::string>())
        << expected["url"];
    EXPECT_EQ(headers["x-amz-date"], "20261129T070809Z");
    EXPECT_EQ(headers.contains("x-amz-security-token"),
              !credentials.session_token.empty());
    std::string url = "https://" + request.host + EncodePath(request.path);
    if (!request.query.empty()) url += "?" + EncodeQuery(request.query);
    EXPECT_EQ(url, expected["url"].get<std::string>());
  }
}

// FIPS 180-4's examples.
TEST(SignatureTest, Sha256IsThatOfTheStandard) {
  EXPECT_EQ(Sha256Hex(""),
            "e3b0c44298fc1c149afbf4c8996fb924"
            "27ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223"
            "b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace timbre
