#include "troupe/wire_admin.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/message.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using namespace troupe;

struct config : caf::actor_system_config {
  config() {
    set("scheduler.max-threads", std::size_t{1});
    add_wire_types(*this);
  }
};

/// Never destroyed: at exit CAF's own statics go before ours.
caf::actor_system& system() {
  static auto* cfg = new config;
  static auto* sys = new caf::actor_system{*cfg};
  return *sys;
}

/// What is accepted must survive being written and read again.
template <class T> void read_one(const std::vector<char>& bytes) {
  caf::binary_deserializer source{system(), bytes};
  T x{};
  if (source(x))
    return;
  std::vector<char> again;
  caf::binary_serializer sink{system(), again};
  if (sink(x))
    std::abort();
  caf::binary_deserializer second{system(), again};
  T y{};
  if (second(y))
    std::abort();
  std::vector<char> third;
  caf::binary_serializer last{system(), third};
  if (last(y) || third != again)
    std::abort();
}

using reader = void (*)(const std::vector<char>&);
constexpr reader readers[] = {
    read_one<hello>,         read_one<route_request>, read_one<publish>,      read_one<published>,
    read_one<consume>,       read_one<settled>,       read_one<renew>,        read_one<leave>,
    read_one<delivery>,      read_one<dismissed>,     read_one<create_topic>, read_one<set_topic>,
    read_one<create_group>,  read_one<topic_status>,  read_one<group_status>, read_one<get_message>,
    read_one<found_message>, read_one<node_status>,   read_one<names>,        read_one<join>,
    read_one<route>,         read_one<block>,         read_one<set_group>,    read_one<pause_group>,
    read_one<reset_group>,   read_one<group_reset>,
};

} // namespace

// The input: which struct (1 byte), then its bytes. With the highest bit set: a whole message, types by name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const std::vector<char> bytes(data + 1, data + size);
  if ((data[0] & 0x80) == 0) {
    readers[data[0] % std::size(readers)](bytes);
    return 0;
  }
  caf::binary_deserializer source{system(), bytes};
  caf::message m;
  if (!m.load(source))
    from_caf(m.match_elements<caf::error>() ? m.get_as<caf::error>(0) : caf::error{});
  return 0;
}
