#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace troupe {

/// Reads the pages of an LMDB file (data version 1, 0.9.x) without LMDB, which trusts every byte: where a
/// flipped bit would bring it down or lead it astray, this says so. Looks at the newest commit; nobody may
/// write meanwhile. Never reads out of bounds, whatever the file holds.
class page_checker {
public:
  /// `fd` stays the caller's.
  explicit page_checker(int fd) : fd_(fd) {}

  /// What is wrong, at most a few dozen findings; empty for a sound file. `deep` looks at every page of every
  /// table, else only at those that LMDB needs to open them: the meta pages, the table of tables, the list of
  /// free pages. A file that ends before its last page is always looked at deeply: LMDB would die of a read
  /// behind the end.
  std::vector<std::string> run(bool deep);

private:
  /// A table as its descriptor has it.
  struct table {
    std::string name;
    std::uint16_t flags = 0;
    std::uint16_t depth = 0;
    std::uint64_t branch_pages = 0;
    std::uint64_t leaf_pages = 0;
    std::uint64_t overflow_pages = 0;
    std::uint64_t entries = 0;
    std::uint64_t root = 0;
    bool integer_keys() const;
  };
  /// What a walk through a table has seen.
  struct census {
    std::uint64_t branch_pages = 0;
    std::uint64_t leaf_pages = 0;
    std::uint64_t overflow_pages = 0;
    std::uint64_t entries = 0;
    std::string last_key;
    bool any = false;
  };
  struct node {
    std::uint16_t flags = 0;
    std::span<const char> key;
    /// Leaf: the value's size; branch: the child's page.
    std::uint64_t number = 0;
    std::span<const char> rest;
  };
  enum class role { tables, free_list, plain };

  bool read_meta(table& free_list, table& tables);
  static table read_table(std::string name, const char* at);
  void walk(const table& t, role r);
  void walk_page(const table& t, role r, std::uint64_t page, unsigned depth, census& seen);
  void walk_leaf(const table& t, role r, std::span<const char> bytes, census& seen);
  bool read_node(std::span<const char> bytes, bool leaf, std::size_t i, node& out);
  void check_key(const table& t, std::span<const char> key, census& seen);
  void check_value(const table& t, role r, const node& n, census& seen);
  void check_free_pages(const table& t, std::span<const char> value);
  bool read_value(const table& t, const node& n, std::vector<char>& out, bool whole, census& seen);
  void check_all_accounted();

  bool is_cut() const;
  bool read_page(std::uint64_t page, std::vector<char>& out);
  bool read_at(std::uint64_t offset, std::span<char> out);
  /// Notes that a page belongs to somebody; false when it cannot.
  bool claim(std::uint64_t page, const std::string& who);
  void complain(std::string what);

  int fd_;
  std::size_t page_size_ = 0;
  std::uint64_t last_page_ = 0;
  std::vector<bool> claimed_;
  std::vector<table> found_;
  std::vector<std::string> complaints_;
};

} // namespace troupe
