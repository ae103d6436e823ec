#include "directory.hpp"

#include "messaging.hpp"
#include "silent_peers.hpp"

#include <caf/sec.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

#include <sys/statvfs.h>
#include <unistd.h>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto store_timeout = 5s;
/// CAF cuts off a known peer after 10 s without heartbeat; this is for those it does not know yet.
constexpr auto silence_limit = 15s;
constexpr auto silence_check = 5s;
constexpr std::size_t max_clients = 16384;
constexpr std::size_t max_askers = 1024;

/// Resident memory of this process; 0 when the system does not say.
std::uint64_t resident_bytes() {
  std::ifstream in{"/proc/self/statm"};
  std::uint64_t pages = 0, resident = 0;
  in >> pages >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t free_bytes(const std::string& path) {
  struct statvfs fs {};
  if (::statvfs(path.c_str(), &fs) != 0)
    return 0;
  return static_cast<std::uint64_t>(fs.f_bavail) * fs.f_frsize;
}

shard_status describe(shard_id id, const store_status& s) {
  shard_status result;
  result.shard = id;
  result.entries = s.stats.entries;
  result.first = s.stats.first;
  result.last = s.stats.last;
  result.file = s.stats.file;
  result.commits = s.commits;
  result.commit_p50_us = s.commit_p50_us;
  result.commit_p99_us = s.commit_p99_us;
  return result;
}

} // namespace

struct directory_state::status_round {
  node_status result;
  std::size_t missing = 0;
  caf::error failed;
  std::vector<caf::response_promise> askers;
};

void directory_state::init(context_ptr context, directory_config config) {
  ctx = std::move(context);
  cfg = std::move(config);
  watch(std::vector{cfg.catalog}, "the CATALOG");
  watch(ctx->stores, "a STORE");
  watch(ctx->readers, "a READER");
  watch(ctx->retentions, "RETENTION");
  watch(ctx->timers, "a TIMER");
  watch(ctx->transactions, "TRANSACTIONS");
}

template <class Actors> void directory_state::watch(const Actors& actors, const char* name) {
  for (const auto& handle : actors) {
    self->monitor(handle);
    vital.emplace(handle.address(), name);
  }
}

caf::result<welcome> directory_state::greet(const hello& h) {
  if (h.version != wire_version)
    return to_caf({errc::unknown_version,
                   "the client speaks protocol version " + std::to_string(h.version) +
                       ", this node version " + std::to_string(wire_version),
                   "use the same version of troupe on both sides"});
  const auto& sender = self->current_sender();
  if (!sender)
    return to_caf({errc::invalid_argument, "hello came from nobody"});
  auto address = caf::actor_cast<caf::actor_addr>(sender);
  if (!clients.contains(address)) {
    if (clients.size() >= max_clients)
      return to_caf(
          {errc::overloaded, std::to_string(max_clients) + " clients are connected", "close some", 1000ms});
    self->monitor(address);
    clients.emplace(address, h.client.substr(0, 255));
    log(ctx->log,
        {log_level::debug, name, "client_connected", "a client connected", {{"client", clients[address]}}});
  }
  return welcome{wire_version, cfg.about.name, cfg.about.version};
}

void directory_state::lost(const caf::down_msg& down) {
  if (replies.lost(down.source))
    return;
  if (auto at = clients.find(down.source); at != clients.end()) {
    log(ctx->log, {log_level::debug, name, "client_gone", "a client is gone", {{"client", at->second}}});
    clients.erase(at);
  } else if (auto dead = vital.find(down.source); dead != vital.end()) {
    cfg.on_end({errc::internal, std::string{dead->second} + " died: " + self->system().render(down.reason),
                "restart the node; this is a bug, please report it"});
  }
}

caf::result<bool> directory_state::expect(const expect_replies& r) {
  caf::actor before;
  if (auto wrong = replies.put(r, before))
    return to_caf(wrong);
  if (before)
    self->demonitor(before);
  self->monitor(r.inbox);
  return true;
}

