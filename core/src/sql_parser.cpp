#include "sql_parser.hpp"

#include "troupe/filter.hpp"
#include "troupe/message.hpp"

#include <tao/pegtl.hpp>

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

namespace troupe::sql {

namespace {

/// How deep parentheses, NOT and signs may nest while they are read. Above max_depth: redundant ones are
/// allowed.
constexpr std::size_t max_nesting = 2 * max_depth;

/// A wrong expression was tried in so many ways that what is known of it must do.
struct gave_up {};

/// What was read so far: operands on a stack, and how far it got.
struct reading {
  explicit reading(std::string_view s) : source(s) {}

  std::string_view source;
  std::vector<expr_ptr> stack;
  /// Where the items of an IN begin on the stack.
  std::size_t list = 0;
  /// Of the LIKE that is being read.
  expr_ptr escape;
  std::size_t nesting = 0;
  /// Attempts at rules that nest. Where one fails another may begin with the same words, so that a wrong
  /// expression could take two to the power of its depth; a right one takes at most three a byte.
  std::size_t attempts = 0;
  /// The farthest place where something was expected, and what.
  std::size_t farthest = 0;
  std::vector<std::string_view> expected;

  std::size_t place(const char* at) const { return static_cast<std::size_t>(at - source.data()); }
  void push(expr_ptr e) { stack.push_back(std::move(e)); }
  expr_ptr pop() {
    auto e = std::move(stack.back());
    stack.pop_back();
    return e;
  }
  void enter() {
    if (++attempts > 16 * source.size() + 256)
      throw gave_up{};
    ++nesting;
  }
  /// What entered does begin here.
  void open(const char* at) const {
    if (nesting > max_nesting)
      throw refusal{place(at),
                    "more than " + std::to_string(max_nesting) + " parentheses, NOTs and signs are open here",
                    "split the expression"};
  }
  void leave() { --nesting; }
  void miss(const char* at, std::string_view what) {
    if (const auto here = place(at); here > farthest || expected.empty()) {
      farthest = here;
      expected.assign(1, what);
    } else if (here == farthest && std::find(expected.begin(), expected.end(), what) == expected.end()) {
      expected.push_back(what);
    }
  }
};

// -- the grammar: every token takes the white space and the comments behind it
// -------------------------------------------------------------------------------------------------------

namespace grammar {

using namespace tao::pegtl;

struct line_comment : seq<two<'-'>, until<eolf>> {};
struct comment_end : string<'*', '/'> {};
struct block_comment : seq<string<'/', '*'>, star<not_at<string<'*', '/'>>, any>, comment_end> {};
struct space : star<sor<one<' ', '\t', '\n', '\r', '\f', '\v'>, line_comment, block_comment>> {};
struct name_character : sor<alnum, one<'_', '$'>> {};

template <class Rule> struct token : seq<Rule, space> {};
template <char... C> struct word : seq<istring<C...>, not_at<name_character>, space> {};
template <char... C> struct sign : seq<string<C...>, space> {};

/// A name that is no reserved word.
struct bare_name {
  using rule_t = bare_name;
  using subs_t = empty_list;
  template <class Input> static bool match(Input& in) {
    const auto is_first = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
    };
    const auto left = in.size();
    std::size_t n = 0;
    while (n < left &&
           (is_first(in.peek_char(n)) || (n > 0 && in.peek_char(n) >= '0' && in.peek_char(n) <= '9')))
      ++n;
    if (n == 0 || is_reserved({in.current(), n}))
      return false;
    in.bump(n);
    return true;
  }
};
struct closing_double : one<'"'> {};
struct quoted_name : seq<one<'"'>, plus<sor<two<'"'>, not_one<'"'>>>, closing_double> {};
struct closing_single : one<'\''> {};
struct text : seq<one<'\''>, star<sor<two<'\''>, not_one<'\''>>>, closing_single> {};
struct exponent : seq<one<'e', 'E'>, opt<one<'+', '-'>>, plus<digit>> {};
struct real_text : seq<sor<seq<plus<digit>, one<'.'>, star<digit>, opt<exponent>>,
                           seq<one<'.'>, plus<digit>, opt<exponent>>, seq<plus<digit>, exponent>>,
                       not_at<name_character>> {};
struct whole_text : seq<plus<digit>, opt<one<'l', 'L'>>, not_at<sor<name_character, one<'.'>>>> {};
struct real : real_text {};
struct whole : whole_text {};
struct negative_real : seq<one<'-'>, real_text> {};
struct negative_whole : seq<one<'-'>, whole_text> {};
struct negative_number : sor<token<negative_real>, token<negative_whole>> {};
struct number : sor<token<real>, token<whole>> {};
struct null_word : word<'n', 'u', 'l', 'l'> {};
struct not_word : word<'n', 'o', 't'> {};
struct and_word : word<'a', 'n', 'd'> {};
struct or_word : word<'o', 'r'> {};

struct true_value : word<'t', 'r', 'u', 'e'> {};
struct false_value : word<'f', 'a', 'l', 's', 'e'> {};
struct null_value : null_word {};
struct disjunction;
struct closing : sign<')'> {};
struct opening : sign<'('> {};
struct parenthesis : seq<opening, disjunction, closing> {};
struct operand : sor<parenthesis, token<text>, number, true_value, false_value, null_value,
                     token<quoted_name>, token<bare_name>> {};

struct signed_operand;
struct minus_sign : sign<'-'> {};
struct plus_sign : sign<'+'> {};
struct leading_not : not_word {};
struct negated_operand : seq<minus_sign, signed_operand> {};
struct positive_operand : seq<plus_sign, signed_operand> {};
struct not_operand : seq<leading_not, signed_operand> {};
struct signed_operand : sor<negative_number, negated_operand, positive_operand, not_operand, operand> {};
struct times : seq<sign<'*'>, signed_operand> {};
struct divided : seq<sign<'/'>, signed_operand> {};
struct product : seq<signed_operand, star<sor<times, divided>>> {};
struct plus_product : seq<sign<'+'>, product> {};
struct minus_product : seq<sign<'-'>, product> {};
struct sum : seq<product, star<sor<plus_product, minus_product>>> {};

struct bound_and : and_word {};
struct list_open : sign<'('> {};
struct list_item : sor<token<text>, negative_number, seq<opt<one<'+'>>, number>> {};
struct list_close : sign<')'> {};
struct pattern : token<text> {};
struct escape_text : token<text> {};
struct escape : seq<word<'e', 's', 'c', 'a', 'p', 'e'>, escape_text> {};

template <bool Not> struct between : seq<word<'b', 'e', 't', 'w', 'e', 'e', 'n'>, sum, bound_and, sum> {};
template <bool Not>
struct in_list : seq<word<'i', 'n'>, list_open, list_item, star<sign<','>, list_item>, list_close> {};
template <bool Not> struct like : seq<word<'l', 'i', 'k', 'e'>, pattern, opt<escape>> {};
template <bool Not> struct contains : seq<word<'c', 'o', 'n', 't', 'a', 'i', 'n', 's'>, pattern> {};
template <bool Not>
struct starts_with : seq<word<'s', 't', 'a', 'r', 't', 's', 'w', 'i', 't', 'h'>, pattern> {};
template <bool Not> struct ends_with : seq<word<'e', 'n', 'd', 's', 'w', 'i', 't', 'h'>, pattern> {};
template <bool Not>
struct predicate
    : sor<between<Not>, in_list<Not>, like<Not>, contains<Not>, starts_with<Not>, ends_with<Not>> {};
struct not_predicate : seq<not_word, predicate<true>> {};
struct at_most : seq<sign<'<', '='>, sum> {};
struct at_least : seq<sign<'>', '='>, sum> {};
struct less : seq<string<'<'>, not_at<one<'>'>>, space, sum> {};
struct more : seq<sign<'>'>, sum> {};
struct comparison_tail : sor<at_most, at_least, less, more, predicate<false>, not_predicate> {};
struct comparison : seq<sum, star<comparison_tail>> {};

struct equal : seq<sign<'='>, comparison> {};
struct unequal : seq<sign<'<', '>'>, comparison> {};
struct is_word : word<'i', 's'> {};
struct null_after_not : null_word {};
struct is_null : seq<null_word> {};
struct is_not_null : seq<not_word, null_after_not> {};
struct null_or_not : sor<is_null, is_not_null> {};
struct is_tail : seq<is_word, null_or_not> {};
struct equality_tail : sor<equal, unequal, is_tail> {};
struct equality : seq<comparison, star<equality_tail>> {};

struct negation;
struct not_condition : seq<leading_not, negation> {};
struct negation : sor<not_condition, equality> {};
struct and_tail : seq<and_word, negation> {};
struct conjunction : seq<negation, star<and_tail>> {};
struct or_tail : seq<or_word, conjunction> {};
struct disjunction : seq<conjunction, star<or_tail>> {};
struct end : eof {};
struct filter : seq<space, disjunction, end> {};

} // namespace grammar

// -- what is expected where a rule fails
// -------------------------------------------------------------------------------------------------------

template <class Rule> constexpr std::string_view expectation{};
template <>
constexpr std::string_view expectation<grammar::operand> = "a value (a name, a number, a text in quotes)";
template <> constexpr std::string_view expectation<grammar::comparison_tail> = "a comparison";
template <>
constexpr std::string_view expectation<grammar::predicate<true>> =
    "BETWEEN, IN, LIKE, CONTAINS, STARTSWITH or ENDSWITH";
template <> constexpr std::string_view expectation<grammar::and_tail> = "AND";
template <> constexpr std::string_view expectation<grammar::or_tail> = "OR";
template <> constexpr std::string_view expectation<grammar::bound_and> = "AND";
template <> constexpr std::string_view expectation<grammar::end> = "the end";
template <> constexpr std::string_view expectation<grammar::closing> = "')'";
template <> constexpr std::string_view expectation<grammar::list_open> = "'('";
template <> constexpr std::string_view expectation<grammar::list_item> = "a text in quotes or a number";
template <> constexpr std::string_view expectation<grammar::list_close> = "',' or ')'";
template <> constexpr std::string_view expectation<grammar::pattern> = "a text in quotes";
template <> constexpr std::string_view expectation<grammar::escape_text> = "one character in quotes";
template <> constexpr std::string_view expectation<grammar::null_or_not> = "NULL or NOT NULL";
template <> constexpr std::string_view expectation<grammar::null_after_not> = "NULL";
template <> constexpr std::string_view expectation<grammar::closing_single> = "the closing quote ' of a text";
template <>
constexpr std::string_view expectation<grammar::closing_double> = "the closing quote \" of a name";
template <> constexpr std::string_view expectation<grammar::comment_end> = "the end */ of a comment";

template <class Rule>
constexpr bool nests =
    std::is_same_v<Rule, grammar::parenthesis> || std::is_same_v<Rule, grammar::not_condition> ||
    std::is_same_v<Rule, grammar::negated_operand> || std::is_same_v<Rule, grammar::positive_operand> ||
    std::is_same_v<Rule, grammar::not_operand>;

/// What such a rule begins with.
template <class Rule>
constexpr bool opens = std::is_same_v<Rule, grammar::opening> || std::is_same_v<Rule, grammar::minus_sign> ||
                       std::is_same_v<Rule, grammar::plus_sign> || std::is_same_v<Rule, grammar::leading_not>;

template <class Rule> struct control : tao::pegtl::normal<Rule> {
  template <tao::pegtl::apply_mode A, tao::pegtl::rewind_mode M, template <class...> class Action,
            template <class...> class Control, class Input>
  static bool match(Input& in, reading& r) {
    [[maybe_unused]] const char* begin = in.current();
    if constexpr (nests<Rule>)
      r.enter();
    const bool fits = tao::pegtl::normal<Rule>::template match<A, M, Action, Control>(in, r);
    if constexpr (nests<Rule>)
      r.leave();
    if constexpr (opens<Rule>)
      if (fits)
        r.open(begin);
    if constexpr (!expectation<Rule>.empty())
      if (!fits)
        r.miss(begin, expectation<Rule>);
    return fits;
  }
};

// -- what is built where a rule fits
// -------------------------------------------------------------------------------------------------------

/// The text between quotes, each of which stands for two.
std::string unquoted(std::string_view quoted) {
  std::string out;
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    out += quoted[i];
    if (quoted[i] == quoted[0])
      ++i;
  }
  return out;
}

