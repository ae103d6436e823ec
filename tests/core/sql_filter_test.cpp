#include "allocations.hpp"
#include "filtered_message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

using testing::HasSubstr;

class sql_filter : public testing::Test {
protected:
  sql_filter() {
    m.tag_text = "paid";
    m.key_list = {"order-1", "customer-7"};
    m.properties = {{"price", "10"},      {"weight", "2.5"},  {"region", "eu"},
                    {"yes", "true"},      {"no", "FALSE"},    {"negative", "-3"},
                    {"empty", ""},        {"word", "it's"},   {"big", "9007199254740993"},
                    {"order-id", "x\"y"}, {"percent", "50%"}, {"greek", "αβγ"},
                    {"like", "word"}};
    m.priority_value = 4;
    m.born_at = timestamp{milliseconds{1'700'000'000'000}};
    m.attempt_number = 3;
  }

  static std::shared_ptr<const filter> parsed(std::string_view text) {
    auto f = parse_filter(text);
    EXPECT_TRUE(f) << text << ": " << to_string(f.error());
    return f ? *f : nullptr;
  }
  bool matches(std::string_view text) const {
    const auto f = parsed(text);
    return f && f->matches(m);
  }
  /// What a condition is: an unknown one matches neither way.
  std::string truth(const std::string& condition) const {
    // On a line of its own: it may end with a comment.
    const bool yes = matches("(" + condition + "\n)");
    const bool no = matches("NOT (" + condition + "\n)");
    EXPECT_FALSE(yes && no) << condition;
    return yes ? "yes" : no ? "no" : "unknown";
  }
  void is(const char* expected, const std::vector<std::string>& conditions) const {
    for (const auto& c : conditions)
      EXPECT_EQ(truth(c), expected) << c;
  }
  static std::string canonical(std::string_view text) {
    const auto f = parsed(text);
    return f ? f->text() : "";
  }
  static void refused(std::string_view text, const std::string& place, const std::string& why) {
    auto f = parse_filter(text);
    ASSERT_FALSE(f) << text << " was read as " << (*f)->text();
    EXPECT_EQ(f.error().code, errc::invalid_argument);
    EXPECT_THAT(f.error().reason, HasSubstr(" " + place + " (")) << text;
    EXPECT_THAT(f.error().reason, HasSubstr(why)) << text;
    EXPECT_NE(f.error().hint, "") << text;
  }

  test::filtered_message m;
};

TEST_F(sql_filter, compares_a_property_with_a_number_as_a_number) {
  is("yes",
     {"price = 10", "price = 10.0", "price <> 11", "price > 9", "price >= 10", "price < 10.5", "price <= 10",
      "weight = 2.5", "weight < 3", "negative < 0", "negative = -3", "price > -1", "10 = price", "9 < price",
      "price = 1e1", "price = 10L", "price = +10", "price > weight", "price = 010"});
  is("no", {"price = 11", "price <> 10", "price > 10", "price < 10", "weight >= 2.6", "negative > -3"});
  is("unknown", {"region = 1", "region <> 1", "region < 1", "absent = 1", "absent > 1", "empty = 0",
                 "region > price", "absent > absent"});
}

TEST_F(sql_filter, compares_texts_byte_by_byte_and_only_for_equality) {
  is("yes", {"region = 'eu'", "region <> 'us'", "'eu' = region", "price = '10'", "word = 'it''s'",
             "empty = ''", "region = region", "greek = 'αβγ'"});
  is("no", {"region = 'EU'", "region = 'eu '", "price = '10.0'", "price = weight", "region <> 'eu'"});
  is("unknown", {"absent = 'eu'", "absent <> 'eu'", "absent = region"});
  refused("region < 'eu'", "column 10", "takes numbers");
  refused("'a' > region", "column 1", "takes numbers");
}

