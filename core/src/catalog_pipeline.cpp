#include "troupe/catalog_pipeline.hpp"

#include <utility>

namespace troupe {

namespace {

/// About the bytes of a change in the log.
std::size_t weight(const catalog_entry& entry) {
  std::size_t bytes = 64;
  for (const auto& topic : entry.topics)
    bytes += 128 + topic.name.size() + 8 * topic.queues.size();
  for (const auto& group : entry.groups) {
    bytes += 128 + group.name.size();
    for (const auto& s : group.subscriptions)
      bytes += 48 + s.filter.size();
  }
  return bytes;
}

/// After these the store has certainly not done what was asked.
bool certainly_refused(errc code) {
  switch (code) {
  case errc::no_space:
  case errc::overloaded:
  case errc::too_large:
  case errc::invalid_argument:
  case errc::not_supported:
  case errc::shutting_down:
    return true;
  default:
    return false;
  }
}

} // namespace

catalog_pipeline::catalog_pipeline(catalog_entry loaded, catalog_ids last, applied_function on_applied,
                                   limits l)
    : window_(last), on_applied_(std::move(on_applied)), limits_(l) {
  definitions_.apply(loaded);
}

void catalog_pipeline::take(std::vector<std::string> names, propose_function propose,
                            finish_function finish) {
  if (open_ >= limits_.open)
    return finish({errc::overloaded, std::to_string(open_) + " changes of topics and groups are under way",
                   "send fewer at once", milliseconds{100}});
  ++open_;
  decide(std::make_unique<request>(request{std::move(names), std::move(propose), std::move(finish), {}}));
}

void catalog_pipeline::decide(request_ptr r) {
  if (auto name = window_.held(r->names)) {
    waiting_[*name].push_back(std::move(r));
    return;
  }
  auto proposed = r->propose(definitions_, window_.last());
  if (!proposed)
    return answer(*r, proposed.error());
  if (!*proposed)
    return answer(*r, {});
  if (broken_)
    return answer(*r, broken_);
  r->change = std::move(**proposed);
  if (auto name = window_.held(r->change.names)) {
    waiting_[*name].push_back(std::move(r));
    return;
  }
  window_.begin(r->change);
  gathered_.push_back(std::move(r));
}

void catalog_pipeline::answer(request& r, const error& err) {
  --open_;
  r.finish(err);
}

std::optional<catalog_entry> catalog_pipeline::next() {
  if (!ready())
    return std::nullopt;
  catalog_entry entry;
  std::size_t bytes = 0;
  while (!gathered_.empty() && under_way_.size() < limits_.changes) {
    bytes += weight(gathered_.front()->change.entry);
    if (!under_way_.empty() && bytes > limits_.bytes)
      break;
    entry.merge(gathered_.front()->change.entry);
    under_way_.push_back(std::move(gathered_.front()));
    gathered_.pop_front();
  }
  return entry;
}

void catalog_pipeline::committed(const error& err) {
  if (err && !certainly_refused(err.code))
    broken_ = {errc::storage_failed,
               "shard 0 did not say whether it stored the last change of topics or groups: " + to_string(err),
               "look at the node's log and its disk, then restart the node"};
  auto done = std::exchange(under_way_, {});
  for (const auto& r : done) {
    window_.end(r->change);
    if (!err)
      apply(r->change.entry);
  }
  for (const auto& r : done)
    answer(*r, err);
  for (const auto& r : done)
    wake(r->change.names);
}

void catalog_pipeline::apply(const catalog_entry& entry) {
  catalog_removed removed;
  for (auto id : entry.removed_topics)
    if (const auto* old = definitions_.topic(id))
      removed.topics.push_back(*old);
  for (auto id : entry.removed_groups)
    if (const auto* old = definitions_.group(id))
      removed.groups.push_back(*old);
  definitions_.apply(entry);
  on_applied_(entry, removed);
}

void catalog_pipeline::wake(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    auto at = waiting_.find(name);
    if (at == waiting_.end())
      continue;
    auto woken = std::move(at->second);
    waiting_.erase(at);
    for (auto& r : woken)
      decide(std::move(r));
  }
}

void catalog_pipeline::close(const error& err) {
  broken_ = err;
  auto finish_all = [&](auto requests) {
    for (const auto& r : requests)
      answer(*r, err);
  };
  finish_all(std::exchange(gathered_, {}));
  finish_all(std::exchange(under_way_, {}));
  for (auto& [name, requests] : std::exchange(waiting_, {}))
    finish_all(std::move(requests));
}

} // namespace troupe
