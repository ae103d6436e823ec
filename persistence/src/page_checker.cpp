#include "page_checker.hpp"

#include "bytes.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe {

namespace {

// Structures and names of LMDB 0.9.24's mdb.c, 64 bits.
constexpr std::size_t page_header =
    16; // pgno 8, pad 2, flags 2, lower 2, upper 2 (overflow: number of pages 4)
constexpr std::size_t flags_at = 10;
constexpr std::size_t lower_at = 12;
constexpr std::size_t upper_at = 14;
constexpr std::uint16_t p_branch = 0x01;
constexpr std::uint16_t p_leaf = 0x02;
constexpr std::uint16_t p_overflow = 0x04;
constexpr std::uint16_t p_meta = 0x08;

constexpr std::size_t node_header = 8; // lo 2, hi 2, flags 2, ksize 2
constexpr std::uint16_t f_bigdata = 0x01;
constexpr std::uint16_t f_subdata = 0x02;
constexpr std::size_t max_key = 511;

constexpr std::uint32_t meta_magic = 0xBEEFC0DE;
constexpr std::uint32_t data_version = 1;
constexpr std::size_t meta_tables_at = 24; // magic 4, version 4, address 8, map size 8
constexpr std::size_t table_size = 48;     // pad 4, flags 2, depth 2, five numbers of 8
constexpr std::size_t meta_last_page_at = meta_tables_at + 2 * table_size;
constexpr std::size_t meta_transaction_at = meta_last_page_at + 8;
constexpr std::size_t meta_size = meta_transaction_at + 8;

constexpr std::uint16_t mdb_integer_key = 0x08;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr unsigned max_depth = 32;
constexpr std::size_t max_complaints = 50;
constexpr std::uint64_t first_page = 2;
constexpr std::uint64_t largest_map = std::uint64_t{1} << 40;

std::uint16_t u16(std::span<const char> bytes, std::size_t at) {
  return load_le<std::uint16_t>(bytes.data() + at);
}
std::uint64_t u64(std::span<const char> bytes, std::size_t at) {
  return load_le<std::uint64_t>(bytes.data() + at);
}

std::string page_name(std::uint64_t page) { return "page " + std::to_string(page); }

} // namespace

bool page_checker::table::integer_keys() const { return flags & mdb_integer_key; }

void page_checker::complain(std::string what) {
  if (complaints_.size() < max_complaints)
    complaints_.push_back(std::move(what));
}