TEST_F(sql_filter, reads_a_property_beside_true_and_false_as_a_truth_value) {
  is("yes",
     {"yes = TRUE", "yes", "no = FALSE", "NOT no", "no <> TRUE", "yes AND NOT no", "TRUE", "TRUE = yes"});
  is("no", {"yes = FALSE", "no", "NOT yes", "FALSE"});
  is("unknown", {"region", "region = TRUE", "NOT region", "absent", "NOT absent", "price = TRUE", "NULL"});
  EXPECT_TRUE(matches("(yes)"));
  EXPECT_FALSE(matches("yes")) << "a name alone is a tag";
}

TEST_F(sql_filter, knows_the_system_fields) {
  is("yes",
     {"tag = 'paid'", "TAGS = 'paid'", "TAGS IN ('paid', 'sent')", "priority = 4", "priority BETWEEN 3 AND 5",
      "attempt = 3", "attempt > 1", "born = 1700000000000", "born >= 1.6e12", "born / 1000 = 1700000000",
      "tag LIKE 'p%'", "tag IS NOT NULL", "priority IS NOT NULL"});
  is("no",
     {"tag <> 'paid'", "\"tag\" IS NOT NULL", "Tag IS NOT NULL", "Priority IS NOT NULL", "priority < 4"});
  m.tag_text.clear();
  is("yes", {"tag IS NULL"});
  is("unknown", {"tag = 'paid'", "tag <> 'paid'"});
}

TEST_F(sql_filter, a_condition_on_the_keys_holds_when_it_holds_for_one_of_them) {
  is("yes", {"keys = 'order-1'", "keys = 'customer-7'", "'order-1' = keys", "KEYS = 'order-1'",
             "keys IN ('a', 'customer-7')", "keys LIKE 'order%'", "keys CONTAINS 'mer'",
             "keys STARTSWITH 'cust'", "keys ENDSWITH '-1'", "keys IS NOT NULL", "keys <> 'order-2'",
             "keys NOT LIKE 'x%'", "keys NOT CONTAINS 'x'", "keys NOT IN ('a')"});
  is("no", {"keys = 'order-2'", "keys <> 'order-1'", "keys NOT IN ('order-1')", "keys NOT LIKE '%-7'",
            "keys NOT CONTAINS 'order'", "keys IS NULL", "keys STARTSWITH 'rder'"});
  m.key_list = {"order-1", "7"};
  is("yes", {"keys = 7"});
  is("unknown", {"keys = 5", "keys <> 5", "keys IN (5)"});
  m.key_list.clear();
  is("yes", {"keys IS NULL"});
  is("no", {"keys CONTAINS 'a'", "keys NOT CONTAINS 'a'", "keys IS NOT NULL"});
  is("unknown", {"keys = 'a'", "keys <> 'a'", "keys IN ('a')", "keys NOT LIKE 'a'"});
  refused("keys > 5", "column 1", "the list of keys");
  refused("keys = region", "column 8", "compared with texts only");
  refused("region = keys", "column 1", "compared with texts only");
  refused("keys + 1 = 2", "column 1", "the list of keys");
  refused("(keys)", "column 2", "a condition is expected");
}

