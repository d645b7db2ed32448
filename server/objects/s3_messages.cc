#include "server/objects/s3_messages.h"

#include <pugixml.hpp>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

pugi::xml_node Root(absl::string_view xml, const char* name,
                    pugi::xml_document& document) {
  // Of one that was cut pugixml keeps what there is.
  if (!document.load_buffer(xml.data(), xml.size())) document.reset();
  return document.child(name);
}

absl::Status NotUnderstood(absl::string_view what) {
  return MakeError(absl::StatusCode::kInternal, "STORE_ERROR",
                   absl::StrCat("the object store's answer is no ", what));
}

}  // namespace

S3Error ParseS3Error(absl::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_node error = Root(xml, "Error", document);
  return {.code = Printable(error.child_value("Code")),
          .message = Printable(error.child_value("Message"), 200)};
}

absl::StatusOr<ListedPage> ParseListing(absl::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_node root = Root(xml, "ListBucketResult", document);
  if (!root) return NotUnderstood("listing");
  ListedPage page;
  for (const pugi::xml_node node : root.children("Contents")) {
    ListedObject object{.key = node.child_value("Key"),
                        .etag = BareEtag(node.child_value("ETag"))};
    if (object.key.empty() ||
        !absl::SimpleAtoi(node.child_value("Size"), &object.bytes)) {
      return NotUnderstood("listing");
    }
    page.objects.push_back(std::move(object));
  }
  const absl::string_view truncated = root.child_value("IsTruncated");
  if (truncated != "true" && truncated != "false") {
    return NotUnderstood("listing");
  }
  if (truncated == "true") {
    page.next = root.child_value("NextContinuationToken");
    if (page.next.empty()) return NotUnderstood("listing");
  }
  return page;
}

absl::StatusOr<std::string> ParseUploadId(absl::string_view xml) {
  pugi::xml_document document;
  std::string id = Root(xml, "InitiateMultipartUploadResult", document)
                       .child_value("UploadId");
  if (id.empty()) return NotUnderstood("multipart upload");
  return id;
}

std::string CompletionOf(const std::vector<std::string>& etags) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  for (size_t i = 0; i < etags.size(); ++i) {
    pugi::xml_node part = root.append_child("Part");
    part.append_child("PartNumber").text() = static_cast<unsigned>(i + 1);
    part.append_child("ETag").text() =
        absl::StrCat("\"", etags[i], "\"").c_str();
  }
  std::ostringstream out;
  document.save(out, "", pugi::format_raw);
  return out.str();
}

std::string BareEtag(absl::string_view etag) {
  absl::ConsumePrefix(&etag, "W/");
  absl::ConsumePrefix(&etag, "\"");
  absl::ConsumeSuffix(&etag, "\"");
  return std::string(etag);
}

}  // namespace timbre