bool page_checker::read_at(std::uint64_t offset, std::span<char> out) {
  while (!out.empty()) {
    const auto n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return true;
}

bool page_checker::read_page(std::uint64_t page, std::vector<char>& out) {
  out.resize(page_size_);
  if (read_at(page * page_size_, out))
    return true;
  complain(page_name(page) + " cannot be read");
  return false;
}

bool page_checker::claim(std::uint64_t page, const std::string& who) {
  if (page < first_page || page > last_page_) {
    complain(who + " points at " + page_name(page) + ", which does not exist");
    return false;
  }
  if (claimed_[page]) {
    complain(who + " points at " + page_name(page) + ", which is used elsewhere or free");
    return false;
  }
  claimed_[page] = true;
  return true;
}

page_checker::table page_checker::read_table(std::string name, const char* at) {
  table t;
  t.name = std::move(name);
  t.flags = load_le<std::uint16_t>(at + 4);
  t.depth = load_le<std::uint16_t>(at + 6);
  t.branch_pages = load_le<std::uint64_t>(at + 8);
  t.leaf_pages = load_le<std::uint64_t>(at + 16);
  t.overflow_pages = load_le<std::uint64_t>(at + 24);
  t.entries = load_le<std::uint64_t>(at + 32);
  t.root = load_le<std::uint64_t>(at + 40);
  return t;
}

bool page_checker::read_meta(table& free_list, table& tables) {
  // The first meta page tells the page size, and so where the second one lies.
  std::vector<char> head(page_header + meta_size);
  if (!read_at(0, head)) {
    complain("the file is too short");
    return false;
  }
  page_size_ = load_le<std::uint32_t>(head.data() + page_header + meta_tables_at);
  if (page_size_ < 512 || page_size_ > 65536 || (page_size_ & (page_size_ - 1))) {
    complain("meta page 0 names an impossible page size");
    return false;
  }
  std::uint64_t newest = 0;
  bool any = false;
  for (std::uint64_t i = 0; i < 2; ++i) {
    if (!read_at(i * page_size_, head)) {
      complain("meta page " + std::to_string(i) + " cannot be read");
      return false;
    }
    const char* meta = head.data() + page_header;
    if (u64(head, 0) != i || u16(head, flags_at) != p_meta || load_le<std::uint32_t>(meta) != meta_magic ||
        load_le<std::uint32_t>(meta + 4) != data_version) {
      complain("meta page " + std::to_string(i) + " does not begin as one does");
      return false;
    }
    const auto transaction = load_le<std::uint64_t>(meta + meta_transaction_at);
    if (any && transaction <= newest)
      continue;
    any = true;
    newest = transaction;
    free_list = read_table("the list of free pages", meta + meta_tables_at);
    tables = read_table("the table of tables", meta + meta_tables_at + table_size);
    last_page_ = load_le<std::uint64_t>(meta + meta_last_page_at);
  }
  if (last_page_ < 1 || last_page_ > largest_map / page_size_) {
    complain("the newest meta page names an impossible last page");
    return false;
  }
  return true;
}

bool page_checker::read_node(std::span<const char> bytes, bool leaf, std::size_t i, node& out) {
  const std::size_t at = u16(bytes, page_header + 2 * i);
  const std::size_t upper = u16(bytes, upper_at);
  if (at < upper || at + node_header > bytes.size() || at % 2)
    return false;
  const auto rest = bytes.subspan(at);
  const std::uint64_t lo = u16(rest, 0), hi = u16(rest, 2);
  out.flags = u16(rest, 4);
  const std::size_t key = u16(rest, 6);
  out.number = lo | hi << 16 | (leaf ? 0 : std::uint64_t{out.flags} << 32);
  if (key > max_key || node_header + key > rest.size() || (key == 0 && (leaf || i > 0)))
    return false;
  out.key = rest.subspan(node_header, key);
  out.rest = rest.subspan(node_header + key);
  if (!leaf)
    return true;
  if (out.flags & ~(f_bigdata | f_subdata) || out.flags == (f_bigdata | f_subdata))
    return false;
  return out.rest.size() >= (out.flags & f_bigdata ? sizeof(std::uint64_t) : out.number);
}

void page_checker::check_key(const table& t, std::span<const char> key, census& seen) {
  bool ascends = true;
  if (t.integer_keys()) {
    if (key.size() != sizeof(std::uint64_t))
      return complain(t.name + " has a key of another size");
    ascends = !seen.any || u64(seen.last_key, 0) < u64(key, 0);
  } else {
    const std::string_view now(key.data(), key.size());
    ascends = !seen.any || seen.last_key < now; // char_traits<char> compares as memcmp does
  }
  if (!ascends)
    complain(t.name + " has keys that do not ascend");
  seen.last_key.assign(key.begin(), key.end());
  seen.any = true;
}

bool page_checker::read_value(const table& t, const node& n, std::vector<char>& out, bool whole,
                              census& seen) {
  if (!(n.flags & f_bigdata)) {
    if (whole)
      out.assign(n.rest.begin(), n.rest.begin() + static_cast<std::ptrdiff_t>(n.number));
    return true;
  }
  const auto first = u64(n.rest, 0);
  const std::uint64_t needed = (page_header - 1 + n.number) / page_size_ + 1;
  if (!claim(first, t.name))
    return false;
  std::vector<char> head(page_header);
  if (!read_at(first * page_size_, head)) {
    complain(page_name(first) + " cannot be read");
    return false;
  }
  // A value that was replaced by a shorter one in the transaction that wrote it keeps all of its pages.
  const std::uint64_t pages = load_le<std::uint32_t>(head.data() + 12);
  if (u64(head, 0) != first || u16(head, flags_at) != p_overflow || pages < needed) {
    complain(page_name(first) + " of " + t.name + " does not begin as one of long values does");
    return false;
  }
  seen.overflow_pages += pages;
  for (std::uint64_t i = 1; i < pages; ++i)
    if (!claim(first + i, t.name))
      return false;
  out.resize(whole ? n.number : 0);
  return !whole || read_at(first * page_size_ + page_header, out);
}

void page_checker::check_free_pages(const table& t, std::span<const char> value) {
  // A count, then the pages in descending order.
  if (value.size() < 8 || value.size() % 8 || u64(value, 0) > value.size() / 8 - 1)
    return complain(t.name + " has a row that is too short");
  const auto count = u64(value, 0);
  std::uint64_t before = no_page;
  for (std::uint64_t i = 1; i <= count; ++i) {
    const auto page = u64(value, i * 8);
    if (page >= before)
      return complain(t.name + " has pages that do not descend");
    before = page;
    if (!claim(page, t.name))
      return;
  }
}

void page_checker::check_value(const table& t, role r, const node& n, census& seen) {
  std::vector<char> value;
  if (!read_value(t, n, value, r != role::plain, seen))
    return;
  if (r == role::free_list)
    return check_free_pages(t, value);
  const bool subdata = n.flags & f_subdata;
  if (subdata != (r == role::tables))
    return complain(t.name + " has a row of another kind");
  if (!subdata)
    return;
  if (value.size() != table_size)
    return complain(t.name + " has a row of another size");
  found_.push_back(read_table("table " + std::string(n.key.begin(), n.key.end()), value.data()));
}

void page_checker::walk_leaf(const table& t, role r, std::span<const char> bytes, census& seen) {
  const std::size_t count = (u16(bytes, lower_at) - page_header) / 2;
  for (std::size_t i = 0; i < count; ++i) {
    node n;
    if (!read_node(bytes, true, i, n))
      return complain(t.name + " has a row that leaves its " + page_name(u64(bytes, 0)));
    check_key(t, n.key, seen);
    check_value(t, r, n, seen);
    ++seen.entries;
  }
}

void page_checker::walk_page(const table& t, role r, std::uint64_t page, unsigned depth, census& seen) {
  std::vector<char> bytes;
  if (complaints_.size() >= max_complaints || !claim(page, t.name) || !read_page(page, bytes))
    return;
  const bool leaf = depth == t.depth;
  const std::size_t lower = u16(bytes, lower_at), upper = u16(bytes, upper_at);
  const bool sound = u64(bytes, 0) == page && u16(bytes, flags_at) == (leaf ? p_leaf : p_branch) &&
                     lower >= page_header && lower % 2 == 0 && lower <= upper && upper <= page_size_;
  const std::size_t count = sound ? (lower - page_header) / 2 : 0;
  // LMDB ends the program at a branch page with a single child.
  if (!sound || count < (leaf || r == role::free_list ? 1u : 2u))
    return complain(page_name(page) + " of " + t.name + " is damaged");
  ++(leaf ? seen.leaf_pages : seen.branch_pages);
  if (leaf)
    return walk_leaf(t, r, bytes, seen);
  for (std::size_t i = 0; i < count; ++i) {
    node n;
    if (!read_node(bytes, false, i, n))
      return complain(t.name + " has a branch that leaves its " + page_name(page));
    // Keys below the i-th branch are not less than its key; walk_leaf sees that they ascend over the whole
    // table.
    const auto before = seen.last_key;
    const bool any = seen.any;
    if (i > 0 && any && !t.integer_keys() && std::string_view(n.key.data(), n.key.size()) <= before)
      complain(t.name + " has a branch with the wrong key");
    if (i > 0 && t.integer_keys() && (n.key.size() != 8 || (any && u64(n.key, 0) <= u64(before, 0))))
      return complain(t.name + " has a branch with the wrong key");
    walk_page(t, r, n.number, depth + 1, seen);
  }
}

void page_checker::walk(const table& t, role r) {
  const bool flags_fit = r == role::plain    ? (t.flags & ~mdb_integer_key) == 0
                         : r == role::tables ? t.flags == 0
                                             : t.flags == mdb_integer_key;
  if (!flags_fit)
    return complain(t.name + " is of an unknown kind");
  census seen;
  if (t.root == no_page) {
    if (t.depth || t.entries || t.branch_pages || t.leaf_pages || t.overflow_pages)
      complain(t.name + " has no pages but counts some");
    return;
  }
  if (t.depth == 0 || t.depth > max_depth)
    return complain(t.name + " has an impossible depth");
  walk_page(t, r, t.root, 1, seen);
  if (complaints_.empty() && (seen.branch_pages != t.branch_pages || seen.leaf_pages != t.leaf_pages ||
                              seen.overflow_pages != t.overflow_pages || seen.entries != t.entries))
    complain(t.name + " has other pages or rows than it counts");
}

void page_checker::check_all_accounted() {
  for (std::uint64_t page = first_page; page <= last_page_; ++page)
    if (!claimed_[page])
      return complain(page_name(page) + " is neither used nor free");
}

bool page_checker::is_cut() const {
  struct stat s {};
  return ::fstat(fd_, &s) == 0 && static_cast<std::uint64_t>(s.st_size) < (last_page_ + 1) * page_size_;
}

std::vector<std::string> page_checker::run(bool deep) {
  complaints_.clear();
  found_.clear();
  table free_list, tables;
  if (!read_meta(free_list, tables))
    return complaints_;
  // A file may end before the last page it ever used, but not before one that is in use.
  deep = deep || is_cut();
  claimed_.assign(last_page_ + 1, false);
  walk(free_list, role::free_list);
  walk(tables, role::tables);
  if (!deep)
    return complaints_;
  for (const auto& t : found_)
    walk(t, role::plain);
  if (complaints_.empty())
    check_all_accounted();
  return complaints_;
}

} // namespace troupe
