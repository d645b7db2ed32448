#include "server/objects/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace timbre {
namespace {

constexpr char kAlgorithm[] = "AWS4-HMAC-SHA256";
constexpr char kService[] = "s3";

std::string Hmac(absl::string_view key, absl::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int bytes = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(),
       digest.data(), &bytes);
  return {reinterpret_cast<const char*>(digest.data()), bytes};
}

std::string Encode(absl::string_view text, bool is_path) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || absl::StrContains("-._~", c) ||
        (is_path && c == '/')) {
      encoded.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
  }
  return encoded;
}

// Folded as in "CanonicalHeaders".
std::string Trimmed(absl::string_view value) {
  std::string text(value);
  absl::RemoveExtraAsciiWhitespace(&text);
  return text;
}

std::string Canonical(const RequestToSign& request,
                      const std::map<std::string, std::string>& headers,
                      absl::string_view signed_names) {
  std::string text =
      absl::StrCat(request.method, "\n", EncodePath(request.path), "\n",
                   EncodeQuery(request.query), "\n");
  for (const auto& [name, value] : headers) {
    absl::StrAppend(&text, name, ":", Trimmed(value), "\n");
  }
  absl::StrAppend(&text, "\n", signed_names, "\n", request.payload_sha256);
  return text;
}

}  // namespace

std::string Sha256Hex(absl::string_view data) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(),
         digest.data());
  return absl::BytesToHexString(
      {reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string EncodeQuery(absl::string_view text) { return Encode(text, false); }

std::string EncodePath(absl::string_view path) { return Encode(path, true); }

std::string EncodeQuery(const std::map<std::string, std::string>& query) {
  return absl::StrJoin(query, "&", [](std::string* out, const auto& parameter) {
    absl::StrAppend(out, EncodeQuery(parameter.first), "=",
                    EncodeQuery(parameter.second));
  });
}

std::map<std::string, std::string> Sign(const RequestToSign& request,
                                        const Credentials& credentials,
                                        absl::string_view region,
                                        absl::Time now) {
  const absl::TimeZone utc = absl::UTCTimeZone();
  const std::string time = absl::FormatTime("%Y%m%dT%H%M%SZ", now, utc);
  const std::string day = time.substr(0, 8);
  std::map<std::string, std::string> added = {
      {"x-amz-content-sha256", request.payload_sha256}, {"x-amz-date", time}};
  if (!credentials.session_token.empty()) {
    added["x-amz-security-token"] = credentials.session_token;
  }
  std::map<std::string, std::string> all = request.headers;
  all.insert(added.begin(), added.end());
  all["host"] = request.host;
  const std::string names = absl::StrJoin(
      all, ";",
      [](std::string* out, const auto& header) { out->append(header.first); });
  const std::string scope =
      absl::StrCat(day, "/", region, "/", kService, "/aws4_request");
  const std::string to_sign =
      absl::StrCat(kAlgorithm, "\n", time, "\n", scope, "\n",
                   Sha256Hex(Canonical(request, all, names)));
  std::string key = absl::StrCat("AWS4", credentials.secret_access_key);
  for (const absl::string_view part :
       {absl::string_view(day), region, absl::string_view(kService),
        absl::string_view("aws4_request")}) {
    key = Hmac(key, part);
  }
  added["authorization"] =
      absl::StrCat(kAlgorithm, " Credential=", credentials.access_key_id, "/",
                   scope, ", SignedHeaders=", names,
                   ", Signature=", absl::BytesToHexString(Hmac(key, to_sign)));
  return added;
}

}  // namespace timbre