expr_ptr read_literal(std::string_view digits, bool real, std::size_t at) {
  const auto number = read_number(digits);
  if (const auto* whole = std::get_if<std::int64_t>(&number); whole && !real)
    return make_literal(*whole, at);
  if (const auto* d = std::get_if<double>(&number); d && real)
    return make_literal(*d, at);
  throw refusal{at, "the number " + std::string{digits.substr(0, 40)} + " does not fit",
                real ? "floating numbers are doubles"
                     : "whole numbers have 64 bits; write 1e20 for a floating one"};
}

template <class Rule> struct action : tao::pegtl::nothing<Rule> {};

template <> struct action<grammar::text> {
  template <class Input> static void apply(const Input& in, reading& r) {
    r.push(make_literal(unquoted(in.string_view()), r.place(in.begin())));
  }
};
template <> struct action<grammar::quoted_name> {
  template <class Input> static void apply(const Input& in, reading& r) {
    r.push(make_property(unquoted(in.string_view()), r.place(in.begin())));
  }
};
template <> struct action<grammar::bare_name> {
  template <class Input> static void apply(const Input& in, reading& r) {
    r.push(make_name(in.string_view(), r.place(in.begin())));
  }
};

template <bool Real> struct number_action {
  template <class Input> static void apply(const Input& in, reading& r) {
    auto digits = in.string_view();
    if (digits.ends_with('l') || digits.ends_with('L'))
      digits.remove_suffix(1);
    r.push(read_literal(digits, Real, r.place(in.begin())));
  }
};
template <> struct action<grammar::real> : number_action<true> {};
template <> struct action<grammar::whole> : number_action<false> {};
template <> struct action<grammar::negative_real> : number_action<true> {};
template <> struct action<grammar::negative_whole> : number_action<false> {};

