#include "server/objects/s3_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/file_system.h"
#include "server/base/monotonic_clock.h"
#include "server/base/status_macros.h"
#include "server/objects/s3_messages.h"

namespace timbre {
namespace {

// A piece of a file: large enough for the bandwidth of a connection, small
// enough that a few of them may wait in memory.
constexpr uint64_t kPieceBytes = 8 << 20;
constexpr uint64_t kMaxParts = 10000;  // of S3
constexpr size_t kPiecesAtOnce = 4;
constexpr size_t kObjectsAtOnce = 64;
constexpr size_t kMaxListingBytes = 8 << 20;

absl::Status OtherSize(const std::string& key, uint64_t expected,
                       absl::string_view found) {
  return absl::DataLossError(absl::StrCat("object ", key, " has ", found,
                                          " bytes instead of ", expected));
}

std::string HeaderOf(const HttpAnswer& answer, const std::string& name) {
  const auto found = answer.headers.find(name);
  return found == answer.headers.end() ? "" : found->second;
}

Object ObjectOf(HttpAnswer answer) {
  return {.bytes = std::move(answer.body),
          .etag = BareEtag(HeaderOf(answer, "etag"))};
}

}  // namespace

absl::StatusOr<std::unique_ptr<S3Store>> S3Store::Create(Options options) {
  TIMBRE_ASSIGN_OR_RETURN(std::unique_ptr<HttpClient> http,
                          HttpClient::Create({.ca_file = options.ca_file}));
  return std::unique_ptr<S3Store>(
      new S3Store(std::move(options), std::move(http)));
}

S3Store::S3Store(Options options, std::unique_ptr<HttpClient> http)
    : options_(std::move(options)),
      availability_(options_.observe),
      http_(std::move(http)),
      credentials_(options_.credentials, options_.target.region, http_.get()) {}

absl::StatusOr<std::string> S3Store::Put(const std::string& key,
                                         absl::string_view bytes,
                                         const Condition& condition,
                                         const Patience& patience) {
  S3Call call{.method = "PUT", .key = key, .body = bytes};
  call.conditional = condition.kind != Condition::Kind::kNone;
  if (condition.kind == Condition::Kind::kAbsent) {
    call.headers.emplace("if-none-match", "*");
  } else if (call.conditional) {
    call.headers["if-match"] = absl::StrCat("\"", condition.etag, "\"");
  }
  TIMBRE_ASSIGN_OR_RETURN(const HttpAnswer answer, Do(call, patience));
  return BareEtag(HeaderOf(answer, "etag"));
}

absl::StatusOr<std::optional<Object>> S3Store::Get(
    const std::string& key, const std::string& known_etag, size_t max_bytes,
    const Patience& patience) {
  S3Call call{.method = "GET", .key = key, .max_answer_bytes = max_bytes};
  if (!known_etag.empty()) {
    call.headers["if-none-match"] = absl::StrCat("\"", known_etag, "\"");
  }
  TIMBRE_ASSIGN_OR_RETURN(HttpAnswer answer, Do(call, patience));
  if (answer.status == 304) return std::nullopt;
  return ObjectOf(std::move(answer));
}

absl::Status S3Store::GetAll(std::span<const std::string> keys,
                             size_t max_bytes, Each each,
                             const Patience& patience) {
  return DoAll(
      keys.size(), kObjectsAtOnce,
      [&](size_t i) {
        return S3Call{
            .method = "GET", .key = keys[i], .max_answer_bytes = max_bytes};
      },
      [&](size_t i, absl::StatusOr<HttpAnswer> answer) {
        if (!answer.ok()) return each(i, answer.status());
        return each(i, ObjectOf(*std::move(answer)));
      },
      patience);
}

absl::StatusOr<uint64_t> S3Store::Size(const std::string& key,
                                       const Patience& patience) {
  TIMBRE_ASSIGN_OR_RETURN(const HttpAnswer answer,
                          Do({.method = "HEAD", .key = key}, patience));
  uint64_t bytes = 0;
  if (!absl::SimpleAtoi(HeaderOf(answer, "content-length"), &bytes)) {
    return MakeError(absl::StatusCode::kInternal, "STORE_ERROR",
                     absl::StrCat("the object store gave no size of ", key));
  }
  return bytes;
}

absl::StatusOr<ListedPage> S3Store::List(const std::string& prefix,
                                         const std::string& next,
                                         const Patience& patience) {
  S3Call call{.method = "GET", .max_answer_bytes = kMaxListingBytes};
  call.query = {{"list-type", "2"}, {"prefix", options_.target.KeyOf(prefix)}};
  if (!next.empty()) call.query["continuation-token"] = next;
  TIMBRE_ASSIGN_OR_RETURN(const HttpAnswer answer, Do(call, patience));
  TIMBRE_ASSIGN_OR_RETURN(ListedPage page, ParseListing(answer.body));
  for (ListedObject& object : page.objects) {
    object.key = std::string(options_.target.WithoutPrefix(object.key));
  }
  return page;
}

absl::Status S3Store::Delete(const std::string& key, const Patience& patience) {
  const auto answer = Do({.method = "DELETE", .key = key}, patience);
  if (DetailsOf(answer.status()).reason == "NO_SUCH_OBJECT") {
    return absl::OkStatus();
  }
  return answer.status();
}

absl::Status S3Store::GetFile(const std::string& key, uint64_t bytes, Sink sink,
                              const Patience& patience) {
  if (bytes == 0) return absl::OkStatus();
  const uint64_t pieces = (bytes + kPieceBytes - 1) / kPieceBytes;
  const auto size_of = [&](size_t i) {
    return std::min(kPieceBytes, bytes - i * kPieceBytes);
  };
  return DoAll(
      pieces, kPiecesAtOnce,
      [&](size_t i) {
        S3Call call{.method = "GET",
                    .key = key,
                    .max_answer_bytes = size_of(i),
                    .bulk = true};
        const uint64_t begin = i * kPieceBytes;
        call.headers["range"] =
            absl::StrCat("bytes=", begin, "-", begin + size_of(i) - 1);
        return call;
      },
      [&](size_t i, absl::StatusOr<HttpAnswer> answer) -> absl::Status {
        if (absl::IsOutOfRange(answer.status())) {
          return OtherSize(key, bytes, "more");
        }
        TIMBRE_RETURN_IF_ERROR(answer.status());
        if (answer->body.size() != size_of(i)) {
          return OtherSize(key, bytes, "fewer");
        }
        const std::string range = HeaderOf(*answer, "content-range");
        const size_t slash = range.find('/');
        if (slash != std::string::npos &&
            range.substr(slash + 1) != absl::StrCat(bytes)) {
          return OtherSize(key, bytes, range.substr(slash + 1));
        }
        return sink(answer->body);
      },
      patience);
}

absl::Status S3Store::PutFile(const std::string& key, const std::string& path,
                              const Patience& patience) {
  TIMBRE_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
  return bytes <= kPieceBytes ? PutWhole(key, path, patience)
                              : PutParts(key, path, bytes, patience);
}

absl::Status S3Store::PutWhole(const std::string& key, const std::string& path,
                               const Patience& patience) {
  TIMBRE_ASSIGN_OR_RETURN(const std::string contents, ReadFile(path));
  return Do({.method = "PUT", .key = key, .body = contents, .bulk = true},
            patience)
      .status();
}

absl::Status S3Store::PutParts(const std::string& key, const std::string& path,
                               uint64_t bytes, const Patience& patience) {
  TIMBRE_ASSIGN_OR_RETURN(
      const HttpAnswer begun,
      Do({.method = "POST", .key = key, .query = {{"uploads", ""}}}, patience));
  TIMBRE_ASSIGN_OR_RETURN(const std::string id, ParseUploadId(begun.body));
  const uint64_t part_bytes =
      std::max(kPieceBytes, (bytes + kMaxParts - 1) / kMaxParts);
  const uint64_t parts = (bytes + part_bytes - 1) / part_bytes;
  TIMBRE_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  std::vector<std::string> etags;
  absl::Status status = DoAll(
      parts, kPiecesAtOnce,
      [&](size_t i) -> absl::StatusOr<S3Call> {
        std::string part(std::min(part_bytes, bytes - i * part_bytes), '\0');
        for (size_t got = 0; got < part.size();) {
          TIMBRE_ASSIGN_OR_RETURN(
              const size_t n, file.Read(part.data() + got, part.size() - got));
          if (n == 0) return OtherSize(path, bytes, "fewer");
          got += n;
        }
        S3Call call{
            .method = "PUT",
            .key = key,
            .query = {{"partNumber", absl::StrCat(i + 1)}, {"uploadId", id}},
            .bulk = true};
        call.owned = std::make_shared<const std::string>(std::move(part));
        call.body = *call.owned;
        return call;
      },
      [&](size_t, absl::StatusOr<HttpAnswer> answer) {
        if (answer.ok()) etags.push_back(BareEtag(HeaderOf(*answer, "etag")));
        return answer.status();
      },
      patience);
  if (status.ok()) status = Complete(key, id, etags, bytes, patience);
  if (!status.ok()) {
    // What has come is charged for until it is gone; a bucket's lifecycle rule
    // takes what this does not reach.
    Do({.method = "DELETE", .key = key, .query = {{"uploadId", id}}},
       {.deadline = MonotonicNow() + options_.timeout})
        .IgnoreError();
  }
  return status;
}

// An answer that was lost makes a repetition fail, since the upload is none any
// more: the object itself says whether it is there. Nobody else has its key.
absl::Status S3Store::Complete(const std::string& key, const std::string& id,
                               const std::vector<std::string>& etags,
                               uint64_t bytes, const Patience& patience) {
  const std::string body = CompletionOf(etags);
  const auto answer = Do({.method = "POST",
                          .key = key,
                          .query = {{"uploadId", id}},
                          .headers = {{"content-type", "application/xml"}},
                          .body = body,
                          .bulk = true},
                         patience);
  if (absl::IsCancelled(answer.status())) return answer.status();
  // 200 is sent before the work is done: an error may follow it.
  const S3Error error = answer.ok() ? ParseS3Error(answer->body) : S3Error();
  if (answer.ok() && error.code.empty()) return absl::OkStatus();
  const auto size = Size(key, patience);
  if (size.ok() && *size == bytes) return absl::OkStatus();
  if (!answer.ok()) return answer.status();
  return NotDone(absl::UnavailableError(
                     absl::StrCat("the object store could not complete ", key,
                                  ": ", error.code, " (", error.message, ")")),
                 false);
}

}  // namespace timbre
