#pragma once

#include "troupe/catalog.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe {

/// What a change took away, as it was.
struct catalog_removed {
  std::vector<topic_definition> topics;
  std::vector<group_definition> groups;
};

/// Many changes of the catalog under way at once: requests come in, entries for the log come out, one at a
/// time and each with as many changes as there are by then; when one is durable its changes are applied and
/// their requests answered. Requests about the same name are decided in the order they came. Not thread-safe:
/// one owner. Invariants: a name is held exactly while its change is gathered or under way; definitions()
/// holds only what is durable; every request that was taken is answered exactly once.
class catalog_pipeline {
public:
  struct limits {
    /// Requests taken and not answered; beyond, `overloaded`.
    std::size_t open = 16384;
    /// What goes into one entry: one large change, or as many as fit.
    std::size_t changes = 256;
    std::size_t bytes = 1u << 20;
  };
  /// Judges a request against the definitions as they are now. No change: it is so already.
  using propose_function = std::function<catalog_proposal(const catalog&, const catalog_ids& last)>;
  /// Answers a request; no error: what was asked is durable. May not call the pipeline.
  using finish_function = std::function<void(const error&)>;
  /// Told of each applied change before its request is answered. May not call the pipeline.
  using applied_function = std::function<void(const catalog_entry&, const catalog_removed&)>;

  catalog_pipeline(catalog_entry loaded, catalog_ids last, applied_function on_applied)
      : catalog_pipeline(std::move(loaded), last, std::move(on_applied), limits{}) {}
  catalog_pipeline(catalog_entry loaded, catalog_ids last, applied_function on_applied, limits l);

  const catalog& definitions() const { return definitions_; }

  /// Takes a request about these names. It may be answered at once.
  void take(std::vector<std::string> names, propose_function propose, finish_function finish);
  /// The next entry for the log; nothing when there is none, or one is under way.
  std::optional<catalog_entry> next();
  /// True when next() would give an entry.
  bool ready() const { return !gathered_.empty() && under_way_.empty(); }
  /// The outcome of the entry under way. An error that does not say for certain that nothing was stored makes
  /// every later change fail with storage_failed, because the definitions in memory may not be those of the
  /// store any more.
  void committed(const error& err);
  /// Answers everything with `err`; nothing is taken afterwards.
  void close(const error& err);
  /// Why nothing can be changed any more, or no error.
  const error& broken() const { return broken_; }

private:
  struct request {
    std::vector<std::string> names;
    propose_function propose;
    finish_function finish;
    catalog_change change;
  };
  using request_ptr = std::unique_ptr<request>;

  void decide(request_ptr r);
  void answer(request& r, const error& err);
  void apply(const catalog_entry& entry);
  void wake(const std::vector<std::string>& names);

  catalog definitions_;
  catalog_window window_;
  applied_function on_applied_;
  limits limits_;
  std::deque<request_ptr> gathered_;
  std::vector<request_ptr> under_way_;
  /// By the name they wait for, in order of arrival.
  std::unordered_map<std::string, std::deque<request_ptr>> waiting_;
  std::size_t open_ = 0;
  error broken_;
};

} // namespace troupe