TEST_F(sql_filter, and_or_and_not_follow_the_tables_of_three_truth_values) {
  const std::string y = "price = 10", n = "price = 11", u = "absent = 1";
  for (const auto& [left, right, both, either] : std::vector<std::array<std::string, 4>>{
           {y, y, "yes", "yes"},
           {y, n, "no", "yes"},
           {y, u, "unknown", "yes"},
           {n, y, "no", "yes"},
           {n, n, "no", "no"},
           {n, u, "no", "unknown"},
           {u, y, "unknown", "yes"},
           {u, n, "no", "unknown"},
           {u, u, "unknown", "unknown"},
       }) {
    EXPECT_EQ(truth(left + " AND " + right), both) << left << " AND " << right;
    EXPECT_EQ(truth(left + " OR " + right), either) << left << " OR " << right;
  }
  is("no", {"NOT " + y});
  is("yes", {"NOT " + n});
  is("unknown", {"NOT " + u, "NOT NOT " + u});
  // The same with the constants, which are computed while reading.
  is("yes", {"TRUE AND TRUE", "TRUE OR FALSE", "FALSE OR TRUE", "TRUE OR NULL", "NULL OR TRUE", "NOT FALSE"});
  is("no", {"TRUE AND FALSE", "FALSE AND NULL", "NULL AND FALSE", "FALSE OR FALSE", "NOT TRUE"});
  is("unknown", {"TRUE AND NULL", "NULL AND TRUE", "NULL AND NULL", "FALSE OR NULL", "NULL OR FALSE",
                 "NULL OR NULL", "NOT NULL", u + " AND TRUE", u + " OR FALSE", u + " AND NULL"});
  is("no", {u + " AND FALSE"});
  is("yes", {u + " OR TRUE"});
}

TEST_F(sql_filter, is_null_asks_for_what_is_absent) {
  is("yes", {"absent IS NULL", "region IS NOT NULL", "empty IS NOT NULL", "(absent = 1) IS NULL",
             "NULL IS NULL", "absent + 1 IS NULL", "NOT absent IS NOT NULL"});
  is("no", {"region IS NULL", "absent IS NOT NULL", "empty IS NULL", "(price = 1) IS NULL", "5 IS NULL"});
  refused("price = NULL", "column 9", "nothing is equal to NULL");
  refused("NULL <> price", "column 1", "nothing is equal to NULL");
  refused("price > NULL", "column 9", "this is NULL");
}

TEST_F(sql_filter, between_includes_its_bounds) {
  is("yes",
     {"price BETWEEN 10 AND 20", "price BETWEEN 1 AND 10", "price NOT BETWEEN 11 AND 20",
      "price BETWEEN weight AND 20", "5 BETWEEN 1 AND 5", "price BETWEEN 2 * 5 AND 10",
      "price BETWEEN 10 AND 10", "price BETWEEN 1 AND 20 AND region = 'eu'", "price BETWEEN -5 AND +20"});
  is("no", {"price BETWEEN 11 AND 20", "price NOT BETWEEN 10 AND 10", "price BETWEEN 11 AND absent",
            "price BETWEEN price AND weight"});
  is("yes", {"price NOT BETWEEN 11 AND absent"});
  is("unknown", {"absent BETWEEN 1 AND 2", "absent NOT BETWEEN 1 AND 2", "region BETWEEN 1 AND 2",
                 "price BETWEEN 1 AND absent", "price NOT BETWEEN 1 AND absent"});
  refused("price BETWEEN 20 AND 10", "column 15", "wrong order: 20 is above 10");
  refused("price NOT BETWEEN 0.5 AND -0.5", "column 19", "wrong order");
  refused("price BETWEEN 'a' AND 'b'", "column 15", "takes numbers");
  refused("price BETWEEN NULL AND 5", "column 15", "NULL");
  refused("price BETWEEN 1 OR 2", "column 17", "expected AND");
}

TEST_F(sql_filter, in_compares_with_each_of_its_items) {
  is("yes", {"region IN ('us', 'eu')", "region NOT IN ('us')", "price IN ('10')", "price IN (1, 10)",
             "price IN (10.0, 'x')", "price NOT IN (1, 2)", "negative IN (-3)", "priority IN (4, 5)",
             "priority IN ('4')", "price + 1 IN (11)", "region IN ('eu', 1)", "price IN (+10)"});
  is("no", {"region IN ('us')", "region NOT IN ('eu', 'us')", "price IN ('10.0')", "price NOT IN (10)",
            "priority IN (5)"});
  is("unknown", {"absent IN ('eu')", "absent NOT IN ('eu')", "region IN (1)", "region NOT IN ('us', 1)"});
  refused("region IN ()", "column 12", "expected a text in quotes or a number");
  refused("region IN 'eu'", "column 11", "expected '('");
  refused("region IN ('eu' 'us')", "column 17", "expected ',' or ')'");
  refused("region IN ('eu', )", "column 18", "expected a text in quotes or a number");
  refused("region IN ('eu'", "column 16", "expected ',' or ')'");
  refused("region IN (other)", "column 12", "expected a text in quotes or a number");
  refused("priority IN ('high')", "column 14", "compared with a number and is none");
  refused("(price > 1) IN ('a')", "column 2", "IN takes");
}

