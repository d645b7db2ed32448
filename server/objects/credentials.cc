#include "server/objects/credentials.h"

#include <algorithm>
#include <pugixml.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"

namespace timbre {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;
// Before they expire; and how often what does not say when is read again.
constexpr absl::Duration kFetchBefore = absl::Minutes(5);
constexpr absl::Duration kReadAgain = absl::Minutes(1);
constexpr absl::Duration kFailsFor = absl::Milliseconds(500);
constexpr absl::Duration kFetchTimeout = absl::Seconds(5);

absl::Status NoCredentials(absl::string_view text) {
  return MakeError(absl::StatusCode::kUnauthenticated, "NO_CREDENTIALS",
                   absl::StrCat("no credentials for the object store: ", text));
}

}  // namespace

CredentialSources CredentialSources::FromEnvironment(const Lookup& lookup) {
  const auto get = [&](const char* name, const std::string& otherwise = "") {
    const std::optional<std::string> value = lookup(name);
    return value && !value->empty() ? *value : otherwise;
  };
  CredentialSources sources;
  const Credentials fixed{.access_key_id = get("AWS_ACCESS_KEY_ID"),
                          .secret_access_key = get("AWS_SECRET_ACCESS_KEY"),
                          .session_token = get("AWS_SESSION_TOKEN")};
  if (!fixed.access_key_id.empty() && !fixed.secret_access_key.empty()) {
    sources.fixed = fixed;
  }
  sources.token_file = get("AWS_WEB_IDENTITY_TOKEN_FILE");
  if (!sources.token_file.empty()) sources.role_arn = get("AWS_ROLE_ARN");
  sources.role_session_name =
      get("AWS_ROLE_SESSION_NAME", sources.role_session_name);
  sources.sts_endpoint = get("AWS_ENDPOINT_URL_STS");
  sources.shared_file = get("AWS_SHARED_CREDENTIALS_FILE",
                            absl::StrCat(get("HOME"), "/.aws/credentials"));
  sources.profile = get("AWS_PROFILE", sources.profile);
  return sources;
}

std::optional<Credentials> ParseSharedCredentials(absl::string_view text,
                                                  absl::string_view profile) {
  Credentials found;
  bool is_wanted = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      const absl::string_view name =
          absl::StripAsciiWhitespace(line.substr(1, line.size() - 2));
      is_wanted = name == profile;
      continue;
    }
    const size_t equals = line.find('=');
    if (!is_wanted || equals == absl::string_view::npos) continue;
    const std::string name = absl::AsciiStrToLower(
        absl::StripAsciiWhitespace(line.substr(0, equals)));
    const std::string value(
        absl::StripAsciiWhitespace(line.substr(equals + 1)));
    if (name == "aws_access_key_id") found.access_key_id = value;
    if (name == "aws_secret_access_key") found.secret_access_key = value;
    if (name == "aws_session_token") found.session_token = value;
  }
  if (found.access_key_id.empty() || found.secret_access_key.empty()) {
    return std::nullopt;
  }
  return found;
}

absl::StatusOr<TemporaryCredentials> ParseAssumedRole(absl::string_view xml) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node node =
      document.child("AssumeRoleWithWebIdentityResponse")
          .child("AssumeRoleWithWebIdentityResult")
          .child("Credentials");
  TemporaryCredentials found{
      .credentials = {.access_key_id = node.child_value("AccessKeyId"),
                      .secret_access_key = node.child_value("SecretAccessKey"),
                      .session_token = node.child_value("SessionToken")}};
  std::string error;
  if (found.credentials.access_key_id.empty() ||
      found.credentials.secret_access_key.empty() ||
      !absl::ParseTime(absl::RFC3339_full, node.child_value("Expiration"),
                       &found.expires, &error)) {
    return absl::InternalError("its answer holds no credentials");
  }
  return found;
}

CredentialsProvider::CredentialsProvider(CredentialSources sources,
                                         std::string region, HttpClient* http)
    : sources_(std::move(sources)), region_(std::move(region)), http_(http) {}

