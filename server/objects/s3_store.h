// An ObjectStore that is a prefix of a bucket of an S3-compatible server.
#ifndef TIMBRE_SERVER_OBJECTS_S3_STORE_H_
#define TIMBRE_SERVER_OBJECTS_S3_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/objects/availability.h"
#include "server/objects/credentials.h"
#include "server/objects/http_client.h"
#include "server/objects/object_store.h"
#include "server/objects/s3_call.h"
#include "server/objects/s3_target.h"

namespace timbre {

// Thread-safe.
class S3Store : public ObjectStore {
 public:
  struct Options {
    S3Target target;
    std::string ca_file;  // PEM; empty: the system's authorities
    CredentialSources credentials;
    // A request is given up, with its repetitions, after so long; one that
    // moves a piece of a file when no byte has moved for so long.
    absl::Duration timeout = absl::Seconds(5);
    // See Availability; called by threads that use the store.
    Availability::Observe observe = [](const absl::Status&) {};
  };
  static absl::StatusOr<std::unique_ptr<S3Store>> Create(Options options);

  absl::StatusOr<std::string> Put(const std::string& key,
                                  absl::string_view bytes,
                                  const Condition& condition,
                                  const Patience& patience) override;
  absl::StatusOr<std::optional<Object>> Get(const std::string& key,
                                            const std::string& known_etag,
                                            size_t max_bytes,
                                            const Patience& patience) override;
  absl::Status GetAll(std::span<const std::string> keys, size_t max_bytes,
                      Each each, const Patience& patience) override;
  absl::StatusOr<uint64_t> Size(const std::string& key,
                                const Patience& patience) override;
  absl::Status PutFile(const std::string& key, const std::string& path,
                       const Patience& patience) override;
  absl::Status GetFile(const std::string& key, uint64_t bytes, Sink sink,
                       const Patience& patience) override;
  absl::StatusOr<ListedPage> List(const std::string& prefix,
                                  const std::string& next,
                                  const Patience& patience) override;
  absl::Status Delete(const std::string& key,
                      const Patience& patience) override;

  const Availability& availability() const { return availability_; }

 private:
  S3Store(Options options, std::unique_ptr<HttpClient> http);

  Patience Bounded(const S3Call& call, const Patience& patience) const;
  // Not answered, or not in time, after `last`.
  absl::Status NotDone(const absl::Status& last, bool may_be_done) const;

  // One attempt, from its beginning to what it came to. `ended` is called by
  // the HTTP client's thread, or by this one where nothing is sent.
  void Begin(const S3Call& call, const Patience& patience,
             std::function<void(S3Outcome)> ended);
  S3Outcome Try(const S3Call& call, const Patience& patience);
  // Attempts until one is definite; `first`, if any, was made already.
  absl::StatusOr<HttpAnswer> Do(const S3Call& call, const Patience& patience,
                                S3Outcome* first = nullptr);

  // `count` calls, `at_once` of them; their answers in order, by this thread.
  // Errors of both functions end it and pass.
  using Make = absl::FunctionRef<absl::StatusOr<S3Call>(size_t)>;
  using Take =
      absl::FunctionRef<absl::Status(size_t, absl::StatusOr<HttpAnswer>)>;
  absl::Status DoAll(size_t count, size_t at_once, Make make, Take take,
                     const Patience& patience);

  absl::Status PutWhole(const std::string& key, const std::string& path,
                        const Patience& patience);
  absl::Status PutParts(const std::string& key, const std::string& path,
                        uint64_t bytes, const Patience& patience);
  absl::Status Complete(const std::string& key, const std::string& id,
                        const std::vector<std::string>& etags, uint64_t bytes,
                        const Patience& patience);

  const Options options_;
  Availability availability_;
  const std::unique_ptr<HttpClient> http_;
  CredentialsProvider credentials_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_S3_STORE_H_
