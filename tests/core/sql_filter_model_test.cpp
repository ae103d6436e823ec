#include "filtered_message.hpp"
#include "random_source.hpp"

#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <functional>
#include <optional>

namespace troupe {
namespace {

using test::filtered_message;

/// The language once more, as plainly as it can be said: every expression is a function from a message to
/// what it is. Texts are read as numbers by the C library, truth values are 1 and 0, unknown is nothing.
struct model_value {
  enum class kind { null, number, text } what = kind::null;
  double number = 0;
  std::string text;
};
using condition = std::function<std::optional<bool>(const filtered_message&)>;
using term = std::function<model_value(const filtered_message&)>;

model_value number(double d) { return {model_value::kind::number, d, {}}; }

std::optional<double> read(const model_value& v) {
  if (v.what == model_value::kind::number)
    return v.number;
  if (v.what == model_value::kind::null || v.text.empty() ||
      v.text.find_first_not_of("0123456789.-") != std::string::npos)
    return {};
  char* end = nullptr;
  const double d = std::strtod(v.text.c_str(), &end);
  return *end == '\0' ? std::optional{d} : std::nullopt;
}

bool fits(const std::string& text, std::size_t t, const std::string& pattern, std::size_t p) {
  if (p == pattern.size())
    return t == text.size();
  if (pattern[p] == '%')
    return fits(text, t, pattern, p + 1) || (t < text.size() && fits(text, t + 1, pattern, p));
  return t < text.size() && (pattern[p] == '_' || pattern[p] == text[t]) && fits(text, t + 1, pattern, p + 1);
}

template <class T> struct written {
  std::string text;
  T means;
};

/// Writes random expressions together with what they mean. Whatever has an operator is in parentheses:
/// precedence is checked by reading the canonical text, which has as few as can be.
class writer {
public:
  explicit writer(test::random_source& random) : random_(random) {}

  written<condition> any_condition(int depth) {
    if (depth == 0 || random_.one_in(5))
      return leaf();
    switch (random_.below(3)) {
    case 0: {
      auto x = any_condition(depth - 1);
      return {"(" + word("NOT") + " " + x.text + ")", [=](const auto& m) -> std::optional<bool> {
                const auto is = x.means(m);
                return is ? std::optional{!*is} : is;
              }};
    }
    case 1:
      return junction("AND", false, depth);
    default:
      return junction("OR", true, depth);
    }
  }

  filtered_message any_message() {
    static const std::vector<std::string> texts{"", "1", "2", "3", "-2", "1.5", "a", "ab", "b", "true"};
    filtered_message m;
    for (const auto* name : {"p", "q", "r"})
      if (!random_.one_in(4))
        m.properties[name] = texts[random_.below(texts.size())];
    if (!random_.one_in(3))
      m.tag_text = random_.one_in(2) ? "a" : "ab";
    m.priority_value = static_cast<std::uint8_t>(random_.below(4));
    m.attempt_number = static_cast<std::uint32_t>(random_.between(1, 3));
    return m;
  }

private:
  std::string word(std::string w) {
    for (auto& c : w)
      if (random_.one_in(2) && c >= 'A' && c <= 'Z')
        c = static_cast<char>(c + ('a' - 'A'));
    return w;
  }
  std::string gap() {
    static const std::vector<std::string> gaps{" ", "  ", "\n", "\t", " /* x */ ", " -- y\n"};
    return gaps[random_.below(gaps.size())];
  }

  written<condition> junction(const char* name, bool decides, int depth) {
    auto l = any_condition(depth - 1);
    auto r = any_condition(depth - 1);
    return {"(" + l.text + gap() + word(name) + gap() + r.text + ")",
            [=](const auto& m) -> std::optional<bool> {
              const auto left = l.means(m);
              const auto right = r.means(m);
              if (left == decides || right == decides)
                return decides;
              return left && right ? std::optional{!decides} : std::nullopt;
            }};
  }