absl::StatusOr<TemporaryCredentials> CredentialsProvider::AskWebIdentity(
    const Patience& patience) const {
  const auto token =
      ReadFile(sources_.token_file, FileSystem::Posix(), kMaxFileBytes);
  if (!token.ok()) return NoCredentials(token.status().message());
  const std::string endpoint =
      !sources_.sts_endpoint.empty()
          ? sources_.sts_endpoint
          : absl::StrCat("https://sts.", region_, ".amazonaws.com/");
  const std::string body = EncodeQuery(
      {{"Action", "AssumeRoleWithWebIdentity"},
       {"Version", "2011-06-15"},
       {"RoleArn", sources_.role_arn},
       {"RoleSessionName", sources_.role_session_name},
       {"WebIdentityToken", std::string(absl::StripAsciiWhitespace(*token))}});
  const HttpRequest request{
      .method = "POST",
      .url = endpoint,
      .headers = {{"content-type", "application/x-www-form-urlencoded"}},
      .body = body};
  Patience bounded = patience;
  bounded.deadline = std::min(bounded.deadline, MonotonicNow() + kFetchTimeout);
  const auto answer = http_->Send(request, bounded);
  if (absl::IsCancelled(answer.status())) return answer.status();
  if (!answer.ok() || answer->status >= 500) {
    return absl::UnavailableError(
        answer.ok() ? absl::StrCat(endpoint, ": status ", answer->status)
                    : answer.status().message());
  }
  if (answer->status != 200) {
    pugi::xml_document document;
    document.load_buffer(answer->body.data(), answer->body.size());
    const pugi::xml_node error = document.document_element().child("Error");
    return NoCredentials(absl::StrCat(
        endpoint, " says ", answer->status, " ",
        Printable(error.child_value("Code")), " ",
        Printable(error.child_value("Message"), 200), " for the role ",
        sources_.role_arn, " with ", sources_.token_file));
  }
  auto found = ParseAssumedRole(answer->body);
  return found.ok() ? found : Annotate(found.status(), endpoint);
}

absl::StatusOr<TemporaryCredentials> CredentialsProvider::Fetch(
    const Patience& patience) const {
  if (sources_.fixed) return TemporaryCredentials{*sources_.fixed};
  if (!sources_.role_arn.empty() && http_ != nullptr) {
    return AskWebIdentity(patience);
  }
  const auto text =
      ReadFile(sources_.shared_file, FileSystem::Posix(), kMaxFileBytes);
  const auto found = text.ok() ? ParseSharedCredentials(*text, sources_.profile)
                               : std::nullopt;
  if (found) {
    // Somebody may write new ones.
    return TemporaryCredentials{*found,
                                absl::Now() + kFetchBefore + kReadAgain};
  }
  return NoCredentials(absl::StrCat(
      "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, "
      "nor AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, and ",
      text.ok() ? absl::StrCat(sources_.shared_file, " has no keys in [",
                               sources_.profile, "]")
                : std::string(text.status().message())));
}

absl::StatusOr<Credentials> CredentialsProvider::Get(const Patience& patience) {
  {
    const MutexLock lock(mutex_);
    const bool stale = !known_ || absl::Now() > known_->expires - kFetchBefore;
    if (!stale || (known_ && is_fetched_)) return known_->credentials;
    is_fetched_ = true;
  }
  const MutexLock fetching(fetching_);
  {
    const MutexLock lock(mutex_);
    if (known_ && absl::Now() < known_->expires - kFetchBefore) {
      return known_->credentials;
    }
    // Of one for whom this one has waited: another would wait as long.
    if (!known_ && MonotonicNow() < failed_ + kFailsFor) return failure_;
  }
  auto fetched = Fetch(patience);
  const MutexLock lock(mutex_);
  is_fetched_ = false;
  if (fetched.ok()) known_ = *std::move(fetched);
  if (!fetched.ok() && !absl::IsCancelled(fetched.status())) {
    failure_ = fetched.status();
    failed_ = MonotonicNow();
  }
  // Those from before may do for some minutes.
  if (known_ && absl::Now() < known_->expires) return known_->credentials;
  return fetched.status();
}

void CredentialsProvider::Expired(const Credentials& refused) {
  const MutexLock lock(mutex_);
  if (known_ && known_->credentials.access_key_id == refused.access_key_id &&
      known_->credentials.session_token == refused.session_token) {
    known_.reset();
  }
}

}  // namespace timbre
