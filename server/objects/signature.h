// AWS Signature Version 4 of a request, in its headers.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
//
// All functions are pure and thread-safe.
#ifndef TIMBRE_SERVER_OBJECTS_SIGNATURE_H_
#define TIMBRE_SERVER_OBJECTS_SIGNATURE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace timbre {

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // may be empty
};

struct RequestToSign {
  std::string method;
  std::string host;  // as in the Host header
  std::string path;  // not encoded; begins with '/'
  // Not encoded, in any order.
  std::map<std::string, std::string> query;
  // Names in lower case; those that are to be signed besides what Sign adds.
  std::map<std::string, std::string> headers;
  std::string payload_sha256;  // Sha256Hex of the body
};

// The headers to send besides `request.headers` and Host: x-amz-date,
// x-amz-content-sha256, x-amz-security-token with a session token,
// authorization. `now` is the time of day.
std::map<std::string, std::string> Sign(const RequestToSign& request,
                                        const Credentials& credentials,
                                        absl::string_view region,
                                        absl::Time now);

// 64 lower-case digits.
std::string Sha256Hex(absl::string_view data);

// RFC 3986: all but letters, digits, '-', '.', '_' and '~' as %XX; '/' too,
// unless it is that of a path.
std::string EncodeQuery(absl::string_view text);
std::string EncodePath(absl::string_view path);
// "a=1&b=2", sorted by name and encoded, as it is to be sent.
std::string EncodeQuery(const std::map<std::string, std::string>& query);

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_SIGNATURE_H_