caf::result<bool> directory_state::forward(reply_message& r) {
  auto inbox = replies.take(r);
  if (!inbox)
    return to_caf(inbox.error());
  self->send(*inbox, std::move(r));
  return true;
}

void directory_state::taken(const replies_taken& read) {
  if (const auto& sender = self->current_sender())
    replies.taken(read, caf::actor_cast<caf::actor_addr>(sender));
}

void directory_state::heard(listening l) {
  cfg.about.listen = std::move(l.address);
  port = l.port;
  close_silent();
}

void directory_state::close_silent() {
  if (auto closed = close_silent_peers(port, silence_limit); closed > 0)
    log(ctx->log, {log_level::warning,
                   name,
                   "silent_peers_closed",
                   "connections were closed because nothing came from them",
                   {{"connections", std::to_string(closed)}}});
  self->delayed_send(self, silence_check, look_for_silent_peers{});
}

caf::error directory_state::closed() const {
  if (!draining)
    return {};
  return to_caf({errc::shutting_down, "the node drains", "connect again when it runs", 1000ms});
}

// -- status
// ----------------------------------------------------------------------------------------------------------

caf::result<node_status> directory_state::status() {
  if (asking && asking->askers.size() >= max_askers)
    return to_caf({errc::overloaded, "too many ask for the status at once", "ask again", 1000ms});
  // It takes the sender along: from here on only the promise answers.
  auto promise = self->make_response_promise();
  if (asking) {
    asking->askers.push_back(promise);
    return caf::delegated<node_status>{};
  }
  auto round = std::make_shared<status_round>();
  asking = round;
  round->askers.push_back(promise);
  round->result = cfg.about;
  round->result.shards.resize(ctx->stores.size());
  round->result.state = draining ? "draining" : "running";
  round->missing = ctx->stores.size() + 1;
  auto failed = [this, round](caf::error& err) {
    round->failed = std::move(err);
    counted(*round);
  };
  self->request(cfg.catalog, store_timeout, status_atom::value)
      .then(
          [this, round](const catalog_status& s) {
            round->result.topics = s.topics;
            round->result.groups = s.groups;
            counted(*round);
          },
          failed);
  for (std::size_t n = 0; n < ctx->stores.size(); ++n)
    self->request(ctx->stores[n], store_timeout, status_atom::value)
        .then(
            [this, round, n](const store_status& s) {
              auto& result = round->result;
              result.shards[n] = describe(shard_id{static_cast<std::uint16_t>(n)}, s);
              result.disk_used += s.stats.used;
              if (s.admission && result.state == "running")
                result.state = "full";
              counted(*round);
            },
            failed);
  return caf::delegated<node_status>{};
}

void directory_state::counted(status_round& round) {
  if (--round.missing > 0)
    return;
  asking.reset();
  auto& result = round.result;
  result.uptime_ms = static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - started).count());
  result.connections = clients.size();
  result.rss = resident_bytes();
  result.disk_free = free_bytes(result.data);
  for (auto& asker : round.askers) {
    if (round.failed)
      asker.deliver(round.failed);
    else
      asker.deliver(result);
  }
}

// -- draining
// --------------------------------------------------------------------------------------------------------

caf::result<bool> directory_state::drain() {
  if (draining && draining_stores == 0)
    return not_drained ? caf::result<bool>{not_drained} : caf::result<bool>{true};
  drain_promises.push_back(self->make_response_promise());
  if (std::exchange(draining, true))
    return caf::delegated<bool>{};
  log(ctx->log,
      {log_level::info, name, "drain", "the node drains: it commits what waits and refuses the rest", {}});
  self->send(cfg.catalog, drain_atom::value);
  draining_stores = ctx->stores.size();
  for (const auto& store : ctx->stores)
    self->request(store, store_timeout, drain_atom::value)
        .then([this](bool) { drained({}); }, [this](const caf::error& err) { drained(err); });
  return caf::delegated<bool>{};
}

void directory_state::drained(const caf::error& failed) {
  if (!not_drained)
    not_drained = failed;
  if (--draining_stores > 0)
    return;
  for (auto& promise : std::exchange(drain_promises, {})) {
    if (not_drained)
      promise.deliver(not_drained);
    else
      promise.deliver(true);
  }
  cfg.on_end(not_drained ? from_caf(not_drained) : error{});
}