TEST_F(sql_filter, looks_into_texts_and_finds_nothing_in_what_is_absent_negated_or_not) {
  is("yes", {"region CONTAINS 'e'", "region CONTAINS 'eu'", "region STARTSWITH 'e'", "region ENDSWITH 'u'",
             "region NOT CONTAINS 'x'", "region NOT STARTSWITH 'u'", "region NOT ENDSWITH 'e'",
             "price CONTAINS '1'", "word CONTAINS 't''s'", "greek CONTAINS 'β'"});
  is("no", {"region CONTAINS 'x'", "region STARTSWITH 'u'", "region ENDSWITH 'e'", "region NOT CONTAINS 'e'",
            "region NOT STARTSWITH 'e'", "region NOT ENDSWITH 'u'", "region STARTSWITH 'eux'"});
  for (const auto* word :
       {"CONTAINS", "NOT CONTAINS", "STARTSWITH", "NOT STARTSWITH", "ENDSWITH", "NOT ENDSWITH"})
    is("no", {"region " + std::string{word} + " ''", "empty " + std::string{word} + " ''",
              "absent " + std::string{word} + " 'a'", "absent " + std::string{word} + " ''"});
  is("yes", {"NOT (absent CONTAINS 'a')", "NOT (absent NOT CONTAINS 'a')"});
  refused("region CONTAINS 5", "column 17", "expected a text in quotes");
  refused("region CONTAINS other", "column 17", "expected a text in quotes");
  refused("priority CONTAINS '4'", "column 1", "looks into texts");
  refused("(price > 1) STARTSWITH '4'", "column 2", "looks into texts");
}

TEST_F(sql_filter, like_knows_two_wildcards_and_an_escape) {
  is("yes",
     {"region LIKE 'eu'", "region LIKE 'e%'", "region LIKE '%u'", "region LIKE '__'", "region LIKE '%'",
      "region LIKE '%e%u%'", "region LIKE '_%_'", "region NOT LIKE '_'", "empty LIKE ''", "empty LIKE '%%'",
      "percent LIKE '50!%' ESCAPE '!'", "percent LIKE '%\\%' ESCAPE '\\'", "percent LIKE '__%'",
      "greek LIKE '___'", "greek LIKE 'α_γ'", "greek NOT LIKE '__'", "word LIKE 'it''_'"});
  is("no", {"region LIKE 'e'", "region LIKE 'E%'", "region LIKE '___'", "empty LIKE '_'",
            "region NOT LIKE 'e%'", "price LIKE '10!%' ESCAPE '!'", "greek LIKE '______'"});
  is("unknown", {"absent LIKE '%'", "absent NOT LIKE '%'"});
  m.properties["long"] = "aaaaaaaaaabaaaab";
  is("yes", {"long LIKE '%a%b%a%b'", "long LIKE 'a%ab'", "long LIKE '%aab'", "long LIKE '%b%b'"});
  is("no", {"long LIKE '%b%b%b'", "long LIKE '%ba'", "long LIKE 'b%'"});
  refused("region LIKE other", "column 13", "expected a text in quotes");
  refused("region LIKE 'a!b' ESCAPE '!'", "column 13", "escape character stands before");
  refused("region LIKE 'a!' ESCAPE '!'", "column 13", "escape character stands before");
  refused("region LIKE 'a' ESCAPE 'ab'", "column 24", "one ASCII character");
  refused("region LIKE 'a' ESCAPE '%'", "column 24", "one ASCII character");
  refused("region LIKE 'a' ESCAPE 5", "column 24", "expected one character in quotes");
  refused("priority LIKE '4'", "column 1", "looks into texts");
}

