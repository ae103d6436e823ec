#include "troupe/key_hash.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe {
namespace {

/// The digest's bytes as others write them.
std::string hex(const key_hash& h) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (auto word : {h.high, h.low})
    for (int i = 0; i < 8; ++i, word >>= 8) {
      out += digits[word >> 4 & 15];
      out += digits[word & 15];
    }
  return out;
}

TEST(key_hash, is_blake2b_of_16_bytes) {
  EXPECT_EQ(hex(hash_key("")), "cae66941d9efbd404e4d88758ea67670");
  EXPECT_EQ(hex(hash_key("abc")), "cf4ab791c62b8d2b2109c90275287816");
  EXPECT_EQ(hex(hash_key("order-4711")), "51846388a4afb0fdf64b2a7c7beb1c2b");
  EXPECT_EQ(hex(hash_key(std::string(128, 'k'))), "dc3a78294cf6c26d2ad9c8ba1c9b594a");
  EXPECT_EQ(hex(hash_key(std::string(129, 'k'))), "e48758c8b6f5e8722637b2781d4d24cd");
  EXPECT_EQ(hex(hash_key(std::string(1024, 'k'))), "11b6830d25c7b9745f75158c29afd894");
}

} // namespace
} // namespace troupe
