#include "interrupt.hpp"
#include "latencies.hpp"
#include "line_reader.hpp"
#include "output.hpp"
#include "temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace troupe::cli {

namespace {

using testing::HasSubstr;

class input : public testing::Test {
protected:
  std::string file(std::string_view content) {
    auto path = place_.path() / "input";
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  /// All lines, and the error that ended them as a last one "error: ...".
  std::vector<std::string> lines(std::string_view content, std::size_t longest) {
    line_reader reader(input_file::open(file(content)).value(), longest, stop_);
    std::vector<std::string> all;
    while (true) {
      auto line = reader.next();
      if (!line) {
        all.push_back("error: " + line.error().reason);
        return all;
      }
      if (!*line)
        return all;
      all.emplace_back(**line);
      EXPECT_EQ(reader.number(), all.size());
    }
  }
  test::temporary_directory place_;
  interrupt stop_;
};

} // namespace

TEST_F(input, lines_come_as_they_are_and_the_last_one_may_lack_its_end) {
  EXPECT_THAT(lines("", 10), testing::IsEmpty());
  EXPECT_THAT(lines("a\nb", 10), testing::ElementsAre("a", "b"));
  EXPECT_THAT(lines("a\nb\n", 10), testing::ElementsAre("a", "b"));
  EXPECT_THAT(lines("\n\n", 10), testing::ElementsAre("", ""));
  EXPECT_THAT(lines("a\r\n", 10), testing::ElementsAre("a\r"));
}

TEST_F(input, lines_longer_than_the_read_buffer_stay_whole) {
  std::string longer(300'000, 'x');
  EXPECT_THAT(lines("a\n" + longer + "\nb\n", 1 << 20), testing::ElementsAre("a", longer, "b"));
}

TEST_F(input, a_line_over_the_limit_ends_it_and_is_named) {
  auto all = lines("ok\n" + std::string(11, 'x') + "\nnever", 10);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[1], HasSubstr("line 2"));
  EXPECT_THAT(all[1], HasSubstr("more than 10 bytes"));
  EXPECT_THAT(lines(std::string(1'000'000, 'x'), 10), testing::ElementsAre(HasSubstr("line 1")));
}

TEST_F(input, a_file_is_read_up_to_the_limit) {
  auto all = [&](std::string_view content, std::size_t limit) {
    return read_all(input_file::open(file(content)).value(), limit, stop_);
  };
  EXPECT_EQ(all("", 5).value(), "");
  EXPECT_EQ(all("hello", 5).value(), "hello");
  auto more = all("hello!", 5);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, errc::too_large);
  EXPECT_THAT(more.error().reason, HasSubstr("5 bytes"));
}

TEST_F(input, an_endless_file_ends_at_the_limit) {
  auto endless = read_all(input_file::open("/dev/zero").value(), 1 << 20, stop_);
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().code, errc::too_large);
}

TEST_F(input, a_file_that_is_not_there_is_an_error) {
  auto missing = input_file::open((place_.path() / "missing").string());
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().reason, HasSubstr("missing"));
  auto directory = read_all(input_file::open(place_.path().string()).value(), 10, stop_);
  EXPECT_FALSE(directory);
}

TEST_F(input, a_signal_ends_reading_and_waiting) {
  raise(SIGTERM);
  EXPECT_TRUE(stop_.requested());
  EXPECT_FALSE(stop_.impatient());
  EXPECT_THAT(lines("a\nb\n", 10), testing::IsEmpty());
  EXPECT_TRUE(stop_.wait_until(std::chrono::steady_clock::now() + std::chrono::hours(1)));
  raise(SIGINT);
  EXPECT_TRUE(stop_.impatient());
}

TEST(latencies, percentiles_are_within_two_percent) {
  auto times = std::make_unique<latencies>();
  EXPECT_EQ(times->percentile_us(0.5), 0);
  for (int us = 1; us <= 100'000; ++us)
    times->record(std::chrono::microseconds(us));
  EXPECT_EQ(times->count(), 100'000u);
  EXPECT_NEAR(times->percentile_us(0.5), 50'000, 1000);
  EXPECT_NEAR(times->percentile_us(0.99), 99'000, 2000);
  EXPECT_NEAR(times->percentile_us(1), 100'000, 2000);
}

TEST(latencies, the_shortest_and_the_longest_time_have_their_place) {
  auto times = std::make_unique<latencies>();
  times->record(std::chrono::nanoseconds(-5));
  times->record(std::chrono::nanoseconds(0));
  times->record(std::chrono::nanoseconds::max());
  EXPECT_EQ(times->count(), 3u);
  EXPECT_LT(times->percentile_us(0.5), 0.01);
  EXPECT_GT(times->percentile_us(1), 1e12);
}

TEST(table, columns_are_aligned_and_cells_escaped) {
  table t({"NAME", ">COUNT", "LAST"});
  t.row({"a", "1", "x"});
  t.row({"\xc3\xa4\xc3\xb6\xc3\xbc\n", "1,000", "y"});
  EXPECT_EQ(t.text(false), "NAME   COUNT  LAST\n"
                           "a          1  x\n"
                           "\xc3\xa4\xc3\xb6\xc3\xbc\\n  1,000  y\n");
}

} // namespace troupe::cli