  written<term> field() {
    static const std::vector<std::string> names{"p", "q", "r", "\"p\""};
    if (random_.one_in(5))
      return {
          "tag", [](const auto& m) {
            return m.tag_text.empty() ? model_value{} : model_value{model_value::kind::text, 0, m.tag_text};
          }};
    const auto name = names[random_.below(names.size())];
    const auto bare = name[0] == '"' ? name.substr(1, 1) : name;
    return {name, [=](const auto& m) {
              const auto at = m.properties.find(bare);
              return at == m.properties.end() ? model_value{}
                                              : model_value{model_value::kind::text, 0, at->second};
            }};
  }

  /// A number or a property. Quarters, and small: every result is exact.
  written<term> numeric(int depth) {
    if (depth > 0 && random_.one_in(2)) {
      auto l = numeric(depth - 1);
      auto r = numeric(depth - 1);
      const auto sign = std::string{"+-*"}[random_.below(3)];
      return {"(" + l.text + gap() + sign + gap() + r.text + ")", [=](const auto& m) {
                const auto a = read(l.means(m));
                const auto b = read(r.means(m));
                if (!a || !b)
                  return model_value{};
                return number(sign == '+' ? *a + *b : sign == '-' ? *a - *b : *a * *b);
              }};
    }
    switch (random_.below(5)) {
    case 0:
      return {"priority", [](const auto& m) { return number(m.priority_value); }};
    case 1:
      return {"attempt", [](const auto& m) { return number(m.attempt_number); }};
    case 2: {
      static const std::vector<std::string> numbers{"0", "1", "2", "3L", "-2", "1.5", "2.", "25e-2", ".5"};
      const auto text = numbers[random_.below(numbers.size())];
      const double d = std::strtod(text.c_str(), nullptr);
      return {text, [=](const auto&) { return number(d); }};
    }
    case 3: {
      auto x = field();
      return {"(-" + x.text + ")", [=](const auto& m) {
                const auto d = read(x.means(m));
                return d ? number(-*d) : model_value{};
              }};
    }
    default:
      return field();
    }
  }

  std::string text_literal() {
    static const std::vector<std::string> texts{"", "a", "b", "ab", "1", "1.5"};
    return texts[random_.below(texts.size())];
  }

  written<condition> leaf() {
    switch (random_.below(7)) {
    case 0:
      return ordering();
    case 1:
      return between();
    case 2:
      return text_equality();
    case 3:
      return in();
    case 4:
      return search();
    case 5:
      return like();
    default: {
      auto x = numeric(1);
      const bool negated = random_.one_in(2);
      return {x.text + gap() + word(negated ? "IS NOT NULL" : "IS NULL"),
              [=](const auto& m) -> std::optional<bool> {
                return (x.means(m).what == model_value::kind::null) != negated;
              }};
    }
    }
  }

  written<condition> ordering() {
    static const std::vector<std::string> signs{"=", "<>", "<", "<=", ">", ">="};
    auto l = numeric(2);
    auto r = numeric(2);
    const auto sign = signs[random_.below(signs.size())];
    return {l.text + gap() + sign + gap() + r.text, [=](const auto& m) -> std::optional<bool> {
              const auto x = l.means(m);
              const auto y = r.means(m);
              if (x.what == model_value::kind::text && y.what == model_value::kind::text &&
                  sign.find('<') != 0 && sign == "=")
                return x.text == y.text;
              if (x.what == model_value::kind::text && y.what == model_value::kind::text && sign == "<>")
                return x.text != y.text;
              const auto a = read(x);
              const auto b = read(y);
              if (!a || !b)
                return {};
              return sign == "="    ? *a == *b
                     : sign == "<>" ? *a != *b
                     : sign == "<"  ? *a < *b
                     : sign == "<=" ? *a <= *b
                     : sign == ">"  ? *a > *b
                                    : *a >= *b;
            }};
  }

  written<condition> between() {
    auto x = numeric(1);
    const auto low = static_cast<int>(random_.below(5)) - 2;
    const auto high = low + static_cast<int>(random_.below(3));
    const bool negated = random_.one_in(2);
    return {x.text + gap() + word(negated ? "NOT BETWEEN" : "BETWEEN") + gap() + std::to_string(low) + gap() +
                word("AND") + gap() + std::to_string(high),
            [=](const auto& m) -> std::optional<bool> {
              const auto d = read(x.means(m));
              return d ? std::optional{(*d >= low && *d <= high) != negated} : std::nullopt;
            }};
  }

