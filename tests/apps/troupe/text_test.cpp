#include "text.hpp"

#include "troupe/message.hpp"

#include <gtest/gtest.h>

#include <random>

namespace troupe::cli {

TEST(text, control_characters_cannot_reach_a_terminal) {
  EXPECT_EQ(escape("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(escape("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(escape(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(escape("\x7f"), "\\x7f");
  EXPECT_EQ(escape("\xc2\x9b"), "\\x9b") << "C1: begins an escape sequence on some terminals";
  EXPECT_EQ(escape("\xe2\x80\xae"), "\\u202e") << "turns the writing direction";
  EXPECT_EQ(escape("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(escape("\xc3\xa4"), "\xc3\xa4");
}

TEST(text, no_byte_sequence_gives_a_control_character_or_broken_utf8) {
  std::mt19937 random(7);
  for (int run = 0; run < 2000; ++run) {
    std::string bytes(random() % 40, '\0');
    for (auto& b : bytes)
      b = static_cast<char>(random());
    auto safe = escape(bytes);
    EXPECT_TRUE(is_utf8(safe)) << "run " << run << " of seed 7";
    for (unsigned char c : safe)
      EXPECT_TRUE(c >= 0x20 && c != 0x7f) << "run " << run << " of seed 7";
  }
}

TEST(text, a_long_text_is_cut_and_says_so) {
  EXPECT_EQ(escape("abcdef", 3), "abc... (6 bytes)");
  EXPECT_EQ(escape("abc", 3), "abc");
  EXPECT_EQ(escape("a\xc3\xa4z", 2), "a\xc3\xa4... (4 bytes)") << "a character stays whole";
}

TEST(text, one_thing_is_no_plural) {
  EXPECT_EQ(counted(0, "message"), "0 messages");
  EXPECT_EQ(counted(1, "message"), "1 message");
  EXPECT_EQ(counted(2000, "message"), "2,000 messages");
}

TEST(text, base64_comes_back_as_it_was) {
  EXPECT_EQ(base64_encode(""), "");
  EXPECT_EQ(base64_encode("f"), "Zg==");
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
  std::mt19937 random(11);
  for (int run = 0; run < 500; ++run) {
    std::string bytes(random() % 50, '\0');
    for (auto& b : bytes)
      b = static_cast<char>(random());
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes) << "run " << run << " of seed 11";
  }
}

TEST(text, base64_that_is_not_exact_is_refused) {
  for (const auto* text :
       {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm 8", "Zm8=Zm8=", "Zm8*", "=Zm8"})
    EXPECT_FALSE(base64_decode(text)) << text;
}

TEST(text, numbers_are_written_for_people) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(about_bytes(512), "512 B");
  EXPECT_EQ(about_bytes(1536), "1.5 KiB");
  EXPECT_EQ(about_rate(412345.2), "412,345/s");
  EXPECT_EQ(about_rate(0.5), "0.5/s");
}

TEST(text, a_column_counts_characters_not_bytes) {
  EXPECT_EQ(width("abc"), 3u);
  EXPECT_EQ(width("\xc3\xa4\xe2\x82\xac"), 2u);
}

} // namespace troupe::cli
