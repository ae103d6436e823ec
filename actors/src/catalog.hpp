#pragma once

#include "broadcast_groups.hpp"
#include "catalog_children.hpp"
#include "catalog_self.hpp"
#include "catalog_start.hpp"
#include "delayed_requests.hpp"
#include "factories.hpp"
#include "transaction_requests.hpp"
#include "troupe/catalog_actor.hpp"
#include "troupe/catalog_pipeline.hpp"

#include <caf/actor_addr.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe {

/// Owns the definitions (in `changes`) and the running TOPICs and GROUPs (in `children`). At most one
/// proposal of changes is with the STORE of shard 0.
struct catalog_state {
  explicit catalog_state(catalog_self::stateful_pointer<catalog_state> s) : self(s) {}
  static constexpr const char* name = "catalog";

  void init(context_ptr context, catalog_start start);

  caf::result<topic_status> create(create_topic r);
  caf::result<topic_status> set(set_topic r);
  caf::result<bool> remove(topic_name r);
  caf::result<topic_status> describe(const topic_name& r);
  caf::result<route> find_route(route_request r);
  caf::result<group_status> create(create_group r);
  caf::result<group_status> set(set_group r);
  caf::result<group_status> pause(pause_group r);
  caf::result<group_status> subscribe(subscribe_group r);
  caf::result<group_reset> reset(reset_group r);
  caf::result<dead_page> list(list_dead r);
  caf::result<dead_settled> settle(settle_dead r);
  caf::result<delayed_page> list(const list_delayed& r) { return delayed->list(r); }
  caf::result<cancelled_delayed> cancel(const cancel_delayed& r) { return delayed->cancel(r); }
  transactions_route who_decides() const { return transactions->route(); }
  caf::result<transactions_page> list(const list_transactions& r) { return transactions->list(r); }
  caf::result<decided_by_hand> decide(const decide_by_hand& d) { return transactions->decide(d); }
  topics_found topics_of(const topics_request& r) const { return transactions->topics_of(r); }
  caf::result<bool> remove(group_name r);
  caf::result<group_status> describe(const group_name& r);
  caf::result<joined> enter(join r);
  caf::result<found_message> find(get_message r);
  names topic_names() const { return {definitions().topic_names()}; }
  names group_names() const { return {definitions().group_names()}; }
  catalog_status status() const { return {definitions().topics(), definitions().groups()}; }

  /// Sends what was gathered to the STORE, as one entry.
  void commit();
  /// The groups that follow a TOPIC that died hear of its replacement, which is started when need be.
  void restart(topic_id id) { children->tell_followers(id); }
  void lost(const caf::down_msg& down);
  void moved(const member_moved& m) { broadcast->moved(m); }
  void look_at_members_again() { broadcast->look(); }
  void end_idle_groups_again() { broadcast->end_idle(); }
  /// Members of all groups hear that the node drains; whoever joins later does, too.
  void drain();
  /// Answers everything with shutting_down and ends TOPICs and GROUPs.
  void shut_down();

private:
  const catalog& definitions() const { return changes->definitions(); }
  caf::result<group_status> change_group(std::string name, catalog_pipeline::propose_function propose);
  /// `then`: once it is durable, before the GROUP is asked for its state.
  caf::result<group_status> change_group(std::vector<std::string> names, std::string name,
                                         catalog_pipeline::propose_function propose,
                                         std::function<void()> then);
  caf::result<group_status> add_topic(const subscribe_group& r, wanted_subscription wanted);
  caf::result<group_status> remove_topic(const subscribe_group& r);
  /// The answer is the group's state.
  void answer(const group_definition& group, caf::typed_response_promise<group_status> promise);
  error still_forgetting(const group_definition& group, const topic_definition& topic) const;
  void forget_progress(group_id group, const topic_definition& topic);
  void forgotten(const leftover& l);
  void change(std::vector<std::string> names, catalog_pipeline::propose_function propose,
              catalog_pipeline::finish_function finish);
  void arm();
  void committed(const error& err);

  /// Tells TOPICs, GROUPs and RETENTION what an applied change means for them.
  void announce(const catalog_entry& entry, const catalog_removed& removed);
  void tell_retention(const std::vector<queue_id>& queues, const topic_options& options, bool removed);
  void end_topic(const topic_definition& gone);
  void end_group(const group_definition& gone);
  void clean_up();

  void report(log_level level, std::string_view event, std::string text);

  catalog_self::stateful_pointer<catalog_state> self;
  context_ptr ctx;
  std::optional<catalog_pipeline> changes;
  std::optional<catalog_children> children;
  std::optional<broadcast_groups> broadcast;
  std::optional<delayed_requests> delayed;
  std::optional<transaction_requests> transactions;
  /// A commit_changes is in the mailbox.
  bool armed = false;
  bool draining = false;

  /// Progress of deleted groups that is removed once the GROUP has ended, and what is to be removed now.
  std::unordered_map<caf::actor_addr, std::vector<leftover>> ending;
  std::deque<leftover> leftovers;
  /// How many of these there are, under way or not, of groups that go on with other topics.
  std::map<std::pair<group_id, topic_id>, std::size_t> forgetting;
  std::size_t cleaning = 0;
  std::size_t lookups = 0;
};

} // namespace troupe