// -- the actor
// -------------------------------------------------------------------------------------------------------

namespace {

using directory_pointer = caf::stateful_actor<directory_state>*;

/// Passes a request on to the CATALOG, which answers; refuses it while the node drains.
template <class Answer, class... Request>
caf::result<Answer> pass_on(directory_pointer self, Request&&... request) {
  if (auto err = self->state.closed())
    return err;
  return self->delegate(self->state.cfg.catalog, std::forward<Request>(request)...);
}

caf::behavior directory_behavior(directory_pointer self, const context_ptr& ctx,
                                 const directory_config& config) {
  self->state.init(ctx, config);
  ignore_strangers(self);
  self->set_down_handler([self](caf::down_msg& down) { self->state.lost(down); });
  self->set_default_handler([](caf::scheduled_actor*, caf::message_view&) -> caf::result<caf::message> {
    return to_caf({errc::invalid_argument, "the node does not know this request",
                   "use the same version of troupe on both sides"});
  });
  return {
      [self](const hello& h) { return self->state.greet(h); },
      [self](status_atom) { return self->state.status(); },
      [self](drain_atom) { return self->state.drain(); },
      [self](create_topic& r) { return pass_on<topic_status>(self, std::move(r)); },
      [self](set_topic& r) { return pass_on<topic_status>(self, std::move(r)); },
      [self](describe_atom verb, topic_name& r) { return pass_on<topic_status>(self, verb, std::move(r)); },
      [self](delete_atom verb, topic_name& r) { return pass_on<bool>(self, verb, std::move(r)); },
      [self](list_topics_atom verb) { return pass_on<names>(self, verb); },
      [self](create_group& r) { return pass_on<group_status>(self, std::move(r)); },
      [self](set_group& r) { return pass_on<group_status>(self, std::move(r)); },
      [self](pause_group& r) { return pass_on<group_status>(self, std::move(r)); },
      [self](subscribe_group& r) { return pass_on<group_status>(self, std::move(r)); },
      [self](reset_group& r) { return pass_on<group_reset>(self, std::move(r)); },
      [self](list_dead& r) { return pass_on<dead_page>(self, std::move(r)); },
      [self](settle_dead& r) { return pass_on<dead_settled>(self, std::move(r)); },
      [self](list_delayed& r) { return pass_on<delayed_page>(self, std::move(r)); },
      [self](cancel_delayed& r) { return pass_on<cancelled_delayed>(self, std::move(r)); },
      [self](transactions_request& r) { return pass_on<transactions_route>(self, std::move(r)); },
      [self](list_transactions& r) { return pass_on<transactions_page>(self, std::move(r)); },
      [self](decide_by_hand& r) { return pass_on<decided_by_hand>(self, std::move(r)); },
      [self](describe_atom verb, group_name& r) { return pass_on<group_status>(self, verb, std::move(r)); },
      [self](delete_atom verb, group_name& r) { return pass_on<bool>(self, verb, std::move(r)); },
      [self](list_groups_atom verb) { return pass_on<names>(self, verb); },
      [self](route_request& r) { return pass_on<route>(self, std::move(r)); },
      [self](join& r) { return pass_on<joined>(self, std::move(r)); },
      [self](get_message& r) { return pass_on<found_message>(self, std::move(r)); },
      [self](expect_replies& r) { return self->state.expect(r); },
      [self](reply_message& r) { return self->state.forward(r); },
      [self](replies_taken& r) { self->state.taken(r); },
      [self](listening& l) {
        if (from_here(self))
          self->state.heard(std::move(l));
      },
      [self](look_for_silent_peers) { self->state.close_silent(); },
  };
}

} // namespace

caf::actor spawn_directory(caf::actor_system& sys, context_ptr ctx, directory_config cfg) {
  return sys.spawn(directory_behavior, std::move(ctx), std::move(cfg));
}

} // namespace troupe
