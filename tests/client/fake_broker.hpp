#pragma once

#include "actors/deterministic.hpp"

#include "connection.hpp"
#include "line.hpp"

#include "troupe/wire_admin.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::test {

/// The edge of a node as clients see it, played by one actor for each handle. It records what arrives; tests
/// answer by hand.
struct fake_broker {
  explicit fake_broker(deterministic& d, std::uint32_t queue_count = 2) : fixture(d) {
    for (std::uint32_t i = 0; i < queue_count; ++i)
      queues.push_back(spawn_sink());
    group = spawn_sink();
    directory = spawn_directory();
  }

  /// publish, consume, renew: to whichever handle. leave: answered.
  caf::actor spawn_sink() {
    return fixture.owned(fixture.system().spawn([this](caf::event_based_actor* self) -> caf::behavior {
      return {
          [this, self](publish& p) {
            producer = caf::actor_cast<caf::actor>(self->current_sender());
            published_batches.push_back(std::move(p));
          },
          [this](consume& c) { consumed.push_back(std::move(c)); },
          [this](renew& r) { renewed.push_back(std::move(r)); },
          [this](leave& l) {
            left.push_back(l.member);
            return true;
          },
      };
    }));
  }

  caf::actor spawn_directory() {
    return fixture.owned(fixture.system().spawn([this](caf::event_based_actor*) -> caf::behavior {
      return {
          [this](hello& h) -> caf::result<welcome> {
            hellos.push_back(h);
            if (refuse_hello)
              return to_caf(refuse_hello);
            return welcome{speaks, "n1", "test"};
          },
          [this](route_request& r) -> caf::result<troupe::route> {
            routes_asked.push_back(r.topic);
            if (refuse_route)
              return to_caf(refuse_route);
            return route();
          },
          [this](join& j) -> caf::result<joined> {
            joins.push_back(j);
            if (refuse_join)
              return to_caf(refuse_join);
            return joined{.group = group,
                          .member = ++members,
                          .lease_ms = 60'000,
                          .max_unsettled = max_unsettled,
                          .mode = mode,
                          .order_by = order_by};
          },
          [this](list_topics_atom) -> caf::result<names> {
            if (refuse_route)
              return to_caf(refuse_route);
            return names{{"a", "b"}};
          },
      };
    }));
  }

  troupe::route route() const {
    troupe::route r{topic_id{1}, version, 1000, default_max_delay, priorities, false, {}, {}};
    for (std::uint32_t i = 0; i < queues.size(); ++i) {
      r.ids.push_back(queue_id{first_queue + i});
      r.queues.push_back(queues[i]);
    }
    return r;
  }

  /// The STORE's answer to a batch: stored at `base`.
  publish_result stored(const publish& p, std::uint64_t base) const {
    publish_result r{.queue = p.queue, .epoch = p.header.epoch, .sequence = p.header.sequence};
    r.placed = true;
    r.base = queue_offset{base};
    r.index = log_index{base + 100};
    r.first_ordinal = 7;
    return r;
  }
  publish_result refused(const publish& p, errc code, std::uint32_t retry_after = 0) const {
    publish_result r{.queue = p.queue, .epoch = p.header.epoch, .sequence = p.header.sequence, .code = code};
    r.retry_after = retry_after;
    r.reason = "because";
    return r;
  }
  void answer(std::vector<publish_result> results) {
    caf::anon_send(producer, published{std::move(results)});
    fixture.run();
  }
  std::vector<publish> take_published() { return std::exchange(published_batches, {}); }

  /// The node dies: all its handles go down. It comes back with new ones.
  void die() {
    for (auto& q : queues)
      caf::anon_send_exit(q, caf::exit_reason::kill);
    caf::anon_send_exit(group, caf::exit_reason::kill);
    caf::anon_send_exit(directory, caf::exit_reason::kill);
    fixture.run();
  }

  deterministic& fixture;
  std::vector<caf::actor> queues;
  caf::actor group;
  caf::actor directory;
  caf::actor producer;
  std::uint32_t first_queue = 11;
  std::uint64_t version = 1;
  std::uint8_t priorities = 1;
  std::uint16_t speaks = wire_version;
  std::uint32_t max_unsettled = 1000;
  group_mode mode = group_mode::shared;
  group_order order_by = group_order::key;
  std::uint64_t members = 40;
  error refuse_hello;
  error refuse_route;
  error refuse_join;
  std::vector<hello> hellos;
  std::vector<std::string> routes_asked;
  std::vector<publish> published_batches;
  std::vector<join> joins;
  std::vector<consume> consumed;
  std::vector<renew> renewed;
  std::vector<std::uint64_t> left;
};

/// A line that the test switches by hand, in the place of CONNECTION.
struct fake_line {
  explicit fake_line(deterministic& d) : fixture(d) {
    actor = d.owned(d.system().spawn([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](attach_line& a) { attached = std::move(a.who); }};
    }));
  }
  void up(const caf::actor& directory) { tell(line_up{directory, ++session}); }
  void down() { tell(line_down{{errc::disconnected, "lost"}}); }
  void close() { tell(line_closed{{errc::shutting_down, "the client was closed"}}); }

  template <class Message> void tell(Message m) {
    fixture.run();
    caf::anon_send(attached, std::move(m));
    fixture.run();
  }

  deterministic& fixture;
  caf::actor actor;
  caf::actor attached;
  std::uint64_t session = 0;
};

} // namespace troupe::test
