#include "troupe/units.hpp"

#include "random_source.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe {
namespace {

using namespace std::chrono_literals;

template <class T> testing::AssertionResult refused(const result<T>& r, std::string_view text) {
  if (r)
    return testing::AssertionFailure() << "'" << text << "' was accepted";
  if (r.error().code != errc::invalid_argument || r.error().hint.empty())
    return testing::AssertionFailure() << "the error does not teach: " << to_string(r.error());
  return testing::AssertionSuccess();
}

TEST(duration, is_a_whole_number_and_a_unit) {
  EXPECT_EQ(*parse_duration("500ms"), 500ms);
  EXPECT_EQ(*parse_duration("10s"), 10s);
  EXPECT_EQ(*parse_duration("5m"), 5min);
  EXPECT_EQ(*parse_duration("2h"), 2h);
  EXPECT_EQ(*parse_duration("3d"), 72h);
  EXPECT_EQ(*parse_duration("30d"), 720h);
  EXPECT_EQ(*parse_duration("0"), 0ms);
  EXPECT_EQ(*parse_duration("0s"), 0ms);
  EXPECT_EQ(*parse_duration("36500d"), max_duration);
}

TEST(duration, is_refused_when_it_is_anything_else) {
  for (const auto* text : {"", " ", "10", "s", "-1s", "+1s", "1.5h", "1h30m", "10 s", " 10s", "10s ", "10S",
                           "1w", "1us", "36501d", "99999999999999999999s", "18446744073709551615ms", "0x10s"})
    EXPECT_TRUE(refused(parse_duration(text), text));
}

TEST(duration, is_printed_in_the_largest_unit_that_divides_it) {
  EXPECT_EQ(format_duration(0ms), "0s");
  EXPECT_EQ(format_duration(1ms), "1ms");
  EXPECT_EQ(format_duration(1500ms), "1500ms");
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(72h), "3d");
  EXPECT_EQ(format_duration(25h), "25h");
  EXPECT_EQ(format_duration(-1500ms), "-1500ms");
  EXPECT_EQ(format_duration(milliseconds::min()), "-9223372036854775808ms");
}

TEST(duration, that_was_printed_is_read_again) {
  test::random_source random{2};
  SCOPED_TRACE(random.describe());
  for (int i = 0; i < 1000; ++i) {
    milliseconds value{random.below(static_cast<std::uint64_t>(max_duration.count())) >> random.below(41)};
    auto again = parse_duration(format_duration(value));
    ASSERT_TRUE(again) << format_duration(value);
    EXPECT_EQ(*again, value);
  }
}

TEST(size, is_a_whole_number_of_bytes_or_of_a_unit) {
  EXPECT_EQ(*parse_size("0"), 0u);
  EXPECT_EQ(*parse_size("4096"), 4096u);
  EXPECT_EQ(*parse_size("100B"), 100u);
  EXPECT_EQ(*parse_size("64KiB"), 65536u);
  EXPECT_EQ(*parse_size("4MiB"), 4u << 20);
  EXPECT_EQ(*parse_size("1GiB"), 1u << 30);
  EXPECT_EQ(*parse_size("1TiB"), 1ull << 40);
  EXPECT_EQ(*parse_size("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
}

TEST(size, is_refused_when_it_is_anything_else) {
  for (const auto* text :
       {"", "B", "-1", "1.5MiB", "4 MiB", "4MB", "4mib", "4M", "18446744073709551616", "16777216TiB"})
    EXPECT_TRUE(refused(parse_size(text), text));
}

TEST(size, that_was_printed_is_read_again) {
  EXPECT_EQ(format_size(0), "0B");
  EXPECT_EQ(format_size(100), "100B");
  EXPECT_EQ(format_size(4u << 20), "4MiB");
  EXPECT_EQ(format_size(1025), "1025B");
  test::random_source random{3};
  SCOPED_TRACE(random.describe());
  for (int i = 0; i < 1000; ++i) {
    auto value = random.next() >> random.below(64) << random.below(20);
    EXPECT_EQ(*parse_size(format_size(value)), value) << format_size(value);
  }
}

TEST(time, is_rfc_3339_or_unix_milliseconds) {
  EXPECT_EQ(*parse_time("1970-01-01T00:00:00Z"), from_unix_ms(0));
  EXPECT_EQ(*parse_time("2024-05-01T12:30:00Z"), from_unix_ms(1'714'566'600'000));
  EXPECT_EQ(*parse_time("2024-05-01T14:30:00+02:00"), from_unix_ms(1'714'566'600'000));
  EXPECT_EQ(*parse_time("2024-05-01T07:00:00-05:30"), from_unix_ms(1'714'566'600'000));
  EXPECT_EQ(*parse_time("2024-05-01t12:30:00.25z"), from_unix_ms(1'714'566'600'250));
  EXPECT_EQ(*parse_time("2024-05-01 12:30:00.123456789Z"), from_unix_ms(1'714'566'600'123));
  EXPECT_EQ(*parse_time("2024-02-29T00:00:00Z"), from_unix_ms(1'709'164'800'000));
  EXPECT_EQ(*parse_time("2016-12-31T23:59:60Z"), from_unix_ms(1'483'228'800'000));
  EXPECT_EQ(*parse_time("9999-12-31T23:59:59.999Z"), max_time);
  EXPECT_EQ(*parse_time("1714566600000"), from_unix_ms(1'714'566'600'000));
  EXPECT_EQ(*parse_time("0"), from_unix_ms(0));
}

TEST(time, is_refused_when_it_is_anything_else) {
  for (const auto* text : {"",
                           "now",
                           "-1",
                           "1.5",
                           "2024-05-01",
                           "2024-05-01T12:30:00",
                           "2024-05-01T12:30Z",
                           "2024-5-1T12:30:00Z",
                           "2023-02-29T00:00:00Z",
                           "2024-13-01T00:00:00Z",
                           "2024-00-01T00:00:00Z",
                           "2024-01-00T00:00:00Z",
                           "2024-05-01T24:00:00Z",
                           "2024-05-01T12:60:00Z",
                           "2024-05-01T12:30:61Z",
                           "2024-05-01T12:30:00.Z",
                           "2024-05-01T12:30:00+2:00",
                           "2024-05-01T12:30:00+24:00",
                           "2024-05-01T12:30:00Z ",
                           "1969-12-31T23:59:59Z",
                           "1970-01-01T00:00:00+00:01",
                           "9999-12-31T23:59:59.999-00:01",
                           "253402300800000",
                           "99999999999999999999"})
    EXPECT_TRUE(refused(parse_time(text), text));
}

TEST(time, that_was_printed_is_read_again) {
  EXPECT_EQ(format_time(from_unix_ms(1'714'566'600'007)), "2024-05-01T12:30:00.007Z");
  EXPECT_EQ(format_time(from_unix_ms(0)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_time(from_unix_ms(-1)), "-1");
  test::random_source random{4};
  SCOPED_TRACE(random.describe());
  for (int i = 0; i < 1000; ++i) {
    auto value = from_unix_ms(
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(to_unix_ms(max_time)))));
    EXPECT_EQ(*parse_time(format_time(value)), value) << format_time(value);
  }
}

TEST(units, repeat_wrong_text_only_in_a_form_that_is_safe_to_print) {
  auto err = parse_duration("\x1b[31m\n" + std::string(1000, 'x')).error();
  EXPECT_EQ(err.reason.find('\x1b'), std::string::npos);
  EXPECT_EQ(err.reason.find('\n'), std::string::npos);
  EXPECT_LT(err.reason.size(), 300u);
}

} // namespace
} // namespace troupe