TEST_F(sql_filter, calculates_with_whole_and_floating_numbers) {
  is("yes", {"price + 1 = 11",
             "price - 1 = 9",
             "price * 2 = 20",
             "price / 3 = 3",
             "price / 3.0 > 3.3",
             "price / 4 * 4 = 8",
             "weight * 2 = 5",
             "1 + 2 * 3 = 7",
             "(1 + 2) * 3 = 9",
             "10 - 2 - 3 = 5",
             "2 * -3 = -6",
             "-price = -10",
             "- -price = 10",
             "-(price - 12) = 2",
             "price = 7 + 3",
             "+price = 10",
             "negative / 2 = -1",
             "price-1=9",
             "price -1 = 9",
             "price - -1 = 11",
             "-9223372036854775808 < 0",
             "big = 9007199254740993",
             "big <> 9007199254740992"});
  is("unknown", {"absent + 1 = 1", "region * 2 = 4", "price / (price - 10) = 1", "big * big = 1",
                 "-region = 1", "price / (weight - 2.5) = 1"});
}

TEST_F(sql_filter, keeps_the_precedence_of_sql) {
  is("yes", {"price = 11 AND absent = 1 OR region = 'eu'", "region = 'eu' OR price = 11 AND price = 12",
             "NOT price = 11", "NOT price = 11 AND region = 'eu'", "NOT (price = 10 AND region = 'us')",
             "price > 1 = TRUE", "price > 11 = FALSE", "price = 10 = TRUE", "price = 1 + 9",
             "NOT price > 11 = TRUE", "region = 'us' IS NOT NULL", "yes = NOT no",
             "not price = 11 and region in ('eu') or absent is not null"});
  is("no", {"NOT price = 10 OR price = 11", "NOT (price = 10 OR price = 11)"});
}

TEST_F(sql_filter, takes_names_in_quotes_for_properties_and_reserved_words_in_any_case) {
  is("yes", {"\"price\" = 10", "\"order-id\" = 'x\"y'", "\"like\" = 'word'", "price bEtWeEn 1 aNd 20",
             "region LiKe 'e%'", "true", "Not FALSE", "_a IS NULL", "$b IS NULL", "a1$_ IS NULL",
             "\"a\"\"b\" IS NULL", "andy IS NULL", "inn IS NULL", "nullable IS NULL"});
  is("unknown", {"PRICE = 10", "Region = 'eu'"});
}

TEST_F(sql_filter, skips_comments_and_white_space) {
  is("yes",
     {"price /* in cents */ = 10", "price = 10 -- the end", "price -- of it\n= 10", "/**/price=/***/10",
      "/* a * b / c ** */ price = 10", "price\t=\r\n10\f", "price = 10 --", "/*'*/price = 10"});
  refused("price = 10 /* never", "column 20", "expected the end */ of a comment");
  refused("price = 10 /*/", "column 15", "expected the end */ of a comment");
}

TEST_F(sql_filter, evaluates_without_allocating) {
  m.properties["long"] = std::string(1000, 'x') + "y";
  for (const auto* text :
       {"price > 5 AND region IN ('eu', 'us') OR NOT (weight BETWEEN 1 AND 3.5)",
        "keys CONTAINS 'order' AND tag = 'paid' AND priority * 2 + attempt >= 11 AND born / 1000.5 > 1",
        "long LIKE '%xx_y' AND long ENDSWITH 'xy' AND word NOT CONTAINS 'zz' AND absent IS NULL",
        "-weight * 1e300 * 1e300 < 0 OR region > 5 OR big = 9007199254740993", "created || paid", "*"}) {
    const auto f = parsed(text);
    ASSERT_TRUE(f);
    const auto before = test::allocations();
    const bool yes = f->matches(m);
    EXPECT_EQ(test::allocations(), before) << text;
    EXPECT_TRUE(yes) << text;
  }
  const auto before = test::allocations();
  delete new std::string(100, 'x');
  EXPECT_GT(test::allocations(), before) << "the counter counts";
}