template <class Rule> literal_value word_value() {
  if constexpr (std::is_same_v<Rule, grammar::null_value>)
    return {};
  else
    return std::is_same_v<Rule, grammar::true_value>;
}
template <class Rule> struct word_action {
  template <class Input> static void apply(const Input& in, reading& r) {
    r.push(make_literal(word_value<Rule>(), r.place(in.begin())));
  }
};
template <> struct action<grammar::true_value> : word_action<grammar::true_value> {};
template <> struct action<grammar::false_value> : word_action<grammar::false_value> {};
template <> struct action<grammar::null_value> : word_action<grammar::null_value> {};

template <auto Make> struct prefix_action {
  template <class Input> static void apply(const Input& in, reading& r) {
    r.push(Make(r.pop(), r.place(in.begin())));
  }
};
template <> struct action<grammar::negated_operand> : prefix_action<make_negative> {};
template <> struct action<grammar::not_operand> : prefix_action<make_not> {};
template <> struct action<grammar::not_condition> : prefix_action<make_not> {};
template <> struct action<grammar::positive_operand> {
  static void apply0(reading& r) { r.push(make_positive(r.pop())); }
};

template <auto Make, op What> struct pair_action {
  static void apply0(reading& r) {
    auto right = r.pop();
    r.push(Make(What, r.pop(), std::move(right)));
  }
};
expr_ptr compare(op what, expr_ptr left, expr_ptr right) {
  return make_comparison(what, std::move(left), std::move(right));
}
template <> struct action<grammar::times> : pair_action<make_arithmetic, op::multiply> {};
template <> struct action<grammar::divided> : pair_action<make_arithmetic, op::divide> {};
template <> struct action<grammar::plus_product> : pair_action<make_arithmetic, op::add> {};
template <> struct action<grammar::minus_product> : pair_action<make_arithmetic, op::subtract> {};
template <> struct action<grammar::at_most> : pair_action<compare, op::at_most> {};
template <> struct action<grammar::at_least> : pair_action<compare, op::at_least> {};
template <> struct action<grammar::less> : pair_action<compare, op::less> {};
template <> struct action<grammar::more> : pair_action<compare, op::more> {};
template <> struct action<grammar::equal> : pair_action<compare, op::equal> {};
template <> struct action<grammar::and_tail> : pair_action<make_junction, op::and_> {};
template <> struct action<grammar::or_tail> : pair_action<make_junction, op::or_> {};
template <> struct action<grammar::unequal> {
  static void apply0(reading& r) {
    auto right = r.pop();
    r.push(make_comparison(op::equal, r.pop(), std::move(right), true));
  }
};
template <> struct action<grammar::is_null> {
  static void apply0(reading& r) { r.push(make_is_null(r.pop(), false)); }
};
template <> struct action<grammar::is_not_null> {
  static void apply0(reading& r) { r.push(make_is_null(r.pop(), true)); }
};

