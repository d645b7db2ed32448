// The documents that an S3 server answers with, and that it is sent. Pure;
// nothing in them is trusted: INTERNAL where one is not understood.
#ifndef TIMBRE_SERVER_OBJECTS_S3_MESSAGES_H_
#define TIMBRE_SERVER_OBJECTS_S3_MESSAGES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/objects/object_store.h"

namespace timbre {

struct S3Error {
  std::string code;     // "NoSuchKey"; empty: the body is no error document
  std::string message;  // safe to print
};
S3Error ParseS3Error(absl::string_view xml);

// Of ListObjectsV2; keys as they are in the bucket.
absl::StatusOr<ListedPage> ParseListing(absl::string_view xml);

// Of CreateMultipartUpload.
absl::StatusOr<std::string> ParseUploadId(absl::string_view xml);
// For CompleteMultipartUpload: the ETags of parts 1, 2 ...
std::string CompletionOf(const std::vector<std::string>& etags);

// Without quotes and "W/".
std::string BareEtag(absl::string_view etag);

}  // namespace timbre

#endif  // TIMBRE_SERVER_OBJECTS_S3_MESSAGES_H_
