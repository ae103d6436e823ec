#include "troupe/filter.hpp"

#include "sql_parser.hpp"

#include "troupe/message.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace troupe {
namespace {

constexpr std::string_view how_to = "write * for all messages, or tags joined by ||, as in: created || paid";

class match_all final : public filter {
public:
  bool everything() const override { return true; }
  bool matches(const filter_subject&) const override { return true; }
  const std::string& text() const override { return text_; }

private:
  std::string text_ = "*";
};

class tag_filter final : public filter {
public:
  explicit tag_filter(const std::set<std::string>& tags) {
    for (const auto& tag : tags) {
      text_ += text_.empty() ? tag : " || " + tag;
      tags_.emplace_back(short_hash(tag), tag);
    }
    std::sort(tags_.begin(), tags_.end());
  }
  bool everything() const override { return false; }
  bool matches(const filter_subject& message) const override {
    const auto hash = message.tag_hash();
    auto it = std::lower_bound(tags_.begin(), tags_.end(), hash,
                               [](const auto& tag, std::uint32_t h) { return tag.first < h; });
    // Different tags may share a hash: the bytes decide.
    for (; it != tags_.end() && it->first == hash; ++it)
      if (it->second == message.tag())
        return true;
    return false;
  }
  const std::string& text() const override { return text_; }

private:
  std::string text_;
  std::vector<std::pair<std::uint32_t, std::string>> tags_;
};

class sql_filter final : public filter {
public:
  sql_filter(const sql::expr& e, std::string text) : program_(e), text_(std::move(text)) {}
  bool everything() const override { return false; }
  bool matches(const filter_subject& message) const override {
    return program_.test(message) == sql::tri::yes;
  }
  const std::string& text() const override { return text_; }

private:
  sql::program program_;
  std::string text_;
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  return text;
}

std::string quoted(std::string_view text) {
  // What came in may be long or unprintable; an error text is neither.
  std::string out = "'";
  for (char c : text.substr(0, 64))
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out + (text.size() > 64 ? "...'" : "'");
}

error bad(std::string_view expression, std::string why) {
  return {errc::invalid_argument, "filter " + quoted(expression) + ": " + std::move(why),
          std::string{how_to}};
}

/// No error when `tag` can be a message's tag.
error check_tag(std::string_view expression, std::string_view tag, std::size_t number) {
  const auto which = "tag " + std::to_string(number);
  if (tag.empty())
    return bad(expression, which + " is missing: || stands between two tags");
  if (tag == "*")
    return bad(expression, "* stands alone: it already means every tag");
  if (tag.find('|') != std::string_view::npos)
    return bad(expression, which + " holds a single |: tags are joined by ||");
  if (std::any_of(tag.begin(), tag.end(), is_space))
    return bad(expression, which + " has white space inside: " + quoted(tag));
  if (tag.size() > limits{}.tag)
    return {errc::too_large,
            "filter " + quoted(expression) + ": " + which + " has " + std::to_string(tag.size()) +
                " bytes; the limit is " + std::to_string(limits{}.tag),
            "no message can have such a tag"};
  return {};
}

/// The rule that tells the two languages apart. Tags with these characters are reached by SQL92: tag =
/// 'a(b)'.
bool is_sql(std::string_view text) {
  if (text.find_first_of("=<>'\"()") != std::string_view::npos)
    return true;
  return text.find('|') == std::string_view::npos && std::any_of(text.begin(), text.end(), is_space);
}

error too_long(std::size_t size, std::size_t limit, const char* unit) {
  return {errc::too_large,
          "the filter has " + std::to_string(size) + unit + "; the limit is " + std::to_string(limit),
          "ask for less, or give messages a property that says what you ask for"};
}

result<std::shared_ptr<const filter>> parse_sql(std::string_view text) {
  auto parsed = sql::parse(text);
  if (!parsed)
    return std::move(parsed).error();
  const auto& root = **parsed;
  if (const auto parts = sql::size_of(root); parts > max_sql_parts)
    return too_long(parts, max_sql_parts, " operands and operators");
  auto canonical = sql::print(root);
  if (root.what == sql::op::constant) {
    if (canonical == "TRUE")
      return std::shared_ptr<const filter>(std::make_shared<match_all>());
    canonical = "(FALSE)"; // NULL accepts as little; without parentheses it would be a tag
  }
  // Who keeps the canonical form must be able to read it again.
  if (canonical.size() > max_sql_filter)
    return too_long(canonical.size(), max_sql_filter, " bytes in its canonical form");
  return std::shared_ptr<const filter>(std::make_shared<sql_filter>(root, std::move(canonical)));
}

result<std::shared_ptr<const filter>> parse_tags(std::string_view text) {
  if (text.size() > max_tag_filter)
    return too_long(text.size(), max_tag_filter, " bytes");
  std::set<std::string> tags;
  std::size_t number = 0;
  for (std::size_t at = 0; at <= text.size();) {
    const auto bar = std::min(text.find("||", at), text.size());
    const auto tag = trim(text.substr(at, bar - at));
    if (auto err = check_tag(text, tag, ++number))
      return err;
    tags.emplace(tag);
    at = bar + 2;
    if (bar == text.size())
      break;
  }
  auto made = std::make_shared<tag_filter>(tags);
  // Who keeps the canonical form must be able to read it again.
  if (made->text().size() > max_tag_filter)
    return too_long(made->text().size(), max_tag_filter, " bytes in its canonical form, A || B");
  return std::shared_ptr<const filter>(std::move(made));
}

} // namespace

result<std::shared_ptr<const filter>> parse_filter(std::string_view expression) {
  const auto text = trim(expression);
  if (text.empty() || text == "*")
    return std::shared_ptr<const filter>(std::make_shared<match_all>());
  // With the white space around it, so that columns are those that its author counts.
  return is_sql(text) ? parse_sql(expression) : parse_tags(text);
}

} // namespace troupe
