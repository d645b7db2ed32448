// Where the objects are.
#ifndef TIMBRE_SERVER_OBJECTS_S3_TARGET_H_
#define TIMBRE_SERVER_OBJECTS_S3_TARGET_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace timbre {

// A value.
struct S3Target {
  // `store`: "s3://BUCKET/PREFIX" or "s3://BUCKET"; `endpoint`: "http://" or
  // "https://" and HOST[:PORT], empty: that of AWS for `region`; `region`
  // empty: us-east-1. A host that is an address has no names below it: path
  // style then. INVALID_ARGUMENT names the flag.
  static absl::StatusOr<S3Target> Parse(absl::string_view store,
                                        absl::string_view endpoint,
                                        absl::string_view region,
                                        bool path_style);

  // Of an object, or of the bucket (""): not encoded.
  std::string PathOf(absl::string_view key) const;
  std::string KeyOf(absl::string_view key) const;
  // The part of a key of the bucket after the prefix.
  absl::string_view WithoutPrefix(absl::string_view key) const;

  std::string scheme;  // "https"
  std::string host;    // with the port, and the bucket unless path_style
  std::string region;
  std::string bucket;
  std::string prefix;  // empty or with '/' at its end
  bool path_style = false;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_S3_TARGET_H_
