#include "client/page/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace timbre::page {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HtmlTest, TextsAreEscaped) {
  EXPECT_EQ(EscapeHtml("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
  Page page("<i>");
  page.Paragraph("<b>");
  page.Code("<code>");
  page.Preformatted("<pre>");
  page.Table({{"<u>"}});
  const std::string html = std::move(page).Finish();
  for (const char* const part :
       {"<title>&lt;i&gt;</title>", "<h1>&lt;i&gt;</h1>", "<p>&lt;b&gt;</p>",
        "<code>&lt;code&gt;</code>", "<pre>&lt;pre&gt;</pre>",
        "<td>&lt;u&gt;</td>"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
}

TEST(HtmlTest, APageNeedsNothingFromElsewhere) {
  Page page("title", "p{color:red}");
  page.Add("<svg></svg>");
  const std::string html = std::move(page).Finish();
  EXPECT_THAT(html, HasSubstr("p{color:red}</style>"));
  EXPECT_THAT(html, HasSubstr("<svg></svg>"));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("script")));
}

TEST(HtmlTest, TheFirstRowOfATableMayBeAHeading) {
  Page page("title");
  page.Table({{"a", "b"}, {"1", "2"}}, Page::FirstRow::kHeading);
  EXPECT_THAT(std::move(page).Finish(),
              HasSubstr("<tr><th>a</th><th>b</th></tr>\n"
                        "<tr><td>1</td><td>2</td></tr>"));
}

}  // namespace
}  // namespace timbre::page