template <bool Not> struct action<grammar::between<Not>> {
  static void apply0(reading& r) {
    auto high = r.pop();
    auto low = r.pop();
    r.push(make_between(r.pop(), std::move(low), std::move(high), Not));
  }
};
template <> struct action<grammar::list_open> {
  static void apply0(reading& r) { r.list = r.stack.size(); }
};
template <bool Not> struct action<grammar::in_list<Not>> {
  static void apply0(reading& r) {
    const auto first = r.stack.begin() + static_cast<std::ptrdiff_t>(r.list);
    std::vector<expr_ptr> items{std::make_move_iterator(first), std::make_move_iterator(r.stack.end())};
    r.stack.resize(r.list);
    r.push(make_in(r.pop(), std::move(items), Not));
  }
};
template <> struct action<grammar::escape> {
  static void apply0(reading& r) { r.escape = r.pop(); }
};
template <bool Not> struct action<grammar::like<Not>> {
  static void apply0(reading& r) {
    auto pattern = r.pop();
    r.push(make_like(r.pop(), std::move(pattern), std::exchange(r.escape, nullptr), Not));
  }
};
template <op What, bool Not> struct search_action {
  static void apply0(reading& r) {
    auto part = r.pop();
    r.push(make_search(What, r.pop(), std::move(part), Not));
  }
};
template <bool Not> struct action<grammar::contains<Not>> : search_action<op::contains, Not> {};
template <bool Not> struct action<grammar::starts_with<Not>> : search_action<op::starts_with, Not> {};
template <bool Not> struct action<grammar::ends_with<Not>> : search_action<op::ends_with, Not> {};

