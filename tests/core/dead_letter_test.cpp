#include "troupe/dead_letter.hpp"

#include "troupe/message.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe {
namespace {

TEST(dead_letter, detail_keeps_text_as_it_is) {
  EXPECT_EQ(dead_detail(""), "");
  EXPECT_EQ(dead_detail("no such customer: J\xc3\xbcrgen \xf0\x9f\x98\x80"),
            "no such customer: J\xc3\xbcrgen \xf0\x9f\x98\x80");
}

TEST(dead_letter, detail_shows_what_is_no_text_as_question_marks) {
  EXPECT_EQ(dead_detail("a\xff\xc3(b\xed\xa0\x80"), "a??"
                                                    "(b???");
  EXPECT_EQ(dead_detail("cut \xf0\x9f\x98"), "cut ???");
}

TEST(dead_letter, detail_is_cut_between_characters) {
  const auto cut = dead_detail(std::string(max_dead_detail - 1, 'x') + "\xc3\xbc and more");
  EXPECT_EQ(cut, std::string(max_dead_detail - 1, 'x'));
  EXPECT_EQ(dead_detail(std::string(5000, 'y')), std::string(max_dead_detail, 'y'));
  EXPECT_TRUE(is_utf8(dead_detail(std::string(max_dead_detail - 3, 'z') + "\xf0\x9f\x98\x80")));
}

TEST(dead_letter, reasons_have_the_names_of_the_command_line) {
  EXPECT_EQ(to_string(dead_reason::attempts), "attempts");
  EXPECT_EQ(to_string(dead_reason::rejected), "rejected");
  EXPECT_EQ(to_string(dead_reason::expired), "expired");
  EXPECT_EQ(to_string(dead_reason::unsettled), "unsettled");
  EXPECT_EQ(to_string(static_cast<dead_reason>(77)), "unknown");
}

} // namespace
} // namespace troupe
