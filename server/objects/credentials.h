// Who this server is to the object store: from where the tools of AWS have it.
#ifndef TIMBRE_SERVER_OBJECTS_CREDENTIALS_H_
#define TIMBRE_SERVER_OBJECTS_CREDENTIALS_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/objects/http_client.h"
#include "server/objects/object_store.h"
#include "server/objects/signature.h"

namespace timbre {

struct TemporaryCredentials {
  Credentials credentials;
  absl::Time expires = absl::InfiniteFuture();  // time of day
};

// Where they come from: the first of these that is there.
//   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
//   AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE (a Kubernetes service
//       account): asked for with AWS_ROLE_SESSION_NAME of the service at
//       AWS_ENDPOINT_URL_STS, by default that of AWS for the region
//   AWS_SHARED_CREDENTIALS_FILE, by default ~/.aws/credentials, the section
//       AWS_PROFILE, by default "default"
struct CredentialSources {
  using Lookup = std::function<std::optional<std::string>(const char* name)>;
  // `lookup` is getenv(3) outside of tests.
  static CredentialSources FromEnvironment(const Lookup& lookup);

  std::optional<Credentials> fixed;
  std::string role_arn;  // empty: no web identity
  std::string role_session_name = "timbre";
  std::string token_file;
  std::string sts_endpoint;  // empty: AWS's
  std::string shared_file;
  std::string profile = "default";
};

// Never says a secret, in no error and no log line. Thread-safe.
class CredentialsProvider {
 public:
  // `http` outlives it; null: there is no web identity.
  CredentialsProvider(CredentialSources sources, std::string region,
                      HttpClient* http);

  // Those to sign with now, anew some minutes before they expire; one caller
  // fetches them while the others go on with the old ones, or wait if there are
  // none. UNAUTHENTICATED (NO_CREDENTIALS): there are none, and the text says
  // where they were looked for; UNAVAILABLE: the service did not answer.
  absl::StatusOr<Credentials> Get(const Patience& patience);
  // The store called `refused` expired: not used again.
  void Expired(const Credentials& refused);

 private:
  absl::StatusOr<TemporaryCredentials> Fetch(const Patience& patience) const;
  absl::StatusOr<TemporaryCredentials> AskWebIdentity(
      const Patience& patience) const;

  const CredentialSources sources_;
  const std::string region_;
  HttpClient* const http_;

  Mutex fetching_;  // held while they are fetched; taken before `mutex_`
  Mutex mutex_;
  std::optional<TemporaryCredentials> known_ ABSL_GUARDED_BY(mutex_);
  bool is_fetched_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Time failed_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

// The section `profile` of a shared credentials file; nothing: it has none, or
// not both keys. Pure.
std::optional<Credentials> ParseSharedCredentials(absl::string_view text,
                                                  absl::string_view profile);

// Of the answer to AssumeRoleWithWebIdentity. Pure.
absl::StatusOr<TemporaryCredentials> ParseAssumedRole(absl::string_view xml);

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_CREDENTIALS_H_