  written<condition> text_equality() {
    auto x = field();
    const auto wanted = text_literal();
    const bool negated = random_.one_in(2);
    const bool swapped = random_.one_in(2);
    const std::string sign = negated ? "<>" : "=";
    return {swapped ? "'" + wanted + "'" + sign + x.text : x.text + sign + "'" + wanted + "'",
            [=](const auto& m) -> std::optional<bool> {
              const auto v = x.means(m);
              return v.what == model_value::kind::null ? std::nullopt
                                                       : std::optional{(v.text == wanted) != negated};
            }};
  }

  written<condition> in() {
    auto x = field();
    std::vector<std::string> items;
    std::string list;
    for (std::uint64_t i = 0; i <= random_.below(4); ++i) {
      items.push_back(text_literal());
      list += (i > 0 ? "," + gap() : "") + "'" + items.back() + "'";
    }
    const bool negated = random_.one_in(2);
    return {x.text + gap() + word(negated ? "NOT IN" : "IN") + gap() + "(" + list + ")",
            [=](const auto& m) -> std::optional<bool> {
              const auto v = x.means(m);
              if (v.what == model_value::kind::null)
                return {};
              return (std::find(items.begin(), items.end(), v.text) != items.end()) != negated;
            }};
  }

  written<condition> search() {
    auto x = field();
    const auto part = text_literal();
    const bool negated = random_.one_in(2);
    const auto kind = random_.below(3);
    const std::string name = kind == 0 ? "CONTAINS" : kind == 1 ? "STARTSWITH" : "ENDSWITH";
    return {x.text + gap() + word((negated ? "NOT " : "") + name) + gap() + "'" + part + "'",
            [=](const auto& m) -> std::optional<bool> {
              const auto v = x.means(m);
              if (v.what == model_value::kind::null || part.empty())
                return false;
              const auto at = v.text.find(part);
              const bool found = kind == 0   ? at != std::string::npos
                                 : kind == 1 ? at == 0
                                             : v.text.size() >= part.size() &&
                                                   v.text.substr(v.text.size() - part.size()) == part;
              return found != negated;
            }};
  }

  written<condition> like() {
    static const std::vector<std::string> patterns{"%", "_", "a%", "%b", "_b", "", "1._", "a_%", "%%a%"};
    auto x = field();
    const auto pattern = patterns[random_.below(patterns.size())];
    const bool negated = random_.one_in(2);
    return {x.text + gap() + word(negated ? "NOT LIKE" : "LIKE") + gap() + "'" + pattern + "'",
            [=](const auto& m) -> std::optional<bool> {
              const auto v = x.means(m);
              if (v.what == model_value::kind::null)
                return {};
              return fits(v.text, 0, pattern, 0) != negated;
            }};
  }

  test::random_source& random_;
};

TEST(sql_filter_model, random_expressions_say_what_a_plain_evaluator_says_and_so_do_their_canonical_texts) {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    test::random_source random{seed};
    SCOPED_TRACE(random.describe());
    writer w{random};
    const auto e = w.any_condition(static_cast<int>(random.between(1, 4)));
    // In parentheses, or "tag" would be a tag.
    const auto f = parse_filter("(" + e.text + ")");
    const auto opposite = parse_filter("NOT (" + e.text + ")");
    ASSERT_TRUE(f) << e.text << ": " << to_string(f.error());
    ASSERT_TRUE(opposite) << e.text << ": " << to_string(opposite.error());
    const auto again = parse_filter((*f)->text());
    ASSERT_TRUE(again) << (*f)->text() << ": " << to_string(again.error());
    ASSERT_EQ((*again)->text(), (*f)->text()) << e.text;
    for (int i = 0; i < 40; ++i) {
      const auto m = w.any_message();
      const auto expected = e.means(m);
      ASSERT_EQ((*f)->matches(m), expected == true) << e.text;
      ASSERT_EQ((*opposite)->matches(m), expected == false) << e.text;
      ASSERT_EQ((*again)->matches(m), expected == true) << e.text << "\n" << (*f)->text();
    }
  }
}

} // namespace
} // namespace troupe
