#include "client/page/html.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace timbre::page {
namespace {

constexpr char kStyle[] =
    "body{font:15px sans-serif;max-width:60em;margin:2em auto;color:#222}"
    "pre{background:#f4f4f4;padding:1em;overflow-x:auto}"
    "svg{display:block;margin:1em 0}text{font:12px sans-serif}"
    "td,th{padding:3px 12px;text-align:right}h2{margin-top:2em}";

}  // namespace

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

Page::Page(absl::string_view title, absl::string_view style)
    : html_(absl::StrCat("<!doctype html><html lang='en'><meta "
                         "charset='utf-8'><title>",
                         EscapeHtml(title), "</title><style>", kStyle, style,
                         "</style>\n")) {
  Element("h1", title);
}

void Page::Element(absl::string_view tag, absl::string_view text) {
  absl::StrAppend(&html_, "<", tag, ">", EscapeHtml(text), "</", tag, ">\n");
}

void Page::Heading(absl::string_view text) { Element("h2", text); }
void Page::Paragraph(absl::string_view text) { Element("p", text); }
void Page::Preformatted(absl::string_view text) { Element("pre", text); }

void Page::Code(absl::string_view text) {
  absl::StrAppend(&html_, "<p><code>", EscapeHtml(text), "</code></p>\n");
}

void Page::Table(const std::vector<std::vector<std::string>>& rows,
                 FirstRow first) {
  html_ += "<table>\n";
  for (const auto& row : rows) {
    const bool heading = first == FirstRow::kHeading && &row == &rows.front();
    const char* const tag = heading ? "th" : "td";
    html_ += "<tr>";
    for (const std::string& cell : row) {
      absl::StrAppend(&html_, "<", tag, ">", EscapeHtml(cell), "</", tag, ">");
    }
    html_ += "</tr>\n";
  }
  html_ += "</table>\n";
}

void Page::Add(absl::string_view html) { absl::StrAppend(&html_, html); }

std::string Page::Finish() && { return std::move(html_) + "</html>\n"; }

}  // namespace timbre::page
