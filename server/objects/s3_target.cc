#include "server/objects/s3_target.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

constexpr size_t kMaxPrefix = 512;

bool IsBucket(absl::string_view name) {
  return name.size() >= 3 && name.size() <= 63 &&
         std::all_of(name.begin(), name.end(),
                     [](char c) {
                       return absl::ascii_islower(c) ||
                              absl::ascii_isdigit(c) || c == '-' || c == '.' ||
                              c == '_';
                     }) &&
         absl::ascii_isalnum(name.front()) && absl::ascii_isalnum(name.back());
}

// Of names that no server reads otherwise: no "..", no "//".
bool IsPrefix(absl::string_view prefix) {
  if (prefix.size() > kMaxPrefix) return false;
  return std::all_of(prefix.begin(), prefix.end(),
                     [](char c) {
                       return absl::ascii_isalnum(c) ||
                              absl::StrContains("-._/=", c);
                     }) &&
         !absl::StartsWith(prefix, "/") && !absl::StrContains(prefix, "//") &&
         !absl::StrContains(absl::StrCat("/", prefix, "/"), "/../") &&
         !absl::StrContains(absl::StrCat("/", prefix, "/"), "/./");
}

bool IsHost(absl::string_view host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("-._:[]", c);
  });
}

// 127.0.0.1, [::1] and localhost, with or without a port.
bool IsAddress(absl::string_view host) {
  if (absl::StartsWith(host, "[")) return true;
  host = host.substr(0, host.find(':'));
  return host == "localhost" ||
         std::all_of(host.begin(), host.end(),
                     [](char c) { return absl::ascii_isdigit(c) || c == '.'; });
}

}  // namespace

absl::StatusOr<S3Target> S3Target::Parse(absl::string_view store,
                                         absl::string_view endpoint,
                                         absl::string_view region,
                                         bool path_style) {
  S3Target target;
  target.region = region.empty() ? "us-east-1" : std::string(region);
  absl::string_view rest = store;
  const bool is_s3 = absl::ConsumePrefix(&rest, "s3://");
  const size_t slash = std::min(rest.find('/'), rest.size());
  target.bucket = std::string(rest.substr(0, slash));
  target.prefix = std::string(
      absl::StripSuffix(rest.substr(std::min(slash + 1, rest.size())), "/"));
  if (!is_s3 || !IsBucket(target.bucket) || !IsPrefix(target.prefix)) {
    return InvalidField("--store", store,
                        "s3://BUCKET/PREFIX, the prefix of letters, digits "
                        "and -._=/ without empty, '.' and '..' parts");
  }
  if (!target.prefix.empty()) target.prefix += "/";
  if (!std::all_of(target.region.begin(), target.region.end(),
                   [](char c) { return absl::ascii_isalnum(c) || c == '-'; })) {
    return InvalidField("--s3_region", region, "letters, digits and '-'");
  }
  std::string url(endpoint);
  if (url.empty()) {
    url = absl::StrCat("https://s3.", target.region, ".amazonaws.com");
  }
  rest = url;
  for (const char* const scheme : {"http", "https"}) {
    if (absl::ConsumePrefix(&rest, absl::StrCat(scheme, "://"))) {
      target.scheme = scheme;
    }
  }
  absl::ConsumeSuffix(&rest, "/");
  if (target.scheme.empty() || !IsHost(rest)) {
    return InvalidField("--s3_endpoint", endpoint,
                        "http://HOST[:PORT] or https://HOST[:PORT]");
  }
  target.path_style = path_style || IsAddress(rest);
  target.host = target.path_style ? std::string(rest)
                                  : absl::StrCat(target.bucket, ".", rest);
  return target;
}

std::string S3Target::KeyOf(absl::string_view key) const {
  return absl::StrCat(prefix, key);
}

std::string S3Target::PathOf(absl::string_view key) const {
  std::string path = path_style ? absl::StrCat("/", bucket) : "";
  if (!key.empty() || path.empty()) path += "/";
  if (!key.empty()) path += KeyOf(key);
  return path;
}

absl::string_view S3Target::WithoutPrefix(absl::string_view key) const {
  absl::ConsumePrefix(&key, prefix);
  return key;
}

}  // namespace timbre
