#include "client/page/svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace timbre::page {
namespace {

using ::testing::HasSubstr;

TEST(SvgTest, EveryElementIsWrittenWithTenthsOfPixels) {
  Svg svg(100, 50);
  svg.Text(1, 2.26, "a<b", Svg::Anchor::kEnd, kRed);
  svg.GridLine(0, 1, 2, 3);
  svg.Polyline({{0, 1}, {2, 1.0 / 3}}, kBlue);
  svg.Bar(1, 2, 3, 4, kGrey);
  svg.Circle(5, 6, 7, kGrey, "x & y");
  EXPECT_EQ(std::move(svg).Finish(),
            "<svg width='100' height='50' role='img'>"
            "<text x='1' y='2.3' fill='#d62728' text-anchor='end'>a&lt;b</text>"
            "<line x1='0' x2='2' y1='1' y2='3' stroke='#ddd'/>"
            "<polyline fill='none' stroke-width='1.5' stroke='#1f77b4' "
            "points='0,1 2,0.3 '/>"
            "<rect x='1' y='2' width='3' height='4' fill='#777'/>"
            "<circle cx='5' cy='6' r='7' fill='#777'><title>x &amp; y</title>"
            "</circle></svg>\n");
}

TEST(PlotTest, AxesReachFromMarginToMargin) {
  const Plot::Layout layout{.width = 200,
                            .height = 100,
                            .left = 20,
                            .right = 10,
                            .top = 30,
                            .bottom = 20};
  Plot plot(layout, "title", {.least = -1, .most = 1}, 4);
  EXPECT_EQ(plot.X(-1), 20);
  EXPECT_EQ(plot.X(1), 190);
  EXPECT_EQ(plot.Y(0), 80);
  EXPECT_EQ(plot.Y(4), 30);
  plot.GridOfY(2, " %", 100);
  plot.GridOfX(0, "middle");
  const std::string svg = std::move(plot).Finish();
  for (const char* const part :
       {">title</text>", ">0 %</text>", ">200 %</text>", ">400 %</text>",
        "<line x1='105' x2='105' y1='30' y2='80' stroke='#ddd'/>",
        "<text x='105' y='98' text-anchor='middle'>middle</text>"}) {
    EXPECT_THAT(svg, HasSubstr(part));
  }
}

TEST(PlotTest, OnePointAloneLiesAtTheLeft) {
  Plot plot({}, "title", {.least = 3, .most = 3}, 1);
  EXPECT_EQ(plot.X(3), Plot::Layout().left);
}

}  // namespace
}  // namespace timbre::page