TEST_F(sql_filter, leaves_tags_to_the_language_of_tags) {
  for (const auto* tags : {"paid", "a || b", "order-paid", "TRUE", "a+b", "a.b||c/d", "*"})
    EXPECT_EQ(canonical(tags).find_first_of("=()"), std::string::npos) << tags;
  for (const auto* sql :
       {"(paid)", "NOT paid", "price > 5", "price>5", "region='eu'", "absent IS NULL", "\"paid\""})
    EXPECT_NE(canonical(sql).find_first_of("=()> "), std::string::npos) << sql;
  EXPECT_TRUE(parsed("1 = 1")->everything());
  EXPECT_EQ(canonical("1 = 1 OR price > 5"), "*") << "what is always true is no filter";
  EXPECT_FALSE(parsed("price = price")->everything()) << "it wants messages with a price";
}

TEST_F(sql_filter, equal_filters_have_equal_texts_that_mean_the_same) {
  const std::pair<const char*, const char*> same[] = {
      {"price>5", "price > 5"},
      {"5 < price", "price > 5"},
      {"5 = price", "price = 5"},
      {"(((price))) >= ((1+2)*3)", "price >= 9"},
      {"b = 1 and a = 2 And b = 1", "a = 2 AND b = 1"},
      {"(c = 1 OR (b = 2 OR a = 3)) AND TRUE", "a = 3 OR b = 2 OR c = 1"},
      {"b = 1 AND a = 1 OR a = 1 AND b = 1", "a = 1 AND b = 1"},
      {"(a = 1 AND b = 1 OR b = 1 AND a = 1) AND c = 1", "a = 1 AND b = 1 AND c = 1"},
      {"c = 1 AND (b = 1 OR a = 1)", "(a = 1 OR b = 1) AND c = 1"},
      {"x in ('b','a' , 'b')", "x IN ('a', 'b')"},
      {"x NOT in (2, 'b', 1, 1)", "x NOT IN ('b', 1, 2)"},
      {"not x > 5", "x <= 5"},
      {"NOT NOT x = 5", "x = 5"},
      {"NOT x IS NULL", "x IS NOT NULL"},
      {"NOT x NOT LIKE 'a'", "x LIKE 'a'"},
      {"NOT x BETWEEN 1 AND 2", "x NOT BETWEEN 1 AND 2"},
      {"NOT x CONTAINS 'a'", "NOT x CONTAINS 'a'"},
      {"x NOT CONTAINS 'a'", "x NOT CONTAINS 'a'"},
      {"(flag)", "flag = TRUE"},
      {"NOT flag", "flag <> TRUE"},
      {"TAGS = 'a' OR KEYS = 'b'", "keys = 'b' OR tag = 'a'"},
      {"\"price\" = 1 AND \"tag\" = 2 AND \"or\" = 3 AND \"a b\" = 4",
       "\"a b\" = 4 AND \"or\" = 3 AND \"tag\" = 2 AND price = 1"},
      {"x = 1.50 OR x = 1e3 OR x = 5.", "x = 1.5 OR x = 1000.0 OR x = 5.0"},
      {"x - (y - z) = x - y - z", "x - (y - z) = x - y - z"},
      {"x * (y + 1) = -(-x) / (y / z)", "- -x / (y / z) = x * (y + 1)"},
      {"x LIKE 'a!%%!_!!' ESCAPE '!'", "x LIKE 'a\\%%\\_!' ESCAPE '\\'"},
      {"x LIKE 'a!!%%%' ESCAPE '!'", "x LIKE 'a!%'"},
      {"x = 'it''s' /* c */", "x = 'it''s'"},
      {"priority = '4'", "priority = 4"},
      {"1 = 2", "(FALSE)"},
      {"(NULL)", "(FALSE)"},
      {"((a > 1) = (b > 1)) IS NULL", "a > 1 = b > 1 IS NULL"},
  };
  for (const auto& [text, expected] : same) {
    EXPECT_EQ(canonical(text), expected) << text;
    EXPECT_EQ(canonical(expected), expected);
  }
}