// -- the errors
// -------------------------------------------------------------------------------------------------------

constexpr auto most_shown = std::size_t{40};

/// Characters, not bytes; what cannot be printed is left out.
std::string shown(std::string_view text) {
  std::string out;
  std::size_t characters = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80 && ++characters > most_shown)
      return out + "...";
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return out;
}

std::string place_of(std::string_view source, std::size_t at) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char c : source.substr(0, at)) {
    if (c == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      ++column;
    }
  }
  return (line > 1 ? "line " + std::to_string(line) + ", " : "") + "column " + std::to_string(column);
}

error objection(std::string_view source, std::size_t at, const std::string& why, std::string hint) {
  const auto rest = source.substr(std::min(at, source.size()));
  return {errc::invalid_argument,
          "the filter is wrong at " + place_of(source, at) +
              (rest.empty() ? " (its end)" : " ('" + shown(rest) + "')") + ": " + why,
          std::move(hint)};
}

std::string listed(const std::vector<std::string_view>& all) {
  std::string out{"expected "};
  for (std::size_t i = 0; i < all.size(); ++i)
    out.append(i == 0 ? "" : i + 1 < all.size() ? ", " : " or ").append(all[i]);
  return out;
}

constexpr const char* example =
    "as in: price BETWEEN 10 AND 20 AND region IN ('eu', 'us'); a tag stands alone: created || paid";

} // namespace

result<expr_ptr> parse(std::string_view source) {
  if (source.size() > max_sql_filter)
    return error{errc::too_large,
                 "the filter has " + std::to_string(source.size()) + " bytes; the limit is " +
                     std::to_string(max_sql_filter),
                 "give the message a property that says what you ask for"};
  if (!is_utf8(source))
    return error{errc::invalid_argument, "the filter is not valid UTF-8", "write it as text"};
  reading r{source};
  try {
    tao::pegtl::memory_input<tao::pegtl::tracking_mode::lazy> in{source.data(), source.data() + source.size(),
                                                                 "filter"};
    if (!tao::pegtl::parse<grammar::filter, action, control>(in, r))
      return objection(source, r.farthest, listed(r.expected), example);
    return make_canonical(make_condition(r.pop()));
  } catch (const gave_up&) {
    return objection(source, r.farthest, listed(r.expected), example);
  } catch (const refusal& no) {
    return objection(source, no.at, no.why, no.hint.empty() ? example : no.hint);
  }
}

} // namespace troupe::sql
