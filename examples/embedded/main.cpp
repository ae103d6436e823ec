// A broker inside a program: starts a node on a directory, publishes to it and consumes from it, without any
// socket.
#include "troupe/consumer.hpp"
#include "troupe/node.hpp"
#include "troupe/producer.hpp"

#include <iostream>

int main(int argc, char** argv) {
  auto node = troupe::node::start({.data = argc > 1 ? argv[1] : "embedded-data"});
  if (!node) {
    std::cerr << to_string(node.error()) << '\n';
    return 1;
  }
  auto client = troupe::client::attach(**node);
  client->create_topic("greetings", {.queues = 1}); // refused when it is there already, which is fine here

  auto producer = troupe::producer::open(*client, {.topic = "greetings"});
  auto receipt = producer->send({.body = "hello"}); // on the disk when it returns
  std::cout << "stored at offset " << receipt->offset.value << '\n';

  auto consumer = troupe::pull_consumer::open(*client, {.group = "readers", .topics = {{"greetings"}}});
  auto messages = consumer->fetch(10, std::chrono::seconds{5});
  for (const auto& m : *messages)
    std::cout << m.body() << '\n';
  consumer->ack(*messages);
  return consumer->close() ? 1 : 0;
}