TEST_F(sql_filter, errors_say_at_which_column_and_what_was_expected) {
  const auto a_value = "expected a value (a name, a number, a text in quotes)";
  refused("price >", "column 8", a_value);
  refused("price > > 5", "column 9", a_value);
  refused("  price > > 5", "column 11", a_value);
  refused("price = 5 AND", "column 14", a_value);
  refused("price = 5 AND OR", "column 15", a_value);
  refused("= 5", "column 1", a_value);
  refused("()", "column 2", a_value);
  refused("price = 5abc", "column 9", a_value);
  refused("price = 1.2.3", "column 12", "expected a comparison");
  refused("price = 5 5", "column 11", "expected a comparison, AND, OR or the end");
  refused("price 5", "column 7", "expected a comparison, AND, OR or the end");
  refused("price == 5", "column 8", a_value);
  refused("price != 5 AND a = 1", "column 7", "expected a comparison");
  refused("(price = 5", "column 11", "expected a comparison, AND, OR or ')'");
  refused("price = 5)", "column 10", "the end");
  refused("price NOT 5", "column 11", "expected BETWEEN, IN, LIKE, CONTAINS, STARTSWITH or ENDSWITH");
  refused("price IS 5", "column 10", "expected NULL or NOT NULL");
  refused("price IS NOT 5", "column 14", "expected NULL");
  refused("region = 'eu", "column 13", "expected the closing quote ' of a text");
  refused("\"region = 1", "column 12", "expected the closing quote \" of a name");
  refused("\"\" = 1", "column 1", a_value);
  refused("price > 'a'", "column 9", "takes numbers, and this is a text");
  refused("price + 'a' = 1", "column 9", "+ takes numbers");
  refused("-'a' = 1", "column 2", "- takes numbers");
  refused("(price > 1) > 1", "column 2", "this is a condition");
  refused("price > 1 = 5", "column 13", "never equal");
  refused("born = TRUE", "column 8", "a condition is never equal to a number");
  refused("born = 'now'", "column 8", "compared with a number and is none");
  refused("price = 5 AND 'x'", "column 15", "a condition is expected here, and this is a text");
  refused("5 OR price = 5", "column 1", "a condition is expected here, and this is a number");
  refused("(born)", "column 2", "a condition is expected");
  refused("price = 9223372036854775808", "column 9", "does not fit");
  refused("price = 1e999", "column 9", "does not fit");
  refused("price = 1e-999", "column 9", "does not fit");
  refused("price > 9223372036854775807 + 1", "column 9", "does not fit");
  refused("price > 1 / 0", "column 9", "divides by zero");
  refused("price > 1e308 * 10", "column 9", "does not fit");
  refused("greek = 'αβγ' AND > 5", "column 19", a_value);
  refused("price = 5\n  AND >", "line 2, column 7", a_value);
  refused("price = 'a' || 'b'", "column 13", "expected a comparison, AND, OR or the end");
}

