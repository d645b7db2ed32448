#include "client/files/npy_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/testing.h"

namespace timbre::client {
namespace {

using ::testing::HasSubstr;

// A file of `version` with this dictionary and these bytes behind it.
std::string File(const std::string& dictionary, const std::string& data,
                 char version = 1) {
  std::string file = "\x93NUMPY";
  file += version;
  file += '\0';
  const auto length = static_cast<uint32_t>(dictionary.size());
  file.append(reinterpret_cast<const char*>(&length), version == 1 ? 2 : 4);
  return file + dictionary + data;
}

std::string Dictionary(const std::string& type, const std::string& shape,
                       const std::string& fortran = "False") {
  return "{'descr': '" + type + "', 'fortran_order': " + fortran +
         ", 'shape': " + shape + ", }\n";
}

template <typename T>
std::string Bytes(std::vector<T> values, bool big_endian = false) {
  std::string bytes;
  for (const T& value : values) {
    std::string one(reinterpret_cast<const char*>(&value), sizeof(T));
    if (big_endian) std::reverse(one.begin(), one.end());
    bytes += one;
  }
  return bytes;
}

const std::vector<float> kRows = {1, 2, 3, 4, 5, 6};  // [2, 3]

TEST(NpyFormatTest, BothByteOrdersAndAllWidthsAreRead) {
  const std::vector<uint16_t> halves = {0x3C00, 0x4000, 0x4200,
                                        0x4400, 0x4500, 0x4600};
  const std::vector<double> doubles(kRows.begin(), kRows.end());
  for (const bool big : {false, true}) {
    for (const std::string& order :
         big ? std::vector<std::string>{">"}
             : std::vector<std::string>{"<", "=", "|", ""}) {
      for (const auto& [type, data] :
           {std::pair{order + "f2", Bytes(halves, big)},
            std::pair{order + "f4", Bytes(kRows, big)},
            std::pair{order + "f8", Bytes(doubles, big)}}) {
        const auto matrix = ParseNpy(File(Dictionary(type, "(2, 3)"), data));
        ASSERT_OK(matrix);
        EXPECT_EQ(matrix->data, kRows) << type;
        EXPECT_EQ(matrix->rows, 2U);
        EXPECT_EQ(matrix->columns, 3U);
      }
    }
  }
}

TEST(NpyFormatTest, FortranOrderIsTurnedRound) {
  const auto matrix = ParseNpy(File(Dictionary("<f4", "(2, 3)", "True"),
                                    Bytes<float>({1, 4, 2, 5, 3, 6})));
  ASSERT_OK(matrix);
  EXPECT_EQ(matrix->data, kRows);
}

TEST(NpyFormatTest, AllVersionsAndWaysToWriteADictionaryAreRead) {
  for (const char version : {1, 2, 3}) {
    ASSERT_OK(
        ParseNpy(File(Dictionary("<f4", "(2, 3)"), Bytes(kRows), version)));
  }
  for (const char* const dictionary :
       {"{'shape':(2,3),'fortran_order':False,'descr':'<f4'}",
        "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2, 3,)}  ",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }"}) {
    ASSERT_OK(ParseNpy(File(dictionary, Bytes(kRows))));
  }
}

TEST(NpyFormatTest, ShapesThatTheFileDoesNotHoldAreRefused) {
  for (const auto& [shape, said] :
       std::vector<std::pair<const char*, const char*>>{
           {"(3, 3)", "ends in row 2"},
           {"(2, 4)", "ends in row 1"},
           {"(18446744073709551615, 3)", "ends in row 2"},
           {"(6148914691236517206, 3)", "ends in row 2"},
           {"(99999999999999999999999, 3)", "which no array has"},
           {"(-1, 3)", "which no array has"},
           {"(2, -3)", "which no array has"},
           {"(2, 0)", "dimension 0"},
           {"(2, 65537)", "dimension 65537"},
           {"(6,)", "expected [frames, dimension]"},
           {"()", "expected [frames, dimension]"},
           {"(1, 2, 3)", "expected [frames, dimension]"},
           {"(2 3)", "none of numpy's"},
           {"(2, 3", "none of numpy's"},
           {"2", "none of numpy's"},
           {"('2', 3)", "none of numpy's"}}) {
    const auto matrix = ParseNpy(File(Dictionary("<f4", shape), Bytes(kRows)));
    EXPECT_EQ(matrix.status().code(), absl::StatusCode::kInvalidArgument)
        << shape;
    EXPECT_THAT(std::string(matrix.status().message()), HasSubstr(said));
  }
}

TEST(NpyFormatTest, WhatIsNoFramesIsRefused) {
  for (const auto& [file, said] :
       std::vector<std::pair<std::string, const char*>>{
           {"", "is no .npy file"},
           {"hello, world", "is no .npy file"},
           {File(Dictionary("<i8", "(2, 3)"), ""), "holds '<i8'"},
           {File(Dictionary("|O", "(2, 3)"), ""), "holds '|O'"},
           {File(Dictionary("<f16", "(2, 3)"), ""), "holds '<f16'"},
           {File("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': "
                 "(2, 3)}",
                 ""),
            "none of numpy's"},
           {File("{'descr': '<f4'}", ""), "none of numpy's"},
           {File(Dictionary("<f4", "(2, 3)") + "x", ""), "none of numpy's"},
           {File(Dictionary("<f4", "(2, 3)"), "", 4), "version 4.0"},
           {std::string("\x93NUMPY\x01\x00\xff\xff{}", 12),
            "ends in its header"},
           {std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12),
            "ends in its header"}}) {
    const auto matrix = ParseNpy(file);
    EXPECT_EQ(matrix.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(matrix.status().message()), HasSubstr(said));
  }
}

TEST(NpyFormatTest, NoByteOfAFileCanDoHarm) {
  const std::string good = File(Dictionary("<f4", "(2, 3)"), Bytes(kRows));
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; ++i) {
    std::string bad = good.substr(0, random() % (good.size() + 1));
    for (unsigned changes = random() % 4; changes > 0 && !bad.empty();
         --changes) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    const auto matrix = ParseNpy(bad);
    if (matrix.ok()) {
      EXPECT_LE(matrix->data.size() * 2, bad.size());
    }
  }
}

TEST(NpyFormatTest, ItsOwnHeadersAreRead) {
  for (const uint64_t rows :
       {uint64_t{0}, uint64_t{1}, uint64_t{123'456'789}}) {
    const std::string header = MakeNpyHeader("<f4", rows, 256);
    EXPECT_EQ(header.size() % 64, 0U);
    const auto read = ParseNpyHeader(header, header.size() + rows * 1024);
    ASSERT_OK(read);
    EXPECT_EQ(read->data_offset, header.size());
    EXPECT_EQ(read->rows, rows);
    EXPECT_EQ(read->columns, 256U);
  }
}

}  // namespace
}  // namespace timbre::client
