// Pages that show what was measured: HTML in one file, without scripts and
// without anything from elsewhere.
#ifndef TIMBRE_CLIENT_PAGE_HTML_H_
#define TIMBRE_CLIENT_PAGE_HTML_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace timbre::page {

// `text` between tags or inside of quotes.
std::string EscapeHtml(absl::string_view text);

// Written from its beginning. Texts are escaped here, but for those of Add. Not
// thread-safe.
class Page {
 public:
  // `style`: CSS after the one of all pages.
  Page(absl::string_view title, absl::string_view style = "");

  void Heading(absl::string_view text);
  void Paragraph(absl::string_view text);
  void Code(absl::string_view text);          // a paragraph of it
  void Preformatted(absl::string_view text);  // lines as they are
  // The first row may be a heading.
  enum class FirstRow { kHeading, kLikeOthers };
  void Table(const std::vector<std::vector<std::string>>& rows,
             FirstRow first = FirstRow::kLikeOthers);
  // What is HTML already, pictures for example.
  void Add(absl::string_view html);

  // The whole of it. Once.
  std::string Finish() &&;

 private:
  void Element(absl::string_view tag, absl::string_view text);

  std::string html_;
};

}  // namespace timbre::page

#endif  // TIMBRE_CLIENT_PAGE_HTML_H_