TEST_F(sql_filter, the_place_in_an_error_is_shown_and_cannot_harm_a_terminal) {
  auto f = parse_filter("price = \x1b[31m" + std::string(500, 'x'));
  ASSERT_FALSE(f);
  EXPECT_THAT(f.error().reason, HasSubstr("column 9 (' [31mxxx"));
  EXPECT_LT(f.error().reason.size(), 200u);
  EXPECT_EQ(f.error().reason.find('\x1b'), std::string::npos);
  EXPECT_THAT(parse_filter("price = ").error().reason, HasSubstr("(its end)"));
  EXPECT_EQ(parse_filter("price = '\xff'").error().code, errc::invalid_argument) << "not UTF-8";
}

std::string repeated(const std::string& text, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i)
    out += text;
  return out;
}

TEST_F(sql_filter, has_a_canonical_text_that_reads_back_as_itself) {
  for (const auto* text :
       {"NOT (a = 1 AND a = 1)", "NOT (a < 1 OR a < 1)", "NOT (a = 1 AND NOT (b = 2 AND b = 2))",
        "NOT (NOT (a CONTAINS 'x') AND NOT (a CONTAINS 'x'))"}) {
    const auto once = parse_filter(text);
    ASSERT_TRUE(once) << text;
    const auto again = parse_filter((*once)->text());
    ASSERT_TRUE(again) << (*once)->text();
    EXPECT_EQ((*again)->text(), (*once)->text()) << text;
  }
}

TEST_F(sql_filter, refuses_a_wrong_expression_at_once_however_many_ways_there_are_to_read_it) {
  refused(repeated("NOT (", 30) + "a", "column 152", "expected");
  refused(repeated("NOT NOT (", 20) + "a", "column 182", "expected");
  refused(repeated("- (", 30) + "a", "column 92", "expected");
  is("yes", {repeated("NOT (NOT (", 14) + "price = 10" + repeated("))", 14)});
}

TEST_F(sql_filter, bounds_length_depth_and_size) {
  const auto nested = [](std::size_t n) { return repeated("(", n) + "price = 10" + repeated(")", n); };
  for (const auto& most :
       {nested(64), "price = " + repeated("- ", 64) + "10", repeated("NOT ", 64) + "price = 10"})
    EXPECT_TRUE(matches(most)) << most;
  refused(nested(65), "column 65", "more than 64 parentheses");
  refused(nested(4000), "column 65", "more than 64 parentheses");
  refused(repeated("NOT ", 70) + "a = 1", "column 257", "more than 64");
  refused("a = " + repeated("- ", 70) + "b", "column 133", "more than 64");
  is("yes", {"price" + repeated(" + 1", 30) + " = 40"});
  refused("price" + repeated(" + a", 40) + " = 1", "column 1", "more than 32 operators deep");
  refused(repeated("(", 40) + "a" + repeated(" + 1)", 40) + " = 1", "column 41",
          "more than 32 operators deep");
  EXPECT_TRUE(parse_filter("a = 1" + repeated(" AND b <> 2 OR a > 5", 100)));
  EXPECT_EQ(parse_filter("a = '" + std::string(max_sql_filter, 'x') + "'").error().code, errc::too_large);
  EXPECT_TRUE(parse_filter("a = '" + std::string(max_sql_filter - 6, 'x') + "'"));
  // In its canonical form it would be longer than what can be read again.
  EXPECT_EQ(parse_filter("a='" + std::string(max_sql_filter - 4, 'x') + "'").error().code, errc::too_large);
  std::string many = "0";
  for (int i = 1; i < 1500; ++i)
    many += "," + std::to_string(i);
  const auto refusal = parse_filter("a IN (" + many + ")");
  EXPECT_EQ(refusal.error().code, errc::too_large);
  EXPECT_THAT(refusal.error().reason, HasSubstr("operands and operators; the limit is 1024"));
  EXPECT_EQ(parse_filter("a CONTAINS '" + std::string(1025, 'x') + "'").error().code, errc::invalid_argument);
  EXPECT_TRUE(parse_filter("a LIKE '" + std::string(1024, '_') + "'"));
}

} // namespace
} // namespace troupe
